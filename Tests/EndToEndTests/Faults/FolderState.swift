import AssayCheckpoints
import AssayTestSupport
import SystemPackage

/// Everything that lies in a folder, by names relative to it: "n/config.json".
struct FolderState: Equatable, Sendable {
    enum Entry: Equatable, Sendable { case folder, file([UInt8]) }

    var entries: [String: Entry] = [:]

    init() {}

    init(of folder: FilePath) throws { try add(folder, "") }

    private mutating func add(_ folder: FilePath, _ prefix: String) throws {
        for name in try SystemCall.names(in: folder) {
            let path = folder.appending(name)
            if try SystemCall.status(path, followingLinks: false)?.kind == .folder {
                entries[prefix + name] = .folder
                try add(path, prefix + name + "/")
            } else {
                entries[prefix + name] = .file(try TestFiles.bytes(path))
            }
        }
    }

    /// Makes a folder hold this, and nothing else.
    ///
    /// - Parameter untouched: names of what is there already, and keeps its times.
    func restore(_ folder: FilePath, but untouched: [String] = []) throws {
        for name in try SystemCall.names(in: folder) where !untouched.contains(name) {
            SystemCall.removeTree(folder.appending(name))
        }
        for (name, entry) in without(untouched).entries.sorted(by: { $0.key < $1.key }) {
            switch entry {
            case .folder: try SystemCall.makeFolder(folder.pushing(FilePath(name)))
            case .file(let bytes): try TestFiles.write(bytes, to: folder.pushing(FilePath(name)))
            }
        }
    }

    /// What is called so, and what lies in it.
    func part(_ name: String) -> FolderState {
        filtered { $0 == name || $0.hasPrefix(name + "/") }
    }

    func without(_ names: [String]) -> FolderState {
        filtered { entry in !names.contains { entry == $0 || entry.hasPrefix($0 + "/") } }
    }

    /// What is left by a run that was killed, set aside.
    var withoutTemporaries: FolderState {
        filtered { !$0.contains(".assay-partial") && !$0.contains(".assay-previous") }
    }

    /// What stood under a name before, put back as the next run advises, where nothing else has the name.
    func withPrevious(_ name: String) -> FolderState {
        // Followed by a process's number: a certificate's name begins the same.
        let isAside: (String) -> Bool = {
            $0.hasPrefix(".\(name).") && $0.hasSuffix(".assay-previous") && $0.dropFirst(name.count + 2).first!.isNumber
        }
        guard part(name).entries.isEmpty, let aside = entries.keys.first(where: isAside) else { return self }
        var state = without([aside])
        for (path, entry) in part(aside).entries { state.entries[name + path.dropFirst(aside.count)] = entry }
        return state
    }

    private func filtered(_ isKept: (String) -> Bool) -> FolderState {
        var result = FolderState()
        result.entries = entries.filter { isKept($0.key) }
        return result
    }

    /// The names of what differs.
    func differences(from other: FolderState) -> [String] {
        Set(entries.keys).union(other.entries.keys).filter { entries[$0] != other.entries[$0] }.sorted()
    }
}

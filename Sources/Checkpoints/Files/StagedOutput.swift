import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// A destination (a file or a folder) that does not exist until it is complete: everything is written beside it,
/// under a name that says so, and renamed at the end. Dropped without `publish`, it leaves nothing behind.
public final class StagedOutput: Sendable {
    public let destination: FilePath
    /// Where to write: the file itself, or the folder to put files in.
    public let staging: FilePath
    private let isFolder: Bool
    private let overwrite: Bool
    private let replaceable: NameSet
    /// What stood there at the start.
    private let replaced: SystemCall.Status?

    /// - Parameters:
    ///   - isFolder: makes the staging folder; a file is left for the writer to create.
    ///   - overwrite: whether an existing destination is replaced.
    ///   - replaceable: names, relative to it, of files that may go with a folder that is replaced.
    ///   - mode: of what nobody else may read either; that of what is replaced, unless given.
    ///   - place: where to write instead, on the destination's file system; it is made and removed by others.
    /// - Throws: `UsageError` where the destination exists and may not be replaced, or its folder does not exist;
    ///   `SystemError`.
    public init(
        _ destination: FilePath, isFolder: Bool, overwrite: Bool, replaceable: NameSet = NameSet(),
        mode: UInt32? = nil, at place: FilePath? = nil
    ) throws {
        // A trailing slash or a final dot would stage inside the destination instead of beside it.
        let normalized = destination.settled()
        replaced = try Self.replaced(by: normalized, isFolder: isFolder, overwrite: overwrite, replaceable)
        let staging = place ?? Self.temporaryPath(for: normalized)
        if place == nil {
            if isFolder {
                try SystemCall.makeFolder(staging, temporaryFor: normalized, mode: mode ?? replaced?.mode)
            } else {
                Temporaries.add(staging, for: normalized, mode: mode ?? replaced?.mode)
            }
        }
        self.destination = normalized
        self.staging = staging
        self.isFolder = isFolder
        self.overwrite = overwrite
        self.replaceable = replaceable
    }

    /// The folder in which it appears.
    var folder: FilePath { destination.folder }

    /// Checks everything that can be known before the work.
    ///
    /// - Returns: the status of what is replaced; nil where nothing is there.
    private static func replaced(
        by destination: FilePath, isFolder: Bool, overwrite: Bool, _ replaceable: NameSet
    ) throws -> SystemCall.Status? {
        guard destination.lastComponent != nil else {
            throw UsageError("\(destination.forDisplay): this names no file that could be written")
        }
        try requireName(destination, of: "the name")
        if !isFolder { try refuseInterruptedEdit(of: destination) }
        let found = try SystemCall.status(destination, followingLinks: false)
        if let found { try check(found, destination, isFolder: isFolder, overwrite: overwrite, replaceable) }
        guard let status = try SystemCall.status(destination.folder) else {
            throw UsageError(
                "\(destination.forDisplay): the folder \(destination.folder.forDisplay) does not exist; create it first"
            )
        }
        guard status.kind == .folder else {
            throw UsageError("\(destination.forDisplay): \(destination.folder.forDisplay) is not a folder")
        }
        try SystemCall.requireWritable(destination.folder, for: destination)
        return found
    }

    private static let maximumNameByteCount = 255

    /// Requires that file systems allow a name.
    ///
    /// - Parameter what: what messages call it: "the name of its certificate".
    /// - Throws: `UsageError`.
    package static func requireName(_ path: FilePath, of what: String) throws(UsageError) {
        let byteCount = path.lastComponent?.string.utf8.count ?? 0
        guard byteCount > maximumNameByteCount else { return }
        throw UsageError(
            "\(path.forDisplay): \(what) has \(byteCount) bytes, more than the \(maximumNameByteCount) that file systems allow;"
                + " choose a shorter one")
    }

    private static func check(
        _ status: SystemCall.Status, _ destination: FilePath, isFolder: Bool, overwrite: Bool, _ replaceable: NameSet
    ) throws {
        guard overwrite else {
            throw UsageError("\(destination.forDisplay): exists already; use --overwrite to replace it")
        }
        guard !SystemCall.isMountPoint(destination) else {
            throw UsageError(
                "\(destination.forDisplay): is a mount point, which cannot be replaced; name something in it, or elsewhere"
            )
        }
        switch (status.kind, isFolder) {
        case (.file, false): return
        case (.folder, true): try requireReplaceable(destination, replaceable)
        case (.link, _):
            throw UsageError("\(destination.forDisplay): is a symbolic link; name its target, or remove the link")
        default:
            throw UsageError(
                "\(destination.forDisplay): expected a \(isFolder ? "folder" : "file") to replace, found something else"
            )
        }
    }

    /// What says of a folder that a conversion made it.
    package static let certificateName = "certificate.json"

    /// A folder is replaced whole, so it must be one that a conversion could have made: nothing in it that is not known, and
    /// a certificate, a configuration, or nothing at all.
    private static func requireReplaceable(_ folder: FilePath, _ replaceable: NameSet) throws {
        let names = try SystemCall.names(in: folder)
        guard names.isEmpty || names.contains(certificateName) || names.contains("config.json") else {
            throw UsageError(
                "\(folder.forDisplay): does not look like a model folder (it holds '\(names[0].escapedForDisplay)');"
                    + " remove it yourself if it is not needed")
        }
        let all = try SystemCall.tree(in: folder, hidden: true).map(\.name)
        guard let stranger = all.first(where: { !replaceable.contains($0) }) else { return }
        throw UsageError(
            "\(folder.forDisplay): would be replaced whole, but it holds '\(stranger.escapedForDisplay)', which no conversion put"
                + " there; move that away, or remove the folder yourself")
    }

    /// The header that lies beside a file from before a change is put back by whoever believes it: over the new file.
    private static func refuseInterruptedEdit(of destination: FilePath) throws {
        guard let backup = try InterruptedEdit.left(of: destination) else { return }
        throw UsageError(
            "\(destination.forDisplay): \(backup.forDisplay) lies beside it, the header from before a change in place that goes on"
                + " or was interrupted; remove that first, if nothing goes on")
    }

    /// Checks what can be known before the work.
    ///
    /// - Throws: as `init`.
    public static func check(
        _ destination: FilePath, isFolder: Bool, overwrite: Bool, replaceable: NameSet
    ) throws {
        _ = try replaced(
            by: destination.settled(), isFolder: isFolder, overwrite: overwrite, replaceable)
    }

    /// A place beside a path, hidden, and recognisable as ours: `.NAME.PID-RANDOM.assay-partial`. Cut to what file systems
    /// allow.
    static func temporaryPath(for path: FilePath) -> FilePath { hiddenPath(for: path, partialSuffix) }

    /// The same for what stands at the path, until something else has its place: `.NAME.PID-RANDOM.assay-previous`. It may
    /// be the only one of its kind.
    static func asidePath(for path: FilePath) -> FilePath { hiddenPath(for: path, previousSuffix) }

    private static let partialSuffix = ".assay-partial"
    private static let previousSuffix = ".assay-previous"

    private static func hiddenPath(for path: FilePath, _ suffix: String) -> FilePath {
        let random = String(UInt32.random(in: 0 ... .max), radix: 36)
        return path.folder.appending(".\(stem(of: path)).\(getpid())-\(random)\(suffix)")
    }

    private static func stem(of path: FilePath) -> String {
        String(decoding: (path.lastComponent?.string ?? "").utf8.prefix(180), as: UTF8.self)
    }

    /// What runs that were killed left beside a destination: staged under its name by a process that is no more.
    public static func leftovers(of destination: FilePath) -> [FilePath] { left(beside: destination, partialSuffix) }

    /// What stood at a destination, where a run was killed between taking it away and putting the new one there.
    public static func previous(of destination: FilePath) -> [FilePath] { left(beside: destination, previousSuffix) }

    private static func left(beside destination: FilePath, _ suffix: String) -> [FilePath] {
        let normalized = destination.settled()
        let folder = normalized.folder
        let prefix = ".\(stem(of: normalized))."
        let names = (try? SystemCall.names(in: folder)) ?? []
        return names.filter { name in
            guard name.hasPrefix(prefix), name.hasSuffix(suffix),
                let process = pid_t(name.dropFirst(prefix.count).prefix { $0 != "-" })
            else { return false }
            return kill(process, 0) == -1 && errno == ESRCH
        }.map { normalized.removingLastComponent().appending($0) }
    }

    deinit { Temporaries.remove(staging) }

    /// Puts the finished output in place. Its files must have been flushed.
    ///
    /// - Throws: `UsageError` where something appeared or changed there meanwhile; `SystemError`. What stood there before
    ///   then stands there again.
    public func publish() throws { try Publication.run(in: folder) { try $0.publish(self) } }

    /// Takes the place of what was there at the start, or of nothing.
    ///
    /// - Returns: how that is taken back.
    func takePlace() throws -> () throws -> Void {
        if let replaced { try keepPermissions(of: replaced, in: "") }
        if isFolder { try SystemCall.synchronizeTree(staging) }
        guard let found = try SystemCall.status(destination, followingLinks: false) else {
            try takeEmptyPlace()
            return { [self] in try SystemCall.rename(destination, to: staging, replacing: false) }
        }
        guard overwrite, let replaced, isFolder ? found.isSameFile(as: replaced) : found == replaced else {
            throw changedMeanwhile
        }
        try Self.check(found, destination, isFolder: isFolder, overwrite: true, replaceable)
        // Afterwards the old one lies under the temporary name, and is removed with it.
        try SystemCall.exchange(staging, destination)
        return { [self] in try SystemCall.exchange(staging, destination) }
    }

    private func takeEmptyPlace() throws {
        do {
            try SystemCall.rename(staging, to: destination, replacing: false)
        } catch {
            guard error.errno == .fileExists else { throw error }
            throw changedMeanwhile
        }
    }

    private var changedMeanwhile: UsageError {
        UsageError(
            replaced == nil
                ? "\(destination.forDisplay): appeared while it was being written; use --overwrite to replace it"
                : "\(destination.forDisplay): was changed by somebody else while it was being written; nothing of it was"
                    + " touched")
    }

    /// Nobody may read the new one who could not read the old one.
    ///
    /// - Parameter name: of a file or folder in it; empty for itself.
    private func keepPermissions(of old: SystemCall.Status, in name: String) throws {
        let path = name.isEmpty ? staging : staging.appending(name)
        guard let new = try SystemCall.status(path, followingLinks: false) else { return }
        let permitted = new.mode & (old.mode | ~0o777)
        if permitted != new.mode { try SystemCall.setMode(path, permitted) }
        guard name.isEmpty, isFolder else { return }
        for (name, _) in try SystemCall.tree(in: staging) {
            guard let old = try SystemCall.status(destination.appending(name)) else { continue }
            try keepPermissions(of: old, in: name)
        }
    }
}

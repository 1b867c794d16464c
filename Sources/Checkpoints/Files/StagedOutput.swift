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

    /// - Parameters:
    ///   - isFolder: makes the staging folder; a file is left for the writer to create.
    ///   - overwrite: whether an existing destination is replaced.
    ///   - replaceable: names, relative to it, of files that may go with a folder that is replaced.
    ///   - place: where to write instead, on the destination's file system; it is made and removed by others.
    /// - Throws: `UsageError` where the destination exists and may not be replaced, or its folder does not exist;
    ///   `SystemError`.
    public init(
        _ destination: FilePath, isFolder: Bool, overwrite: Bool, replaceable: NameSet = NameSet(),
        at place: FilePath? = nil
    ) throws {
        // A trailing slash or a final dot would stage inside the destination instead of beside it.
        let normalized = destination.lexicallyNormalized()
        let usual = try Self.stagingPath(
            for: normalized, isFolder: isFolder, overwrite: overwrite, replaceable)
        let staging = place ?? usual
        if place == nil {
            if isFolder { try SystemCall.makeFolder(staging) }
            Temporaries.add(staging)
        }
        self.destination = normalized
        self.staging = staging
        self.isFolder = isFolder
        self.overwrite = overwrite
    }

    /// Where to stage, after everything has been checked that can be known before the work.
    private static func stagingPath(
        for destination: FilePath, isFolder: Bool, overwrite: Bool, _ replaceable: NameSet
    ) throws -> FilePath {
        guard let name = destination.lastComponent else {
            throw UsageError("\(destination.forDisplay): this names no file that could be written")
        }
        try check(destination, isFolder: isFolder, overwrite: overwrite, replaceable)
        let folder = destination.removingLastComponent()
        let parent: FilePath = folder.isEmpty ? "." : folder
        guard let status = try SystemCall.status(parent) else {
            throw UsageError(
                "\(destination.forDisplay): the folder \(parent.forDisplay) does not exist; create it first")
        }
        guard status.kind == .folder else {
            throw UsageError("\(destination.forDisplay): \(parent.forDisplay) is not a folder")
        }
        return parent.appending(temporaryName(for: name.string))
    }

    private static func check(
        _ destination: FilePath, isFolder: Bool, overwrite: Bool, _ replaceable: NameSet
    ) throws {
        guard let status = try SystemCall.status(destination, followingLinks: false) else { return }
        guard overwrite else {
            throw UsageError("\(destination.forDisplay): exists already; use --overwrite to replace it")
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

    /// A folder is replaced whole, so it must be one that a conversion could have made: nothing in it that is not known, and
    /// a certificate, a configuration, or nothing at all.
    private static func requireReplaceable(_ folder: FilePath, _ replaceable: NameSet) throws {
        let names = try SystemCall.names(in: folder)
        guard names.isEmpty || names.contains("certificate.json") || names.contains("config.json") else {
            throw UsageError(
                "\(folder.forDisplay): does not look like a model folder (it holds '\(names[0].escapedForDisplay)');"
                    + " remove it yourself if it is not needed")
        }
        let all = try SystemCall.tree(in: folder).map(\.name) + names.filter { $0.hasPrefix(".") }
        guard let stranger = all.first(where: { !replaceable.contains($0) }) else { return }
        throw UsageError(
            "\(folder.forDisplay): would be replaced whole, but it holds '\(stranger.escapedForDisplay)', which no conversion put"
                + " there; move that away, or remove the folder yourself")
    }

    /// Checks what can be known before the work.
    ///
    /// - Throws: as `init`.
    public static func check(
        _ destination: FilePath, isFolder: Bool, overwrite: Bool, replaceable: NameSet
    ) throws {
        _ = try stagingPath(
            for: destination.lexicallyNormalized(), isFolder: isFolder, overwrite: overwrite, replaceable)
    }

    /// Hidden, and recognisable as ours: `.NAME.PID-RANDOM.assay-partial`. Cut to what file systems allow.
    private static func temporaryName(for name: String) -> String {
        let random = String(UInt32.random(in: 0 ... .max), radix: 36)
        let stem = String(decoding: name.utf8.prefix(180), as: UTF8.self)
        return ".\(stem).\(getpid())-\(random).assay-partial"
    }

    /// What runs that were killed left beside a destination: staged under its name by a process that is no more.
    public static func leftovers(of destination: FilePath) -> [FilePath] {
        let normalized = destination.lexicallyNormalized()
        let folder = normalized.removingLastComponent()
        let prefix = ".\(normalized.lastComponent?.string ?? "")."
        let names = (try? SystemCall.names(in: folder.isEmpty ? "." : folder)) ?? []
        return names.filter { name in
            guard name.hasPrefix(prefix), name.hasSuffix(".assay-partial"),
                let process = pid_t(name.dropFirst(prefix.count).prefix { $0 != "-" })
            else { return false }
            return kill(process, 0) == -1 && errno == ESRCH
        }.map { folder.appending($0) }
    }

    deinit {
        if Temporaries.forget(staging) { SystemCall.removeTree(staging) }
    }

    /// Puts the finished output in place. Its files must have been flushed.
    public func publish() throws {
        if isFolder { try SystemCall.synchronizeFolder(staging) }
        if isFolder, overwrite, try SystemCall.status(destination) != nil {
            // Afterwards the old folder lies under the temporary name, where `deinit` removes it.
            try SystemCall.exchange(staging, destination)
        } else {
            do {
                try SystemCall.rename(staging, to: destination, replacing: overwrite)
            } catch {
                guard error.errno == .fileExists else { throw error }
                throw UsageError(
                    "\(destination.forDisplay): appeared while it was being written; use --overwrite to replace it")
            }
            Temporaries.forget(staging)
        }
        let around = destination.removingLastComponent()
        try SystemCall.synchronizeFolder(around.isEmpty ? "." : around)
    }
}

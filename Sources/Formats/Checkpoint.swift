import AssayCheckpoints
import SystemPackage

/// A checkpoint as a user names it: a file, an index file or a model folder, opened.
public struct Checkpoint: Sendable {
    /// As it was given.
    public let path: FilePath
    public let reader: any CheckpointReader
    /// The files that hold tensors.
    public let files: [FilePath]
    /// The index, where the checkpoint is in shards.
    public let index: FilePath?
    /// The model folder: what was named, or the folder of the index.
    public let folder: FilePath?
    /// What was seen and passed over.
    public let warnings: [String]
    /// Of each file, what tells whether it was changed since it was opened.
    package let statuses: [SystemCall.Status?]
    /// The same of a folder's `config.json`, by which the tensors are understood.
    var configuration: (path: FilePath, status: SystemCall.Status?)?

    public var contents: CheckpointContents { reader.contents }
    /// Whether the container says anything of its tensors' bytes.
    public var holdsDigests: Bool {
        contents.storedDigests != nil || contents.tensors.indices.contains { reader.contentCheck(of: $0) != nil }
    }

    /// The same files, whose tensors another reader arranges anew.
    package func read(through reader: any CheckpointReader) -> Checkpoint {
        Checkpoint(
            path: path, reader: reader, files: files, index: index, folder: folder, warnings: warnings,
            statuses: statuses, configuration: configuration)
    }

    /// Opens what a path names.
    ///
    /// - Throws: `CheckpointError`, `StructureError`, `SystemError`; `UsageError` where nothing is there.
    public static func open(_ path: FilePath, _ options: ReadingOptions = ReadingOptions()) throws -> Checkpoint {
        guard let status = try SystemCall.status(path) else {
            throw UsageError("\(path.forDisplay): there is no such file or folder")
        }
        switch status.kind {
        case .folder:
            let file = path.appending("config.json")
            let status = try SystemCall.status(file)
            var checkpoint = try openFolder(path, options)
            checkpoint.configuration = (file, status)
            return checkpoint
        default:
            if DebugTree.isNamed(path) { return try openTree(path, options, folder: nil) }
            return path.string.hasSuffix(ShardIndex.fileSuffix)
                ? try openIndex(path, options, folder: nil) : try openFile(path, options)
        }
    }

    private static func openFile(_ path: FilePath, _ options: ReadingOptions) throws -> Checkpoint {
        let (reader, files, statuses) = try openParts(path, options)
        return Checkpoint(
            path: path, reader: reader, files: files, index: nil, folder: nil,
            warnings: (files.count == 1 ? loneness(of: path) : []) + reader.contents.warnings,
            statuses: statuses)
    }

    /// Of a file that was opened alone, and whose name says that there are others.
    public var lonePart: PartName? {
        guard folder == nil, index == nil, files.count == 1 else { return nil }
        return PartName.ofSeveral(path.lastComponent?.string ?? "")
    }

    private static func loneness(of path: FilePath) -> [String] {
        guard let part = PartName.ofSeveral(path.lastComponent?.string ?? "") else { return [] }
        return [
            "by its name this is file \(part.number + 1) of \(part.count), and it alone is read; name the folder or the index"
                + " for all"
        ]
    }

    static func statuses(of files: some Sequence<FilePath>) throws -> [SystemCall.Status?] {
        try files.map { try SystemCall.status($0) }
    }

    /// A file, with the others where it says that it is one of several.
    ///
    /// - Returns: also the status of each before it was opened.
    static func openParts(
        _ path: FilePath, _ options: ReadingOptions
    ) throws -> (reader: any CheckpointReader, files: [FilePath], statuses: [SystemCall.Status?]) {
        let before = try SystemCall.status(path)
        let reader = try reader(of: path, options)
        guard let part = reader.contents.part else {
            let others = reader.contents.otherFiles
            return (reader, [path] + others, [before] + (try statuses(of: others)))
        }
        let suffix = FormatRegistry.format(named: reader.contents.formatName)?.fileExtensions[0] ?? ""
        let paths = try PartName.paths(of: path, part, suffix: suffix)
        let statuses = try paths.map { $0.lastComponent == path.lastComponent ? before : try SystemCall.status($0) }
        return (try ShardedReader(parts: paths) { try Self.reader(of: $0, options) }, paths, statuses)
    }

    static func openIndex(
        _ path: FilePath, _ options: ReadingOptions, folder: FilePath?, beside names: [String] = [],
        others groups: [WeightGroup] = []
    ) throws -> Checkpoint {
        let index = try ShardIndex(of: InputFile(path))
        let parent = path.removingLastComponent()
        let shards = index.files.map { parent.appending($0.name) }
        let before = try statuses(of: shards)
        let reader = try ShardedReader(index, path, threads: options.threads) { try Self.reader(of: $0, options) }
        let others = reader.contents.otherFiles
        let files = shards + others
        return Checkpoint(
            path: folder ?? path, reader: reader, files: files, index: path, folder: folder,
            warnings: unread(groups, reader.contents.formatName, files, in: parent)
                + unread(names, beside: path.lastComponent?.string ?? "", files, in: parent) + reader.contents.warnings,
            statuses: before + (try statuses(of: others)))
    }

    static func openTree(
        _ path: FilePath, _ options: ReadingOptions, folder: FilePath?
    ) throws -> Checkpoint {
        let before = try SystemCall.status(path)
        let tree = try DebugTree(of: InputFile(path))
        let files = tree.values.map { path.removingLastComponent().appending($0.fileName) }
        let statuses = try statuses(of: files)
        let reader = try DebugTreeReader(tree, path, threads: options.threads) { try Self.reader(of: $0, options) }
        return Checkpoint(
            path: folder ?? path, reader: reader, files: files + [path], index: nil, folder: nil, warnings: [],
            statuses: statuses + [before])
    }

    /// A reader for one file, its format recognised by its content.
    public static func reader(of path: FilePath, _ options: ReadingOptions) throws -> any CheckpointReader {
        try InterruptedEdit.refuse(path)
        let file = try InputFile(path, cache: options.cache)
        do {
            return try reader(of: file, options)
        } catch let error as CheckpointError {
            try file.requireUnchanged()
            throw error
        }
    }

    private static func reader(of file: InputFile, _ options: ReadingOptions) throws -> any CheckpointReader {
        let path = file.path
        for format in FormatRegistry.all where try format.recognizes(file) {
            return try format.open(file, options)
        }
        let description = try ForeignContent.describe(file)
        // A file that carries a format's name but not its mark is that format, damaged, unless it is plainly
        // something else.
        if description.hasPrefix(ForeignContent.unknown) || file.byteCount < 8 && file.byteCount > 0,
            let format = FormatRegistry.format(forFileName: path.lastComponent?.string ?? "")
        {
            return try format.open(file, options)
        }
        throw CheckpointError(path, .file, expected: "a checkpoint (\(FormatRegistry.names()))", found: description)
    }

    // MARK: Changes

    /// Does something with what is read of this checkpoint. Where a file of it, its configuration too, is changed meanwhile,
    /// neither what comes of that nor what is found wrong can be trusted.
    ///
    /// - Throws: `SystemError` where a file is not what was opened: not the same, or not of the same size and time of change;
    ///   else what `body` throws.
    public func whileUnchanged<R>(_ body: () throws -> R) throws -> R {
        let result = Result { () throws -> R in try body() }
        for (path, status) in zip(files, statuses) { try SystemCall.requireUnchanged(path, since: status) }
        if let configuration { try SystemCall.requireUnchanged(configuration.path, since: configuration.status) }
        return try result.get()
    }
}

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
    /// Of each file, what tells whether it was changed since.
    private let statuses: [SystemCall.Status?]

    public var contents: CheckpointContents { reader.contents }

    /// The same files, whose tensors another reader arranges anew.
    package func read(through reader: any CheckpointReader) -> Checkpoint {
        Checkpoint(
            path: path, reader: reader, files: files, index: index, folder: folder, warnings: warnings,
            statuses: statuses)
    }

    /// Opens what a path names.
    ///
    /// - Throws: `CheckpointError`, `StructureError`, `SystemError`; `UsageError` where nothing is there.
    public static func open(_ path: FilePath, _ options: ReadingOptions = ReadingOptions()) throws -> Checkpoint {
        guard let status = try SystemCall.status(path) else {
            throw UsageError("\(path.forDisplay): there is no such file or folder")
        }
        switch status.kind {
        case .folder: return try openFolder(path, options)
        default:
            if DebugTree.isNamed(path) { return try openTree(path, options, folder: nil) }
            return path.string.hasSuffix(ShardIndex.fileSuffix)
                ? try openIndex(path, options, folder: nil) : try openFile(path, options)
        }
    }

    private static func openFile(_ path: FilePath, _ options: ReadingOptions) throws -> Checkpoint {
        let before = try SystemCall.status(path)
        let (reader, files) = try openParts(path, options)
        return Checkpoint(
            path: path, reader: reader, files: files, index: nil, folder: nil,
            warnings: (files.count == 1 ? loneness(of: path) : []) + reader.contents.warnings,
            statuses: try statuses(of: files, opened: path, before))
    }

    /// A sentence about a file that is one of several by its name and says nothing of the others.
    private static func loneness(of path: FilePath) -> [String] {
        guard let part = PartName(path.lastComponent?.string ?? ""), part.count > 1 else { return [] }
        return [
            "by its name this is file \(part.number + 1) of \(part.count), and it alone is read; name the folder or the index"
                + " for all"
        ]
    }

    /// Of the one by which they were opened what was found before that.
    private static func statuses(
        of files: [FilePath], opened path: FilePath, _ before: SystemCall.Status?
    ) throws -> [SystemCall.Status?] {
        try files.map { $0.lastComponent == path.lastComponent ? before : try SystemCall.status($0) }
    }

    private static func statuses(of files: some Sequence<FilePath>) throws -> [SystemCall.Status?] {
        try files.map { try SystemCall.status($0) }
    }

    /// A file, with the others where it says that it is one of several.
    private static func openParts(
        _ path: FilePath, _ options: ReadingOptions
    ) throws -> (reader: any CheckpointReader, files: [FilePath]) {
        let reader = try reader(of: path, options)
        guard let part = reader.contents.part else { return (reader, [path] + reader.contents.otherFiles) }
        let suffix = FormatRegistry.format(named: reader.contents.formatName)?.fileExtensions[0] ?? ""
        let paths = try PartName.paths(of: path, part, suffix: suffix)
        return (try ShardedReader(parts: paths) { try Self.reader(of: $0, options) }, paths)
    }

    private static func openIndex(
        _ path: FilePath, _ options: ReadingOptions, folder: FilePath?, beside names: [String] = [],
        warnings: [String] = []
    ) throws -> Checkpoint {
        let index = try ShardIndex(of: InputFile(path))
        let parent = path.removingLastComponent()
        let shards = index.files.map { parent.appending($0.name) }
        let before = try statuses(of: shards)
        let reader = try ShardedReader(index, path, threads: options.threads) { try Self.reader(of: $0, options) }
        let others = reader.contents.otherFiles
        return Checkpoint(
            path: folder ?? path, reader: reader, files: shards + others, index: path, folder: folder,
            warnings: warnings + unread(names, beside: path.lastComponent?.string ?? "", shards + others, in: parent)
                + reader.contents.warnings, statuses: before + (try statuses(of: others)))
    }

    private static func openTree(
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

    /// Does something with what is read of this checkpoint. Where a file of it is changed meanwhile, neither what comes of
    /// that nor what is found wrong can be trusted.
    ///
    /// - Throws: `SystemError` where a file is not what was opened: not the same, or not of the same size and time of change;
    ///   else what `body` throws.
    public func whileUnchanged<R>(_ body: () throws -> R) throws -> R {
        let result = Result { () throws -> R in try body() }
        for (path, status) in zip(files, statuses) { try SystemCall.requireUnchanged(path, since: status) }
        return try result.get()
    }

    // MARK: Outputs

    /// Refuses an output that is, under whatever name, a file or the folder of this checkpoint, or a folder around it:
    /// to replace that would take the source away.
    ///
    /// - Throws: `UsageError`.
    public func refuse(output: FilePath) throws {
        guard let target = try SystemCall.status(output) else { return }
        for path in files + [folder, index].compactMap({ $0 }) {
            guard try SystemCall.status(path)?.isSameFile(as: target) == true else { continue }
            throw UsageError(
                "\(output.forDisplay): is the source itself (\(path.forDisplay)); a source is never written to")
        }
        if target.kind == .file, let folder, let status = try SystemCall.status(folder) {
            // Reports may be made again where they were.
            guard try !Self.isInside(output, status) || output.extension?.lowercased() == "html" else {
                throw UsageError(
                    "\(output.forDisplay): exists already in the source's folder (\(folder.forDisplay)), where nothing is replaced"
                )
            }
        }
        guard target.kind == .folder else { return }
        // A file may be a link: neither the link nor what it leads to may be inside.
        for file in files {
            for place in [file, file.removingLastComponent()] {
                guard try Self.isInside(place, target) else { continue }
                throw UsageError(
                    "\(output.forDisplay): holds the source (\(file.forDisplay)); a source is never written to")
            }
        }
    }

    /// Refuses the same of a conversion's output, and what would change what the source's folder is: a file in it that would be
    /// read as its weights, and anything in it where a certificate speaks of all that is there.
    ///
    /// - Throws: `UsageError`.
    public func refuse(conversion output: FilePath, isFolder: Bool) throws {
        try refuse(output: output)
        guard let folder, let place = try placeInside(folder, output) else { return }
        let certificate = folder.appending(Self.certificateName)
        guard try SystemCall.status(certificate) == nil else {
            throw UsageError(
                "\(output.forDisplay): lies in the source's folder (\(folder.forDisplay)), which would be no longer what its"
                    + " \(Self.certificateName) says; name another place")
        }
        guard try !isFolder && changesEntrance(to: folder, place) else { return }
        throw Self.taken(output, folder)
    }

    /// Refuses the same of what is no model: in a model folder it must not be taken for one of its files. A capture may lie
    /// there under a name that changes nothing of what is read, a report as `.html`.
    ///
    /// - Throws: `UsageError`.
    public func refuse(sideOutput output: FilePath) throws {
        try refuse(output: output)
        guard let folder, output.extension?.lowercased() != "html", let place = try placeInside(folder, output) else {
            return
        }
        let isCheckpoint = FormatRegistry.format(forFileName: place.lastComponent?.string ?? "") != nil
        guard try !isCheckpoint || changesEntrance(to: folder, place) else { return }
        throw Self.taken(output, folder)
    }

    private static let certificateName = "certificate.json"

    private static func taken(_ output: FilePath, _ folder: FilePath) -> UsageError {
        UsageError(
            "\(output.forDisplay): lies in the source's folder (\(folder.forDisplay)) and would be taken for one of its files;"
                + " name another place")
    }

    /// Where an output would lie; nil where that is not inside a folder.
    private func placeInside(_ folder: FilePath, _ output: FilePath) throws -> FilePath? {
        let place = try SystemCall.resolvedAsFarAsItExists(output)
        return try place.starts(with: SystemCall.resolved(folder)) ? place : nil
    }

    /// Whether a folder would be opened by another file, or by none, where a new one lies in it.
    private func changesEntrance(to folder: FilePath, _ place: FilePath) throws -> Bool {
        guard let name = place.lastComponent?.string, try place.folder == SystemCall.resolved(folder) else {
            return false
        }
        let names = try SystemCall.names(in: folder)
        let (before, after) = (try? Self.entrance(to: folder, names), try? Self.entrance(to: folder, names + [name]))
        return before.map { before in after.map { $0.entrance != before.entrance } ?? true } ?? true
    }

    /// Whether a path, links followed, is a folder or lies somewhere in it.
    private static func isInside(_ path: FilePath, _ folder: SystemCall.Status) throws -> Bool {
        var place = try SystemCall.resolved(path.isEmpty ? "." : path)
        repeat {
            if try SystemCall.status(place)?.isSameFile(as: folder) == true { return true }
        } while place.removeLastComponent() && !place.isEmpty
        return false
    }

    // MARK: Folders

    /// The weights of a model folder: of the first format that has an index or a file of the usual name, else of the first
    /// that has any; the file of the usual name (which transformers takes first too), else the index, else the only file.
    private static func openFolder(_ folder: FilePath, _ options: ReadingOptions) throws -> Checkpoint {
        let names = try SystemCall.names(in: folder)
        let (entrance, groups) = try entrance(to: folder, names)
        guard let chosen = groups.first(where: { $0.formatName == entrance.formatName }) else {
            return try openTree(folder.appending(entrance.name), options, folder: folder)
        }
        var warnings: [String] = []
        for other in groups where other.formatName != chosen.formatName {
            warnings.append(
                "\(chosen.formatName) files are read; \((other.indexNames + other.names).listed(first: 10)) beside them not"
            )
        }
        let name = entrance.name
        if chosen.indexNames.contains(name) {
            return try openIndex(
                folder.appending(name), options, folder: folder, beside: chosen.names, warnings: warnings)
        }
        let before = try SystemCall.status(folder.appending(name))
        let (reader, files) = try openParts(folder.appending(name), options)
        warnings += unread(chosen.indexNames + chosen.names, beside: name, files, in: folder)
        return Checkpoint(
            path: folder, reader: reader, files: files, index: nil, folder: folder,
            warnings: warnings + reader.contents.warnings,
            statuses: try statuses(of: files, opened: folder.appending(name), before))
    }

    /// The file by which a folder is opened, and of which format it is: nil of a debug tree.
    private typealias Entrance = (name: String, formatName: String?)

    /// - Parameter names: of all that is in the folder.
    private static func entrance(
        to folder: FilePath, _ names: [String]
    ) throws -> (entrance: Entrance, groups: [WeightGroup]) {
        let groups = FormatRegistry.all.compactMap { format -> WeightGroup? in
            WeightGroup(format, names: names)
        }
        let trees = names.filter { $0.hasSuffix(DebugTree.fileSuffix) }
        if !trees.isEmpty, !groups.contains(where: \.isUsual) {
            guard trees.count == 1 else { throw ambiguous(folder, trees) }
            return ((trees[0], nil), groups)
        }
        guard let chosen = groups.first(where: \.isUsual) ?? groups.first else {
            throw try noWeights(in: folder, names: names)
        }
        if let index = chosen.indexNames.first, !chosen.names.contains(chosen.usualName) {
            guard chosen.indexNames.count == 1 else { throw ambiguous(folder, chosen.indexNames) }
            return ((index, chosen.formatName), groups)
        }
        return ((try onlyFile(of: chosen, in: folder), chosen.formatName), groups)
    }

    /// A sentence about files of a folder that are not among those that are read.
    private static func unread(
        _ names: [String], beside name: String, _ files: [FilePath], in folder: FilePath
    ) -> [String] {
        let read = NameSet(files.map(\.string))
        let others = names.filter { !read.contains(folder.appending($0).string) }
        guard !others.isEmpty else { return [] }
        return ["\(name.escapedForDisplay) is read; \(others.listed(first: 10)) beside it not"]
    }

    /// The only file, or among several the one with the usual name. Parts of one checkpoint count as their first.
    private static func onlyFile(of group: WeightGroup, in folder: FilePath) throws -> String {
        if group.names.contains(group.usualName) { return group.usualName }
        let names = group.names.filter { !group.numbersParts || PartName($0)?.number ?? 0 == 0 }
        let usual = names.filter { $0.hasPrefix(group.usualPrefix) }
        guard let name = names.count == 1 ? names[0] : usual.count == 1 ? usual[0] : nil else {
            throw ambiguous(folder, group.names)
        }
        if !group.numbersParts, let part = PartName(name), part.count > 1 {
            throw StructureError(
                "\(folder.forDisplay): \(name.escapedForDisplay) is one of \(part.count) files by its name; the others and"
                    + " the index that joins them are missing: download them, or name the file to read it alone")
        }
        return name
    }

    /// The files of one format in a folder.
    private struct WeightGroup {
        let formatName: String
        let numbersParts: Bool
        let names: [String]
        let indexNames: [String]
        /// "model.safetensors"
        let usualName: String
        /// "model."
        let usualPrefix: String

        var isUsual: Bool { !indexNames.isEmpty || names.contains { $0.hasPrefix(usualPrefix) } }

        init?(_ format: any CheckpointFormat.Type, names all: [String]) {
            func belongs(_ name: some StringProtocol) -> Bool {
                !name.hasPrefix(".") && name.fileExtension(among: format.readExtensions) != nil
                    && !format.holdsNoWeights(String(name))
            }
            formatName = format.name
            numbersParts = format.capabilities.numbersParts
            usualName = format.weightsFileName
            usualPrefix = String(format.weightsFileName.prefix { $0 != "." }) + "."
            names = all.filter { belongs($0) }
            indexNames = all.filter {
                $0.hasSuffix(ShardIndex.fileSuffix) && belongs($0.dropLast(ShardIndex.fileSuffix.count))
            }
            guard !names.isEmpty || !indexNames.isEmpty else { return nil }
        }
    }

    private static func ambiguous(_ folder: FilePath, _ names: [String]) -> StructureError {
        StructureError(
            "\(folder.forDisplay): the folder holds \(names.count) checkpoints and no index that joins them"
                + " (\(names.listed(first: 5))); name one of them")
    }

    /// Whether a name is one of those under which files are downloaded, or made by us, until they are whole.
    package static func isUnfinished(_ name: String) -> Bool {
        [".incomplete", ".part", ".assay-partial"].contains { name.hasSuffix($0) }
    }

    private static func noWeights(in folder: FilePath, names: [String]) throws -> CheckpointError {
        let unfinished = names.first { isUnfinished($0) }
        return CheckpointError(
            folder, .file, expected: "a model folder with weights (\(FormatRegistry.readExtensions))",
            found: unfinished.map { "none, but '\($0.escapedForDisplay)', an unfinished download" }
                ?? (names.isEmpty ? "an empty folder" : "a folder without them"))
    }
}

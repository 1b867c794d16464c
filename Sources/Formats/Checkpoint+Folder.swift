import AssayCheckpoints
import SystemPackage

// Which file of a model folder is read.

extension Checkpoint {
    /// The weights of a model folder: of the first format that has an index or a file of the usual name, else of the first
    /// that has any; the file of the usual name (which transformers takes first too), else the index, else the only file.
    static func openFolder(_ folder: FilePath, _ options: ReadingOptions) throws -> Checkpoint {
        let names = try SystemCall.names(in: folder)
        let (entrance, groups) = try entrance(to: folder, names)
        guard let chosen = groups.first(where: { $0.formatName == entrance.formatName }) else {
            return try openTree(folder.appending(entrance.name), options, folder: folder)
        }
        let name = entrance.name
        if chosen.indexNames.contains(name) {
            return try openIndex(
                folder.appending(name), options, folder: folder, beside: chosen.names, others: groups)
        }
        let (reader, files, statuses) = try openParts(folder.appending(name), options)
        let warnings =
            unread(groups, chosen.formatName, files, in: folder)
            + unread(chosen.indexNames + chosen.names, beside: name, files, in: folder)
        return Checkpoint(
            path: folder, reader: reader, files: files, index: nil, folder: folder,
            warnings: warnings + reader.contents.warnings,
            statuses: statuses)
    }

    /// The file by which a folder is opened, and of which format it is: nil of a debug tree.
    typealias Entrance = (name: String, formatName: String?)

    /// - Parameter names: of all that is in the folder.
    static func entrance(
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

    /// A sentence for every other format of which there are files in the folder that are not among those that are read.
    static func unread(
        _ groups: [WeightGroup], _ formatName: String, _ files: [FilePath], in folder: FilePath
    ) -> [String] {
        groups.filter { $0.formatName != formatName }.compactMap { group in
            let others = others(group.indexNames + group.names, than: files, in: folder)
            return others.isEmpty ? nil : "\(formatName) files are read; \(others.listed(first: 10)) beside them not"
        }
    }

    /// A sentence about files of a folder that are not among those that are read.
    static func unread(
        _ names: [String], beside name: String, _ files: [FilePath], in folder: FilePath
    ) -> [String] {
        let others = others(names, than: files, in: folder)
        guard !others.isEmpty else { return [] }
        return ["\(name.escapedForDisplay) is read; \(others.listed(first: 10)) beside it not"]
    }

    private static func others(_ names: [String], than files: [FilePath], in folder: FilePath) -> [String] {
        let read = NameSet(files.map(\.string))
        return names.filter { !read.contains(folder.appending($0).string) }
    }

    /// The only file, or among several the one with the usual name. Parts of one checkpoint count as their first.
    private static func onlyFile(of group: WeightGroup, in folder: FilePath) throws -> String {
        if group.names.contains(group.usualName) { return group.usualName }
        let names = group.names.filter { !group.numbersParts || PartName($0)?.number ?? 0 == 0 }
        let usual = names.filter { $0.hasPrefix(group.usualPrefix) }
        guard let name = names.count == 1 ? names[0] : usual.count == 1 ? usual[0] : nil else {
            throw ambiguous(folder, group.names)
        }
        if !group.numbersParts, let part = PartName.ofSeveral(name) {
            throw StructureError(
                "\(folder.forDisplay): \(name.escapedForDisplay) is one of \(part.count) files by its name; the others and"
                    + " the index that joins them are missing: download them, or name the file to read it alone")
        }
        return name
    }

    /// The files of one format in a folder.
    struct WeightGroup {
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

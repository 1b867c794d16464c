import AssayCheckpoints
import AssayTensors
import SystemPackage

/// A checkpoint in several files, read as one: the shards' tensors one after the other.
struct ShardedReader: CheckpointReader {
    private(set) var contents: CheckpointContents
    private let shards: [any CheckpointReader]
    /// The shard and the position in it of every tensor.
    private let places: [(shard: Int, tensor: Int)]

    /// How many names a message lists.
    private static let listedCount = 10

    /// Opens the shards of an index, all of which must be there and hold exactly what it says.
    ///
    /// - Throws: `StructureError` where the index and the shards disagree.
    init(
        _ index: ShardIndex, _ indexPath: FilePath, threads: Int,
        open: @Sendable (FilePath) throws -> any CheckpointReader
    ) throws {
        let folder = indexPath.removingLastComponent()
        let paths = index.files.map { folder.appending($0.name) }
        try Self.requirePresent(paths, of: indexPath)
        let opened = ResultSlots<any CheckpointReader>(count: paths.count)
        try Parallel.forEach(paths.count, threads: threads) { opened.set($0, try open(paths[$0])) }
        let shards = opened.all
        try Self.check(index, indexPath, shards, threads: threads)
        self.init(shards)
        let known = NameSet(contents.metadata.map(\.key))
        contents.metadata += index.metadata.filter { !known.contains($0.key) }
        let bytes = contents.tensors.reduce(0) { $0 + ($1.aliasOf == nil ? $1.byteCount : 0) }
        if let totalSize = index.totalSize, totalSize != .null, totalSize.double != Double(bytes) {
            contents.warnings.append(
                "the index says total_size \(totalSize.compactText.escapedForDisplay), the tensors have \(bytes.inBytes)"
            )
        }
    }

    /// Opens files that number themselves, in order; the first holds the metadata.
    ///
    /// - Throws: `StructureError` where one is another part than its name says, or they do not belong together.
    init(parts paths: [FilePath], open: (FilePath) throws -> any CheckpointReader) throws {
        let shards = try paths.map(open)
        for (number, (path, reader)) in zip(paths, shards).enumerated() {
            let part = reader.contents.part
            guard part?.number == number, part?.count == paths.count else {
                throw StructureError(
                    "\(path.forDisplay): expected part \(number + 1) of \(paths.count), found"
                        + (part.map { " part \($0.number + 1) of \($0.count)" } ?? " a file that is no part"))
            }
        }
        try Self.checkNames(paths.map { $0.lastComponent?.string ?? "" }, shards, paths[0])
        try Self.requireOneModel(paths, shards)
        self.init(shards)
        for (path, part) in zip(paths, shards.map(\.contents.part)) {
            guard let expected = part?.tensorCount, expected != contents.tensors.count else { continue }
            throw StructureError(
                "\(path.forDisplay): expected \(expected) tensors in all \(paths.count) parts, found"
                    + " \(contents.tensors.count); the parts are not of one checkpoint")
        }
    }

    /// Later parts say nothing or what the first says; others are of another model.
    private static func requireOneModel(_ paths: [FilePath], _ shards: [any CheckpointReader]) throws {
        guard let first = shards.first?.contents, let format = FormatRegistry.format(named: first.formatName) else {
            return
        }
        for (path, reader) in zip(paths, shards).dropFirst() {
            guard let conflict = format.conflict(between: first, and: reader.contents) else { continue }
            throw StructureError(
                "\(path.forDisplay): expected '\(conflict.key.escapedForDisplay)' as in"
                    + " \(paths[0].forDisplay), \(conflict.first.prefix(200).description.escapedForDisplay), found"
                    + " \(conflict.other.prefix(200).description.escapedForDisplay); the parts are not of one checkpoint"
            )
        }
    }

    /// - Parameter path: the file that says which there are.
    static func requirePresent(_ paths: [FilePath], of path: FilePath) throws {
        let missing = try paths.filter { try SystemCall.status($0) == nil }.map { $0.lastComponent?.string ?? "" }
        guard missing.isEmpty else {
            throw StructureError(
                "\(path.forDisplay): \(missing.count) of \(paths.count) shards are missing:"
                    + " \(missing.listed(first: listedCount)); download them again")
        }
    }

    private init(_ shards: [any CheckpointReader]) {
        var tensors: [TensorInfo] = []
        var places: [(shard: Int, tensor: Int)] = []
        var contents = CheckpointContents(formatName: shards.first?.contents.formatName ?? "", tensors: [])
        let tensorCount = shards.reduce(0) { $0 + $1.contents.tensors.count }
        tensors.reserveCapacity(tensorCount)
        places.reserveCapacity(tensorCount)
        for (shard, reader) in shards.enumerated() {
            for tensor in reader.contents.tensors.indices { places.append((shard, tensor)) }
            tensors += reader.contents.tensors
            contents.fileByteCount += reader.contents.fileByteCount
            contents.warnings += reader.contents.warnings
            contents.otherFiles += reader.contents.otherFiles
            contents.fault = contents.fault ?? reader.contents.fault
        }
        let (metadata, others) = Self.joined(shards.lazy.flatMap(\.contents.metadata), of: contents.formatName)
        contents.metadata = metadata
        if !others.isEmpty {
            contents.warnings.append(
                "the files say different things under \(others.listed(first: 10)); the first is taken")
        }
        contents.details = shards.first?.contents.details ?? []
        contents.shownMetadata = shards.first?.contents.shownMetadata ?? []
        contents.tensors = tensors
        let digests = shards.map(\.contents.storedDigests)
        if digests.allSatisfy({ $0 != nil }) { contents.storedDigests = digests.flatMap { $0! } }
        self.shards = shards
        self.places = places
        self.contents = contents
    }

    /// The metadata of all shards: of a key that several have what the format makes of their values.
    ///
    /// - Returns: also the keys of which it makes nothing, so that the first value counts.
    private static func joined(
        _ metadata: some Sequence<(key: String, value: String)>, of formatName: String
    ) -> (metadata: [(key: String, value: String)], differing: [String]) {
        var entries: [(key: String, values: [String])] = []
        var positions = NameMap<Int>()
        for (key, value) in metadata {
            if let known = positions[key] {
                if entries[known].values.last.map({ ExactName($0) }) != ExactName(value) {
                    entries[known].values.append(value)
                }
            } else {
                positions[key] = entries.count
                entries.append((key, [value]))
            }
        }
        let format = FormatRegistry.format(named: formatName)
        var differing: [String] = []
        let metadata = entries.map { key, values in
            guard values.count > 1 else { return (key, values[0]) }
            guard let joined = format?.joined(key, values) else {
                differing.append(key)
                return (key, values[0])
            }
            return (key, joined)
        }
        return (metadata, differing)
    }

    /// The index with the names that the shards have, where their format lets an index have others.
    private static func matched(_ index: ShardIndex, to shards: [any CheckpointReader]) -> ShardIndex {
        guard let first = shards.first, let format = FormatRegistry.format(named: first.contents.formatName) else {
            return index
        }
        let names = NameSet(shards.flatMap { $0.contents.tensors.map(\.name) })
        return index.renamed { name in
            names.contains(name) ? nil : format.nameInShard(ofIndexed: name).flatMap { names.contains($0) ? $0 : nil }
        }
    }

    private static func check(
        _ index: ShardIndex, _ indexPath: FilePath, _ shards: [any CheckpointReader], threads: Int
    ) throws {
        if agree(index, shards, threads: threads) { return }
        let index = matched(index, to: shards)
        if agree(index, shards, threads: threads) { return }
        let expected = try index.fileNames(indexPath)
        let found = try checkNames(index.files.map(\.name), shards, indexPath)
        var unlisted: [String] = []
        for (file, reader) in zip(index.files, shards) {
            for tensor in reader.contents.tensors where expected[tensor.name] != file.name && tensor.aliasOf == nil {
                unlisted.append(tensor.name)
            }
        }
        let absent = expected.pairs.filter { found[$0.name] != $0.value }.map(\.name).sorted {
            ExactName($0) < ExactName($1)
        }
        guard absent.isEmpty else {
            throw StructureError(
                "\(indexPath.forDisplay): \(absent.count) tensors are not in the shard the index names:"
                    + " \(absent.listed(first: listedCount))")
        }
        guard unlisted.isEmpty else {
            throw StructureError(
                "\(indexPath.forDisplay): \(unlisted.count) tensors of the shards are not in the index:"
                    + " \(unlisted.listed(first: listedCount))")
        }
    }

    /// Whether every shard has just the tensors that the index says, and no two have one of the same name. Who is at fault
    /// where it is not so takes more.
    private static func agree(_ index: ShardIndex, _ shards: [any CheckpointReader], threads: Int) -> Bool {
        let agreeing = ResultSlots<Bool>(count: shards.count)
        Parallel.forEach(shards.count, threads: threads) { shard in
            let listed = index.files[shard].tensors
            let names = NameSet(listed)
            let tensors = shards[shard].contents.tensors
            // Names are different within a file.
            let isSame = names.count == listed.count && names.count == tensors.count
            agreeing.set(shard, isSame && tensors.allSatisfy { names.contains($0.name) })
        }
        return agreeing.all.allSatisfy { $0 } && index.hasNoNameTwice
    }

    /// - Returns: the file of every tensor, each in one only.
    @discardableResult
    private static func checkNames(
        _ fileNames: [String], _ shards: [any CheckpointReader], _ path: FilePath
    ) throws -> NameMap<String> {
        var found = NameMap<String>()
        for (fileName, reader) in zip(fileNames, shards) {
            for tensor in reader.contents.tensors {
                if let other = found.updateValue(fileName, forKey: tensor.name) {
                    throw StructureError(
                        "\(path.forDisplay): tensor '\(tensor.name.escapedForDisplay)' stands in"
                            + " \(other.escapedForDisplay) and in \(fileName.escapedForDisplay)")
                }
            }
        }
        return found
    }

    func read(_ tensor: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        try shards[places[tensor].shard].read(places[tensor].tensor, range, into: buffer)
    }

    func granularity(of tensor: Int) -> Int {
        shards[places[tensor].shard].granularity(of: places[tensor].tensor)
    }

    func contentCheck(of tensor: Int) -> (any ContentCheck)? {
        shards[places[tensor].shard].contentCheck(of: places[tensor].tensor)
    }

    func requireIntact(_ tensor: Int) throws {
        try shards[places[tensor].shard].requireIntact(places[tensor].tensor)
    }
}

import AssayCheckpoints
import AssayFormats
import AssayTensors

/// A checkpoint whose tensors have other names, are joined, cut or turned, and where each of them comes from.
public struct MappedCheckpoint: Sendable {
    /// What is read.
    public let source: Checkpoint
    /// What comes of it; its data is that of `source`.
    public let checkpoint: Checkpoint
    /// Of every tensor of `checkpoint`, by positions in `source`.
    private let parts: [RearrangedReader.Part]

    /// - Parameter dropped: tensors of the source that are left out before.
    /// - Throws: `UsageError`, `StructureError` where the map does not fit the source.
    public init(_ source: Checkpoint, _ map: TensorMap, leaving dropped: NameSet = NameSet()) throws {
        let tensors = source.contents.tensors
        let kept = tensors.indices.filter { !dropped.contains(tensors[$0].name) }
        var mapped = try map.apply(to: kept.map { tensors[$0] }, of: source.path.forDisplay)
        for index in mapped.indices { mapped[index].part.sources = mapped[index].part.sources.map { kept[$0] } }
        self.init(source, mapped)
    }

    /// - Precondition: the arrangements fit.
    init(_ source: Checkpoint, _ mapped: [MappedTensor]) {
        let tensors = source.contents.tensors
        let renamed = NameMap(mapped.compactMap { made in made.part.copied.map { (tensors[$0].name, made.name) } })
        let infos = mapped.map { made in
            let infos = made.part.sources.map { tensors[$0] }
            let (type, shape) = try! made.part.arrangement.result(of: infos)
            var info = TensorInfo(name: made.name, elementType: type, shape: shape)!
            // A second name goes along with what it names, as long as that stays what it is.
            if made.part.copied != nil { info.aliasOf = infos[0].aliasOf.flatMap { renamed[$0] } }
            return info
        }
        self.source = source
        parts = mapped.map(\.part)
        checkpoint = source.read(through: RearrangedReader(source.reader, parts, tensors: infos))
    }

    /// Where a tensor of `checkpoint` comes from.
    public func origin(of tensor: Int) -> TensorOrigin {
        TensorOrigin(
            sources: parts[tensor].sources.map { source.contents.tensors[$0].name },
            arrangement: parts[tensor].arrangement)
    }

    /// SHA-256 of the tensors of the source that some tensors are made of. Those of tensors that are joined, cut or turned
    /// take a reading of their own.
    ///
    /// - Parameter copies: of tensors of `checkpoint`, as they were read.
    /// - Throws: `CheckpointError` where the container's own digests say otherwise.
    func sourceDigests(
        of tensors: [Int], copies: [Digest?], threads: Int
    ) throws -> NameMap<Digest> {
        var known: [Int: Digest] = [:]
        var others: [Int] = []
        for (tensor, digest) in zip(tensors, copies) {
            if let source = parts[tensor].copied { known[source] = digest } else { others += parts[tensor].sources }
        }
        let unread = Array(Set(others).subtracting(known.keys)).sorted()
        let found = ResultSlots<Digest>(count: unread.count)
        try Parallel.forEach(unread.count, threads: threads) { found.set($0, try source.reader.digest(of: unread[$0])) }
        for (index, digest) in zip(unread, found.all) { known[index] = digest }
        for (index, digest) in known {
            guard let stored = source.contents.storedDigests?[index], stored != digest else { continue }
            throw CheckpointError(
                source.path, .tensor(source.contents.tensors[index].name),
                expected: "bytes of the SHA-256 \(stored), as the container says", found: "\(digest)")
        }
        return NameMap(known.map { (source.contents.tensors[$0.key].name, $0.value) })
    }
}

/// Where a tensor comes from, by names: as plans and certificates say it.
public struct TensorOrigin: Sendable, Equatable {
    /// One, or those that are joined, in order.
    public var sources: [String]
    public var arrangement: Arrangement

    public init(sources: [String], arrangement: Arrangement = .identity) {
        self.sources = sources
        self.arrangement = arrangement
    }

    public static func == (a: TensorOrigin, b: TensorOrigin) -> Bool {
        a.arrangement == b.arrangement && a.sources.map { ExactName($0) } == b.sources.map { ExactName($0) }
    }

    /// What is done to them before anything else: "rename", "merge", "split", "transpose"; nil where nothing is.
    public func kind(outputs: [String]) -> String? {
        if sources.count > 1 { return "merge" }
        if arrangement.slice != nil { return "split" }
        if arrangement.axes != nil { return "transpose" }
        return outputs.allSatisfy { Self.isNamed($0, after: sources[0], isPart: outputs.count > 1) } ? nil : "rename"
    }

    /// Whether an output has the name of its source, or, as a part of a weight that was packed, that name and one word
    /// more: "q.weight_scale" of "q.weight".
    private static func isNamed(_ output: String, after source: String, isPart: Bool) -> Bool {
        guard isPart else { return ExactName(output) == ExactName(source) }
        return output.utf8.starts(with: source.utf8)
            && !output.utf8.dropFirst(source.utf8.count).contains(UInt8(ascii: "."))
    }

    /// The members `source` or `sources`, and `mapping`, of a transform.
    public func members(outputs: [String]) -> [(key: String, value: JSONValue)] {
        var members: [(key: String, value: JSONValue)] = [
            sources.count == 1
                ? ("source", .string(sources[0])) : ("sources", .array(sources.map { .string($0) }))
        ]
        if let kind = kind(outputs: outputs) {
            var mapping = JSONObject([("kind", .string(kind))])
            mapping["axis"] = arrangement.axis.map { JSONValue($0) }
            mapping["slice"] = arrangement.slice.map { [JSONValue($0.lowerBound), JSONValue($0.upperBound)] }
            mapping["transpose"] = arrangement.axes.map { .array($0.map { JSONValue($0) }) }
            members.append(("mapping", .object(mapping)))
        }
        return members
    }

    /// Reads those members.
    ///
    /// - Returns: nil where they are not what this version writes.
    public init?(_ transform: JSONObject, outputs: [String]) {
        let list = transform["sources"]?.array
        let sources = transform["source"]?.string.map { [$0] } ?? list?.compactMap(\.string) ?? []
        guard !sources.isEmpty, sources.count == list?.count ?? 1 else { return nil }
        self.init(sources: sources)
        if let mapping = transform["mapping"] {
            guard let object = mapping.object, let arrangement = Arrangement(object) else { return nil }
            self.arrangement = arrangement
            guard kind(outputs: outputs) == object["kind"]?.string else { return nil }
        }
        guard isOneThing else { return nil }
    }

    /// Whether several are joined or one is cut, not both, and an axis is given for that alone.
    private var isOneThing: Bool {
        let (joins, cuts) = (sources.count > 1, arrangement.slice != nil)
        return !(joins && cuts) && (arrangement.axis != nil) == (joins || cuts)
    }
}

extension Arrangement {
    /// - Returns: nil where the members are of other kinds.
    fileprivate init?(_ mapping: JSONObject) {
        func counts(_ key: String) -> [Int]? { mapping[key]?.array?.compactMap(\.int).filter { $0 >= 0 } }
        self.init(axes: counts("transpose"), axis: mapping["axis"]?.int)
        if let slice = mapping["slice"] {
            guard let borders = counts("slice"), borders.count == 2, slice.array?.count == 2, borders[0] <= borders[1]
            else { return nil }
            self.slice = borders[0]..<borders[1]
        }
        guard axes?.count == mapping["transpose"]?.array?.count, axis.map({ $0 >= 0 }) ?? true else { return nil }
    }
}

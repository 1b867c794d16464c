import AssayCheckpoints
import AssayTensors

/// A checkpoint as models, quantizers and comparisons see it: logical tensors by name, whoever packed them.
public struct LogicalCheckpoint: Sendable {
    public let reader: any CheckpointReader
    /// Packed ones first where their packing puts them, then plain ones, in the order of their first stored part.
    public let tensors: [any LogicalTensor]
    /// What the configuration has quantized beside the weights, which is not computed: sentences.
    public let notes: [String]
    /// Stored tensors (positions in the checkpoint) of that: they are no weights, and nothing reads them.
    public let unused: [Int]
    private let positions: NameMap<Int>

    /// - Parameters:
    ///   - configuration: the model's `config.json`, where there is one.
    ///   - name: what messages call the checkpoint: its path.
    /// - Throws: `StructureError` where a packing is incomplete, or two logical tensors would have one name.
    public init(_ reader: any CheckpointReader, configuration: JSONObject? = nil, name: String) throws {
        do {
            try self.init(reader, configuration)
        } catch let error as StructureError {
            throw StructureError("\(name): \(error.sentence)")
        }
    }

    private init(_ reader: any CheckpointReader, _ configuration: JSONObject?) throws {
        try PackingRegistry.check(configuration)
        var logical: [any LogicalTensor] = []
        var taken = Set<Int>()
        for packing in PackingRegistry.all {
            for tensor in try packing.logicalTensors(in: reader, configuration: configuration)
            where taken.isDisjoint(with: tensor.parts) {
                logical.append(tensor)
                taken.formUnion(tensor.parts)
            }
        }
        unused = PackingRegistry.unused(in: reader, configuration).filter { !taken.contains($0) }
        taken.formUnion(unused)
        for index in reader.contents.tensors.indices where !taken.contains(index) {
            logical.append(PlainTensor(reader: reader, index: index))
        }
        logical.sort { $0.parts.min()! < $1.parts.min()! }
        var positions = NameMap<Int>()
        for (index, tensor) in logical.enumerated() {
            guard positions.updateValue(index, forKey: tensor.name) == nil else {
                throw StructureError(
                    "tensor '\(tensor.name.escapedForDisplay)': stands twice, plainly and packed; remove one")
            }
        }
        self.reader = reader
        self.tensors = logical
        self.positions = positions
        notes = PackingRegistry.notes(configuration) + Self.note(of: unused, in: reader)
    }

    private static func note(of unused: [Int], in reader: any CheckpointReader) -> [String] {
        guard !unused.isEmpty else { return [] }
        let names = unused.map { reader.contents.tensors[$0].name }
        return ["scales and zero points of activations are not used: \(names.listed(first: 4))"]
    }

    private init(_ checkpoint: LogicalCheckpoint, tensors: [any LogicalTensor]) {
        reader = checkpoint.reader
        notes = checkpoint.notes
        unused = checkpoint.unused
        self.tensors = tensors
        positions = checkpoint.positions
    }

    /// The same checkpoint with other values in some tensors.
    ///
    /// - Parameter replace: gives a tensor of the same name, shape and orientation.
    public func replacingTensors(
        _ replace: (any LogicalTensor) throws -> any LogicalTensor
    ) rethrows -> LogicalCheckpoint {
        LogicalCheckpoint(self, tensors: try tensors.map(replace))
    }

    public subscript(name: String) -> (any LogicalTensor)? { positions[name].map { tensors[$0] } }

    /// How the weights are stored, most elements first: "int4-g32 and f32". Buffers of integers are no weights.
    public var storages: String {
        var counts: [String: Int] = [:]
        for tensor in tensors where tensor.isReal {
            counts[tensor.storage.label, default: 0] += tensor.shape.elementCount
        }
        return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map(\.key).joined(separator: " and ")
    }
}

extension LogicalTensor {
    /// Whether it holds real numbers.
    public var isReal: Bool {
        guard case .plain(let type) = storage else { return true }
        return type.isFloating
    }
}

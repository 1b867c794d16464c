import AssayCheckpoints
import AssayModels
import AssayPackings
import AssayTensors

/// One side of a comparison.
public enum ComparisonSide: Sendable {
    /// A checkpoint whose configuration says what it computes.
    case model(Model)
    /// A checkpoint without configuration: tensors only.
    case checkpoint(LogicalCheckpoint, name: String)
    /// Activations that were captured earlier, here or elsewhere.
    case capture(CapturedActivations)

    /// Sees what an opened checkpoint is.
    ///
    /// - Parameters:
    ///   - configuration: its `config.json`, where it has one.
    ///   - name: its path, for messages and reports.
    /// - Throws: `StructureError` where the configuration cannot be computed, or a packing is incomplete.
    public init(
        _ reader: any CheckpointReader, configuration: JSONObject?, configurationFile: String = "config.json",
        name: String
    ) throws {
        if let configuration {
            self = .model(
                try Model(reader, configuration: configuration, configurationFile: configurationFile, name: name))
        } else if CapturedActivations.recognizes(reader.contents) {
            self = .capture(try CapturedActivations(reader, name: name))
        } else {
            self = .checkpoint(try LogicalCheckpoint(reader, name: name), name: name)
        }
    }

    public var name: String {
        switch self {
        case .model(let model): model.name
        case .checkpoint(_, let name): name
        case .capture(let capture): capture.name
        }
    }

    /// Nil for what has no configuration.
    public var model: Model? { if case .model(let model) = self { model } else { nil } }

    /// The tensors; nil for captured activations.
    var checkpoint: LogicalCheckpoint? {
        switch self {
        case .model(let model): model.checkpoint
        case .checkpoint(let checkpoint, _): checkpoint
        case .capture: nil
        }
    }

    /// "gpt2, 6 layers, f32 and int4-g32": what reports say about it.
    public var description: String {
        switch self {
        case .model(let model): "\(model.spec.architecture), \(model.spec.layerCount) layers, \(storages)"
        case .checkpoint(let checkpoint, _): "\(checkpoint.tensors.count) tensors without configuration, \(storages)"
        case .capture(let capture): capture.description
        }
    }

    /// How the weights are stored, most elements first; buffers of integers are no weights.
    var storages: String {
        var counts: [String: Int] = [:]
        for tensor in checkpoint?.tensors ?? [] {
            counts[tensor.storage.label, default: 0] += tensor.shape.elementCount
        }
        return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map(\.key).joined(separator: " and ")
    }
}

extension LogicalTensor {
    /// Whether it holds real numbers.
    var isReal: Bool {
        guard case .plain(let type) = storage else { return true }
        return type.isFloating
    }
}

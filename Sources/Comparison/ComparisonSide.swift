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
            do {
                self = .model(
                    try Model(reader, configuration: configuration, configurationFile: configurationFile, name: name))
            } catch let error as StructureError {
                throw StructureError(error.sentence + "; to compare tensors by their names alone, name their file")
            }
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

    var storages: String { checkpoint?.storages ?? "" }
}

extension ComparisonSide {
    /// Two sides with the taps of captured activations named alike: by the other side's model where that is one, by the
    /// modules themselves where both were captured by programs that name those.
    ///
    /// - Throws: `StructureError` where the values of modules are none of the model's; `UsageError` where two captures name
    ///   their values in different ways.
    public static func pair(_ a: ComparisonSide, _ b: ComparisonSide) throws -> (ComparisonSide, ComparisonSide) {
        switch (a, b) {
        case (.model(let model), .capture(let capture)): return (a, .capture(try capture.named(by: model)))
        case (.capture(let capture), .model(let model)): return (.capture(try capture.named(by: model)), b)
        case (.capture(let first), .capture(let second)):
            let isNamed = first.tapNames.contains { second[$0] != nil }
            let (one, other) = isNamed ? (first, second) : (first.namedByModules(), second.namedByModules())
            guard one.tapNames.contains(where: { other[$0] != nil }) else {
                throw UsageError(
                    "\(one.name) and \(other.name) name no value alike (\(one.tapNames.listed(first: 2));"
                        + " \(other.tapNames.listed(first: 2))); say with --map-a or --map-b which taps they are")
            }
            return (.capture(one), .capture(other))
        default: return (a, b)
        }
    }

    public var isCapture: Bool { if case .capture = self { true } else { false } }

    /// The taps that both sides have; none where a side is tensors alone.
    public func tapNames(with other: ComparisonSide) -> [String] {
        let names = NameSet(other.tapNames)
        return tapNames.filter { names.contains($0) }
    }

    private var tapNames: [String] {
        switch self {
        case .model(let model): model.tapNames
        case .capture(let capture): capture.tapNames
        case .checkpoint: []
        }
    }
}

import AssayCheckpoints
import AssayComparison
import AssayConversion
import AssayFormats
import AssayModels

extension ComparisonSide {
    /// - Parameter map: what gives the tensors of captured activations the names of taps; nil where they have them.
    /// - Throws: `UsageError` where the map is of a model's weights, or makes what is no tap; as
    ///   `init(_:configuration:configurationFile:name:)`.
    public init(_ checkpoint: Checkpoint, _ map: TensorMap?) throws {
        guard let map else {
            try self.init(checkpoint)
            return
        }
        let name = checkpoint.path.forDisplay
        guard try ModelConfiguration.read(of: checkpoint) == nil else {
            throw UsageError("\(name): is a model; a map of taps is for captured activations")
        }
        let mapped = try MappedCheckpoint(checkpoint, map)
        let tensors = mapped.checkpoint.contents.tensors
        for (index, info) in tensors.enumerated() where !CapturedActivations.knows(info.name) {
            let origin = mapped.origin(of: index)
            guard origin == TensorOrigin(sources: [info.name]) else {
                throw UsageError(
                    "\(map.path.forDisplay): '\(info.name.escapedForDisplay)', made of"
                        + " '\(origin.sources.listed(first: 3))', is no tap (formats/taps.md)")
            }
        }
        self = .capture(try CapturedActivations(mapped.checkpoint.reader, name: name))
    }
}

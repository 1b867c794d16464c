import AssayCheckpoints
import AssayFormats
import AssayPackings
import AssayQuantization
import AssayTensors

/// Carries steps out without writing anything, to learn what digests their outputs have.
public enum Recomputation {
    public struct Result: Sendable {
        public var sourceDigest: Digest
        public var outputDigests: [Digest]
        /// What was counted and measured on the way.
        public var findings: StepFindings
    }

    /// - Returns: one result a step.
    public static func run(
        _ steps: [any TensorStep], on reader: any CheckpointReader, _ options: ConversionOptions,
        progress: (@Sendable (Int) -> Void)? = nil
    ) throws -> [Result] {
        var positions: [[Int]] = []
        var count = 0
        for step in steps {
            positions.append(step.outputs.indices.map { count + $0 })
            count += step.outputs.count
        }
        let pipeline = Pipeline(
            reader: reader, steps: steps, positions: positions, writer: NullWriter(), threads: options.threads,
            pieceTarget: options.pieceByteCount, takesDigests: true, progress: progress)
        return try pipeline.run().map {
            Result(
                sourceDigest: $0.sourceDigest!, outputDigests: $0.outputDigests.map { $0! }, findings: $0.findings)
        }
    }

    private struct NullWriter: CheckpointWriter {
        let pieceOrder = PieceOrder.any
        func write(
            _ tensor: Int, _ range: Range<Int>, _ bytes: UnsafeRawBufferPointer,
            inTurn: (() throws -> Void) throws -> Void
        ) throws {}
        func finish(digests: [Digest]) throws {}
    }

    /// Makes the steps that recorded transforms stand for.
    public struct Factory {
        private let source: Checkpoint
        /// Logical tensors by the stored tensor that is their only part; nil as long as no weight was quantized. Of a copy
        /// nobody needs to know how its source is packed.
        private var weights: [Int: any LogicalTensor]?

        public init(_ source: Checkpoint) { self.source = source }

        /// - Parameters:
        ///   - operation: what the step's `transform` said.
        ///   - index: the source tensor.
        ///   - outputs: what was made of it.
        ///   - measured: whether error figures are wanted.
        /// - Returns: nil where the operation is not known to this version, or does not fit the tensors.
        /// - Throws: where a weight was quantized: `StructureError` where a packing of the source is incomplete or not
        ///   read; `CheckpointError`, `SystemError`.
        public mutating func step(
            _ operation: String, _ index: Int, outputs: [TensorInfo], measured: Bool
        ) throws -> (any TensorStep)? {
            let contents = source.contents
            if let step = Recomputation.step(operation, index, of: contents, outputs: outputs, measured: measured) {
                return step
            }
            guard QuantizeOperation(operation) != nil else { return nil }
            let weights = try self.weights ?? Self.weights(of: source)
            self.weights = weights
            return try weights[index].flatMap {
                try Recomputation.quantizeStep(operation, index, of: contents, weight: $0, outputs: outputs)
            }
        }

        private static func weights(of source: Checkpoint) throws -> [Int: any LogicalTensor] {
            let logical = try LogicalCheckpoint(
                source.reader, configuration: ModelConfiguration.read(of: source), name: source.path.forDisplay)
            return Dictionary(
                logical.tensors.filter { $0.parts.count == 1 }.map { ($0.parts[0], $0) },
                uniquingKeysWith: { first, _ in first })
        }
    }

    /// Whether a step gives the same bytes in every version: how integers are chosen may change with the arithmetic.
    public static func isExact(_ step: any TensorStep) -> Bool { !(step is QuantizeStep) }

    /// The step that a recorded quantization stands for.
    ///
    /// - Parameters:
    ///   - operation: what the step's `transform` said.
    ///   - index: the source tensor.
    ///   - weight: the same as the quantizer reads it.
    ///   - outputs: what was made of it, under any name.
    /// - Returns: nil where the operation is not known to this version, or does not fit the tensors.
    public static func quantizeStep(
        _ operation: String, _ index: Int, of source: CheckpointContents, weight: any LogicalTensor,
        outputs: [TensorInfo]
    ) throws -> (any TensorStep)? {
        guard let operation = QuantizeOperation(operation), let name = QuantizationPlan.weightName(ofParts: outputs)
        else { return nil }
        let candidate = CandidateWeight(
            name: name, tensor: weight, orientation: operation.isTransposed ? .inputOutput : .outputInput)
        let plan: QuantizationPlan
        do {
            plan = try QuantizationPlan(operation.scheme, weights: [candidate], options: operation.options)
        } catch is UsageError {
            return nil
        }
        guard case .quantize(let made, _) = plan.decisions[0], made == outputs else { return nil }
        return QuantizeStep(
            source: index, sourceByteCount: source.tensors[index].byteCount, outputs: made, plan, weight: 0,
            options: operation.options)
    }

    /// The step that a recorded copy or cast stands for.
    ///
    /// - Parameters:
    ///   - operation: what the step's `transform` said.
    ///   - index: the source tensor.
    ///   - outputs: what was made of it.
    ///   - measured: whether error figures are wanted, as of weights that were put into blocks.
    /// - Returns: nil where the operation is not known to this version, or does not fit the tensors.
    public static func step(
        _ operation: String, _ index: Int, of source: CheckpointContents, outputs: [TensorInfo],
        measured: Bool = false
    ) -> (any TensorStep)? {
        var info = source.tensors[index]
        info.aliasOf = nil
        if operation == "copy" {
            guard let output = outputs.first, outputs.count == 1, output.elementType == info.elementType,
                output.shape == info.shape
            else { return nil }
            info.name = output.name
            return CopyStep(source: index, info: info)
        }
        guard let output = outputs.first, outputs.count == 1, output.shape == info.shape,
            let conversion = ElementConversion(from: info.elementType, to: output.elementType)
        else { return nil }
        let step: any TensorStep =
            measured && output.elementType.isBlock
            ? BlockStep(source: index, from: info, to: output, conversion)
            : CastStep(source: index, from: info, to: output, conversion)
        return step.transform == operation ? step : nil
    }
}

import AssayCheckpoints
import AssayFormats
import AssayPackings
import AssayQuantization
import AssayTensors

/// Weights put into the blocks of one of ggml's types, row by row as they are stored: names, shapes and orientation stay.
struct BlockQuantization {
    private let type: ElementType
    private let weights: [CandidateWeight]

    init(_ type: ElementType, _ weights: [CandidateWeight]) {
        self.type = type
        self.weights = weights
    }

    /// The destination's format where its name does not tell it.
    ///
    /// - Throws: `UsageError` where the format that the name tells lacks the type.
    func options(_ options: ConversionOptions, _ source: Checkpoint) throws -> ConversionOptions {
        var options = options
        let format = try options.formatByName()
        guard format?.capabilities.elementTypes.contains(type) ?? true else {
            throw UsageError(
                "\(options.destination.forDisplay): \(format!.name) cannot hold \(type.name); these can:"
                    + " \(FormatRegistry.names { $0.capabilities.elementTypes.contains(type) })")
        }
        options.formatName = format?.name ?? GGUF.name
        return options
    }

    func decisions(on contents: CheckpointContents) -> [ModelQuantization.Decision] {
        weights.map { weight in
            if let reason = weight.reasonToKeep { return .keep(reason: reason) }
            let source = weight.tensor.parts[0]
            let info = contents.tensors[source]
            guard let output = TensorInfo(name: info.name, elementType: type, shape: info.shape) else {
                return .keep(
                    reason: "its rows of \(info.shape.dimensions.last ?? 1) elements are no multiple of"
                        + " \(type.elementsPerUnit)")
            }
            guard let conversion = ElementConversion(from: info.elementType, to: type) else {
                return .keep(
                    reason: ElementConversion.refusal(from: info.elementType, to: type) ?? "no conversion exists")
            }
            return .quantize(BlockStep(source: source, from: info, to: output, conversion), note: nil)
        }
    }

    /// Sentences for the user.
    var notes: [String] {
        let turned = weights.filter { $0.orientation == .inputOutput && $0.reasonToKeep == nil }
        guard let first = turned.first else { return [] }
        return [
            "\(turned.count) weights, '\(first.name.escapedForDisplay)' the first, are stored [in, out]: their blocks run"
                + " along the outputs"
        ]
    }
}

/// One weight put into blocks, each with a scale of its own, rounded as ggml's reference does (formats/gguf.md).
///
/// The weight is taken whole, so that its error can be told; what one block is does not depend on others.
struct BlockStep: TensorStep {
    let source: Int
    let outputs: [TensorInfo]
    let sourceByteCount: Int
    let isCopy = false
    private let conversion: ElementConversion

    init(source: Int, from info: TensorInfo, to output: TensorInfo, _ conversion: ElementConversion) {
        self.source = source
        self.conversion = conversion
        sourceByteCount = info.byteCount
        outputs = [output]
    }

    /// A cast, which is how it can be done again.
    var transform: String { "cast \(conversion.source.name) to \(conversion.destination.name)" }

    func pieces(_ reader: any CheckpointReader, target: Int, granularity: Int) -> [StepPiece] {
        [StepPiece(sourceRange: 0..<sourceByteCount)]
    }

    func process(
        _ piece: StepPiece, _ reader: any CheckpointReader, _ deliver: (StepDelivery) throws -> Void
    ) throws -> StepFindings {
        let (input, result) = (
            try ByteBuffer(byteCount: sourceByteCount), try ByteBuffer(byteCount: outputs[0].byteCount)
        )
        defer { withExtendedLifetime((input, result)) {} }
        try reader.read(source, piece.sourceRange, into: input.bytes)
        var findings = StepFindings()
        findings.tally = conversion.convert(input.readOnly, to: result.bytes, count: outputs[0].shape.elementCount)
        findings.quantization = QuantizeStep.figures(try statistics(input.readOnly, result.readOnly))
        let range = 0..<outputs[0].byteCount
        try deliver(StepDelivery(source: input.readOnly, outputs: [(0, range, result.readOnly)]))
        return findings
    }

    /// Elements compared at a time: few enough to stay in the cache.
    private static let pieceElementCount = 1 << 16

    /// How far the blocks are from what they stand for, summed in the order of the elements.
    ///
    /// - Throws: `QuantizationError` where an element is not finite, which would make its whole block so, or where a block's
    ///   scale is beyond float16.
    private func statistics(
        _ source: UnsafeRawBufferPointer, _ blocks: UnsafeRawBufferPointer
    ) throws -> WeightStatistics {
        let original = try Widened(source, conversion.source, atMost: Self.pieceElementCount)
        let rounded = try Widened(blocks, conversion.destination, atMost: Self.pieceElementCount)
        let count = outputs[0].shape.elementCount
        var (signal, noise, maximum) = (0.0, 0.0, 0.0)
        for start in stride(from: 0, to: count, by: Self.pieceElementCount) {
            let elements = start..<min(start + Self.pieceElementCount, count)
            let (values, others) = (original.values(elements), rounded.values(elements))
            // The element itself first: one that is not finite spoils its whole block.
            if let index = values.firstIndex(where: { !$0.isFinite }) ?? others.firstIndex(where: { !$0.isFinite }) {
                throw misfit(start + index, values[index])
            }
            for (value, near) in zip(values, others) {
                let error = Double(near) - Double(value)
                signal += Double(value) * Double(value)
                noise += error * error
                maximum = max(maximum, abs(error))
            }
        }
        return WeightStatistics(
            elementCount: count, byteCount: blocks.count, signal: signal, noise: noise, maximumError: maximum)
    }

    private func misfit(_ element: Int, _ value: Float) -> QuantizationError {
        let name = conversion.destination.name
        let problem =
            value.isFinite
            ? "is in a block whose range is too wide for the scale of \(name)"
            : "is \(value.isNaN ? "NaN" : value < 0 ? "-Inf" : "Inf"), which \(name) cannot hold"
        return QuantizationError(
            tensor: outputs[0].name, index: outputs[0].shape.indices(ofElement: element), problem: problem)
    }
}

/// Elements of a tensor as float32, some at a time.
private struct Widened {
    private let bytes: UnsafeRawBufferPointer
    private let conversion: ElementConversion
    private let buffer: ByteBuffer

    /// - Parameter type: converts to float32.
    init(_ bytes: UnsafeRawBufferPointer, _ type: ElementType, atMost count: Int) throws {
        self.bytes = bytes
        conversion = ElementConversion(from: type, to: .f32)!
        buffer = try ByteBuffer(byteCount: count * ElementType.f32.unitByteCount)
    }

    /// - Returns: values that are good until the next call.
    func values(_ elements: Range<Int>) -> UnsafeBufferPointer<Float> {
        let range = conversion.source.byteRange(of: elements)
        conversion.convert(
            UnsafeRawBufferPointer(rebasing: bytes[range]), to: buffer.bytes, count: elements.count)
        return UnsafeBufferPointer(rebasing: buffer.readOnly.bindMemory(to: Float.self)[..<elements.count])
    }
}

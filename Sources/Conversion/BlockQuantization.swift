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
struct BlockStep: TensorStep {
    let source: Int
    let outputs: [TensorInfo]
    let sourceByteCount: Int
    let isCopy = false
    private let conversion: ElementConversion
    private let cast: CastStep

    init(source: Int, from info: TensorInfo, to output: TensorInfo, _ conversion: ElementConversion) {
        self.source = source
        self.conversion = conversion
        cast = CastStep(source: source, from: info, to: output, conversion)
        sourceByteCount = info.byteCount
        outputs = [output]
    }

    /// A cast, which is how it can be done again.
    var transform: String { cast.transform }

    func pieces(_ reader: any CheckpointReader, target: Int, granularity: Int) -> [StepPiece] {
        cast.pieces(reader, target: target, granularity: granularity)
    }

    func process(
        _ piece: StepPiece, _ reader: any CheckpointReader, _ deliver: (StepDelivery) throws -> Void
    ) throws -> StepFindings {
        let elements = conversion.source.elements(in: piece.sourceRange)
        var errors = ErrorSums()
        var findings = try cast.process(piece, reader) { delivery in
            try measure(delivery.source!, delivery.outputs[0].bytes, elements, &errors)
            try deliver(delivery)
        }
        findings.errors = errors
        return findings
    }

    func figures(_ errors: ErrorSums) -> JSONObject? {
        QuantizeStep.figures(
            WeightStatistics(
                errors, elementCount: outputs[0].shape.elementCount, byteCount: outputs[0].byteCount, hasGroups: false))
    }

    /// Elements compared at a time: whole blocks, few enough to stay in the cache.
    private static let pieceElementCount = 1 << 16

    /// How far blocks are from what they stand for.
    ///
    /// - Throws: `QuantizationError` where an element is not finite, which would make its whole block so, or where a block's
    ///   scale is beyond float16.
    private func measure(
        _ source: UnsafeRawBufferPointer, _ blocks: UnsafeRawBufferPointer, _ elements: Range<Int>,
        _ errors: inout ErrorSums
    ) throws {
        let original = try Widened(source, conversion.source, atMost: Self.pieceElementCount)
        let rounded = try Widened(blocks, conversion.destination, atMost: Self.pieceElementCount)
        let unit = conversion.destination.elementsPerUnit
        for start in stride(from: 0, to: elements.count, by: Self.pieceElementCount) {
            let part = start..<min(start + Self.pieceElementCount, elements.count)
            let (values, others) = (original.values(part), rounded.values(part))
            // The element itself first: one that is not finite spoils its whole block.
            if let index = values.firstIndex(where: { !$0.isFinite }) ?? others.firstIndex(where: { !$0.isFinite }) {
                let block = index / unit * unit..<min(index / unit * unit + unit, part.count)
                throw misfit(
                    elements.lowerBound + start + index, values[index], UnsafeBufferPointer(rebasing: values[block]),
                    stored: Self.stored(source, conversion.source, start + index))
            }
            for block in stride(from: 0, to: part.count, by: unit) {
                errors.append(
                    Self.error(values, others, block..<min(block + unit, part.count)),
                    at: (elements.lowerBound + start + block) / unit)
            }
        }
    }

    /// Summed in the order of the elements.
    private static func error(
        _ values: UnsafeBufferPointer<Float>, _ others: UnsafeBufferPointer<Float>, _ range: Range<Int>
    ) -> ErrorPart {
        var part = ErrorPart()
        for index in range {
            let error = Double(others[index]) - Double(values[index])
            part.signal += Double(values[index]) * Double(values[index])
            part.noise += error * error
            part.maximum = max(part.maximum, abs(error))
        }
        return part
    }

    /// An element of float64 as it is stored; nil of other types.
    private static func stored(_ source: UnsafeRawBufferPointer, _ type: ElementType, _ element: Int) -> Double? {
        guard type == .f64 else { return nil }
        return source.loadUnaligned(fromByteOffset: element * MemoryLayout<Double>.stride, as: Double.self)
    }

    private func misfit(
        _ element: Int, _ value: Float, _ block: UnsafeBufferPointer<Float>, stored: Double?
    ) -> QuantizationError {
        QuantizationError(
            tensor: outputs[0].name, index: outputs[0].shape.indices(ofElement: element),
            problem: problem(value, block, stored: stored))
    }

    private func problem(_ value: Float, _ block: UnsafeBufferPointer<Float>, stored: Double?) -> String {
        let name = conversion.destination.name
        if value.isFinite {
            return
                "is in a block whose range, \(QuantizationError.range(of: block)), is too wide for the scale of \(name)"
        }
        if let stored, stored.isFinite { return QuantizationError.beyondFloat32(stored, scheme: name) }
        return "is \(value.isNaN ? "NaN" : value < 0 ? "-Inf" : "Inf"), which \(name) cannot hold"
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

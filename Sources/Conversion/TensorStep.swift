import AssayCheckpoints
import AssayQuantization
import AssayTensors

/// How one source tensor becomes tensors of the destination: the unit of a conversion's plan.
///
/// A step is cut into pieces that can be computed on any thread; each piece says which bytes of which destination
/// tensors it made.
public protocol TensorStep: Sendable {
    /// Position of the source tensor.
    var source: Int { get }
    /// What the destination gets, in order; one, or several for a packed weight.
    var outputs: [TensorInfo] { get }
    /// What is done, as certificates and plans say it: "copy", "cast F32 to BF16".
    var transform: String { get }
    /// Whether the destination's bytes are the source's.
    var isCopy: Bool { get }
    /// Bytes read from the source.
    var sourceByteCount: Int { get }

    /// Cuts the step into pieces of about `target` bytes of the source, on borders that suit the source, the
    /// destination (multiples of its `granularity`) and the step itself.
    func pieces(_ reader: any CheckpointReader, target: Int, granularity: Int) -> [StepPiece]

    /// Computes one piece.
    ///
    /// - Returns: what an analysis of the piece found, to be joined with that of others in any order.
    func process(
        _ piece: StepPiece, _ reader: any CheckpointReader, _ deliver: (StepDelivery) throws -> Void
    ) throws -> StepFindings

    /// The error figures of a quantized tensor, from those of all pieces; nil where the step has none.
    func figures(_ errors: ErrorSums) -> JSONObject?
}

extension TensorStep {
    public func figures(_ errors: ErrorSums) -> JSONObject? { nil }
}

/// A share of a step: elements of the source.
public struct StepPiece: Sendable, Equatable {
    /// Bytes of the source; a piece that covers a whole step may leave it to the step how it reads them.
    public var sourceRange: Range<Int>
}

/// The bytes of one piece, valid during the call.
public struct StepDelivery {
    /// The source's bytes, where the step read them plainly and in order; nil where it did not, and the source's digest
    /// is taken by a reading of its own.
    public var source: UnsafeRawBufferPointer?
    /// For each output made: its position in the step's `outputs`, the range of its bytes, the bytes.
    public var outputs: [(output: Int, range: Range<Int>, bytes: UnsafeRawBufferPointer)]
}

/// What a step found out about its numbers.
public struct StepFindings: Sendable {
    public var tally = ConversionTally()
    /// Errors of the parts of a quantized tensor.
    public var errors = ErrorSums()
    /// Error figures of a quantized tensor, made of those.
    public var quantization: JSONObject?

    public init() {}

    mutating func join(_ other: StepFindings) {
        tally += other.tally
        errors.append(other.errors)
    }
}

/// The bytes as they are.
public struct CopyStep: TensorStep {
    public let source: Int
    public let outputs: [TensorInfo]
    public let transform = "copy"
    public let isCopy = true
    public var sourceByteCount: Int { outputs[0].byteCount }

    public init(source: Int, info: TensorInfo) {
        self.source = source
        outputs = [info]
    }

    public func pieces(_ reader: any CheckpointReader, target: Int, granularity: Int) -> [StepPiece] {
        let step = pieceByteCount(
            target: target, units: [outputs[0].elementType.unitByteCount, granularity],
            preferred: reader.granularity(of: source))
        return ranges(sourceByteCount, step: step).map { StepPiece(sourceRange: $0) }
    }

    public func process(
        _ piece: StepPiece, _ reader: any CheckpointReader, _ deliver: (StepDelivery) throws -> Void
    ) throws -> StepFindings {
        let range = piece.sourceRange
        let buffer = try ByteBuffer(byteCount: range.count)
        defer { withExtendedLifetime(buffer) {} }
        try reader.read(source, range, into: buffer.bytes)
        try deliver(StepDelivery(source: buffer.readOnly, outputs: [(0, range, buffer.readOnly)]))
        return StepFindings()
    }
}

/// Floating-point elements rounded to another type, to nearest even; or blocks dequantized, or elements put in blocks.
public struct CastStep: TensorStep {
    public let source: Int
    public let outputs: [TensorInfo]
    public let isCopy = false
    public let sourceByteCount: Int
    private let conversion: ElementConversion

    public init(source: Int, from info: TensorInfo, to output: TensorInfo, _ conversion: ElementConversion) {
        self.source = source
        self.conversion = conversion
        sourceByteCount = info.byteCount
        outputs = [output]
    }

    public var transform: String { "cast \(conversion.source.name) to \(conversion.destination.name)" }

    public func pieces(_ reader: any CheckpointReader, target: Int, granularity: Int) -> [StepPiece] {
        let (from, to) = (conversion.source, conversion.destination)
        // Borders are counted in elements, in which both sides agree.
        func elements(_ byteCount: Int, of type: ElementType) -> Int { type.elements(in: 0..<byteCount).count }
        let step = pieceByteCount(
            target: min(elements(target, of: from), elements(target, of: to)),
            units: [from.elementsPerUnit, to.elementsPerUnit, elements(granularity, of: to)],
            preferred: elements(reader.granularity(of: source), of: from))
        return ranges(outputs[0].shape.elementCount, step: step).map {
            StepPiece(sourceRange: from.byteRange(of: $0))
        }
    }

    public func process(
        _ piece: StepPiece, _ reader: any CheckpointReader, _ deliver: (StepDelivery) throws -> Void
    ) throws -> StepFindings {
        let (from, to) = (conversion.source, conversion.destination)
        let range = piece.sourceRange
        let elements = from.elements(in: range)
        let target = to.byteRange(of: elements)
        let (input, result) = (try ByteBuffer(byteCount: range.count), try ByteBuffer(byteCount: target.count))
        defer { withExtendedLifetime((input, result)) {} }
        try reader.read(source, range, into: input.bytes)
        var findings = StepFindings()
        findings.tally = conversion.convert(input.readOnly, to: result.bytes, count: elements.count)
        try deliver(StepDelivery(source: input.readOnly, outputs: [(0, target, result.readOnly)]))
        return findings
    }
}

/// `0..<count` in ranges of `step`, the last one shorter.
func ranges(_ count: Int, step: Int) -> [Range<Int>] {
    stride(from: 0, to: count, by: step).map { $0..<min($0 + step, count) }
}

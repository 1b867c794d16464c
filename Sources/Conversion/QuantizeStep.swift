import AssayCheckpoints
import AssayPackings
import AssayQuantization
import AssayTensors

/// One weight rounded to integers and scales, some rows at a time; whole where its rows lie across those of the file.
struct QuantizeStep: TensorStep {
    let source: Int
    let outputs: [TensorInfo]
    let sourceByteCount: Int
    let isCopy = false
    let transform: String
    private let plan: QuantizationPlan
    private let weight: Int
    private let rowCount: Int
    /// Nil where rows cannot be read alone: they lie across those of the file, or do not fill whole bytes.
    private let rowByteCount: Int?

    /// - Parameter weight: position among the plan's weights; its decision is to quantize.
    init(
        source: Int, sourceByteCount: Int, outputs: [TensorInfo], _ plan: QuantizationPlan, weight: Int,
        options: QuantizationOptions
    ) {
        self.source = source
        self.sourceByteCount = sourceByteCount
        self.outputs = outputs
        self.plan = plan
        self.weight = weight
        rowCount = plan.rowCount(of: weight)
        rowByteCount =
            plan.rowUnit(of: weight) != nil && sourceByteCount % rowCount == 0 ? sourceByteCount / rowCount : nil
        transform =
            QuantizeOperation(
                scheme: plan.scheme, scaleType: outputs[1].elementType,
                isTransposed: plan.weights[weight].orientation == .inputOutput, options: options
            ).text
    }

    func pieces(_ reader: any CheckpointReader, target: Int, granularity: Int) -> [StepPiece] {
        guard let rowByteCount, let unit = plan.rowUnit(of: weight) else {
            return [StepPiece(sourceRange: 0..<sourceByteCount)]
        }
        let step = pieceByteCount(
            target: target, units: [rowByteCount * unit], preferred: reader.granularity(of: source))
        return ranges(sourceByteCount, step: step).map { StepPiece(sourceRange: $0) }
    }

    func process(
        _ piece: StepPiece, _ reader: any CheckpointReader, _ deliver: (StepDelivery) throws -> Void
    ) throws -> StepFindings {
        guard let rowByteCount else {
            return try handOver(plan.quantize(weight, rows: 0..<rowCount), source: nil, deliver)
        }
        let range = piece.sourceRange
        let bytes = try ByteBuffer(byteCount: range.count)
        try reader.read(source, range, into: bytes.bytes)
        let lent = PlainTensor(reader: LentPiece(reader.contents, source, range, bytes), index: source)
        let rows = range.lowerBound / rowByteCount..<range.upperBound / rowByteCount
        return try handOver(plan.quantize(weight, rows: rows, from: lent), source: bytes, deliver)
    }

    private func handOver(
        _ made: QuantizedRows, source: ByteBuffer?, _ deliver: (StepDelivery) throws -> Void
    ) throws -> StepFindings {
        defer { withExtendedLifetime((made, source)) {} }
        // The shape, which is the last, comes with the first rows alone.
        try deliver(
            StepDelivery(
                source: source?.readOnly,
                outputs: made.outputs.enumerated().map { ($0, $1.range, $1.bytes.readOnly) }))
        var findings = StepFindings()
        findings.errors = made.errors
        return findings
    }

    func figures(_ errors: ErrorSums) -> JSONObject? { Self.figures(plan.statistics(of: weight, errors)) }

    static func figures(_ statistics: WeightStatistics) -> JSONObject {
        var figures = JSONObject([
            ("bitsPerElement", JSONValue(statistics.bitsPerElement)),
            ("sqnrDecibels", JSONValue(statistics.sqnrDecibels)),
            ("relativeL2", JSONValue(statistics.relativeL2)),
            ("maximumError", JSONValue(statistics.maximumError)),
        ])
        guard let groups = statistics.groups else { return figures }
        figures["saturated"] = JSONValue(groups.saturatedCount)
        figures["saturatedFraction"] = JSONValue(statistics.saturatedFraction)
        figures["flooredGroups"] = JSONValue(groups.flooredCount)
        figures["replacedElements"] = JSONValue(groups.replacedCount)
        return figures
    }
}

/// A piece of one tensor, read before, where the tensor is read.
private struct LentPiece: CheckpointReader {
    let contents: CheckpointContents
    private let tensor: Int
    private let range: Range<Int>
    private let bytes: ByteBuffer

    init(_ contents: CheckpointContents, _ tensor: Int, _ range: Range<Int>, _ bytes: ByteBuffer) {
        (self.contents, self.tensor, self.range, self.bytes) = (contents, tensor, range, bytes)
    }

    func read(_ tensor: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        precondition(tensor == self.tensor && self.range.contains(range))
        let start = range.lowerBound - self.range.lowerBound
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes.readOnly[start..<start + range.count]))
    }
}

/// What a quantization did to a weight, as plans and certificates say it, and read back from there:
/// "quantize int4-g32 with F32 scales", then what is not the usual.
struct QuantizeOperation: Equatable {
    var scheme: QuantizationScheme
    var scaleType: ElementType
    var isTransposed: Bool
    var options: QuantizationOptions

    private static let transposed = ", transposed to [out, in]"
    private static let wholeRange = ", without clipping"
    private static let replaced = ", non-finite elements replaced"

    var text: String {
        "quantize \(scheme.name) with \(scaleType.name) scales" + (isTransposed ? Self.transposed : "")
            + (options.searchesClipping ? "" : Self.wholeRange) + (options.allowsNonFinite ? Self.replaced : "")
    }

    /// - Returns: nil where the text is not what this version writes.
    init?(_ text: String) {
        let words = (text.split(separator: ",").first ?? "").split(separator: " ")
        guard words.count == 5, words[0] == "quantize", let scheme = SchemeRegistry.scheme(named: String(words[1])),
            let scaleType = ElementType(name: String(words[3]))
        else { return nil }
        self.init(
            scheme: scheme, scaleType: scaleType, isTransposed: text.contains(Self.transposed),
            options: QuantizationOptions(
                scaleType: scaleType, searchesClipping: !text.contains(Self.wholeRange),
                allowsNonFinite: text.contains(Self.replaced)))
        guard self.text == text else { return nil }
    }

    init(scheme: QuantizationScheme, scaleType: ElementType, isTransposed: Bool, options: QuantizationOptions) {
        self.scheme = scheme
        self.scaleType = scaleType
        self.isTransposed = isTransposed
        self.options = options
    }

    static func == (a: QuantizeOperation, b: QuantizeOperation) -> Bool { a.text == b.text }
}

extension QuantizationPlan {
    /// The plan's decisions as steps.
    func decisions(
        on contents: CheckpointContents, _ options: QuantizationOptions
    ) -> [ModelQuantization.Decision] {
        zip(weights, decisions).enumerated().map { index, pair in
            switch pair.1 {
            case .keep(let reason): return .keep(reason: reason)
            case .quantize(let outputs, let note):
                let source = pair.0.tensor.parts[0]
                let step = QuantizeStep(
                    source: source, sourceByteCount: contents.tensors[source].byteCount, outputs: outputs, self,
                    weight: index, options: options)
                return .quantize(step, note: note)
            }
        }
    }
}

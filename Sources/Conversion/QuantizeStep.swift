import AssayCheckpoints
import AssayFormats
import AssayModels
import AssayPackings
import AssayQuantization
import AssayTensors

/// One weight rounded to integers and scales.
///
/// A weight is quantized whole, so the step is one piece; its source is read twice, once for the digest.
struct QuantizeStep: TensorStep {
    let source: Int
    let outputs: [TensorInfo]
    let sourceByteCount: Int
    let isCopy = false
    let transform: String
    private let plan: QuantizationPlan
    private let weight: Int

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
        transform =
            QuantizeOperation(
                scheme: plan.scheme, scaleType: outputs[1].elementType,
                isTransposed: plan.weights[weight].orientation == .inputOutput, options: options
            ).text
    }

    func pieces(_ reader: any CheckpointReader, target: Int, granularity: Int) -> [StepPiece] {
        [StepPiece(sourceRange: 0..<sourceByteCount)]
    }

    func process(
        _ piece: StepPiece, _ reader: any CheckpointReader, _ deliver: (StepDelivery) throws -> Void
    ) throws -> StepFindings {
        let quantized = try plan.quantize(weight)
        defer { withExtendedLifetime(quantized) {} }
        try deliver(
            StepDelivery(
                source: nil,
                outputs: quantized.outputs.enumerated().map { ($0, 0..<$1.bytes.bytes.count, $1.bytes.readOnly) }))
        var findings = StepFindings()
        findings.quantization = Self.figures(quantized.statistics)
        return findings
    }

    private static func figures(_ statistics: WeightStatistics) -> JSONObject {
        JSONObject([
            ("bitsPerElement", JSONValue(statistics.bitsPerElement)),
            ("sqnrDecibels", JSONValue(statistics.sqnrDecibels)),
            ("relativeL2", JSONValue(statistics.relativeL2)),
            ("maximumError", JSONValue(statistics.maximumError)),
            ("saturated", JSONValue(statistics.saturatedCount)),
            ("saturatedFraction", JSONValue(statistics.saturatedFraction)),
            ("flooredGroups", JSONValue(statistics.flooredGroupCount)),
            ("replacedElements", JSONValue(statistics.replacedCount)),
        ])
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
        let words = text.split(separator: ",")[0].split(separator: " ")
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

/// What `quantize` does with a model: which weights become integers, and what stays as it is and why.
public struct ModelQuantization: Sendable {
    public let plan: ConversionPlan
    public let scheme: QuantizationScheme
    /// Weights that the architecture would let be quantized and that do not fit the scheme, with the reason.
    public let unfit: [(name: String, reason: String)]
    /// What stays by the architecture's rule: embeddings, norms, biases, heads.
    public let kept: [(name: String, reason: String)]

    /// - Parameters:
    ///   - configuration: the model's `config.json`; without it, `include` must name the weights.
    /// - Throws: `StructureError` where the model is not what its configuration says; `UsageError`.
    public init(
        _ source: Checkpoint, configuration: JSONObject?, _ scheme: QuantizationScheme, _ options: ConversionOptions,
        quantization: QuantizationOptions, exceptions: [NamePattern] = []
    ) throws {
        let logical = try LogicalCheckpoint(
            source.reader, configuration: configuration, name: source.path.forDisplay)
        let names = logical.tensors.map(\.name)
        try options.requireMatches(among: names)
        try NamePattern.requireMatches(exceptions, among: names, option: "--keep", noun: "tensor")
        let candidates = try Self.candidates(
            source, logical, configuration, options: options, exceptions: exceptions)
        let plan = try QuantizationPlan(scheme, weights: candidates, options: quantization)
        var unfit: [(name: String, reason: String)] = []
        var kept: [(name: String, reason: String)] = []
        var steps: [any TensorStep] = []
        var taken = Set<Int>()
        var notes: [String] = []
        for (index, (weight, decision)) in zip(plan.weights, plan.decisions).enumerated() {
            switch decision {
            case .keep(let reason):
                if weight.isEligible { unfit.append((weight.name, reason)) } else { kept.append((weight.name, reason)) }
            case .quantize(let outputs, let note):
                if let note { notes.append("tensor '\(weight.name.escapedForDisplay)': \(note)") }
                let source = weight.tensor.parts[0]
                steps.append(
                    QuantizeStep(
                        source: source, sourceByteCount: logical.reader.contents.tensors[source].byteCount,
                        outputs: outputs, plan, weight: index, options: quantization))
                taken.insert(source)
            }
        }
        guard !steps.isEmpty else {
            throw UsageError(
                "\(source.path.forDisplay): no weight can be quantized with \(scheme.name)"
                    + (unfit.first.map { "; '\($0.name.escapedForDisplay)' \($0.reason)" } ?? ""))
        }
        var aliases: [TensorInfo] = []
        for (index, info) in source.contents.tensors.enumerated() where !taken.contains(index) {
            if info.aliasOf != nil { aliases.append(info) } else { steps.append(CopyStep(source: index, info: info)) }
        }
        steps.sort { $0.source < $1.source }
        let changes: [(key: String, value: JSONValue)] =
            plan.configuration.map { [("quantization_config", .object($0))] } ?? []
        self.plan = try ConversionPlan(
            source, options, steps: steps, aliases: aliases, dropped: [], changes: changes,
            notes: notes
                + unfit.map { "tensor '\($0.name.escapedForDisplay)' stays as it is: \($0.reason)" })
        self.scheme = scheme
        self.unfit = unfit
        self.kept = kept
    }

    /// Every weight matrix with its orientation, from the architecture's table; or, for a bare file, what `--include`
    /// names, taken as [out, in].
    private static func candidates(
        _ source: Checkpoint, _ logical: LogicalCheckpoint, _ configuration: JSONObject?, options: ConversionOptions,
        exceptions: [NamePattern]
    ) throws -> [CandidateWeight] {
        func exception(_ name: String) -> String? {
            if let rule = options.ruleDropping(name) { return rule }
            return exceptions.first { $0.matches(name) }.map { "policy \($0)" }
        }
        guard let configuration else {
            guard !options.include.isEmpty else {
                throw UsageError(
                    "\(source.path.forDisplay): without a config.json nothing says which tensors are linear weights;"
                        + " name a model folder, or the weights with --include")
            }
            return logical.tensors.map { tensor in
                let reason = exception(tensor.name)
                return CandidateWeight(
                    name: tensor.name, tensor: tensor, orientation: .outputInput, isEligible: reason == nil,
                    reason: reason)
            }
        }
        let model = try Model(logical, configuration: configuration, name: source.path.forDisplay)
        try model.report.requireSound(source.path.forDisplay)
        return logical.tensors.compactMap { tensor in
            guard let entry = model.entry(named: tensor.name), let orientation = entry.orientation else { return nil }
            let reason = entry.isQuantizable ? exception(tensor.name) : "is \(entry.role), which stays"
            return CandidateWeight(
                name: tensor.name, tensor: tensor, orientation: tensor.orientation ?? orientation,
                isEligible: reason == nil, reason: reason)
        }
    }
}

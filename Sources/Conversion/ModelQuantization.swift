import AssayCheckpoints
import AssayFormats
import AssayModels
import AssayPackings
import AssayQuantization
import AssayTensors

/// What `quantize` does with a model: which weights are quantized, and what stays as it is and why.
public struct ModelQuantization: Sendable {
    public let plan: ConversionPlan

    /// What becomes of a weight.
    enum Decision {
        /// `note` says what is not as the user might expect.
        case quantize(any TensorStep, note: String?)
        case keep(reason: String)
    }

    /// - Parameters:
    ///   - configuration: the model's `config.json`; without it, `include` must name the weights.
    ///   - exceptions: weights that stay as they are.
    ///   - map: applied before: all else speaks of the tensors that come of it.
    /// - Throws: `StructureError` where the model is not what its configuration says, or the map does not fit it;
    ///   `UsageError`.
    public init(
        _ original: Checkpoint, configuration: JSONObject?, _ scheme: Scheme, _ options: ConversionOptions,
        quantization: QuantizationOptions, exceptions: NamePatterns = [], map: TensorMap? = nil
    ) throws {
        let mapping = try map.map { try MappedCheckpoint(original, $0) }
        let source = mapping?.checkpoint ?? original
        let logical = try LogicalCheckpoint(
            source.reader, configuration: configuration, name: source.path.forDisplay)
        let names = logical.tensors.map(\.name)
        try options.requireMatches(among: names)
        try exceptions.requireMatches(among: names, option: "--keep", noun: "tensor")
        let candidates = try Self.candidates(
            source, logical, configuration, options: options, exceptions: exceptions)
        switch scheme {
        case .integers(let scheme):
            try Self.requireUnquantized(configuration, source)
            let integers = try QuantizationError.naming(source.path.forDisplay) {
                try QuantizationPlan(scheme, weights: candidates, options: quantization)
            }
            let decisions = integers.decisions(on: source.contents, quantization)
            plan = try Self.plan(
                source, mapping, options, scheme.name, candidates, decisions,
                changes: Self.changes(integers, configuration))
        case .blocks(let type):
            let blocks = BlockQuantization(type, candidates)
            let options = try blocks.options(options, source)
            plan = try Self.plan(
                source, mapping, options, type.name, candidates, blocks.decisions(on: source.contents),
                weightType: type, notes: blocks.notes)
        }
    }

    /// A configuration says one thing of all packed weights, so that a second quantization would make it untrue of the first.
    private static func requireUnquantized(_ configuration: JSONObject?, _ source: Checkpoint) throws(UsageError) {
        guard let value = configuration?["quantization_config"], value != .null else { return }
        // What is said of caches and activations alone is said of no weights.
        let isOurs = value.object?["quant_method"]?.string == "compressed-tensors"
        if isOurs, value.object?["config_groups"]?.object?.members.isEmpty ?? true { return }
        throw UsageError(
            "\(source.path.forDisplay): is quantized already, as quantization_config in its config.json says; quantize the"
                + " model that it was made of")
    }

    /// The new `quantization_config`, which keeps what the old one says of caches.
    private static func changes(
        _ integers: QuantizationPlan, _ old: JSONObject?
    ) -> [(key: String, value: JSONValue)] {
        guard var new = integers.configuration else { return [] }
        if let scheme = old?["quantization_config"]?.object?["kv_cache_scheme"] { new["kv_cache_scheme"] = scheme }
        return [("quantization_config", .object(new))]
    }

    private static func plan(
        _ source: Checkpoint, _ mapping: MappedCheckpoint?, _ options: ConversionOptions, _ schemeName: String,
        _ weights: [CandidateWeight], _ decisions: [Decision], changes: [(key: String, value: JSONValue)] = [],
        weightType: ElementType? = nil, notes: [String] = []
    ) throws -> ConversionPlan {
        var steps: [any TensorStep] = []
        var unfit: [String] = []
        var notes = notes
        for (weight, decision) in zip(weights, decisions) {
            let name = "tensor '\(weight.name.escapedForDisplay)'"
            switch decision {
            case .keep(let reason): if weight.isEligible { unfit.append("\(name) stays as it is: \(reason)") }
            case .quantize(let step, let note):
                if let note { notes.append("\(name): \(note)") }
                steps.append(step)
            }
        }
        guard !steps.isEmpty else {
            throw UsageError(
                "\(source.path.forDisplay): no weight can be quantized with \(schemeName)"
                    + (unfit.first.map { "; \($0)" } ?? ""))
        }
        let taken = Set(steps.map(\.source))
        let takenNames = NameSet(taken.map { source.contents.tensors[$0].name })
        var aliases: [TensorInfo] = []
        for (index, info) in source.contents.tensors.enumerated() where !taken.contains(index) {
            if let target = info.aliasOf, !takenNames.contains(target) {
                aliases.append(info)
            } else {
                // A second name of a weight that is quantized stays what both were.
                var kept = info
                kept.aliasOf = nil
                steps.append(CopyStep(source: index, info: kept))
            }
        }
        steps.sort { $0.source < $1.source }
        return try ConversionPlan(
            source, options, steps: steps, aliases: aliases, dropped: [], changes: changes, weightType: weightType,
            notes: notes + unfit, mapping: mapping, canChoose: false)
    }

    /// Every weight matrix with its orientation, from the architecture's table; or, for a bare file, what `--include`
    /// names, taken as [out, in].
    private static func candidates(
        _ source: Checkpoint, _ logical: LogicalCheckpoint, _ configuration: JSONObject?, options: ConversionOptions,
        exceptions: NamePatterns
    ) throws -> [CandidateWeight] {
        func exception(_ name: String) -> String? {
            if let rule = options.ruleDropping(name) { return rule }
            return exceptions.first(matching: name).map { "policy \($0)" }
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

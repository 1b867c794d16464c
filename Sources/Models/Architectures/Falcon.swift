import AssayCheckpoints

/// Falcon: sublayers side by side or one behind the other, one norm or two before them, one head of keys and values for
/// all queries, for groups or for each; rotary positions or linear biases.
///
/// - Source: `models/falcon` of transformers 5. Its eager attention adds the linear biases twice; its default attention,
///   like the model's own code, once: so do we.
enum Falcon: Architecture {
    static let modelType = "falcon"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var gpt = try configuration.gpt(
            GPTKeys(hiddenSize: ("hidden_size", "n_embed"), innerSize: "ffn_hidden_size", activation: "activation"),
            activation: .geluErf)
        let hasBias = try configuration.bool("bias", default: false)
        gpt.block.attention.hasInputBias = hasBias
        gpt.block.attention.hasOutputBias = hasBias
        gpt.block.feedForward.hasBias = hasBias
        try arrange(&gpt.block, &configuration)
        try readPositions(&gpt.block.attention, &configuration)
        let spec = try configuration.gptSpec(
            modelType, gpt, contextLength: try configuration.optionalSize("max_position_embeddings") ?? 2048,
            isTied: true, modelClasses: ("FalconForCausalLM", "FalconModel"))
        try configuration.require(
            "apply_residual_connection_post_layernorm", false, because: "the library's model has no such residuals")
        if let factor = try configuration.optionalSize("ff_factor"),
            factor * gpt.hiddenSize != gpt.block.feedForward.innerSize
        {
            throw configuration.error(
                "ff_factor",
                expected: "what makes \(gpt.block.feedForward.innerSize) of hidden_size \(gpt.hiddenSize)",
                found: "\(factor)")
        }
        try configuration.finish(harmless: ["attention_dropout", "hidden_dropout", "auto_map"])
        return spec
    }

    /// The newer architecture has heads of keys and values for groups of queries and is always parallel.
    private static func arrange(
        _ block: inout BlockSpec, _ configuration: inout ConfigurationReader
    ) throws(StructureError) {
        let isNew = try configuration.bool("new_decoder_architecture", default: false)
        let isMultiQuery = try configuration.bool("multi_query", default: true)
        let isParallel = try configuration.bool("parallel_attn", default: true)
        let headCount = block.attention.headCount
        let keyValueHeadCount = try configuration.optionalSize("num_kv_heads") ?? headCount
        block.attention.projection = .joinedByHead
        block.attention.keyValueHeadCount = !isNew && isMultiQuery ? 1 : keyValueHeadCount
        guard isNew ? headCount % keyValueHeadCount == 0 : isMultiQuery || keyValueHeadCount == headCount else {
            throw configuration.error(
                "num_kv_heads",
                expected: "\(isNew ? "a divisor of " : "")num_attention_heads \(headCount)",
                found: "\(keyValueHeadCount)")
        }
        if isNew { try configuration.require("parallel_attn", true, because: "the newer architecture has no other") }
        if isNew || isParallel { block.arrangement = .parallel }
        let normCount = try configuration.optionalSize("num_ln_in_parallel_attn") ?? (isNew ? 2 : 1)
        guard isNew || !isParallel || normCount != 2 else {
            throw configuration.error(
                "num_ln_in_parallel_attn", expected: "1 without new_decoder_architecture", found: "2")
        }
        if block.arrangement == .parallel, normCount != 2 { block.feedForwardNorms = BlockSpec.Norms() }
    }

    private static func readPositions(
        _ attention: inout AttentionSpec, _ configuration: inout ConfigurationReader
    ) throws(StructureError) {
        let rotary = try configuration.rotary(headDimension: attention.headDimension, base: 10_000)
        if try configuration.bool("alibi", default: false) {
            attention.linearBias = LinearBias(isRoundedToBFloat16: true, isScaled: true)
        } else {
            attention.rotary = rotary
        }
    }

    static let naming: Naming = {
        var naming = Naming.megatron()
        // Two norms before sublayers side by side have names of their own.
        naming.otherEndings = ["weight", "bias"].flatMap {
            [(".input_layernorm.\($0)", ".ln_attn.\($0)"), (".post_attention_layernorm.\($0)", ".ln_mlp.\($0)")]
        }
        return naming
    }()
}

import AssayCheckpoints

/// GPT-BigCode, StarCoder: GPT-2 with matrices stored [out, in], and one head of keys and values for all queries, or one
/// beside each.
///
/// - Source: `models/gpt_bigcode` of transformers 5.
enum GPTBigCode: Architecture {
    static let modelType = "gpt_bigcode"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var gpt = try configuration.gpt(.gpt2, activation: .geluTanh)
        gpt.block.attention.projection = .joinedByHead
        if try configuration.bool("multi_query", default: true) { gpt.block.attention.keyValueHeadCount = 1 }
        if try !configuration.bool("scale_attn_weights", default: true) { gpt.block.attention.baseScale = 1 }
        let spec = try configuration.gptSpec(
            modelType, gpt, contextLength: try configuration.gptContextLength(), positions: LearnedPositions(),
            isTied: true, modelClasses: ("GPTBigCodeForCausalLM", "GPTBigCodeModel"))
        try configuration.require(
            "num_key_value_heads", .init(gpt.block.attention.keyValueHeadCount), because: "multi_query says so")
        try configuration.requireWholeDecoder()
        // How scores are summed in half precision, and how the model's first code kept keys.
        try configuration.finish(
            harmless: HarmlessKeys.gptDropouts.union([
                "attention_softmax_in_fp32", "scale_attention_softmax_in_fp32", "inference_runner", "max_batch_size",
                "max_sequence_length", "pad_key_length", "pre_allocate_kv_cache", "runner_max_sequence_length",
                "validate_runner_input",
            ]),
            harmlessPrefixes: ["summary_"])
        return spec
    }

    static let naming = Naming.gpt()
}

import AssayCheckpoints

/// GPT-NeoX, Pythia: both sublayers read what enters the block, each behind a norm of its own; a share of each head is
/// turned; queries, keys and values of a head stand side by side.
///
/// - Source: `models/gpt_neox` of transformers 5.
enum GPTNeoX: Architecture {
    static let modelType = "gpt_neox"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var gpt = try configuration.gpt(
            GPTKeys(epsilon: "layer_norm_eps", activation: "hidden_act"), activation: .geluErf)
        gpt.block.feedForward.innerSize = try configuration.size("intermediate_size")
        if try configuration.bool("use_parallel_residual", default: true) { gpt.block.arrangement = .parallel }
        let hasBias = try configuration.bool("attention_bias", default: true)
        gpt.block.attention.hasInputBias = hasBias
        gpt.block.attention.hasOutputBias = hasBias
        gpt.block.attention.projection = .joinedByHead
        gpt.block.attention.rotary = try configuration.rotary(
            headDimension: gpt.headDimension, base: 10_000, baseKey: "rotary_emb_base", isPartial: true,
            partialKey: "rotary_pct", partialDefault: 0.25)
        let spec = try configuration.gptSpec(
            modelType, gpt, contextLength: try configuration.optionalSize("max_position_embeddings") ?? 2048,
            isTied: false, modelClasses: ("GPTNeoXForCausalLM", "GPTNeoXModel"))
        try configuration.finish(harmless: [
            "attention_dropout", "hidden_dropout", "classifier_dropout", "attention_probs_dropout_prob",
            "hidden_dropout_prob", "is_decoder",
        ])
        return spec
    }

    static let naming = Naming(
        prefix: "gpt_neox.",
        modules: [
            ModuleName(.tokenEmbedding, hf: "embed_in"),
            ModuleName(.attentionNorm, hf: "layers.{i}.input_layernorm"),
            ModuleName(.queryKeyValue, hf: "layers.{i}.attention.query_key_value"),
            ModuleName(.attentionOutput, hf: "layers.{i}.attention.dense"),
            ModuleName(.feedForwardNorm, hf: "layers.{i}.post_attention_layernorm"),
            ModuleName(.feedForwardInput, hf: "layers.{i}.mlp.dense_h_to_4h"),
            ModuleName(.feedForwardOutput, hf: "layers.{i}.mlp.dense_4h_to_h"),
            ModuleName(.finalNorm, hf: "final_layer_norm"),
            ModuleName(.head, hf: "embed_out", isOutsidePrefix: true),
        ],
        linearOrientation: .outputInput,
        // The library's own name since version 5.
        otherEndings: [("embed_out.weight", "lm_head.weight")],
        buffers: [
            "layers.{i}.attention.bias", "layers.{i}.attention.masked_bias",
            "layers.{i}.attention.rotary_emb.inv_freq",
        ])
}

import AssayCheckpoints

/// BLOOM: positions as linear biases, a norm behind the embedding; queries, keys and values of a head stand side by side.
///
/// - Source: `models/bloom` of transformers 5.
enum BLOOM: Architecture {
    static let modelType = "bloom"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var gpt = try configuration.gpt(
            GPTKeys(
                hiddenSize: ("hidden_size", "n_embed"), headCount: ("n_head", "num_attention_heads"),
                layerCount: ("n_layer", "num_hidden_layers"), activation: nil), activation: .geluTanh)
        gpt.block.attention.projection = .joinedByHead
        gpt.block.attention.linearBias = LinearBias()
        if try configuration.bool("apply_residual_connection_post_layernorm", default: false) {
            gpt.block.residual = .normed
        }
        // Positions have no end; the number says how long the texts were that it was trained on.
        var spec = try configuration.gptSpec(
            modelType, gpt, contextLength: try configuration.optionalSize("seq_length") ?? 2048, isTied: true,
            modelClasses: ("BloomForCausalLM", "BloomModel"))
        spec.embedding.norm = gpt.norm
        try configuration.require(
            "n_inner", .init(gpt.block.feedForward.innerSize), because: "the library's model has no other")
        try requirePlainSums(&configuration)
        try configuration.finish(
            harmless: [
                "attention_dropout", "hidden_dropout", "attention_softmax_in_fp32", "bias_dropout_fusion",
                "masked_softmax_fusion", "offset_alibi", "skip_bias_add", "skip_bias_add_qkv",
            ])
        return spec
    }

    /// The library's sums over slices leave out the biases of two matrices.
    private static func requirePlainSums(_ configuration: inout ConfigurationReader) throws(StructureError) {
        let sliceCount = try configuration.optionalSize("pretraining_tp") ?? 1
        guard try configuration.bool("slow_but_exact", default: false), sliceCount > 1 else { return }
        throw configuration.error(
            "slow_but_exact", expected: "false where pretraining_tp is above 1 (sums over slices are not supported)",
            found: "true")
    }

    static let naming = Naming.megatron([ModuleName(.embeddingNorm, hf: "word_embeddings_layernorm")])
}

extension Naming {
    /// The names that BLOOM has taken over from Megatron, and Falcon from BLOOM.
    static func megatron(_ others: [ModuleName] = []) -> Naming {
        let common = [
            ModuleName(.tokenEmbedding, hf: "word_embeddings"),
            ModuleName(.attentionNorm, hf: "h.{i}.input_layernorm"),
            ModuleName(.queryKeyValue, hf: "h.{i}.self_attention.query_key_value"),
            ModuleName(.attentionOutput, hf: "h.{i}.self_attention.dense"),
            ModuleName(.feedForwardNorm, hf: "h.{i}.post_attention_layernorm"),
            ModuleName(.feedForwardInput, hf: "h.{i}.mlp.dense_h_to_4h"),
            ModuleName(.feedForwardOutput, hf: "h.{i}.mlp.dense_4h_to_h"),
            ModuleName(.finalNorm, hf: "ln_f"),
            ModuleName(.head, hf: "lm_head", isOutsidePrefix: true),
        ]
        return Naming(prefix: "transformer.", modules: common + others, linearOrientation: .outputInput)
    }
}

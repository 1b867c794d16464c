import AssayCheckpoints

/// OPT: learned positions, counted among the tokens that are read; norms before the sublayers or behind the residuals; tokens
/// whose vectors may be narrower than the hidden states.
///
/// - Source: `models/opt` of transformers 5.
enum OPT: Architecture {
    static let modelType = "opt"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var gpt = try configuration.gpt(GPTKeys(epsilon: nil), activation: .relu)
        gpt.block.feedForward.innerSize = try configuration.size("ffn_dim")
        let hasBias = try configuration.bool("enable_bias", default: true)
        gpt.block.attention.hasInputBias = hasBias
        gpt.block.attention.hasOutputBias = hasBias
        gpt.block.feedForward.hasBias = hasBias
        let isAffine = try configuration.bool("layer_norm_elementwise_affine", default: true)
        gpt.norm = NormSpec(.layer, epsilon: gpt.norm.epsilon, hasGain: isAffine, hasBias: isAffine)
        let isNormedBefore = try configuration.bool("do_layer_norm_before", default: true)
        let norms = isNormedBefore ? BlockSpec.Norms(before: gpt.norm) : BlockSpec.Norms(afterResidual: gpt.norm)
        (gpt.block.attentionNorms, gpt.block.feedForwardNorms) = (norms, norms)
        var spec = try configuration.gptSpec(
            modelType, gpt, contextLength: try configuration.size("max_position_embeddings"),
            positions: LearnedPositions(counting: .readPlaces, offset: 2), isTied: true,
            modelClasses: ("OPTForCausalLM", "OPTModel"))
        if try configuration.bool("_remove_final_layer_norm", default: false) || !isNormedBefore {
            spec.finalNorm = nil
        }
        if let width = try configuration.optionalSize("word_embed_proj_dim"), width != gpt.hiddenSize {
            spec.embedding.projection = EmbeddingProjection(inputSize: width, hasBias: false, place: .ofTokens)
            spec.head?.width = width
        }
        try configuration.require(["learned_embeddings": true, "scale_embeddings": false])
        try configuration.finish(harmless: [
            "dropout", "attention_dropout", "activation_dropout", "layerdrop", "init_std",
        ])
        return spec
    }

    static let naming = Naming(
        prefix: "model.",
        modules: [
            ModuleName(.tokenEmbedding, hf: "decoder.embed_tokens"),
            ModuleName(.embeddingProjection, hf: "decoder.project_in"),
            ModuleName(.positionEmbedding, hf: "decoder.embed_positions"),
            ModuleName(.attentionNorm, hf: "decoder.layers.{i}.self_attn_layer_norm"),
            ModuleName(.query, hf: "decoder.layers.{i}.self_attn.q_proj"),
            ModuleName(.key, hf: "decoder.layers.{i}.self_attn.k_proj"),
            ModuleName(.value, hf: "decoder.layers.{i}.self_attn.v_proj"),
            ModuleName(.attentionOutput, hf: "decoder.layers.{i}.self_attn.out_proj"),
            ModuleName(.feedForwardNorm, hf: "decoder.layers.{i}.final_layer_norm"),
            ModuleName(.feedForwardInput, hf: "decoder.layers.{i}.fc1"),
            ModuleName(.feedForwardOutput, hf: "decoder.layers.{i}.fc2"),
            ModuleName(.finalNorm, hf: "decoder.final_layer_norm"),
            ModuleName(.headProjection, hf: "decoder.project_out"),
            ModuleName(.head, hf: "lm_head", isOutsidePrefix: true),
        ],
        linearOrientation: .outputInput)
}

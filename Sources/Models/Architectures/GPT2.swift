import AssayCheckpoints

/// GPT-2: norms before the sublayers, learned positions, causal attention, weights stored [in, out].
///
/// - Source: `models/gpt2` of transformers 5.
enum GPT2: Architecture {
    static let modelType = "gpt2"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        let hiddenSize = try configuration.size("n_embd", or: "hidden_size")
        let headCount = try configuration.size("n_head", or: "num_attention_heads")
        guard hiddenSize % headCount == 0 else {
            throw configuration.error("n_head", expected: "a divisor of n_embd \(hiddenSize)", found: "\(headCount)")
        }
        let headDimension = hiddenSize / headCount
        let contextLength = try configuration.size("n_positions", or: "max_position_embeddings")
        if let maskLength = try configuration.optionalSize("n_ctx"), maskLength != contextLength {
            throw configuration.error("n_ctx", expected: "n_positions \(contextLength)", found: "\(maskLength)")
        }
        let norm = NormSpec(epsilon: try configuration.epsilon("layer_norm_epsilon", default: 1e-5))
        let isScaled = try configuration.bool("scale_attn_weights", default: true)
        let isTied = try configuration.bool("tie_word_embeddings", default: true)
        let modelClass = try configuration.architectureClass(among: ["GPT2LMHeadModel", "GPT2Model"])
        // The order of the operations changes, for half precision's sake; the function does not.
        _ = try configuration.bool("reorder_and_upcast_attn", default: false)
        let spec = TransformerSpec(
            architecture: modelType,
            vocabularySize: try configuration.size("vocab_size"),
            hiddenSize: hiddenSize,
            layerCount: try configuration.size("n_layer", or: "num_hidden_layers"),
            contextLength: contextLength,
            embedding: EmbeddingSpec(positions: LearnedPositions()),
            blocks: BlockPattern(
                BlockSpec(
                    attentionNorms: BlockSpec.Norms(before: norm),
                    attention: AttentionSpec(
                        headCount: headCount, keyValueHeadCount: headCount, headDimension: headDimension,
                        baseScale: isScaled ? 1 / Double(headDimension).squareRoot() : 1,
                        isScaledByInverseLayer: try configuration.bool(
                            "scale_attn_by_inverse_layer_idx", default: false),
                        isCausal: true, projection: .joined),
                    feedForwardNorms: BlockSpec.Norms(before: norm),
                    feedForward: FeedForwardSpec(
                        innerSize: try configuration.optionalSize("n_inner") ?? 4 * hiddenSize,
                        activation: try configuration.activation("activation_function", default: .geluTanh)))),
            finalNorm: norm,
            poolerActivation: nil,
            head: modelClass == "GPT2Model" ? nil : HeadSpec(isTied: isTied))
        try configuration.require("add_cross_attention", false, because: "cross attention is not supported")
        try configuration.require("is_encoder_decoder", false, because: "this architecture is a decoder")
        try configuration.requireEmpty("pruned_heads", because: "pruned heads are not supported")
        try configuration.finish(
            harmless: [
                "attn_pdrop", "embd_pdrop", "resid_pdrop", "is_decoder", "n_special", "predict_special_tokens",
            ],
            harmlessPrefixes: ["summary_"])
        return spec
    }

    static let naming = Naming(
        prefix: "transformer.",
        modules: [
            ModuleName(.tokenEmbedding, hf: "wte"),
            ModuleName(.positionEmbedding, hf: "wpe"),
            ModuleName(.attentionNorm, hf: "h.{i}.ln_1"),
            ModuleName(.queryKeyValue, hf: "h.{i}.attn.c_attn"),
            ModuleName(.attentionOutput, hf: "h.{i}.attn.c_proj"),
            ModuleName(.feedForwardNorm, hf: "h.{i}.ln_2"),
            ModuleName(.feedForwardInput, hf: "h.{i}.mlp.c_fc"),
            ModuleName(.feedForwardOutput, hf: "h.{i}.mlp.c_proj"),
            ModuleName(.finalNorm, hf: "ln_f"),
            ModuleName(.head, hf: "lm_head", isOutsidePrefix: true),
        ],
        linearOrientation: .inputOutput,
        // The causal mask and its fill value, as checkpoints of old versions hold them.
        buffers: ["h.{i}.attn.bias", "h.{i}.attn.masked_bias"])
}

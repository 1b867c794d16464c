import AssayCheckpoints

/// ModernBERT: norms before the sublayers, rotary positions of two bases, gated feed-forward; some layers see everything,
/// the others half a window on either side. The first has no norm before its attention.
///
/// - Source: `models/modernbert` of transformers 5.
enum ModernBERT: Architecture {
    static let modelType = "modernbert"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        let norm = NormSpec(
            epsilon: try configuration.epsilon("norm_eps", default: 1e-5),
            hasBias: try configuration.bool("norm_bias", default: false))
        var encoder = try configuration.encoder(
            hiddenSize: configuration.size("hidden_size"), headCount: configuration.size("num_attention_heads"),
            headCountKey: "num_attention_heads", sizeKey: "hidden_size",
            innerSize: configuration.size("intermediate_size"), norm: norm,
            activation: configuration.activation("hidden_activation", default: .geluErf))
        encoder.attention.projection = .joined
        try configuration.readBiases(of: &encoder.attention)
        encoder.feedForward.gating = .joined
        encoder.feedForward.hasBias = try configuration.bool("mlp_bias", default: false)
        let spec = TransformerSpec(
            architecture: modelType,
            vocabularySize: try configuration.size("vocab_size"),
            hiddenSize: encoder.hiddenSize,
            layerCount: try configuration.size("num_hidden_layers"),
            contextLength: try configuration.optionalSize("max_position_embeddings") ?? 8192,
            embedding: EmbeddingSpec(norm: norm),
            blocks: try blocks(&configuration, encoder),
            finalNorm: norm,
            head: try head(&configuration, norm, stands))
        try configuration.requireEncoder(readsPositionType: false)
        try configuration.require(
            ["causal_mask": false, "is_causal": false], because: "only attention both ways is supported")
        try configuration.finish(
            harmless: [
                "attention_dropout", "embedding_dropout", "mlp_dropout", "initializer_cutoff_factor",
                "deterministic_flash_attn", "reference_compile", "repad_logits_with_grad", "layer_norm_eps",
            ],
            harmlessPrefixes: ["classifier_", "sparse_pred"])
        return spec
    }

    private static func head(
        _ configuration: inout ConfigurationReader, _ norm: NormSpec, _ stands: (Module) -> Bool
    ) throws -> HeadSpec? {
        let transform = HeadSpec.Transform(
            activation: try configuration.activation("classifier_activation", default: .geluErf), norm: norm,
            hasBias: try configuration.bool("classifier_bias", default: false))
        let isTied = try configuration.bool("tie_word_embeddings", default: true)
        let hasBias = try configuration.bool("decoder_bias", default: true)
        guard try configuration.hasMaskedHead("ModernBert", stands: stands) else { return nil }
        return HeadSpec(isTied: isTied, hasBias: hasBias, transform: transform)
    }

    private static func blocks(
        _ configuration: inout ConfigurationReader, _ encoder: EncoderConfiguration
    ) throws -> BlockPattern {
        let rotations = try configuration.rotations(
            headDimension: encoder.attention.headDimension, base: ("global_rope_theta", 160_000),
            windowBase: ("local_rope_theta", 10_000), isWindowStretched: true)
        var whole = BlockSpec(
            attentionNorms: BlockSpec.Norms(before: encoder.norm), attention: encoder.attention,
            feedForwardNorms: BlockSpec.Norms(before: encoder.norm), feedForward: encoder.feedForward)
        whole.attention.rotary = rotations.whole
        var windowed = whole
        windowed.attention.rotary = rotations.windowed
        // So many on either side, and the position itself.
        windowed.attention.window = (try configuration.optionalSize("local_attention") ?? 128) / 2 + 1
        let period = try configuration.optionalSize("global_attn_every_n_layers") ?? 3
        var pattern = try configuration.pattern(whole: whole, windowed: windowed) { $0 % period != 0 }
        var first = pattern[0]
        first.attentionNorms.before = nil
        pattern.kinds.append(first)
        pattern.order[0] = pattern.kinds.count - 1
        return pattern
    }

    static let naming = Naming(
        prefix: "model.",
        modules: [
            ModuleName(.tokenEmbedding, hf: "embeddings.tok_embeddings"),
            ModuleName(.embeddingNorm, hf: "embeddings.norm"),
            ModuleName(.attentionNorm, hf: "layers.{i}.attn_norm"),
            ModuleName(.queryKeyValue, hf: "layers.{i}.attn.Wqkv"),
            ModuleName(.attentionOutput, hf: "layers.{i}.attn.Wo"),
            ModuleName(.feedForwardNorm, hf: "layers.{i}.mlp_norm"),
            ModuleName(.feedForwardGateInput, hf: "layers.{i}.mlp.Wi"),
            ModuleName(.feedForwardOutput, hf: "layers.{i}.mlp.Wo"),
            ModuleName(.finalNorm, hf: "final_norm"),
            ModuleName(.headTransform, hf: "head.dense", isOutsidePrefix: true),
            ModuleName(.headNorm, hf: "head.norm", isOutsidePrefix: true),
            ModuleName(.head, hf: "decoder", isOutsidePrefix: true),
        ],
        linearOrientation: .outputInput)
}

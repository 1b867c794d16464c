import AssayCheckpoints

/// DistilBERT: BERT without token types and pooler.
///
/// Sinusoidal positions are a stored table like learned ones.
///
/// - Source: `models/distilbert` of transformers 5.
enum DistilBERT: Architecture {
    static let modelType = "distilbert"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        let encoder = try configuration.encoder(
            hiddenSize: configuration.size("dim", or: "hidden_size"),
            headCount: configuration.size("n_heads", or: "num_attention_heads"), headCountKey: "n_heads",
            sizeKey: "dim", innerSize: configuration.size("hidden_dim"), norm: NormSpec(epsilon: 1e-12),
            activation: configuration.activation("activation", default: .geluErf))
        let isTied = try configuration.bool("tie_word_embeddings", default: true)
        let hasHead = try configuration.hasMaskedHead("DistilBert", stands: stands)
        let spec = TransformerSpec(
            architecture: modelType,
            vocabularySize: try configuration.size("vocab_size"),
            hiddenSize: encoder.hiddenSize,
            layerCount: try configuration.size("n_layers", or: "num_hidden_layers"),
            contextLength: try configuration.size("max_position_embeddings"),
            embedding: EmbeddingSpec(positions: LearnedPositions(), norm: encoder.norm),
            blocks: BlockPattern(encoder.block),
            finalNorm: nil,
            head: hasHead ? encoder.head(isTied: isTied) : nil)
        try configuration.requireEncoder()
        try configuration.finish(harmless: [
            "dropout", "attention_dropout", "qa_dropout", "seq_classif_dropout", "sinusoidal_pos_embds", "tie_weights_",
        ])
        return spec
    }

    static let naming = Naming.encoder(
        prefix: "distilbert.",
        [
            ModuleName(.query, hf: "transformer.layer.{i}.attention.q_lin"),
            ModuleName(.key, hf: "transformer.layer.{i}.attention.k_lin"),
            ModuleName(.value, hf: "transformer.layer.{i}.attention.v_lin"),
            ModuleName(.attentionOutput, hf: "transformer.layer.{i}.attention.out_lin"),
            ModuleName(.attentionNorm, hf: "transformer.layer.{i}.sa_layer_norm"),
            ModuleName(.feedForwardInput, hf: "transformer.layer.{i}.ffn.lin1"),
            ModuleName(.feedForwardOutput, hf: "transformer.layer.{i}.ffn.lin2"),
            ModuleName(.feedForwardNorm, hf: "transformer.layer.{i}.output_layer_norm"),
            ModuleName(.headTransform, hf: "vocab_transform", isOutsidePrefix: true),
            ModuleName(.headNorm, hf: "vocab_layer_norm", isOutsidePrefix: true),
            ModuleName(.head, hf: "vocab_projector", isOutsidePrefix: true),
        ], without: [.tokenTypeEmbedding, .pooler])
}

import AssayCheckpoints

/// BERT: norms after the residuals, learned positions and token types, attention both ways.
///
/// Which heads there are is the checkpoint's to say: the pooler and the masked language model's head stand or do not.
///
/// - Source: `models/bert` of transformers 5.
enum BERT: Architecture {
    static let modelType = "bert"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        let encoder = try configuration.encoder()
        let isTied = try configuration.bool("tie_word_embeddings", default: true)
        let hasHead = try configuration.hasMaskedHead(
            "Bert", classes: ["ForMaskedLM", "ForPreTraining"], stands: stands)
        let spec = TransformerSpec(
            architecture: modelType,
            vocabularySize: try configuration.size("vocab_size"),
            hiddenSize: encoder.hiddenSize,
            layerCount: try configuration.size("num_hidden_layers"),
            contextLength: try configuration.size("max_position_embeddings"),
            embedding: EmbeddingSpec(
                positions: LearnedPositions(), tokenTypeCount: try configuration.optionalSize("type_vocab_size") ?? 2,
                norm: encoder.norm),
            blocks: BlockPattern(encoder.block),
            finalNorm: nil,
            pooling: stands(.pooler) ? .ofFirst(.tanh) : nil,
            head: hasHead ? encoder.head(isTied: isTied) : nil)
        try configuration.requireEncoder()
        try configuration.finish(
            // What TinyBERT's training wrote of how it searched.
            harmless: HarmlessKeys.encoders.union([
                "directionality", "cell", "emb_size", "structure", "pre_trained", "training",
            ]),
            // Sizes of another pooler, in Google's configurations; nothing reads them.
            harmlessPrefixes: ["pooler_"])
        return spec
    }

    // The head's bias stands a level above the decoder in some checkpoints.
    static let naming = Naming.encoder(
        prefix: "bert.",
        [
            ModuleName(.headTransform, hf: "cls.predictions.transform.dense", isOutsidePrefix: true),
            ModuleName(.headNorm, hf: "cls.predictions.transform.LayerNorm", isOutsidePrefix: true),
            ModuleName(.head, hf: "cls.predictions.decoder", isOutsidePrefix: true),
            ModuleName(.nextSentence, hf: "cls.seq_relationship", isOutsidePrefix: true),
        ]
    ).spelling([("cls.predictions.decoder.bias", "cls.predictions.bias")])
}

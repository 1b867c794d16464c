import AssayCheckpoints

/// RoBERTa: BERT whose positions count the tokens other than padding, from the row behind that of padding on.
///
/// - Source: `models/roberta` of transformers 5.
enum RoBERTa: RoBERTaKind {
    static let modelType = "roberta"
    static let classPrefix = "Roberta"
}

/// RoBERTa and its copies under other names.
protocol RoBERTaKind: Architecture {
    /// What the names of its classes begin with.
    static var classPrefix: String { get }
}

extension RoBERTaKind {
    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        let encoder = try configuration.encoder()
        let isTied = try configuration.bool("tie_word_embeddings", default: true)
        let hasHead = try configuration.hasMaskedHead(classPrefix, stands: stands)
        let vocabularySize = try configuration.size("vocab_size")
        let (padding, contextLength) = try paddingAndContext(&configuration, vocabularySize)
        let spec = TransformerSpec(
            architecture: modelType, vocabularySize: vocabularySize, hiddenSize: encoder.hiddenSize,
            layerCount: try configuration.size("num_hidden_layers"), contextLength: contextLength,
            embedding: EmbeddingSpec(
                positions: LearnedPositions(counting: .placesOfTokens(except: padding), offset: padding + 1),
                tokenTypeCount: try configuration.optionalSize("type_vocab_size") ?? 2, norm: encoder.norm),
            blocks: BlockPattern(encoder.block), finalNorm: nil, pooling: stands(.pooler) ? .ofFirst(.tanh) : nil,
            // The head's activation is no key's.
            head: hasHead ? encoder.head(isTied: isTied, activation: .geluErf) : nil)
        try configuration.requireEncoder()
        try configuration.finish(harmless: HarmlessKeys.encoders)
        return spec
    }

    /// The token that is padding, and how many others the table of positions has rows for.
    private static func paddingAndContext(
        _ configuration: inout ConfigurationReader, _ vocabularySize: Int
    ) throws(StructureError) -> (padding: Int, contextLength: Int) {
        let rowCount = try configuration.size("max_position_embeddings")
        let padding = try configuration.optionalSize("pad_token_id", from: 0) ?? 1
        guard !configuration.isNull("pad_token_id"), padding < vocabularySize, padding + 1 < rowCount else {
            throw configuration.error(
                "pad_token_id",
                expected: "a token of \(vocabularySize), and a row of the \(rowCount) positions behind it",
                found: configuration.shown("pad_token_id"))
        }
        return (padding, rowCount - padding - 1)
    }

    // The head's bias stands a level above the decoder in published checkpoints.
    static var naming: Naming {
        Naming.encoder(
            prefix: "roberta.",
            [
                ModuleName(.headTransform, hf: "lm_head.dense", isOutsidePrefix: true),
                ModuleName(.headNorm, hf: "lm_head.layer_norm", isOutsidePrefix: true),
                ModuleName(.head, hf: "lm_head.decoder", isOutsidePrefix: true),
            ]
        ).spelling([("lm_head.decoder.bias", "lm_head.bias")])
    }
}

import AssayCheckpoints

/// ELECTRA: BERT whose embeddings may be narrower and are projected, with a generator's head over tokens or a
/// discriminator's, which says whether a token was replaced.
///
/// - Source: `models/electra` of transformers 5.
enum ELECTRA: Architecture {
    static let modelType = "electra"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        let encoder = try configuration.encoder()
        let width = try configuration.optionalSize("embedding_size") ?? 128
        let spec = TransformerSpec(
            architecture: modelType,
            vocabularySize: try configuration.size("vocab_size"),
            hiddenSize: encoder.hiddenSize,
            layerCount: try configuration.size("num_hidden_layers"),
            contextLength: try configuration.size("max_position_embeddings"),
            embedding: EmbeddingSpec(
                positions: LearnedPositions(), tokenTypeCount: try configuration.optionalSize("type_vocab_size") ?? 2,
                norm: encoder.norm,
                projection: width == encoder.hiddenSize
                    ? nil : EmbeddingProjection(inputSize: width, hasBias: true, place: .behindNorm)),
            blocks: BlockPattern(encoder.block),
            finalNorm: nil,
            head: try head(&configuration, encoder, width, stands))
        try configuration.requireEncoder()
        try configuration.finish(
            harmless: HarmlessKeys.encoders.union(["generator_size"]), harmlessPrefixes: ["summary_"])
        return spec
    }

    private static func head(
        _ configuration: inout ConfigurationReader, _ encoder: EncoderConfiguration, _ width: Int,
        _ stands: (Module) -> Bool
    ) throws -> HeadSpec? {
        let isTied = try configuration.bool("tie_word_embeddings", default: true)
        let name = try configuration.architectureClass(
            among: ["ElectraModel", "ElectraForPreTraining", "ElectraForMaskedLM"])
        // Only the generator's head has a norm.
        if name == "ElectraForMaskedLM" || name != "ElectraForPreTraining" && stands(.headNorm) {
            return encoder.head(isTied: isTied, activation: .geluErf, outputSize: width)
        }
        guard name == "ElectraForPreTraining" || stands(.headTransform) else { return nil }
        return HeadSpec(
            isTied: false, hasBias: true,
            transform: HeadSpec.Transform(activation: encoder.activation, norm: nil), outputCount: 1)
    }

    static let naming: Naming = names([
        ModuleName(.headTransform, hf: "generator_predictions.dense", isOutsidePrefix: true),
        ModuleName(.headNorm, hf: "generator_predictions.LayerNorm", isOutsidePrefix: true),
        ModuleName(.head, hf: "generator_lm_head", isOutsidePrefix: true),
    ]).spelling([("generator_predictions.dense.weight", "discriminator_predictions.dense.weight")])

    static func naming(for spec: TransformerSpec) -> Naming {
        guard spec.head?.outputCount == 1 else { return naming }
        return names([
            ModuleName(.headTransform, hf: "discriminator_predictions.dense", isOutsidePrefix: true),
            ModuleName(.head, hf: "discriminator_predictions.dense_prediction", isOutsidePrefix: true),
        ])
    }

    private static func names(_ head: [ModuleName]) -> Naming {
        Naming.encoder(
            prefix: "electra.", [ModuleName(.embeddingProjection, hf: "embeddings_project")] + head, without: [.pooler])
    }
}

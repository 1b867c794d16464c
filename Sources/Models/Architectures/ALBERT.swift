import AssayCheckpoints

/// ALBERT: BERT with narrower embeddings, whose layers share the weights of few groups of layers.
///
/// - Source: `models/albert` of transformers 5.
enum ALBERT: Architecture {
    static let modelType = "albert"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        let encoder = try configuration.encoder(activation: .geluTanh)
        let width = try configuration.optionalSize("embedding_size") ?? 128
        let isTied = try configuration.bool("tie_word_embeddings", default: true)
        let hasHead = try configuration.hasMaskedHead(
            "Albert", classes: ["ForMaskedLM", "ForPreTraining"], stands: stands)
        let sharing = try sharing(&configuration)
        var blocks = BlockPattern(encoder.block)
        blocks.sharing = sharing
        let spec = TransformerSpec(
            architecture: modelType,
            vocabularySize: try configuration.size("vocab_size"),
            hiddenSize: encoder.hiddenSize,
            layerCount: sharing.sets.count,
            contextLength: try configuration.size("max_position_embeddings"),
            embedding: EmbeddingSpec(
                positions: LearnedPositions(), tokenTypeCount: try configuration.optionalSize("type_vocab_size") ?? 2,
                norm: encoder.norm,
                projection: EmbeddingProjection(inputSize: width, hasBias: true, place: .behindNorm)),
            blocks: blocks,
            finalNorm: nil,
            pooling: stands(.pooler) ? .ofFirst(.tanh) : nil,
            head: hasHead ? encoder.head(isTied: isTied, outputSize: width) : nil)
        try configuration.requireEncoder()
        try configuration.finish(
            harmless: HarmlessKeys.encoders.union([
                "classifier_dropout_prob", "down_scale_factor", "gap_size", "layers_to_keep", "net_structure_type",
                "num_memory_blocks",
            ]))
        return spec
    }

    /// `num_hidden_layers` steps divided among the groups in order; each runs the layers of its group once.
    private static func sharing(_ configuration: inout ConfigurationReader) throws(StructureError) -> WeightSharing {
        let stepCount = try configuration.listedLayerCount()
        let groupCount = try configuration.optionalSize("num_hidden_groups") ?? 1
        let inner = try configuration.optionalSize("inner_group_num") ?? 1
        for (key, value) in [("num_hidden_groups", groupCount), ("inner_group_num", inner)] where value > 1 << 10 {
            throw configuration.error(key, expected: "at most \(1 << 10)", found: "\(value)")
        }
        let stepsPerGroup = Double(stepCount) / Double(groupCount)
        let sets = (0..<stepCount).flatMap { step in
            (0..<inner).map { Int(Double(step) / stepsPerGroup) * inner + $0 }
        }
        return WeightSharing(sets: sets, setCount: groupCount * inner, setsPerGroup: inner)
    }

    private static let layer = "encoder.albert_layer_groups.{g}.albert_layers.{k}."

    static let naming = Naming.encoder(
        prefix: "albert.",
        [
            ModuleName(.embeddingProjection, hf: "encoder.embedding_hidden_mapping_in"),
            ModuleName(.query, hf: layer + "attention.query"),
            ModuleName(.key, hf: layer + "attention.key"),
            ModuleName(.value, hf: layer + "attention.value"),
            ModuleName(.attentionOutput, hf: layer + "attention.dense"),
            ModuleName(.attentionNorm, hf: layer + "attention.LayerNorm"),
            ModuleName(.feedForwardInput, hf: layer + "ffn"),
            ModuleName(.feedForwardOutput, hf: layer + "ffn_output"),
            ModuleName(.feedForwardNorm, hf: layer + "full_layer_layer_norm"),
            ModuleName(.pooler, hf: "pooler"),
            ModuleName(.headTransform, hf: "predictions.dense", isOutsidePrefix: true),
            ModuleName(.headNorm, hf: "predictions.LayerNorm", isOutsidePrefix: true),
            ModuleName(.head, hf: "predictions.decoder", isOutsidePrefix: true),
            // Of the order of two sentences, not whether the second is the next.
            ModuleName(.nextSentence, hf: "sop_classifier.classifier", isOutsidePrefix: true),
        ]
    ).spelling([("predictions.decoder.bias", "predictions.bias")])

    static func naming(for spec: TransformerSpec) -> Naming {
        var naming = naming
        naming.layersPerGroup = spec.blocks.sharing?.setsPerGroup ?? 1
        return naming
    }
}

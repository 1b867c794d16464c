import AssayCheckpoints

/// ViT: patches of an image behind a vector of the class, norms before the sublayers, attention both ways.
///
/// - Source: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words" (arXiv 2010.11929); `models/vit` of transformers 5.
enum ViT: Architecture {
    static let modelType = "vit"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var encoder = try configuration.encoder()
        encoder.attention.hasInputBias = try configuration.bool("qkv_bias", default: true)
        let patches = try configuration.patches(
            imageSize: configuration.extents("image_size", default: 224),
            patchSize: configuration.extents("patch_size", default: 16), outputCount: encoder.hiddenSize)
        let isClassifier =
            try configuration.architectureClass(among: ["ViTModel", "ViTForImageClassification"])
            == "ViTForImageClassification" || stands(.head)
        let labelCount = try configuration.labelCount()
        let pooler = PoolingSpec.ofFirst(
            try configuration.activation("pooler_act", default: .tanh),
            outputSize: try configuration.optionalSize("pooler_output_size"))
        var head = HeadSpec(isTied: false, hasBias: true, outputCount: labelCount)
        head.isOfPooled = true
        let spec = TransformerSpec(
            architecture: modelType, vocabularySize: 0, hiddenSize: encoder.hiddenSize,
            layerCount: try configuration.size("num_hidden_layers"), contextLength: patches.positionCount,
            embedding: EmbeddingSpec(features: patches, positions: LearnedPositions()),
            blocks: BlockPattern(encoder.block(of: .only, hasNormsBefore: true)),
            finalNorm: encoder.norm, pooling: isClassifier ? PoolingSpec() : stands(.pooler) ? pooler : nil,
            head: isClassifier ? head : nil)
        try configuration.requireEncoder()
        // The stride is that of a decoder of masked patches.
        try configuration.finish(harmless: HarmlessKeys.encoders.union(["encoder_stride", "tie_word_embeddings"]))
        return spec
    }

    static let naming = Naming(
        prefix: "vit.",
        modules: [
            ModuleName(.convolution, hf: "embeddings.patch_embeddings.projection"),
            ModuleName(.classVector, hf: "embeddings.cls_token", isParameter: true, leadingAxes: 2),
            ModuleName(.positionEmbedding, hf: "embeddings.position_embeddings", isParameter: true, leadingAxes: 1),
            block(.attentionNorm, "layernorm_before", running: "layernorm_before"),
            block(.query, "attention.attention.query", running: "attention.q_proj"),
            block(.key, "attention.attention.key", running: "attention.k_proj"),
            block(.value, "attention.attention.value", running: "attention.v_proj"),
            block(.attentionOutput, "attention.output.dense", running: "attention.o_proj"),
            block(.feedForwardNorm, "layernorm_after", running: "layernorm_after"),
            block(.feedForwardInput, "intermediate.dense", running: "mlp.fc1"),
            block(.feedForwardOutput, "output.dense", running: "mlp.fc2"),
            ModuleName(.finalNorm, hf: "layernorm"), ModuleName(.pooler, hf: "pooler.dense"),
            ModuleName(.head, hf: "classifier", isOutsidePrefix: true),
        ],
        linearOrientation: .outputInput,
        // What stands for masked patches in pretraining.
        buffers: ["embeddings.mask_token"])

    /// The library loads checkpoints, whose names are the older ones, into modules of newer names.
    private static func block(_ module: Module, _ name: String, running: String) -> ModuleName {
        ModuleName(module, hf: "encoder.layer.{i}." + name, running: "layers.{i}." + running)
    }
}

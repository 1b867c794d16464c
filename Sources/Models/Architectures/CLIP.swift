import AssayCheckpoints

/// CLIP: a stack that reads texts and one that reads images, neither the other; what they make of their inputs is compared.
///
/// Logits are those of images, [images, texts], which the library calls `logits_per_image`.
///
/// - Source: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision" (arXiv
///   2103.00020); `models/clip` of transformers 5.
enum CLIP: Architecture {
    static let modelType = "clip"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        _ = try configuration.architectureClass(among: ["CLIPModel"])
        let projection = PoolingSpec.Projection(
            outputSize: try configuration.optionalSize("projection_dim") ?? 512, isNormalized: true)
        var text = try part("text_config", of: &configuration)
        var vision = try part("vision_config", of: &configuration)
        var stacks = [try text.clipTextStack(role: .text), try vision.clipVisionStack(role: .vision)]
        for index in stacks.indices { stacks[index].pooling?.projection = projection }
        try configuration.finish(harmless: ["logit_scale_init_value", "tie_word_embeddings"])
        return TransformerSpec(architecture: modelType, stacks: stacks, head: .similarity)
    }

    /// The configuration of a stack. Older ones have it twice, and the one that says "dict" counts.
    private static func part(
        _ key: String, of configuration: inout ConfigurationReader
    ) throws(StructureError) -> ConfigurationReader {
        let newer = try configuration.object(key)
        let older = try configuration.object(key + "_dict")
        guard let part = older ?? newer else {
            throw configuration.error(key, expected: "an object", found: configuration.shown(key))
        }
        return part
    }

    static let naming = Naming(
        prefix: "",
        modules: Naming.clipTower(.text, under: "text_model.") + Naming.clipTower(.vision, under: "vision_model.") + [
            ModuleName(.pooledProjection, in: .text, hf: "text_projection"),
            ModuleName(.pooledProjection, in: .vision, hf: "visual_projection"),
            ModuleName(.logitScale, hf: "logit_scale", isParameter: true),
        ],
        linearOrientation: .outputInput,
        buffers: ["text_model.embeddings.position_ids", "vision_model.embeddings.position_ids"])
}

/// CLIP's stack of texts alone, or with its projection.
enum CLIPText: Architecture {
    static let modelType = "clip_text_model"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        let modelClass = try configuration.architectureClass(among: ["CLIPTextModel", "CLIPTextModelWithProjection"])
        let isProjected = stands(.pooledProjection) || modelClass == "CLIPTextModelWithProjection"
        let stack = try configuration.clipTextStack(role: .only, isProjected: isProjected)
        return TransformerSpec(architecture: modelType, stacks: [stack])
    }

    static let naming = Naming(
        prefix: "text_model.",
        modules: Naming.clipTower(.only, under: "", isOfTexts: true) + [
            ModuleName(.pooledProjection, hf: "text_projection", isOutsidePrefix: true)
        ],
        linearOrientation: .outputInput, buffers: ["embeddings.position_ids"])
}

/// CLIP's stack of images alone, or with its projection.
enum CLIPVision: Architecture {
    static let modelType = "clip_vision_model"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        let modelClass = try configuration.architectureClass(
            among: ["CLIPVisionModel", "CLIPVisionModelWithProjection"])
        let isProjected = stands(.pooledProjection) || modelClass == "CLIPVisionModelWithProjection"
        let stack = try configuration.clipVisionStack(role: .only, isProjected: isProjected)
        return TransformerSpec(architecture: modelType, stacks: [stack])
    }

    static let naming = Naming(
        prefix: "vision_model.",
        modules: Naming.clipTower(.only, under: "", isOfTexts: false) + [
            ModuleName(.pooledProjection, hf: "visual_projection", isOutsidePrefix: true)
        ],
        linearOrientation: .outputInput, buffers: ["embeddings.position_ids"])
}

extension ConfigurationReader {
    /// A causal stack that is read where a text ends.
    ///
    /// - Parameter isProjected: whether the row goes through a projection of the stack's own.
    fileprivate mutating func clipTextStack(role: StackSpec.Role, isProjected: Bool = false) throws -> StackSpec {
        var encoder = try clipEncoder(hiddenSize: 512, headCount: 8, innerSize: 2048)
        encoder.attention.isCausal = true
        var stack = try clipStack(role, encoder, isProjected)
        stack.vocabularySize = try optionalSize("vocab_size") ?? 49408
        stack.contextLength = try optionalSize("max_position_embeddings") ?? 77
        stack.embedding = EmbeddingSpec(positions: LearnedPositions())
        stack.finalNorm = encoder.norm
        guard !isNull("eos_token_id") else {
            throw error("eos_token_id", expected: "the token that ends a text", found: "null")
        }
        let end = try optionalSize("eos_token_id", from: 0) ?? 49407
        // Older configurations say 2, which is no text's end; theirs is the greatest token.
        stack.pooling?.position = end == 2 ? .greatestToken : .firstToken(end)
        try finishClipStack()
        return stack
    }

    /// A stack of patches that is read at the vector of the class.
    fileprivate mutating func clipVisionStack(role: StackSpec.Role, isProjected: Bool = false) throws -> StackSpec {
        let encoder = try clipEncoder(hiddenSize: 768, headCount: 12, innerSize: 3072)
        let (image, patch) = try (optionalSize("image_size") ?? 224, optionalSize("patch_size") ?? 32)
        let patches = try patches(
            imageSize: [image, image], patchSize: [patch, patch], outputCount: encoder.hiddenSize, hasBias: false)
        var stack = try clipStack(role, encoder, isProjected)
        stack.contextLength = patches.positionCount
        stack.embedding = EmbeddingSpec(features: patches, positions: LearnedPositions(), norm: encoder.norm)
        stack.pooling?.norm = encoder.norm
        try finishClipStack()
        return stack
    }

    private mutating func clipEncoder(
        hiddenSize: Int, headCount: Int, innerSize: Int
    ) throws(StructureError) -> EncoderConfiguration {
        try encoder(
            hiddenSize: optionalSize("hidden_size") ?? hiddenSize,
            headCount: optionalSize("num_attention_heads") ?? headCount, headCountKey: "num_attention_heads",
            sizeKey: "hidden_size", innerSize: optionalSize("intermediate_size") ?? innerSize,
            norm: NormSpec(epsilon: epsilon("layer_norm_eps", default: 1e-5)),
            activation: activation("hidden_act", default: .quickGELU))
    }

    private mutating func clipStack(
        _ role: StackSpec.Role, _ encoder: EncoderConfiguration, _ isProjected: Bool
    ) throws(StructureError) -> StackSpec {
        let width = try optionalSize("projection_dim") ?? 512
        let projection = PoolingSpec.Projection(outputSize: width, isNormalized: false)
        return StackSpec(
            role: role, vocabularySize: 0, hiddenSize: encoder.hiddenSize,
            layerCount: try optionalSize("num_hidden_layers") ?? 12, contextLength: 1, embedding: EmbeddingSpec(),
            blocks: BlockPattern(encoder.block(of: role, hasNormsBefore: true)), finalNorm: nil,
            pooling: PoolingSpec(projection: isProjected ? projection : nil))
    }

    private mutating func finishClipStack() throws(StructureError) {
        try requireEncoder()
        // Nothing is tied.
        try finish(harmless: ["attention_dropout", "dropout", "tie_word_embeddings"])
    }
}

extension Naming {
    /// The names of a stack of CLIP.
    ///
    /// - Parameters:
    ///   - stem: what they begin with.
    ///   - isOfTexts: whether it reads tokens; nil where its role says so.
    fileprivate static func clipTower(
        _ role: StackSpec.Role, under stem: String, isOfTexts: Bool? = nil
    ) -> [ModuleName] {
        let layer = "encoder.layers.{i}."
        let blocks: [(Module, String)] = [
            (.positionEmbedding, "embeddings.position_embedding"), (.attentionNorm, layer + "layer_norm1"),
            (.query, layer + "self_attn.q_proj"), (.key, layer + "self_attn.k_proj"),
            (.value, layer + "self_attn.v_proj"), (.attentionOutput, layer + "self_attn.out_proj"),
            (.feedForwardNorm, layer + "layer_norm2"), (.feedForwardInput, layer + "mlp.fc1"),
            (.feedForwardOutput, layer + "mlp.fc2"),
        ]
        let texts: [(Module, String)] = [
            (.tokenEmbedding, "embeddings.token_embedding"), (.finalNorm, "final_layer_norm"),
        ]
        let images: [(Module, String)] = [
            (.convolution, "embeddings.patch_embedding"), (.embeddingNorm, "pre_layrnorm"),
            (.pooledNorm, "post_layernorm"),
        ]
        let isOfTexts = isOfTexts ?? (role == .text)
        return (blocks + (isOfTexts ? texts : images)).map { ModuleName($0, in: role, hf: stem + $1) }
            + (isOfTexts
                ? [] : [ModuleName(.classVector, in: role, hf: stem + "embeddings.class_embedding", isParameter: true)])
    }
}

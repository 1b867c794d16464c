import AssayCheckpoints

/// BART: an encoder and a decoder with norms behind the residuals, learned positions, a norm behind the embeddings.
///
/// - Source: `models/bart` of transformers 5.
enum BART: Architecture {
    static let modelType = "bart"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var stacks = try [StackSpec.Role.encoder, .decoder].map { try configuration.translatorStack($0) }
        for index in stacks.indices {
            // Two rows of the table are of no use, as fairseq left them.
            stacks[index].embedding.positions = LearnedPositions(offset: 2)
            stacks[index].embedding.norm = NormSpec(epsilon: 1e-5)
        }
        stacks[1].embedding.isShared = true
        let spec = try configuration.translator(
            modelType, stacks, modelClasses: ["BartForConditionalGeneration"], bodyClass: "BartModel", stands)
        try configuration.finish(harmless: HarmlessKeys.translators)
        return spec
    }

    static let naming = Naming.translator(
        [StackSpec.Role.encoder, .decoder].flatMap { role in
            [
                ModuleName(.positionEmbedding, in: role, hf: "\(role.rawValue).embed_positions"),
                ModuleName(.embeddingNorm, in: role, hf: "\(role.rawValue).layernorm_embedding"),
            ]
        })
}

extension ConfigurationReader {
    /// A stack as fairseq's translators have them: biases everywhere.
    ///
    /// - Parameter hasNormsBefore: whether norms stand before the sublayers and behind the last block; else behind the
    ///   residuals.
    mutating func translatorStack(_ role: StackSpec.Role, hasNormsBefore: Bool = false) throws -> StackSpec {
        let norm = NormSpec(epsilon: 1e-5)
        let hiddenSize = try size("d_model", or: "hidden_size")
        let headKey = "\(role.rawValue)_attention_heads"
        let layers = try encoder(
            hiddenSize: hiddenSize, headCount: size(headKey), headCountKey: headKey, sizeKey: "d_model",
            innerSize: size("\(role.rawValue)_ffn_dim"), norm: norm,
            activation: activation("activation_function", default: .geluErf))
        let scale = try bool("scale_embedding", default: false) ? Double(hiddenSize).squareRoot() : nil
        return StackSpec(
            role: role, vocabularySize: try size("vocab_size"), hiddenSize: hiddenSize,
            // The library's common name of the encoder's number.
            layerCount: try size("\(role.rawValue)_layers", or: role == .encoder ? "num_hidden_layers" : nil),
            contextLength: try optionalSize("max_position_embeddings") ?? 1024,
            embedding: EmbeddingSpec(scale: scale),
            blocks: BlockPattern(layers.block(of: role, hasNormsBefore: hasNormsBefore)),
            finalNorm: hasNormsBefore ? norm : nil)
    }

    /// Both stacks and the head, whose matrix is the decoder's table.
    mutating func translator(
        _ modelType: String, _ stacks: [StackSpec], modelClasses: [String], bodyClass: String,
        _ stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        let modelClass = try architectureClass(among: modelClasses + [bodyClass])
        var head = HeadSpec(isTied: try bool("tie_word_embeddings", default: true))
        head.hasBiasRow = stands(.headBiasRow)
        try require("is_encoder_decoder", true, because: "only encoder and decoder together are supported")
        return TransformerSpec(
            architecture: modelType, stacks: stacks,
            head: modelClass == bodyClass ? nil : head)
    }
}

extension HarmlessKeys {
    /// What only training or other programs read of translators' configurations.
    static let translators: Set<String> = [
        "dropout", "attention_dropout", "activation_dropout", "classifier_dropout", "classif_dropout",
        "encoder_layerdrop", "decoder_layerdrop", "init_std", "is_decoder", "forced_eos_token_id",
        "normalize_before", "normalize_embedding", "add_final_layer_norm", "add_bias_logits",
        "static_position_embeddings", "extra_pos_embeddings", "force_bos_token_to_be_generated", "replacing_rate",
        "save_step",
    ]
}

extension Naming {
    static func translator(_ others: [ModuleName], head: String = "lm_head") -> Naming {
        let stacks = [StackSpec.Role.encoder, .decoder].flatMap { role -> [ModuleName] in
            let layer = role.rawValue + ".layers.{i}."
            let names: [(Module, String)] = [
                (.tokenEmbedding, role == .encoder ? "shared" : "decoder.embed_tokens"),
                (.query, layer + "self_attn.q_proj"), (.key, layer + "self_attn.k_proj"),
                (.value, layer + "self_attn.v_proj"), (.attentionOutput, layer + "self_attn.out_proj"),
                (.attentionNorm, layer + "self_attn_layer_norm"), (.crossQuery, layer + "encoder_attn.q_proj"),
                (.crossKey, layer + "encoder_attn.k_proj"), (.crossValue, layer + "encoder_attn.v_proj"),
                (.crossOutput, layer + "encoder_attn.out_proj"), (.crossNorm, layer + "encoder_attn_layer_norm"),
                (.feedForwardInput, layer + "fc1"), (.feedForwardOutput, layer + "fc2"),
                (.feedForwardNorm, layer + "final_layer_norm"),
            ]
            return names.map { ModuleName($0, in: role, hf: $1) }
        }
        return Naming(
            prefix: "model.",
            modules: stacks + others + [
                ModuleName(.head, hf: head, isOutsidePrefix: true),
                ModuleName(.headBiasRow, hf: "final_logits_bias", isOutsidePrefix: true, isParameter: true),
            ],
            linearOrientation: .outputInput, otherEndings: [("shared.weight", "encoder.embed_tokens.weight")])
    }
}

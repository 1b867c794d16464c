import AssayCheckpoints

/// T5: an encoder and a decoder with norms before the sublayers, positions as learned biases of unscaled scores, no biases.
///
/// - Source: `models/t5` of transformers 5.
enum T5: Architecture {
    static let modelType = "t5"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        let layerCount = try configuration.size("num_layers", or: "num_hidden_layers")
        let decoderLayerCount = try configuration.optionalSize("num_decoder_layers") ?? layerCount
        let encoder = try stack(.encoder, layerCount: layerCount, &configuration)
        let decoder = try stack(.decoder, layerCount: decoderLayerCount, &configuration)
        let modelClass = try configuration.architectureClass(
            among: ["T5ForConditionalGeneration", "T5WithLMHeadModel", "T5Model", "T5EncoderModel"])
        // The library ties the head to the embedding in any case, unless the file holds another; what the older key says is
        // whether the decoder's results are scaled.
        let isTied = try configuration.bool("tie_word_embeddings", default: true)
        let isScaled = try configuration.bool("scale_decoder_outputs", default: isTied)
        var head = HeadSpec(isTied: !stands(.head))
        if isScaled { head.scale = 1 / Double(decoder.hiddenSize).squareRoot() }
        // Of the encoder alone the key is what its class makes of it, whatever the file says.
        let isEncoder = modelClass == "T5EncoderModel"
        if isEncoder {
            _ = try configuration.bool("is_encoder_decoder", default: false)
        } else {
            try configuration.require(
                "is_encoder_decoder", true, because: "only encoder and decoder together are supported")
        }
        try configuration.finish(
            harmless: [
                "dropout_rate", "classifier_dropout", "is_decoder", "n_positions",
            ])
        if isEncoder { return TransformerSpec(architecture: modelType, stacks: [encoder]) }
        return TransformerSpec(
            architecture: modelType, stacks: [encoder, decoder], head: modelClass == "T5Model" ? nil : head)
    }

    private static func stack(
        _ role: StackSpec.Role, layerCount: Int, _ configuration: inout ConfigurationReader
    ) throws -> StackSpec {
        let norm = NormSpec(
            .rootMeanSquare, epsilon: try configuration.epsilon("layer_norm_epsilon", default: 1e-6))
        let headCount = try configuration.size("num_heads", or: "num_attention_heads")
        var attention = AttentionSpec(
            headCount: headCount, keyValueHeadCount: headCount, headDimension: try configuration.size("d_kv"),
            baseScale: 1, isCausal: role == .decoder, hasInputBias: false, hasOutputBias: false)
        let cross = BlockSpec.Cross(norms: BlockSpec.Norms(before: norm), attention: attention.forCrossing)
        attention.relativeBias = try relativeBias(&configuration, isBidirectional: role == .encoder)
        let block = BlockSpec(
            attentionNorms: BlockSpec.Norms(before: norm), attention: attention,
            cross: role == .decoder ? cross : nil, feedForwardNorms: BlockSpec.Norms(before: norm),
            feedForward: try feedForward(&configuration))
        var embedding = EmbeddingSpec()
        embedding.isShared = role == .decoder
        return StackSpec(
            role: role, vocabularySize: try configuration.size("vocab_size"),
            hiddenSize: try configuration.size("d_model", or: "hidden_size"), layerCount: layerCount,
            contextLength: ConfigurationReader.largestSize, embedding: embedding,
            blocks: BlockPattern(block), finalNorm: norm)
    }

    private static func relativeBias(
        _ configuration: inout ConfigurationReader, isBidirectional: Bool
    ) throws -> RelativeBias {
        let count = try configuration.optionalSize("relative_attention_num_buckets") ?? 32
        let distance = try configuration.optionalSize("relative_attention_max_distance") ?? 128
        guard count >= 4, count % 2 == 0 else {
            throw configuration.error(
                "relative_attention_num_buckets", expected: "an even number from 4 on", found: "\(count)")
        }
        guard distance > count / 2 else {
            throw configuration.error(
                "relative_attention_max_distance", expected: "more than half of \(count) buckets", found: "\(distance)")
        }
        return RelativeBias(bucketCount: count, maximumDistance: distance, isBidirectional: isBidirectional)
    }

    private static func feedForward(_ configuration: inout ConfigurationReader) throws -> FeedForwardSpec {
        let name = try configuration.text("feed_forward_proj") ?? "relu"
        let isGated = name.hasPrefix("gated-")
        let word = isGated ? String(name.dropFirst("gated-".count)) : name
        // The library means the approximation by this name.
        guard let activation = name == "gated-gelu" ? .geluTanh : Activation(configurationName: word) else {
            throw configuration.error(
                "feed_forward_proj", expected: "an activation, or 'gated-' and an activation",
                found: "'\(name.escapedForDisplay)'")
        }
        try checkDerived(&configuration, activation, isGated: isGated)
        return FeedForwardSpec(
            innerSize: try configuration.size("d_ff"), activation: activation, gating: isGated ? .separate : .none,
            hasBias: false)
    }

    /// Requires of the two keys that the library derives from `feed_forward_proj` that they say the same: where they
    /// stand, it goes by them.
    private static func checkDerived(
        _ configuration: inout ConfigurationReader, _ activation: Activation, isGated: Bool
    ) throws {
        let reason = "as feed_forward_proj says"
        guard try configuration.activation("dense_act_fn", default: activation) == activation else {
            throw configuration.error(
                "dense_act_fn", expected: "\(activation), \(reason)", found: configuration.shown("dense_act_fn"))
        }
        guard try configuration.bool("is_gated_act", default: isGated) == isGated else {
            throw configuration.error("is_gated_act", expected: "\(isGated), \(reason)", found: "\(!isGated)")
        }
    }

    static let naming = Naming(
        prefix: "", modules: stackNames(.encoder) + stackNames(.decoder) + [ModuleName(.head, hf: "lm_head")],
        linearOrientation: .outputInput,
        otherEndings: [
            ("shared.weight", "encoder.embed_tokens.weight"),
            ("DenseReluDense.wi_1.weight", "DenseReluDense.wi.weight"),
        ],
        // Old checkpoints hold a bias of cross attention that nothing reads.
        buffers: ["decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"])

    private static func stackNames(_ role: StackSpec.Role) -> [ModuleName] {
        let (stack, last) = (role.rawValue, role == .encoder ? 1 : 2)
        let block = stack + ".block.{i}.layer."
        let names: [(Module, String)] = [
            (.tokenEmbedding, role == .encoder ? "shared" : "decoder.embed_tokens"),
            (.relativeBias, stack + ".block.0.layer.0.SelfAttention.relative_attention_bias"),
            (.attentionNorm, block + "0.layer_norm"), (.query, block + "0.SelfAttention.q"),
            (.key, block + "0.SelfAttention.k"), (.value, block + "0.SelfAttention.v"),
            (.attentionOutput, block + "0.SelfAttention.o"), (.crossNorm, block + "1.layer_norm"),
            (.crossQuery, block + "1.EncDecAttention.q"), (.crossKey, block + "1.EncDecAttention.k"),
            (.crossValue, block + "1.EncDecAttention.v"), (.crossOutput, block + "1.EncDecAttention.o"),
            (.feedForwardNorm, block + "\(last).layer_norm"),
            (.feedForwardGate, block + "\(last).DenseReluDense.wi_0"),
            // Without a gate it is `wi`.
            (.feedForwardInput, block + "\(last).DenseReluDense.wi_1"),
            (.feedForwardOutput, block + "\(last).DenseReluDense.wo"), (.finalNorm, stack + ".final_layer_norm"),
        ]
        return names.map { ModuleName($0, in: role, hf: $1) }
    }
}

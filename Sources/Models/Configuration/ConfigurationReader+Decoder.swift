import AssayCheckpoints

/// What today's decoders have in common: root-mean-square norms, rotary positions, fewer heads of keys and values than of
/// queries, gated feed-forward.
struct DecoderConfiguration {
    var hiddenSize: Int
    var headDimension: Int
    var norm: NormSpec
    var attention: AttentionSpec
    var feedForward: FeedForwardSpec
    /// What token embeddings are multiplied by; nil for nothing.
    var embeddingScale: Double?

    /// A block with a norm before each sublayer.
    var block: BlockSpec {
        BlockSpec(
            attentionNorms: BlockSpec.Norms(before: norm), attention: attention,
            feedForwardNorms: BlockSpec.Norms(before: norm), feedForward: feedForward)
    }
}

extension ConfigurationReader {
    /// Reads the keys that all of them have.
    ///
    /// - Parameters:
    ///   - epsilon: of the norms, where its key is absent.
    ///   - epsilonKey: what its key is called.
    ///   - base: of the rotations, where `rope_theta` is absent.
    ///   - keyValueHeadCount: where `num_key_value_heads` is absent; nil for as many as of queries. Null always means that.
    ///   - headDimension: where `head_dim` is absent; nil for the hidden size divided among the heads.
    ///   - isPartial: whether `partial_rotary_factor` may leave a part of each head unturned.
    ///   - partialDefault: the share that is turned, where that key is absent.
    ///   - activationKey: what the key of the activation is called.
    ///   - lengths: where the keys of the lengths are absent that scaled rotations need; nil for none.
    ///   - rotation: where it was read already.
    mutating func decoder(
        epsilon: Double, epsilonKey: String = "rms_norm_eps", base: Double, keyValueHeadCount: Int? = nil,
        headDimension: Int? = nil, isPartial: Bool = false, partialDefault: Double = 1,
        activationKey: String = "hidden_act", activation: Activation = .silu,
        lengths: RotaryLengths = RotaryLengths(), rotation: RotarySpec? = nil
    ) throws -> DecoderConfiguration {
        let hiddenSize = try size("hidden_size")
        let headCount = try size("num_attention_heads")
        let keyValueHeadCount = try sizeOrNone("num_key_value_heads", default: keyValueHeadCount) ?? headCount
        guard headCount % keyValueHeadCount == 0 else {
            throw error(
                "num_key_value_heads", expected: "a divisor of num_attention_heads \(headCount)",
                found: "\(keyValueHeadCount)")
        }
        let headDimension = try sizeOrNone("head_dim", default: headDimension) ?? share(of: hiddenSize, headCount)
        try checkWidth(ofHeads: headCount, headDimension, "head_dim")
        return DecoderConfiguration(
            hiddenSize: hiddenSize, headDimension: headDimension,
            norm: NormSpec(.rootMeanSquare, epsilon: try self.epsilon(epsilonKey, default: epsilon)),
            attention: AttentionSpec(
                headCount: headCount, keyValueHeadCount: keyValueHeadCount, headDimension: headDimension,
                baseScale: 1 / Double(headDimension).squareRoot(), isCausal: true, hasInputBias: false,
                hasOutputBias: false,
                rotary: try rotation
                    ?? rotary(
                        headDimension: headDimension, base: base, isPartial: isPartial, partialDefault: partialDefault,
                        lengths: lengths)),
            feedForward: FeedForwardSpec(
                innerSize: try size("intermediate_size"),
                activation: try self.activation(activationKey, default: activation),
                gating: .separate, hasBias: false))
    }

    private func share(of hiddenSize: Int, _ headCount: Int) throws(StructureError) -> Int {
        guard hiddenSize % headCount == 0 else {
            throw error(
                "num_attention_heads", expected: "a divisor of hidden_size \(hiddenSize), or head_dim",
                found: "\(headCount)")
        }
        return hiddenSize / headCount
    }

    /// Requires that the features of all heads can be counted, and those of queries, keys and values together.
    func checkWidth(ofHeads headCount: Int, _ headDimension: Int, _ key: String) throws(StructureError) {
        guard headCount * headDimension > Self.largestSize else { return }
        throw error(
            key, expected: "at most \(Self.largestSize / headCount) for each of \(headCount) heads",
            found: "\(headDimension)")
    }

    /// Gives all projections of attention biases, or none, as `attention_bias` says.
    mutating func readBiases(of attention: inout AttentionSpec) throws(StructureError) {
        let hasBias = try bool("attention_bias", default: false)
        attention.hasInputBias = hasBias
        attention.hasOutputBias = hasBias
    }

    /// The parts of a decoder around its blocks.
    mutating func decoderSpec(
        _ modelType: String, _ decoder: DecoderConfiguration, blocks: BlockPattern, modelClasses: [String],
        contextLength: Int, isTied: Bool
    ) throws -> TransformerSpec {
        let isTied = try bool("tie_word_embeddings", default: isTied)
        let modelClass = try architectureClass(among: modelClasses)
        return TransformerSpec(
            architecture: modelType, vocabularySize: try size("vocab_size"), hiddenSize: decoder.hiddenSize,
            layerCount: try size("num_hidden_layers"),
            contextLength: try optionalSize("max_position_embeddings") ?? contextLength,
            embedding: EmbeddingSpec(scale: decoder.embeddingScale), blocks: blocks, finalNorm: decoder.norm,
            head: modelClass?.hasSuffix("ForCausalLM") ?? true ? HeadSpec(isTied: isTied) : nil)
    }

    /// Blocks that see everything and such that see a window, as `layer_types` says, or without it a rule.
    mutating func pattern(
        whole: BlockSpec, windowed: BlockSpec, isWindowed rule: (_ layer: Int) -> Bool
    ) throws(StructureError) -> BlockPattern {
        let layerCount = try listedLayerCount()
        let isWindowed = try layerTypes(layerCount) ?? (0..<layerCount).map(rule)
        return BlockPattern(kinds: [whole, windowed], order: isWindowed.map { $0 ? 1 : 0 })
    }

    /// Whether a layer sees a window, layer by layer, where `layer_types` stands.
    mutating func layerTypes(_ layerCount: Int) throws(StructureError) -> [Bool]? {
        let types = try words("layer_types", among: ["full_attention", "sliding_attention"])
        if let types, types.count != layerCount {
            throw error("layer_types", expected: "\(layerCount) entries, one a layer", found: "\(types.count)")
        }
        return types?.map { $0 == "sliding_attention" }
    }

    /// The number of layers, where a list is made that is as long.
    mutating func listedLayerCount() throws(StructureError) -> Int {
        let layerCount = try size("num_hidden_layers")
        try requireListable(layerCount, "num_hidden_layers")
        return layerCount
    }

    /// Requires a number of layers of which there can be a list.
    func requireListable(_ layerCount: Int, _ key: String) throws(StructureError) {
        guard layerCount <= Self.mostListedLayers else {
            throw error(key, expected: "at most \(Self.mostListedLayers)", found: "\(layerCount)")
        }
    }

    private static let mostListedLayers = 1 << 16
}

extension Naming {
    /// The names that Llama gave and most decoders since have taken over.
    static func decoder(_ others: [ModuleName] = [], without: Set<Module> = []) -> Naming {
        let common = [
            ModuleName(.tokenEmbedding, hf: "embed_tokens"),
            ModuleName(.attentionNorm, hf: "layers.{i}.input_layernorm"),
            ModuleName(.query, hf: "layers.{i}.self_attn.q_proj"),
            ModuleName(.key, hf: "layers.{i}.self_attn.k_proj"),
            ModuleName(.value, hf: "layers.{i}.self_attn.v_proj"),
            ModuleName(.attentionOutput, hf: "layers.{i}.self_attn.o_proj"),
            ModuleName(.feedForwardNorm, hf: "layers.{i}.post_attention_layernorm"),
            ModuleName(.feedForwardGate, hf: "layers.{i}.mlp.gate_proj"),
            ModuleName(.feedForwardInput, hf: "layers.{i}.mlp.up_proj"),
            ModuleName(.feedForwardOutput, hf: "layers.{i}.mlp.down_proj"),
            ModuleName(.finalNorm, hf: "norm"),
            ModuleName(.head, hf: "lm_head", isOutsidePrefix: true),
        ]
        let replaced = without.union(others.map(\.module))
        return Naming(
            prefix: "model.", modules: common.filter { !replaced.contains($0.module) } + others,
            linearOrientation: .outputInput, buffers: ["layers.{i}.self_attn.rotary_emb.inv_freq"])
    }

    /// The same with norms behind the sublayers too, as Gemma 2 calls them.
    static func sandwichedDecoder(_ others: [ModuleName] = []) -> Naming {
        decoder(
            [
                ModuleName(.attentionPostNorm, hf: "layers.{i}.post_attention_layernorm"),
                ModuleName(.feedForwardNorm, hf: "layers.{i}.pre_feedforward_layernorm"),
                ModuleName(.feedForwardPostNorm, hf: "layers.{i}.post_feedforward_layernorm"),
            ] + others)
    }
}

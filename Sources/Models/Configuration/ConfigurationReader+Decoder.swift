import AssayCheckpoints

/// What today's decoders have in common: root-mean-square norms, rotary positions, fewer heads of keys and values than of
/// queries, gated feed-forward.
struct DecoderConfiguration {
    var hiddenSize: Int
    var headDimension: Int
    var norm: NormSpec
    var attention: AttentionSpec
    var feedForward: FeedForwardSpec

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
    ///   - epsilon: of the norms, where `rms_norm_eps` is absent.
    ///   - base: of the rotations, where `rope_theta` is absent.
    ///   - keyValueHeadCount: where `num_key_value_heads` is absent; nil for as many as of queries. Null always means that.
    ///   - headDimension: where `head_dim` is absent; nil for the hidden size divided among the heads.
    mutating func decoder(
        epsilon: Double, base: Double, keyValueHeadCount: Int? = nil, headDimension: Int? = nil
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
        return DecoderConfiguration(
            hiddenSize: hiddenSize, headDimension: headDimension,
            norm: NormSpec(.rootMeanSquare, epsilon: try self.epsilon("rms_norm_eps", default: epsilon)),
            attention: AttentionSpec(
                headCount: headCount, keyValueHeadCount: keyValueHeadCount, headDimension: headDimension,
                baseScale: 1 / Double(headDimension).squareRoot(), isCausal: true, hasInputBias: false,
                hasOutputBias: false, rotary: try rotary(headDimension: headDimension, base: base)),
            feedForward: FeedForwardSpec(
                innerSize: try size("intermediate_size"), activation: try activation("hidden_act", default: .silu),
                isGated: true, hasBias: false))
    }

    private func share(of hiddenSize: Int, _ headCount: Int) throws(StructureError) -> Int {
        guard hiddenSize % headCount == 0 else {
            throw error(
                "num_attention_heads", expected: "a divisor of hidden_size \(hiddenSize), or head_dim",
                found: "\(headCount)")
        }
        return hiddenSize / headCount
    }

    /// The rotations, in either generation's keys: `rope_parameters`, or `rope_theta` and `rope_scaling`.
    mutating func rotary(headDimension: Int, base fallback: Double) throws(StructureError) -> RotarySpec {
        var base = try positiveNumber("rope_theta")
        let older = try object("rope_scaling")
        var scaling = RotaryScaling.none
        if var parameters = try object("rope_parameters") ?? older {
            if let value = try parameters.positiveNumber("rope_theta") { base = value }
            scaling = try parameters.rotaryScaling()
            try parameters.finishPart()
        }
        guard headDimension % 2 == 0 else {
            throw error("head_dim", expected: "an even number, for rotary positions", found: "\(headDimension)")
        }
        return RotarySpec(base: base ?? fallback, dimension: headDimension, scaling: scaling)
    }

    private mutating func rotaryScaling() throws(StructureError) -> RotaryScaling {
        let name = try text("rope_type")
        let older = try text("type")
        switch name ?? older ?? "default" {
        case "default": return .none
        case "linear": return .linear(factor: try required("factor"))
        case "llama3":
            return .llama3(
                factor: try required("factor"), lowFactor: try required("low_freq_factor"),
                highFactor: try required("high_freq_factor"),
                originalLength: try required("original_max_position_embeddings"))
        case let other:
            throw error("rope_type", expected: "one of default, linear, llama3", found: "'\(other.escapedForDisplay)'")
        }
    }

    private mutating func required(_ key: String) throws(StructureError) -> Double {
        guard let number = try positiveNumber(key) else {
            throw error(key, expected: "a number above 0", found: "no such key")
        }
        return number
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
            embedding: EmbeddingSpec(hasLearnedPositions: false), blocks: blocks, finalNorm: decoder.norm,
            head: modelClass?.hasSuffix("ForCausalLM") ?? true ? HeadSpec(isTied: isTied) : nil)
    }
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
}

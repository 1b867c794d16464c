import AssayCheckpoints

/// DeepSeek V2: keys and values made of latent vectors, neighbours turned; behind the first layers, experts chosen by the
/// softmax of all, and a shared one.
///
/// - Source: `models/deepseek_v2` of transformers 5.
enum DeepSeekV2: Architecture {
    static let modelType = "deepseek_v2"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var decoder = try configuration.latentDecoder(keyValueHeadCount: nil)
        decoder.feedForward.hasBias = try configuration.bool("mlp_bias", default: false)
        decoder.attention.rotary?.isInterleaved = true
        var experts = try configuration.experts(("n_routed_experts", or: "num_experts"), default: 64, chosen: nil)
        switch try configuration.text("topk_method") ?? "greedy" {
        case "greedy": break
        case "group_limited_greedy":
            experts.groups = try configuration.groups(of: experts, default: nil, best: 1)
        default:
            throw configuration.error(
                "topk_method", expected: "one of greedy, group_limited_greedy",
                found: configuration.shown("topk_method"))
        }
        experts.weightScale = try configuration.positiveNumber("routed_scaling_factor")
        try configuration.require(
            "norm_topk_prob", false, because: "the library leaves it unread, and DeepSeek's own code does not")
        try configuration.require("scoring_func", "softmax", because: "the library knows no other")
        let blocks = try configuration.latentBlocks(
            decoder, experts, innerSize: 1407, sharedCount: 2, denseCount: 0,
            isStacked: stands(.expertGateInput) || stands(.expertOutput))
        let spec = try configuration.decoderSpec(
            modelType, decoder, blocks: blocks, modelClasses: ["DeepseekV2ForCausalLM", "DeepseekV2Model"],
            contextLength: 2048, isTied: false)
        try configuration.finish(harmless: ConfigurationReader.deepSeekHarmless.union(["n_group", "topk_group"]))
        return spec
    }

    static let naming = Naming.latentDecoder
}

extension ConfigurationReader {
    /// What DeepSeek's decoders have in common: attention over latent vectors.
    ///
    /// - Parameter keyValueHeadCount: where `num_key_value_heads` is absent; nil for as many as of queries.
    mutating func latentDecoder(keyValueHeadCount: Int?) throws -> DecoderConfiguration {
        let turned = try optionalSize("qk_rope_head_dim") ?? 64
        let own = try optionalSize("qk_nope_head_dim") ?? 128
        guard turned <= Self.largestSize - own else {
            throw error("qk_nope_head_dim", expected: "at most \(Self.largestSize - turned)", found: "\(own)")
        }
        var rotation = try rotary(headDimension: turned, base: 10_000)
        rotation.offset = own
        // V2's library sets head_dim to the width that is turned, whatever the file says.
        var decoder = try decoder(
            epsilon: 1e-6, base: 10_000, keyValueHeadCount: keyValueHeadCount, headDimension: turned,
            rotation: rotation)
        guard decoder.attention.keyValueHeadCount == decoder.attention.headCount else {
            throw error(
                "num_key_value_heads", expected: "num_attention_heads \(decoder.attention.headCount)",
                found: "\(decoder.attention.keyValueHeadCount)")
        }
        decoder.headDimension = own + turned
        decoder.attention.headDimension = own + turned
        decoder.attention.valueDimension = try optionalSize("v_head_dim") ?? 128
        decoder.attention.baseScale = 1 / Double(own + turned).squareRoot() * (try latentScale())
        try readBiases(of: &decoder.attention)
        decoder.attention.latent = LatentSpec(
            queryRank: try sizeOrNone("q_lora_rank", default: 1536),
            keyValueRank: try optionalSize("kv_lora_rank") ?? 512, sharedWidth: turned,
            // These norms do not heed rms_norm_eps.
            norm: NormSpec(.rootMeanSquare, epsilon: 1e-6))
        return decoder
    }

    /// What stretched rotations multiply scores by.
    ///
    /// - Source: `yarn_apply_mscale` of transformers 5.
    private mutating func latentScale() throws(StructureError) -> Double {
        let older = try object("rope_scaling")
        guard var parameters = try object("rope_parameters") ?? older,
            let scale = try parameters.number("mscale_all_dim"), scale != 0
        else { return 1 }
        guard let factor = try parameters.positiveNumber("factor") else {
            throw parameters.error("factor", expected: "a number above 0", found: "no such key")
        }
        let root = Self.yarnScale(factor, scale)
        return root * root
    }

    /// The first layers with one feed-forward, the others with experts and shared ones.
    ///
    /// - Parameters: where the keys of the same meaning are absent.
    mutating func latentBlocks(
        _ decoder: DecoderConfiguration, _ experts: ExpertsSpec, innerSize: Int, sharedCount: Int, denseCount: Int,
        isStacked: Bool
    ) throws -> BlockPattern {
        let innerSize = try optionalSize("moe_intermediate_size") ?? innerSize
        let denseCount = try optionalSize("first_k_dense_replace", from: 0) ?? denseCount
        try require("moe_layer_freq", 1, because: "the library knows no other")
        var shared = decoder.feedForward
        // Two sizes of at most 2^31 do not overflow.
        shared.innerSize = innerSize * (try optionalSize("n_shared_experts") ?? sharedCount)
        var experts = experts
        experts.shared = shared
        return BlockPattern(
            kinds: [decoder.block, decoder.block.with(experts, innerSize: innerSize, isStacked: isStacked)],
            order: (0..<(try listedLayerCount())).map { $0 < denseCount ? 0 : 1 })
    }

    static let deepSeekHarmless: Set<String> = [
        "attention_dropout", "auto_map", "aux_loss_alpha", "ep_size", "head_dim", "output_router_logits",
        "pretraining_tp", "qk_head_dim", "router_aux_loss_coef", "seq_aux",
    ]
}

extension Naming {
    /// The names of DeepSeek's tensors.
    static let latentDecoder = Naming.decoder(
        [
            ModuleName(.queryDown, hf: "layers.{i}.self_attn.q_a_proj"),
            ModuleName(.queryLatentNorm, hf: "layers.{i}.self_attn.q_a_layernorm"),
            ModuleName(.queryUp, hf: "layers.{i}.self_attn.q_b_proj"),
            ModuleName(.keyValueDown, hf: "layers.{i}.self_attn.kv_a_proj_with_mqa"),
            ModuleName(.keyValueLatentNorm, hf: "layers.{i}.self_attn.kv_a_layernorm"),
            ModuleName(.keyValueUp, hf: "layers.{i}.self_attn.kv_b_proj"),
            ModuleName(.routerCorrection, hf: "layers.{i}.mlp.gate.e_score_correction_bias", isParameter: true),
            ModuleName(.sharedGate, hf: "layers.{i}.mlp.shared_experts.gate_proj"),
            ModuleName(.sharedInput, hf: "layers.{i}.mlp.shared_experts.up_proj"),
            ModuleName(.sharedOutput, hf: "layers.{i}.mlp.shared_experts.down_proj"),
        ] + Naming.experts, without: [.key, .value])
}

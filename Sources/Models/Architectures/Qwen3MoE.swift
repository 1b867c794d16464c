import AssayCheckpoints

/// Qwen3-MoE: Qwen3's blocks with experts for the feed-forward of most layers.
///
/// - Source: `models/qwen3_moe` of transformers 5.
enum Qwen3MoE: Architecture {
    static let modelType = "qwen3_moe"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var decoder = try configuration.decoder(epsilon: 1e-6, base: 10_000, keyValueHeadCount: 4)
        try configuration.readBiases(of: &decoder.attention)
        decoder.attention.headNorm = AttentionSpec.HeadNorm(norm: decoder.norm, gains: .shared)
        let window = try configuration.sizeOrNone("sliding_window", default: 4096)
        if try configuration.bool("use_sliding_window", default: false) { decoder.attention.window = window }
        let spec = try configuration.decoderSpec(
            modelType, decoder,
            blocks: try blocks(from: &configuration, decoder.block, stands(.expertGateInput) || stands(.expertOutput)),
            modelClasses: ["Qwen3MoeForCausalLM", "Qwen3MoeModel"], contextLength: 32_768, isTied: false)
        try configuration.require(["qkv_bias": false, "shared_expert_intermediate_size": 0, "use_qk_norm": true])
        // Unlike Qwen3, all layers see a window or none does.
        try configuration.finish(
            harmless: ["attention_dropout", "max_window_layers", "output_router_logits", "router_aux_loss_coef"])
        return spec
    }

    /// Every `decoder_sparse_step`-th layer has experts, unless `mlp_only_layers` names it.
    private static func blocks(
        from configuration: inout ConfigurationReader, _ dense: BlockSpec, _ isStacked: Bool
    ) throws -> BlockPattern {
        let step = try configuration.optionalSize("decoder_sparse_step") ?? 1
        let others = Set(try configuration.wholeNumbers("mlp_only_layers") ?? [])
        let innerSize = try configuration.optionalSize("moe_intermediate_size") ?? 768
        var experts = try configuration.experts(("num_experts", or: "num_local_experts"), default: 128, chosen: 8)
        experts.isNormalized = try configuration.bool("norm_topk_prob", default: false)
        let order = (0..<(try configuration.listedLayerCount())).map {
            ($0 + 1) % step == 0 && !others.contains($0) ? 1 : 0
        }
        return BlockPattern(
            kinds: [dense, dense.with(experts, innerSize: innerSize, isStacked: isStacked)], order: order)
    }

    static let naming = Naming.decoder(
        [
            ModuleName(.queryNorm, hf: "layers.{i}.self_attn.q_norm"),
            ModuleName(.keyNorm, hf: "layers.{i}.self_attn.k_norm"),
        ] + Naming.experts)
}

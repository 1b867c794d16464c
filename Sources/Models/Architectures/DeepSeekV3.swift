import AssayCheckpoints

/// DeepSeek V3: V2's attention; experts are scored by sigmoids, and chosen from the best groups with a correction that
/// does not weigh.
///
/// - Source: `models/deepseek_v3` of transformers 5.
enum DeepSeekV3: Architecture {
    static let modelType = "deepseek_v3"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var decoder = try configuration.latentDecoder(keyValueHeadCount: 128)
        try requireTurnedWidth(decoder, &configuration)
        // Null is false here, as the library takes it.
        func flag(_ key: String) throws -> Bool { try configuration.bool(key, default: !configuration.has(key)) }
        decoder.attention.rotary?.isInterleaved = try flag("rope_interleave")
        var experts = try configuration.experts(
            ("n_routed_experts", or: "num_local_experts"), default: 256, chosen: 8)
        experts.scoring = .sigmoid
        experts.hasCorrection = true
        experts.groups = try configuration.groups(of: experts, default: (8, chosen: 4), best: 2)
        experts.isNormalized = try flag("norm_topk_prob")
        experts.divisorOffset = 1e-20
        experts.weightScale = try configuration.positiveNumber("routed_scaling_factor") ?? 2.5
        try configuration.require("topk_method", "noaux_tc", because: "the library knows no other")
        try configuration.require("scoring_func", "sigmoid", because: "the library knows no other")
        let blocks = try configuration.latentBlocks(
            decoder, experts, innerSize: 2048, sharedCount: 1, denseCount: 3,
            isStacked: stands(.expertGateInput) || stands(.expertOutput))
        var spec = try configuration.decoderSpec(
            modelType, decoder, blocks: blocks, modelClasses: ["DeepseekV3ForCausalLM", "DeepseekV3Model"],
            contextLength: 4096, isTied: false)
        let key = "num_nextn_predict_layers"
        spec.aheadLayerCount = try configuration.optionalSize(key, or: "num_mtp_layers", from: 0) ?? 1
        guard spec.aheadLayerCount <= 64 else {
            throw configuration.error(key, expected: "at most 64", found: "\(spec.aheadLayerCount)")
        }
        try configuration.finish(harmless: ConfigurationReader.deepSeekHarmless)
        return spec
    }

    /// Requires that `head_dim` is the width that is turned, where it stands: the library turns by it.
    private static func requireTurnedWidth(
        _ decoder: DecoderConfiguration, _ configuration: inout ConfigurationReader
    ) throws(StructureError) {
        let key = "head_dim"
        guard let turned = decoder.attention.rotary?.dimension, configuration.has(key),
            try configuration.optionalSize(key) != turned
        else { return }
        throw configuration.error(key, expected: "qk_rope_head_dim \(turned)", found: configuration.shown(key))
    }

    static let naming = Naming.latentDecoder
}

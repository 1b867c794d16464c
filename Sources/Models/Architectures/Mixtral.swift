import AssayCheckpoints

/// Mixtral: Mistral's blocks with experts for the feed-forward, weighted by their shares among the chosen.
///
/// - Source: `models/mixtral` of transformers 5.
enum Mixtral: Architecture {
    static let modelType = "mixtral"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var decoder = try configuration.decoder(epsilon: 1e-5, base: 1_000_000, keyValueHeadCount: 8)
        decoder.attention.window = try configuration.optionalSize("sliding_window")
        var experts = try configuration.experts(("num_local_experts", or: "num_experts"), default: 8, chosen: 2)
        experts.isNormalized = true
        let block = decoder.block.with(
            experts, innerSize: decoder.feedForward.innerSize,
            isStacked: stands(.expertGateInput) || stands(.expertOutput))
        let spec = try configuration.decoderSpec(
            modelType, decoder, blocks: BlockPattern(block), modelClasses: ["MixtralForCausalLM", "MixtralModel"],
            contextLength: 131_072, isTied: false)
        try configuration.finish(
            harmless: ["attention_dropout", "output_router_logits", "router_aux_loss_coef", "router_jitter_noise"])
        return spec
    }

    static let naming: Naming = {
        var naming = Naming.decoder(
            [
                ModuleName(.router, hf: "layers.{i}.block_sparse_moe.gate"),
                ModuleName(.expertGate, hf: "layers.{i}.block_sparse_moe.experts.{e}.w1"),
                ModuleName(.expertInput, hf: "layers.{i}.block_sparse_moe.experts.{e}.w3"),
                ModuleName(.expertOutput, hf: "layers.{i}.block_sparse_moe.experts.{e}.w2"),
            ] + Naming.stackedExperts, without: [.feedForwardGate, .feedForwardInput, .feedForwardOutput])
        naming.otherEndings = [(".block_sparse_moe.gate.weight", ".mlp.gate.weight")]
        return naming
    }()
}

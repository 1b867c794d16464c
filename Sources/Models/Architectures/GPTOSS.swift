import AssayCheckpoints

/// gpt-oss: every other layer sees a window; attention has sinks, and the feed-forward experts with biases and a clamped
/// gate of their own.
///
/// - Source: `models/gpt_oss` of transformers 5.
enum GPTOSS: Architecture {
    static let modelType = "gpt_oss"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var decoder = try configuration.decoder(
            epsilon: 1e-5, base: 150_000, keyValueHeadCount: 8, headDimension: 64)
        if try configuration.object("rope_parameters") ?? configuration.object("rope_scaling") == nil {
            decoder.attention.rotary?.scaling = .yarn(
                factor: 32, fast: 32, slow: 1, originalLength: 4096, isTruncated: false,
                attentionFactor: ConfigurationReader.yarnScale(32, 1))
        }
        let hasBias = try configuration.bool("attention_bias", default: true)
        decoder.attention.hasInputBias = hasBias
        decoder.attention.hasOutputBias = hasBias
        decoder.attention.hasSinks = true
        let spec = try configuration.decoderSpec(
            modelType, decoder, blocks: try blocks(from: &configuration, decoder),
            modelClasses: ["GptOssForCausalLM", "GptOssModel"], contextLength: 131_072, isTied: false)
        try configuration.finish(
            harmless: ["attention_dropout", "initial_context_length", "output_router_logits", "router_aux_loss_coef"])
        return spec
    }

    private static func blocks(
        from configuration: inout ConfigurationReader, _ decoder: DecoderConfiguration
    ) throws -> BlockPattern {
        try configuration.require("hidden_act", "silu", because: "experts have a gate of their own")
        try configuration.require(
            "swiglu_alpha", .init(1.702), because: "the sigmoid of a gate is that of 1.702 times it")
        var experts = try configuration.experts(("num_local_experts", or: "num_experts"), default: 128, chosen: 4)
        experts.scoring = .softmaxOfChosen
        experts.hasRouterBias = true
        var whole = decoder.block.with(experts, innerSize: decoder.feedForward.innerSize, isStacked: true)
        whole.feedForward.activation = .quickGELU
        whole.feedForward.gating = .alternating
        whole.feedForward.hasBias = true
        whole.feedForward.clamp = try configuration.positiveNumber("swiglu_limit") ?? 7
        whole.feedForward.inputOffset = 1
        var windowed = whole
        guard let window = try configuration.sizeOrNone("sliding_window", default: 128) else {
            throw configuration.error("sliding_window", expected: "a whole number from 1 on", found: "null")
        }
        windowed.attention.window = window
        return try configuration.pattern(whole: whole, windowed: windowed) { $0 % 2 == 0 }
    }

    static let naming = Naming.decoder(
        [
            ModuleName(.attentionSinks, hf: "layers.{i}.self_attn.sinks", isParameter: true),
            ModuleName(.router, hf: "layers.{i}.mlp.router"),
            ModuleName(
                .expertGateInput, hf: "layers.{i}.mlp.experts.gate_up_proj", isParameter: true,
                orientation: .inputOutput),
            ModuleName(
                .expertOutput, hf: "layers.{i}.mlp.experts.down_proj", isParameter: true, orientation: .inputOutput),
        ], without: [.feedForwardGate, .feedForwardInput, .feedForwardOutput])
}

import AssayCheckpoints

/// StarCoder2: norms with biases before the sublayers, rotary positions, grouped heads, a plain feed-forward.
///
/// - Source: `models/starcoder2` of transformers 5.
enum StarCoder2: Architecture {
    static let modelType = "starcoder2"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var decoder = try configuration.decoder(
            epsilon: 1e-5, epsilonKey: "norm_epsilon", base: 10_000, keyValueHeadCount: 2, activation: .geluTanh)
        decoder.norm = NormSpec(.layer, epsilon: decoder.norm.epsilon)
        let hasBias = try configuration.bool("use_bias", default: true)
        decoder.attention.hasInputBias = hasBias
        decoder.attention.hasOutputBias = hasBias
        decoder.attention.window = try configuration.optionalSize("sliding_window")
        decoder.feedForward.gating = .none
        decoder.feedForward.hasBias = hasBias
        let spec = try configuration.decoderSpec(
            modelType, decoder, blocks: BlockPattern(decoder.block),
            modelClasses: ["Starcoder2ForCausalLM", "Starcoder2Model"], contextLength: 4096, isTied: true)
        try configuration.finish(
            harmless: [
                "attention_dropout", "embedding_dropout", "residual_dropout", "mlp_type", "norm_type",
                "attention_softmax_in_fp32",
                "scale_attention_softmax_in_fp32",
            ])
        return spec
    }

    static let naming = Naming.decoder(
        [
            ModuleName(.feedForwardInput, hf: "layers.{i}.mlp.c_fc"),
            ModuleName(.feedForwardOutput, hf: "layers.{i}.mlp.c_proj"),
        ], without: [.feedForwardGate])
}

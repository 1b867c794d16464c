import AssayCheckpoints

/// Gemma 1: Llama's blocks with gains stored as distances from 1, scaled embeddings and tanh-approximated GELU.
///
/// - Source: `models/gemma` of transformers 5.
enum Gemma: Architecture {
    static let modelType = "gemma"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var decoder = try configuration.gemma()
        // Published configurations say "gelu" and mean its approximation.
        if decoder.feedForward.activation == .geluErf { decoder.feedForward.activation = .geluTanh }
        let spec = try configuration.decoderSpec(
            modelType, decoder, blocks: BlockPattern(decoder.block), modelClasses: ["GemmaForCausalLM", "GemmaModel"],
            contextLength: 8192, isTied: true)
        // An older key beside `hidden_act`; the library has stopped to read it.
        try configuration.finish(harmless: ["attention_dropout", "hidden_activation"])
        return spec
    }

    static let naming = Naming.decoder()
}

extension ConfigurationReader {
    /// What the Gemma models have in common.
    ///
    /// - Parameters:
    ///   - activationKey: what the key of the activation is called.
    ///   - keyValueHeadCount: where `num_key_value_heads` is absent.
    ///   - rotation: where it was read already.
    mutating func gemma(
        activationKey: String = "hidden_act", keyValueHeadCount: Int = 16, rotation: RotarySpec? = nil
    ) throws -> DecoderConfiguration {
        var decoder = try decoder(
            epsilon: 1e-6, base: 10_000, keyValueHeadCount: keyValueHeadCount, headDimension: 256,
            activationKey: activationKey, activation: .geluTanh, rotation: rotation)
        try readBiases(of: &decoder.attention)
        decoder.norm.gainOffset = 1
        // The library holds the root as a number of float32 whatever the model's type.
        decoder.embeddingScale = Double(Float(Double(decoder.hiddenSize).squareRoot()))
        try require("use_bidirectional_attention", false, because: "only causal attention is supported")
        return decoder
    }
}

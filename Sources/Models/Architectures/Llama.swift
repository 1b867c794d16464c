import AssayCheckpoints

/// Llama 1 to 3: root-mean-square norms before the sublayers, rotary positions, grouped heads, gated feed-forward.
///
/// - Source: `models/llama` of transformers 5.
enum Llama: Architecture {
    static let modelType = "llama"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var decoder = try configuration.decoder(epsilon: 1e-6, base: 10_000)
        try configuration.readBiases(of: &decoder.attention)
        decoder.feedForward.hasBias = try configuration.bool("mlp_bias", default: false)
        let spec = try configuration.decoderSpec(
            modelType, decoder, blocks: BlockPattern(decoder.block), modelClasses: ["LlamaForCausalLM", "LlamaModel"],
            contextLength: 2048, isTied: false)
        try configuration.require("rope_interleaved", false, because: "the library's model turns halves")
        if decoder.feedForward.activation == .silu {
            try configuration.require("activation", "swiglu", because: "which is hidden_act 'silu'")
        }
        // Llama 2 was trained by parts of its matrices side by side; the function is the same.
        try configuration.finish(
            harmless: ["attention_dropout", "pretraining_tp", "is_llama_config", "max_sequence_length"])
        return spec
    }

    static let naming = Naming.decoder()
}

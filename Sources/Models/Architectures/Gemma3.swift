import AssayCheckpoints

/// Gemma 3, its text model: Gemma 2's norms with one of queries and keys, rotations of two bases, no caps.
///
/// - Source: `models/gemma3` of transformers 5.
enum Gemma3: Architecture {
    static let modelType = "gemma3_text"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        let (rotary, windowRotary) = try configuration.gemmaRotations()
        var decoder = try configuration.gemma(
            activationKey: "hidden_activation", keyValueHeadCount: 4, rotation: rotary)
        decoder.attention.headNorm = AttentionSpec.HeadNorm(norm: decoder.norm, gains: .shared)
        let period = try configuration.optionalSize("sliding_window_pattern") ?? 6
        let blocks = try configuration.sandwichedBlocks(&decoder, period: period, windowRotary: windowRotary)
        var spec = try configuration.decoderSpec(
            modelType, decoder, blocks: blocks,
            modelClasses: ["Gemma3ForCausalLM", "Gemma3TextModel"], contextLength: 131_072, isTied: true)
        spec.head?.softCap = try configuration.numberOrNone("final_logit_softcapping", default: nil)
        try configuration.requireNone("attn_logit_softcapping", because: "the library reads it and caps nothing")
        try configuration.finish(harmless: [
            "attention_dropout", "cache_implementation", "hidden_act", "_sliding_window_pattern",
        ])
        return spec
    }

    static let naming = Naming.sandwichedDecoder([
        ModuleName(.queryNorm, hf: "layers.{i}.self_attn.q_norm"),
        ModuleName(.keyNorm, hf: "layers.{i}.self_attn.k_norm"),
    ])
}

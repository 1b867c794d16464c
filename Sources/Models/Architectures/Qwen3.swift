import AssayCheckpoints

/// Qwen3: Llama's blocks with a norm of every head's queries and keys before they are turned.
///
/// - Source: `models/qwen3` of transformers 5.
enum Qwen3: Architecture {
    static let modelType = "qwen3"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var decoder = try configuration.decoder(
            epsilon: 1e-6, base: 10_000, keyValueHeadCount: 32, headDimension: 128)
        try configuration.readBiases(of: &decoder.attention)
        decoder.attention.headNorm = AttentionSpec.HeadNorm(norm: decoder.norm, gains: .shared)
        let spec = try configuration.decoderSpec(
            modelType, decoder, blocks: try configuration.windowedBlocks(decoder.block),
            modelClasses: ["Qwen3ForCausalLM", "Qwen3Model"], contextLength: 32_768, isTied: false)
        try configuration.finish(harmless: ["attention_dropout"])
        return spec
    }

    static let naming = Naming.decoder([
        ModuleName(.queryNorm, hf: "layers.{i}.self_attn.q_norm"),
        ModuleName(.keyNorm, hf: "layers.{i}.self_attn.k_norm"),
    ])
}

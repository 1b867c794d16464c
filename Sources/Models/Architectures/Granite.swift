import AssayCheckpoints

/// Granite: Llama's blocks with four multipliers: of embeddings, scores, what is added to the residual, and logits.
///
/// - Source: `models/granite` of transformers 5.
enum Granite: Architecture {
    static let modelType = "granite"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var decoder = try configuration.decoder(epsilon: 1e-6, base: 10_000)
        try configuration.readBiases(of: &decoder.attention)
        decoder.feedForward.hasBias = try configuration.bool("mlp_bias", default: false)
        decoder.attention.baseScale = try configuration.positiveNumber("attention_multiplier") ?? 1
        decoder.embeddingScale = try configuration.positiveNumber("embedding_multiplier")
        var block = decoder.block
        block.residualScale = try configuration.positiveNumber("residual_multiplier")
        var spec = try configuration.decoderSpec(
            modelType, decoder, blocks: BlockPattern(block), modelClasses: ["GraniteForCausalLM", "GraniteModel"],
            contextLength: 2048, isTied: false)
        spec.head?.scale = try configuration.positiveNumber("logits_scaling").map { 1 / $0 }
        try configuration.finish(harmless: ["attention_dropout"])
        return spec
    }

    static let naming = Naming.decoder()
}

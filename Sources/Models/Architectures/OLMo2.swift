import AssayCheckpoints

/// OLMo 2: norms behind the sublayers, before the residual; queries and keys are normed over all heads together.
///
/// - Source: `models/olmo2` of transformers 5.
enum OLMo2: Architecture {
    static let modelType = "olmo2"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var decoder = try configuration.decoder(epsilon: 1e-5, base: 10_000)
        try configuration.readBiases(of: &decoder.attention)
        decoder.attention.headNorm = AttentionSpec.HeadNorm(norm: decoder.norm, gains: .ofAllHeads)
        var block = decoder.block
        block.attentionNorms = BlockSpec.Norms(after: decoder.norm)
        block.feedForwardNorms = BlockSpec.Norms(after: decoder.norm)
        let spec = try configuration.decoderSpec(
            modelType, decoder, blocks: BlockPattern(block), modelClasses: ["Olmo2ForCausalLM", "Olmo2Model"],
            contextLength: 2048, isTied: false)
        try configuration.finish(harmless: ["attention_dropout"])
        return spec
    }

    static let naming = Naming.decoder(
        [
            ModuleName(.queryNorm, hf: "layers.{i}.self_attn.q_norm"),
            ModuleName(.keyNorm, hf: "layers.{i}.self_attn.k_norm"),
            ModuleName(.attentionPostNorm, hf: "layers.{i}.post_attention_layernorm"),
            ModuleName(.feedForwardPostNorm, hf: "layers.{i}.post_feedforward_layernorm"),
        ], without: [.attentionNorm, .feedForwardNorm])
}

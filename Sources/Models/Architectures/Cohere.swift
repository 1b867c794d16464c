import AssayCheckpoints

/// Command R: one norm before both sublayers, which stand side by side; neighbours are turned; logits are scaled.
///
/// - Source: `models/cohere` of transformers 5.
enum Cohere: Architecture {
    static let modelType = "cohere"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var decoder = try configuration.decoder(epsilon: 1e-5, epsilonKey: "layer_norm_eps", base: 500_000)
        decoder.norm = NormSpec(.layer, epsilon: decoder.norm.epsilon, hasBias: false)
        try configuration.readBiases(of: &decoder.attention)
        decoder.attention.rotary?.isInterleaved = true
        if try configuration.bool("use_qk_norm", default: false) {
            decoder.attention.headNorm = AttentionSpec.HeadNorm(norm: decoder.norm, gains: .ofEveryHead)
        }
        var block = decoder.block
        block.arrangement = .parallel
        block.feedForwardNorms = BlockSpec.Norms()
        var spec = try configuration.decoderSpec(
            modelType, decoder, blocks: BlockPattern(block), modelClasses: ["CohereForCausalLM", "CohereModel"],
            contextLength: 8192, isTied: true)
        spec.head?.scale = try configuration.positiveNumber("logit_scale") ?? 0.0625
        try configuration.finish(harmless: ["attention_dropout", "model_max_length", "pretraining_tp"])
        return spec
    }

    static let naming = Naming.decoder(
        [
            ModuleName(.queryNorm, hf: "layers.{i}.self_attn.q_norm"),
            ModuleName(.keyNorm, hf: "layers.{i}.self_attn.k_norm"),
        ], without: [.feedForwardNorm])
}

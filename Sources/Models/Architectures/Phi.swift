import AssayCheckpoints

/// Phi 1 to 2: one norm before both sublayers, which stand side by side; a share of each head is turned; biases everywhere.
///
/// - Source: `models/phi` of transformers 5.
enum Phi: Architecture {
    static let modelType = "phi"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var decoder = try configuration.decoder(
            epsilon: 1e-5, epsilonKey: "layer_norm_eps", base: 10_000, isPartial: true, partialDefault: 0.5,
            activation: .geluTanh)
        decoder.norm = NormSpec(.layer, epsilon: decoder.norm.epsilon)
        decoder.attention.hasInputBias = true
        decoder.attention.hasOutputBias = true
        if try configuration.bool("qk_layernorm", default: false) {
            decoder.attention.headNorm = AttentionSpec.HeadNorm(norm: decoder.norm, gains: .shared)
        }
        decoder.feedForward.gating = .none
        decoder.feedForward.hasBias = true
        var block = decoder.block
        block.arrangement = .parallel
        block.feedForwardNorms = BlockSpec.Norms()
        var spec = try configuration.decoderSpec(
            modelType, decoder, blocks: BlockPattern(block), modelClasses: ["PhiForCausalLM", "PhiModel"],
            contextLength: 2048, isTied: false)
        spec.head?.hasBias = true
        try configuration.finish(harmless: ["attention_dropout", "embd_pdrop", "resid_pdrop", "auto_map"])
        return spec
    }

    static let naming = Naming.decoder(
        [
            ModuleName(.attentionOutput, hf: "layers.{i}.self_attn.dense"),
            ModuleName(.queryNorm, hf: "layers.{i}.self_attn.q_layernorm"),
            ModuleName(.keyNorm, hf: "layers.{i}.self_attn.k_layernorm"),
            ModuleName(.feedForwardInput, hf: "layers.{i}.mlp.fc1"),
            ModuleName(.feedForwardOutput, hf: "layers.{i}.mlp.fc2"),
            ModuleName(.finalNorm, hf: "final_layernorm"),
        ], without: [.feedForwardNorm, .feedForwardGate])
}

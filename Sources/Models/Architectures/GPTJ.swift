import AssayCheckpoints

/// GPT-J: one norm before both sublayers, which stand side by side; neighbours of a share of each head are turned; a head
/// with a bias.
///
/// - Source: `models/gptj` of transformers 5.
enum GPTJ: Architecture {
    static let modelType = "gptj"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var gpt = try configuration.gpt(.gpt2, activation: .geluTanh)
        gpt.block.arrangement = .parallel
        gpt.block.feedForwardNorms = BlockSpec.Norms()
        gpt.block.attention.hasInputBias = false
        gpt.block.attention.hasOutputBias = false
        gpt.block.attention.rotary = RotarySpec(
            base: 10_000, dimension: try turnedFeatures(gpt, &configuration), isInterleaved: true)
        var spec = try configuration.gptSpec(
            modelType, gpt,
            contextLength: try configuration.optionalSize("n_positions", or: "max_position_embeddings") ?? 2048,
            isTied: false, modelClasses: ("GPTJForCausalLM", "GPTJModel"))
        spec.head?.hasBias = true
        try configuration.require("rotary", true, because: "the library's model has no other positions")
        try configuration.require("scale_attn_weights", true, because: "the library's model always scales")
        try configuration.requireWholeDecoder()
        try configuration.finish(harmless: HarmlessKeys.gptDropouts, harmlessPrefixes: ["summary_"])
        return spec
    }

    private static func turnedFeatures(
        _ gpt: GPTConfiguration, _ configuration: inout ConfigurationReader
    ) throws(StructureError) -> Int {
        let dimension = configuration.has("rotary_dim") ? try configuration.size("rotary_dim") : 64
        guard dimension <= gpt.headDimension, dimension % 2 == 0 else {
            throw configuration.error(
                "rotary_dim", expected: "an even number up to a head's \(gpt.headDimension) features",
                found: "\(dimension)")
        }
        return dimension
    }

    static let naming = Naming.gpt(
        [
            ModuleName(.query, hf: "h.{i}.attn.q_proj"),
            ModuleName(.key, hf: "h.{i}.attn.k_proj"),
            ModuleName(.value, hf: "h.{i}.attn.v_proj"),
            ModuleName(.attentionOutput, hf: "h.{i}.attn.out_proj"),
            ModuleName(.feedForwardInput, hf: "h.{i}.mlp.fc_in"),
            ModuleName(.feedForwardOutput, hf: "h.{i}.mlp.fc_out"),
        ], without: [.positionEmbedding, .queryKeyValue, .feedForwardNorm])
}

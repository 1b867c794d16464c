import AssayCheckpoints

/// GPT-1: GPT-2's blocks with the norms behind the residual connections, and no norm at the end.
///
/// - Source: `models/openai` of transformers 5.
enum GPT1: Architecture {
    static let modelType = "openai-gpt"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var keys = GPTKeys.gpt2
        (keys.innerSize, keys.activation) = (nil, nil)
        var gpt = try configuration.gpt(keys, activation: try activation(&configuration))
        gpt.block.attention.projection = .joined
        gpt.block.attention.whenBlind = .readKeys
        gpt.block.attentionNorms = BlockSpec.Norms(afterResidual: gpt.norm)
        gpt.block.feedForwardNorms = BlockSpec.Norms(afterResidual: gpt.norm)
        var spec = try configuration.gptSpec(
            modelType, gpt, contextLength: try configuration.gptContextLength(), positions: LearnedPositions(),
            isTied: true, modelClasses: ("OpenAIGPTLMHeadModel", "OpenAIGPTModel"))
        spec.finalNorm = nil
        try configuration.requireWholeDecoder()
        try configuration.finish(
            harmless: HarmlessKeys.gptDropouts.union(["n_special", "predict_special_tokens"]),
            harmlessPrefixes: ["summary_"])
        return spec
    }

    /// The words have meanings of their own here: "gelu" is its approximation.
    private static func activation(_ configuration: inout ConfigurationReader) throws(StructureError) -> Activation {
        switch try configuration.text("afn") ?? "gelu" {
        case "gelu": return .geluTanh
        case "relu": return .relu
        case "silu", "swish": return .silu
        default:
            throw configuration.error(
                "afn", expected: "one of gelu, relu, silu, swish", found: configuration.shown("afn"))
        }
    }

    static let naming: Naming = {
        var naming = Naming.gpt(
            [
                ModuleName(.tokenEmbedding, hf: "tokens_embed"),
                ModuleName(.positionEmbedding, hf: "positions_embed"),
            ], without: [.finalNorm], orientation: .inputOutput)
        naming.buffers.append("position_ids")
        return naming
    }()
}

import AssayCheckpoints
import AssayPackings

/// GPT-2: norms before the sublayers, learned positions, causal attention, weights stored [in, out].
///
/// - Source: `models/gpt2` of transformers 5.
enum GPT2: Architecture {
    static let modelType = "gpt2"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        let gpt = try configuration.gpt2()
        let spec = try configuration.gptSpec(
            modelType, gpt, contextLength: try configuration.gptContextLength(), positions: LearnedPositions(),
            isTied: true, modelClasses: ("GPT2LMHeadModel", "GPT2Model"))
        try configuration.finishGPT2()
        return spec
    }

    static let naming = Naming.gpt(orientation: .inputOutput)
}

extension ConfigurationReader {
    /// GPT-2's block.
    ///
    /// - Parameter headDimensionKey: a key that may give heads another size than their share of the hidden size.
    mutating func gpt2(headDimensionKey: String? = nil) throws(StructureError) -> GPTConfiguration {
        var gpt = try gpt(.gpt2, activation: .geluTanh, headDimensionKey: headDimensionKey)
        gpt.block.attention.projection = .joined
        if try !bool("scale_attn_weights", default: true) { gpt.block.attention.baseScale = 1 }
        gpt.block.attention.isScaledByInverseLayer = try bool("scale_attn_by_inverse_layer_idx", default: false)
        // The order of the operations changes, for half precision's sake; the function does not.
        _ = try bool("reorder_and_upcast_attn", default: false)
        return gpt
    }

    /// Requires that nothing but GPT-2's keys is left.
    mutating func finishGPT2() throws(StructureError) {
        try requireWholeDecoder()
        try finish(
            harmless: HarmlessKeys.gptDropouts.union(["is_decoder", "n_special", "predict_special_tokens"]),
            harmlessPrefixes: ["summary_"])
    }
}

extension Naming {
    /// The names that GPT-2 gave and many have taken over.
    ///
    /// - Parameters:
    ///   - attention: what stands before the names of the causal mask and its fill value, which checkpoints of old
    ///     versions hold.
    static func gpt(
        _ others: [ModuleName] = [], without: Set<Module> = [], orientation: WeightOrientation = .outputInput,
        attention: String = "h.{i}.attn"
    ) -> Naming {
        let common = [
            ModuleName(.tokenEmbedding, hf: "wte"),
            ModuleName(.positionEmbedding, hf: "wpe"),
            ModuleName(.attentionNorm, hf: "h.{i}.ln_1"),
            ModuleName(.queryKeyValue, hf: "h.{i}.attn.c_attn"),
            ModuleName(.attentionOutput, hf: "h.{i}.attn.c_proj"),
            ModuleName(.feedForwardNorm, hf: "h.{i}.ln_2"),
            ModuleName(.feedForwardInput, hf: "h.{i}.mlp.c_fc"),
            ModuleName(.feedForwardOutput, hf: "h.{i}.mlp.c_proj"),
            ModuleName(.finalNorm, hf: "ln_f"),
            ModuleName(.head, hf: "lm_head", isOutsidePrefix: true),
        ]
        let replaced = without.union(others.map(\.module))
        return Naming(
            prefix: "transformer.", modules: common.filter { !replaced.contains($0.module) } + others,
            linearOrientation: orientation, buffers: [attention + ".bias", attention + ".masked_bias"])
    }
}

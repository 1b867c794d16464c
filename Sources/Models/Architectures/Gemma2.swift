import AssayCheckpoints

/// Gemma 2: norms before and behind each sublayer, soft caps, and a window in every other layer.
///
/// - Source: `models/gemma2` of transformers 5.
enum Gemma2: Architecture {
    static let modelType = "gemma2"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var decoder = try configuration.gemma(activationKey: "hidden_activation", keyValueHeadCount: 4)
        decoder.attention.softCap = try configuration.numberOrNone("attn_logit_softcapping", default: 50)
        let blocks = try configuration.sandwichedBlocks(&decoder, period: 2)
        var spec = try configuration.decoderSpec(
            modelType, decoder, blocks: blocks, modelClasses: ["Gemma2ForCausalLM", "Gemma2Model"],
            contextLength: 8192, isTied: true)
        spec.head?.softCap = try configuration.numberOrNone("final_logit_softcapping", default: 30)
        if let window = blocks.kinds[1].attention.window {
            // A second name, which the library does not read.
            try configuration.require("sliding_window_size", .init(window), because: "as in sliding_window")
        }
        try configuration.finish(harmless: ["attention_dropout", "cache_implementation", "hidden_act"])
        return spec
    }

    static let naming = Naming.sandwichedDecoder()
}

extension ConfigurationReader {
    /// Blocks with norms on both sides of each sublayer, most of which see a window.
    ///
    /// - Parameters:
    ///   - period: without `layer_types`, every so manieth layer sees everything.
    ///   - windowRotary: the rotations of layers with a window; nil for the others'.
    mutating func sandwichedBlocks(
        _ decoder: inout DecoderConfiguration, period: Int, windowRotary: RotarySpec? = nil
    ) throws -> BlockPattern {
        let divisor = try positiveNumber("query_pre_attn_scalar") ?? 256
        decoder.attention.baseScale = 1 / divisor.squareRoot()
        var whole = decoder.block
        whole.attentionNorms.after = decoder.norm
        whole.feedForwardNorms.after = decoder.norm
        var windowed = whole
        windowed.attention.window = try sizeOrNone("sliding_window", default: 4096)
        if let windowRotary { windowed.attention.rotary = windowRotary }
        return try pattern(whole: whole, windowed: windowed) { ($0 + 1) % period != 0 }
    }
}

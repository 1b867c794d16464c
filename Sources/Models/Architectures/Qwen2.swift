import AssayCheckpoints

/// Qwen2: Llama's blocks with biases on queries, keys and values.
///
/// - Source: `models/qwen2` of transformers 5.
enum Qwen2: Architecture {
    static let modelType = "qwen2"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var decoder = try configuration.decoder(epsilon: 1e-6, base: 10_000, keyValueHeadCount: 32)
        decoder.attention.hasInputBias = true
        let spec = try configuration.decoderSpec(
            modelType, decoder, blocks: try configuration.windowedBlocks(decoder.block),
            modelClasses: ["Qwen2ForCausalLM", "Qwen2Model"], contextLength: 32_768, isTied: false)
        try configuration.require("use_mrope", false, because: "positions of images are not supported")
        try configuration.finish(harmless: ["attention_dropout"])
        return spec
    }

    static let naming = Naming.decoder()
}

extension ConfigurationReader {
    /// The blocks of Qwen's models: where `use_sliding_window` is set, those layers see a window only that `layer_types`
    /// names, or without it those from `max_window_layers` on.
    mutating func windowedBlocks(_ block: BlockSpec) throws(StructureError) -> BlockPattern {
        let isWindowed = try bool("use_sliding_window", default: false)
        var windowed = block
        windowed.attention.window = try optionalSize("sliding_window") ?? 4096
        let first = try optionalSize("max_window_layers", from: 0) ?? 28
        let pattern = try pattern(whole: block, windowed: windowed) { $0 >= first }
        return isWindowed ? pattern : BlockPattern(block)
    }
}

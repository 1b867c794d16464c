import AssayCheckpoints

/// Mistral: Llama's blocks, each position seeing a window only where `sliding_window` says so.
///
/// - Source: `models/mistral` of transformers 5.
enum Mistral: Architecture {
    static let modelType = "mistral"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var decoder = try configuration.decoder(epsilon: 1e-6, base: 10_000, keyValueHeadCount: 8)
        decoder.attention.window = try configuration.sizeOrNone("sliding_window", default: 4096)
        let spec = try configuration.decoderSpec(
            modelType, decoder, blocks: BlockPattern(decoder.block),
            modelClasses: ["MistralForCausalLM", "MistralModel"], contextLength: 131_072, isTied: false)
        try configuration.finish(harmless: ["attention_dropout", "max_sequence_length"])
        return spec
    }

    static let naming = Naming.decoder()
}

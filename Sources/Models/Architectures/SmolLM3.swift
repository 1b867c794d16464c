import AssayCheckpoints

/// SmolLM3: Llama's blocks, every fourth of which turns nothing.
///
/// - Source: `models/smollm3` of transformers 5.
enum SmolLM3: Architecture {
    static let modelType = "smollm3"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var decoder = try configuration.decoder(epsilon: 1e-6, base: 2_000_000, keyValueHeadCount: 4)
        try configuration.readBiases(of: &decoder.attention)
        decoder.feedForward.hasBias = try configuration.bool("mlp_bias", default: false)
        let spec = try configuration.decoderSpec(
            modelType, decoder, blocks: try blocks(decoder.block, &configuration),
            modelClasses: ["SmolLM3ForCausalLM", "SmolLM3Model"], contextLength: 32_768, isTied: true)
        try configuration.finish(harmless: ["attention_dropout", "pretraining_tp", "max_window_layers"])
        return spec
    }

    /// Which layers turn queries and keys, and which see a window.
    private static func blocks(
        _ block: BlockSpec, _ configuration: inout ConfigurationReader
    ) throws -> BlockPattern {
        let layerCount = try configuration.listedLayerCount()
        let interval = try configuration.optionalSize("no_rope_layer_interval") ?? 4
        let turns =
            try configuration.wholeNumbers("no_rope_layers").map { $0.map { $0 != 0 } }
            ?? (0..<layerCount).map { ($0 + 1) % interval != 0 }
        guard turns.count == layerCount else {
            throw configuration.error(
                "no_rope_layers", expected: "\(layerCount) entries, one a layer", found: "\(turns.count)")
        }
        let window = try configuration.optionalSize("sliding_window")
        let isWindowed = try configuration.bool("use_sliding_window", default: false)
        let types = try configuration.layerTypes(layerCount)
        var still = block
        still.attention.rotary = nil
        var kinds = [block, still, block, still]
        kinds[2].attention.window = window
        kinds[3].attention.window = window
        return BlockPattern(
            kinds: kinds,
            order: (0..<layerCount).map { layer in
                let seesWindow = types?[layer] ?? (isWindowed && !turns[layer])
                return (turns[layer] ? 0 : 1) + (seesWindow && window != nil ? 2 : 0)
            })
    }

    static let naming = Naming.decoder()
}

import AssayCheckpoints

/// Phi-3: Llama's blocks with joined projections, a share of each head turned, by factors of their own for long texts.
///
/// - Source: `models/phi3` of transformers 5.
enum Phi3: Architecture {
    static let modelType = "phi3"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        try refuseYarn(&configuration)
        // The library's own lengths; the one inside the parameters counts for nothing.
        var decoder = try configuration.decoder(
            epsilon: 1e-5, base: 10_000, isPartial: true, lengths: .init(whole: 4096, original: 4096))
        decoder.attention.projection = .joined
        decoder.attention.window = try configuration.optionalSize("sliding_window")
        decoder.feedForward.gating = .joined
        let spec = try configuration.decoderSpec(
            modelType, decoder, blocks: BlockPattern(decoder.block), modelClasses: ["Phi3ForCausalLM", "Phi3Model"],
            contextLength: 4096, isTied: false)
        try configuration.require("attention_bias", false, because: "the library's model has none")
        try configuration.require([
            "full_attn_mod": 1, "interpolate_factor": 1, "lm_head_bias": false, "mlp_bias": false,
        ])
        try configuration.finish(harmless: ["attention_dropout", "embd_pdrop", "resid_pdrop", "auto_map"])
        return spec
    }

    /// The library takes "yarn" for another name of "longrope" here.
    private static func refuseYarn(_ configuration: inout ConfigurationReader) throws(StructureError) {
        for key in ["rope_parameters", "rope_scaling"] {
            guard var parameters = try configuration.object(key) else { continue }
            for name in ["rope_type", "type"] {
                guard try parameters.text(name) == "yarn" else { continue }
                throw parameters.error(name, expected: "'longrope', which the library reads", found: "'yarn'")
            }
        }
    }

    static let naming = Naming.decoder(
        [
            ModuleName(.queryKeyValue, hf: "layers.{i}.self_attn.qkv_proj"),
            ModuleName(.feedForwardGateInput, hf: "layers.{i}.mlp.gate_up_proj"),
        ], without: [.query, .key, .value, .feedForwardGate, .feedForwardInput])
}

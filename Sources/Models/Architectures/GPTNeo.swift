import AssayCheckpoints

/// GPT-Neo: GPT-2's blocks without scale, some layers of which see a window.
///
/// - Source: `models/gpt_neo` of transformers 5.
enum GPTNeo: Architecture {
    static let modelType = "gpt_neo"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var gpt = try configuration.gpt(
            GPTKeys(
                headCount: ("num_heads", "num_attention_heads"), layerCount: ("num_layers", "num_hidden_layers"),
                innerSize: "intermediate_size"), activation: .geluTanh)
        gpt.block.attention.baseScale = 1
        gpt.block.attention.hasInputBias = false
        gpt.block.attention.whenBlind = .keysMaskedOnce
        var local = gpt.block
        local.attention.window = try configuration.optionalSize("window_size") ?? 256
        let blocks = BlockPattern(
            kinds: [gpt.block, local], order: try localLayers(gpt.layerCount, &configuration).map { $0 ? 1 : 0 })
        let spec = try configuration.gptSpec(
            modelType, gpt, blocks: blocks, contextLength: try configuration.size("max_position_embeddings"),
            positions: LearnedPositions(), isTied: true, modelClasses: ("GPTNeoForCausalLM", "GPTNeoModel"))
        try configuration.requireWholeDecoder()
        try configuration.finish(
            harmless: ["attention_dropout", "embed_dropout", "resid_dropout", "classifier_dropout"],
            harmlessPrefixes: ["summary_"])
        return spec
    }

    /// Whether a layer sees a window, as `attention_types` says: kinds of layers in turn, and how many turns.
    private static func localLayers(
        _ layerCount: Int, _ configuration: inout ConfigurationReader
    ) throws(StructureError) -> [Bool] {
        try configuration.requireListable(layerCount, "num_layers")
        let words = ["global", "local"]
        guard let turns = try configuration.list("attention_types") else {
            throw configuration.error(
                "attention_types", expected: "a list of kinds of layers and how many times they come in turn",
                found: "no such key")
        }
        var types: [String] = []
        for turn in turns {
            guard let pair = turn.array, pair.count == 2, let kinds = pair[0].array?.map(\.string),
                let count = pair[1].int,
                !kinds.isEmpty, kinds.allSatisfy({ $0.map(words.contains) ?? false }), count >= 0,
                count <= (layerCount - types.count) / kinds.count
            else {
                throw configuration.error(
                    "attention_types",
                    expected: "lists of 'global' and 'local', and how many times, for \(layerCount) layers",
                    found: ConfigurationReader.show(turn))
            }
            for _ in 0..<count { types += kinds.map { $0! } }
        }
        guard types.count == layerCount else {
            throw configuration.error(
                "attention_types", expected: "\(layerCount) layers, as many as num_layers", found: "\(types.count)")
        }
        if let listed = try configuration.words("attention_layers", among: words), listed != types {
            throw configuration.error(
                "attention_layers", expected: "what attention_types says",
                found: configuration.shown("attention_layers"))
        }
        return types.map { $0 == "local" }
    }

    static let naming = Naming.gpt(
        [
            ModuleName(.query, hf: "h.{i}.attn.attention.q_proj"),
            ModuleName(.key, hf: "h.{i}.attn.attention.k_proj"),
            ModuleName(.value, hf: "h.{i}.attn.attention.v_proj"),
            ModuleName(.attentionOutput, hf: "h.{i}.attn.attention.out_proj"),
        ], without: [.queryKeyValue], attention: "h.{i}.attn.attention")
}

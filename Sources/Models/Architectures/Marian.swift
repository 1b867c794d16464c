import AssayCheckpoints

/// Marian's translators, the Transformer of 2017: norms behind the residuals, sines and cosines for positions, one table of
/// tokens for encoder, decoder and head or two.
///
/// - Source: `models/marian` of transformers 5; Vaswani et al. 2017, "Attention Is All You Need" (arXiv 1706.03762).
enum Marian: Architecture {
    static let modelType = "marian"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var stacks = try [StackSpec.Role.encoder, .decoder].map { try configuration.translatorStack($0) }
        for index in stacks.indices {
            stacks[index].embedding.sinusoids = SinusoidalPositions(isInterleaved: false)
        }
        stacks[1].embedding.isShared = try configuration.bool("share_encoder_decoder_embeddings", default: true)
        if let size = try configuration.optionalSize("decoder_vocab_size") { stacks[1].vocabularySize = size }
        guard !stacks[1].embedding.isShared || stacks[1].vocabularySize == stacks[0].vocabularySize else {
            throw configuration.error(
                "decoder_vocab_size", expected: "vocab_size \(stacks[0].vocabularySize), as both share a table",
                found: "\(stacks[1].vocabularySize)")
        }
        let spec = try configuration.translator(
            modelType, stacks, modelClasses: ["MarianMTModel"], bodyClass: "MarianModel", stands)
        try configuration.finish(harmless: HarmlessKeys.translators)
        return spec
    }

    /// The tables of positions hold what is computed.
    static let naming: Naming = {
        var naming = Naming.translator([])
        naming.positionTables = [
            .encoder: "encoder.embed_positions.weight", .decoder: "decoder.embed_positions.weight",
        ]
        naming.buffers = Array(naming.positionTables.values)
        return naming
    }()
}

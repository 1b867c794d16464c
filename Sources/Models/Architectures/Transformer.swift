import AssayCheckpoints

/// The Transformer of 2017 as PyTorch builds it: `torch.nn.Transformer` between two tables of tokens and a linear layer, with
/// sines and cosines for positions.
///
/// The module has no configuration file and no embeddings, so the page `formats/configurations.md` says what we read: its arguments
/// under their own names, and the names of tensors that PyTorch's tutorial on translation gives to what stands around it.
///
/// - Source: Vaswani et al. 2017, "Attention Is All You Need" (arXiv 1706.03762); `torch.nn.Transformer` of PyTorch 2.15.
enum Transformer: Architecture {
    static let modelType = "transformer"

    private enum ChannelOrder: String, CaseIterable { case interleaved, halves }

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        let order = try configuration.choice("positions", default: ChannelOrder.interleaved)
        var stacks = try [StackSpec.Role.encoder, .decoder].map { try configuration.transformerStack($0) }
        let isScaled = try configuration.bool("scale_embedding", default: true)
        for index in stacks.indices {
            stacks[index].embedding.sinusoids = SinusoidalPositions(isInterleaved: order == .interleaved)
            stacks[index].embedding.scale = isScaled ? Double(stacks[index].hiddenSize).squareRoot() : nil
        }
        stacks[1].embedding.isShared = try configuration.bool("share_embeddings", default: false)
        guard !stacks[1].embedding.isShared || stacks[0].vocabularySize == stacks[1].vocabularySize else {
            throw configuration.error(
                "tgt_vocab_size", expected: "src_vocab_size \(stacks[0].vocabularySize), as both share a table",
                found: "\(stacks[1].vocabularySize)")
        }
        let isTied = try configuration.bool("tie_word_embeddings", default: false)
        let head = HeadSpec(isTied: isTied, hasBias: try configuration.bool("generator_bias", default: true))
        let hasHead = try configuration.bool("generator", default: true)
        _ = try configuration.architectureClass(among: ["Seq2SeqTransformer"])
        try configuration.require("is_encoder_decoder", true, because: "the module has both stacks")
        try configuration.finish(harmless: ["dropout", "batch_first"])
        return TransformerSpec(
            architecture: modelType, stacks: stacks, head: hasHead ? head : nil)
    }

    static let naming: Naming = {
        let stacks = [StackSpec.Role.encoder, .decoder].flatMap { role -> [ModuleName] in
            let (stack, side) = (role.rawValue, role == .encoder ? "src" : "tgt")
            let layer = stack + ".layers.{i}."
            return [
                ModuleName(.tokenEmbedding, in: role, hf: side + "_tok_emb.embedding", isOutsidePrefix: true),
                ModuleName(.queryKeyValue, in: role, hf: layer + "self_attn.in_proj", joint: "_"),
                // Attention multiplies by the matrix of its linear layer, which never runs.
                ModuleName(.attentionOutput, in: role, hf: layer + "self_attn.out_proj", running: layer + "self_attn"),
                ModuleName(.attentionNorm, in: role, hf: layer + "norm1"),
                ModuleName(.crossQueryKeyValue, in: role, hf: layer + "multihead_attn.in_proj", joint: "_"),
                ModuleName(
                    .crossOutput, in: role, hf: layer + "multihead_attn.out_proj", running: layer + "multihead_attn"),
                ModuleName(.crossNorm, in: role, hf: layer + "norm2"),
                ModuleName(.feedForwardInput, in: role, hf: layer + "linear1"),
                ModuleName(.feedForwardOutput, in: role, hf: layer + "linear2"),
                ModuleName(.feedForwardNorm, in: role, hf: layer + (role == .encoder ? "norm2" : "norm3")),
                ModuleName(.finalNorm, in: role, hf: stack + ".norm"),
            ]
        }
        var naming = Naming(
            prefix: "transformer.", modules: stacks + [ModuleName(.head, hf: "generator", isOutsidePrefix: true)],
            linearOrientation: .outputInput)
        // A table of what is computed.
        naming.uncomputed = ["positional_encoding.pos_embedding"]
        return naming
    }()
}

extension ConfigurationReader {
    /// A stack of `torch.nn.Transformer`, its arguments under their names and with their defaults.
    fileprivate mutating func transformerStack(_ role: StackSpec.Role) throws -> StackSpec {
        let hiddenSize = try optionalSize("d_model") ?? 512
        let hasBias = try bool("bias", default: true)
        let norm = NormSpec(epsilon: try epsilon("layer_norm_eps", default: 1e-5), hasBias: hasBias)
        var layers = try encoder(
            hiddenSize: hiddenSize, headCount: optionalSize("nhead") ?? 8, headCountKey: "nhead", sizeKey: "d_model",
            innerSize: optionalSize("dim_feedforward") ?? 2048, norm: norm,
            activation: activation("activation", default: .relu))
        layers.attention.projection = .joined
        (layers.attention.hasInputBias, layers.attention.hasOutputBias) = (hasBias, hasBias)
        layers.feedForward.hasBias = hasBias
        let block = layers.block(of: role, hasNormsBefore: try bool("norm_first", default: false))
        return StackSpec(
            role: role, vocabularySize: try size(role == .encoder ? "src_vocab_size" : "tgt_vocab_size"),
            hiddenSize: hiddenSize, layerCount: try optionalSize("num_\(role.rawValue)_layers") ?? 6,
            contextLength: try optionalSize("max_position_embeddings") ?? 5000, embedding: EmbeddingSpec(),
            blocks: BlockPattern(block), finalNorm: try bool("final_norm", default: true) ? norm : nil)
    }
}

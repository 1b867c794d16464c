import AssayCheckpoints

/// What the GPT models have in common: layer norms, heads that divide the hidden size, causal attention to everything,
/// biases, a feed-forward without a gate.
struct GPTConfiguration {
    var hiddenSize: Int
    var layerCount: Int
    var norm: NormSpec
    /// With a norm before each sublayer; norms and sublayers have biases.
    var block: BlockSpec

    var headDimension: Int { block.attention.headDimension }
}

/// What a configuration calls the keys that all of them have.
struct GPTKeys {
    /// A key, and another name of it.
    typealias Name = (key: String, other: String?)

    var hiddenSize: Name = ("hidden_size", nil)
    var headCount: Name = ("num_attention_heads", nil)
    var layerCount: Name = ("num_hidden_layers", nil)
    /// Where it is absent, or nil, the feed-forward's inner size is four times the hidden size.
    var innerSize: String?
    /// nil for norms whose epsilon no key says.
    var epsilon: String? = "layer_norm_epsilon"
    /// nil for an activation that no key says.
    var activation: String? = "activation_function"

    /// GPT-2's, which many have taken over.
    static let gpt2 = GPTKeys(
        hiddenSize: ("n_embd", "hidden_size"), headCount: ("n_head", "num_attention_heads"),
        layerCount: ("n_layer", "num_hidden_layers"), innerSize: "n_inner")
}

extension ConfigurationReader {
    /// Reads the keys that all of them have.
    ///
    /// - Parameters:
    ///   - activation: where its key is absent.
    ///   - headDimensionKey: a key that may give heads another size than their share of the hidden size.
    mutating func gpt(
        _ keys: GPTKeys, activation: Activation, headDimensionKey: String? = nil
    ) throws(StructureError) -> GPTConfiguration {
        let hiddenSize = try size(keys.hiddenSize.key, or: keys.hiddenSize.other)
        let headCount = try size(keys.headCount.key, or: keys.headCount.other)
        let headDimension = try headDimension(keys, hiddenSize, headCount, headDimensionKey)
        var epsilon = 1e-5
        if let key = keys.epsilon { epsilon = try self.epsilon(key, default: epsilon) }
        var activation = activation
        if let key = keys.activation { activation = try self.activation(key, default: activation) }
        var innerSize: Int?
        if let key = keys.innerSize { innerSize = try optionalSize(key) }
        let norm = NormSpec(.layer, epsilon: epsilon)
        return GPTConfiguration(
            hiddenSize: hiddenSize, layerCount: try size(keys.layerCount.key, or: keys.layerCount.other), norm: norm,
            block: BlockSpec(
                attentionNorms: BlockSpec.Norms(before: norm),
                attention: AttentionSpec(
                    headCount: headCount, keyValueHeadCount: headCount, headDimension: headDimension,
                    baseScale: 1 / Double(headDimension).squareRoot(), isCausal: true),
                feedForwardNorms: BlockSpec.Norms(before: norm),
                feedForward: FeedForwardSpec(innerSize: innerSize ?? 4 * hiddenSize, activation: activation)))
    }

    private mutating func headDimension(
        _ keys: GPTKeys, _ hiddenSize: Int, _ headCount: Int, _ key: String?
    ) throws(StructureError) -> Int {
        if let key, let given = try optionalSize(key) {
            try checkWidth(ofHeads: headCount, given, key)
            return given
        }
        guard hiddenSize % headCount == 0 else {
            throw error(
                keys.headCount.key,
                expected: "a divisor of \(keys.hiddenSize.key) \(hiddenSize)" + (key.map { ", or \($0)" } ?? ""),
                found: "\(headCount)")
        }
        return hiddenSize / headCount
    }

    /// The parts of a GPT model around its blocks: embeddings, a norm behind the last block, a head without bias.
    ///
    /// - Parameters:
    ///   - blocks: where not all are `gpt.block`.
    ///   - positions: of the table of `contextLength` positions; nil for none.
    ///   - isTied: where `tie_word_embeddings` is absent.
    ///   - modelClasses: the one with a head, then the bare body.
    mutating func gptSpec(
        _ modelType: String, _ gpt: GPTConfiguration, blocks: BlockPattern? = nil, contextLength: Int,
        positions: LearnedPositions? = nil, isTied: Bool, modelClasses: (head: String, body: String)
    ) throws(StructureError) -> TransformerSpec {
        let isTied = try bool("tie_word_embeddings", default: isTied)
        let modelClass = try architectureClass(among: [modelClasses.head, modelClasses.body])
        return TransformerSpec(
            architecture: modelType, vocabularySize: try size("vocab_size"), hiddenSize: gpt.hiddenSize,
            layerCount: gpt.layerCount, contextLength: contextLength, embedding: EmbeddingSpec(positions: positions),
            blocks: blocks ?? BlockPattern(gpt.block), finalNorm: gpt.norm,
            head: modelClass == modelClasses.body ? nil : HeadSpec(isTied: isTied))
    }

    /// The keys of GPT-2 that only a model with an encoder, or one that lost some heads, needs.
    mutating func requireWholeDecoder() throws(StructureError) {
        try require("add_cross_attention", false, because: "cross attention is not supported")
        try require("is_encoder_decoder", false, because: "this architecture is a decoder")
        try requireEmpty("pruned_heads", because: "pruned heads are not supported")
    }

    /// The number of positions, and of the mask, as GPT-2 calls them.
    mutating func gptContextLength() throws(StructureError) -> Int {
        let contextLength = try size("n_positions", or: "max_position_embeddings")
        if let maskLength = try optionalSize("n_ctx"), maskLength != contextLength {
            throw error("n_ctx", expected: "n_positions \(contextLength)", found: "\(maskLength)")
        }
        return contextLength
    }
}

import AssayCheckpoints

/// What BERT and its kin have in common: norms behind the residuals, heads that divide the width, biases everywhere,
/// attention both ways.
struct EncoderConfiguration {
    var hiddenSize: Int
    var norm: NormSpec
    var activation: Activation
    var attention: AttentionSpec
    var feedForward: FeedForwardSpec

    /// A block with a norm behind each residual connection.
    var block: BlockSpec { block(of: .only) }

    /// A block of a stack; a decoder's sees nothing of what comes, and attends to what the encoder gave.
    ///
    /// - Parameter hasNormsBefore: whether norms stand before the sublayers; else behind the residuals.
    func block(of role: StackSpec.Role, hasNormsBefore: Bool = false) -> BlockSpec {
        let norms = BlockSpec.Norms(norm, isBefore: hasNormsBefore)
        var attention = attention
        if role == .decoder { attention.isCausal = true }
        return BlockSpec(
            attentionNorms: norms, attention: attention,
            cross: role == .decoder ? BlockSpec.Cross(norms: norms, attention: attention.forCrossing) : nil,
            feedForwardNorms: norms, feedForward: feedForward)
    }

    /// The head of a masked language model: a linear layer, an activation and a norm before the product.
    func head(isTied: Bool, activation: Activation? = nil, outputSize: Int? = nil) -> HeadSpec {
        HeadSpec(
            isTied: isTied, hasBias: true,
            transform: HeadSpec.Transform(
                activation: activation ?? self.activation, norm: norm, outputSize: outputSize))
    }
}

extension ConfigurationReader {
    /// Reads the keys that all of them have.
    ///
    /// - Parameters:
    ///   - epsilon: of the norms, where `layer_norm_eps` is absent.
    ///   - activation: where `hidden_act` is absent.
    mutating func encoder(
        epsilon: Double = 1e-12, activation: Activation = .geluErf
    ) throws -> EncoderConfiguration {
        try encoder(
            hiddenSize: size("hidden_size"), headCount: size("num_attention_heads"),
            headCountKey: "num_attention_heads", sizeKey: "hidden_size", innerSize: size("intermediate_size"),
            norm: NormSpec(epsilon: self.epsilon("layer_norm_eps", default: epsilon)),
            activation: self.activation("hidden_act", default: activation))
    }

    /// The same of numbers that were read already.
    ///
    /// - Parameters:
    ///   - headCountKey: what the number of heads is called, for messages.
    ///   - sizeKey: what the hidden size is called.
    func encoder(
        hiddenSize: Int, headCount: Int, headCountKey: String, sizeKey: String, innerSize: Int, norm: NormSpec,
        activation: Activation
    ) throws(StructureError) -> EncoderConfiguration {
        guard hiddenSize % headCount == 0 else {
            throw error(headCountKey, expected: "a divisor of \(sizeKey) \(hiddenSize)", found: "\(headCount)")
        }
        let headDimension = hiddenSize / headCount
        return EncoderConfiguration(
            hiddenSize: hiddenSize, norm: norm, activation: activation,
            attention: AttentionSpec(
                headCount: headCount, keyValueHeadCount: headCount, headDimension: headDimension,
                baseScale: 1 / Double(headDimension).squareRoot(), isCausal: false),
            feedForward: FeedForwardSpec(innerSize: innerSize, activation: activation))
    }

    /// Refuses what would make another model of an encoder.
    ///
    /// - Parameter readsPositionType: whether the library's model goes by `position_embedding_type`.
    mutating func requireEncoder(readsPositionType: Bool = true) throws(StructureError) {
        if readsPositionType {
            try require("position_embedding_type", "absolute", because: "relative positions are not supported")
        } else {
            _ = try text("position_embedding_type")
        }
        try require("is_decoder", false, because: "only the encoder is supported")
        try require("add_cross_attention", false, because: "cross attention is not supported")
        try require("is_encoder_decoder", false, because: "this architecture is an encoder")
        try requireEmpty("pruned_heads", because: "pruned heads are not supported")
    }

    /// Whether the class, or where none is named the checkpoint, has a head.
    ///
    /// - Parameter prefix: of the names of the classes.
    mutating func hasMaskedHead(
        _ prefix: String, classes: [String] = ["ForMaskedLM"], stands: (Module) -> Bool
    ) throws(StructureError) -> Bool {
        let name = try architectureClass(among: [prefix + "Model"] + classes.map { prefix + $0 })
        return stands(.headTransform) || name.map { $0 != prefix + "Model" } ?? false
    }
}

/// Keys that all of them may have and that change nothing.
extension HarmlessKeys {
    static let encoders: Set<String> = [
        "hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout",
    ]
}

extension Naming {
    /// The names that BERT gave and its kin have taken over.
    static func encoder(prefix: String, _ others: [ModuleName], without: Set<Module> = []) -> Naming {
        let common = [
            ModuleName(.tokenEmbedding, hf: "embeddings.word_embeddings"),
            ModuleName(.positionEmbedding, hf: "embeddings.position_embeddings"),
            ModuleName(.tokenTypeEmbedding, hf: "embeddings.token_type_embeddings"),
            ModuleName(.embeddingNorm, hf: "embeddings.LayerNorm"),
            ModuleName(.query, hf: "encoder.layer.{i}.attention.self.query"),
            ModuleName(.key, hf: "encoder.layer.{i}.attention.self.key"),
            ModuleName(.value, hf: "encoder.layer.{i}.attention.self.value"),
            ModuleName(.attentionOutput, hf: "encoder.layer.{i}.attention.output.dense"),
            ModuleName(.attentionNorm, hf: "encoder.layer.{i}.attention.output.LayerNorm"),
            ModuleName(.feedForwardInput, hf: "encoder.layer.{i}.intermediate.dense"),
            ModuleName(.feedForwardOutput, hf: "encoder.layer.{i}.output.dense"),
            ModuleName(.feedForwardNorm, hf: "encoder.layer.{i}.output.LayerNorm"),
            ModuleName(.pooler, hf: "pooler.dense"),
        ]
        let replaced = without.union(others.map(\.module))
        return Naming(
            prefix: prefix, modules: common.filter { !replaced.contains($0.module) } + others,
            linearOrientation: .outputInput,
            // Google's checkpoints call gain and bias gamma and beta.
            otherEndings: [("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta")],
            buffers: ["embeddings.position_ids", "embeddings.token_type_ids"])
    }

    /// The same, and other spellings of names.
    func spelling(_ endings: [(ending: String, other: String)]) -> Naming {
        var naming = self
        naming.otherEndings += endings
        return naming
    }
}

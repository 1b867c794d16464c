/// What a model computes, as a value: which norms stand where, which positions, which attention, which feed-forward,
/// which head.
///
/// An architecture's file makes it from `config.json`. Everything else reads it: the forward pass, the table of
/// tensors, the counts of `inspect`. It knows no names of tensors and no formats.
public struct TransformerSpec: Sendable, Equatable {
    /// `model_type` of the configuration: "gpt2".
    public var architecture: String
    public var vocabularySize: Int
    public var hiddenSize: Int
    public var layerCount: Int
    /// The longest sequence that the model was made for; the number of learned positions where there are any.
    public var contextLength: Int
    public var embedding: EmbeddingSpec
    public var blocks: BlockPattern
    /// The norm behind the last block, where there is one.
    public var finalNorm: NormSpec?
    /// The activation of the pooler: a linear layer over the first token of every sequence.
    public var poolerActivation: Activation?
    /// What makes logits of the hidden states; nil for a bare body.
    public var head: HeadSpec?
}

/// The blocks of all layers: few kinds, in an order that repeats itself.
public struct BlockPattern: Sendable, Equatable {
    /// The different blocks.
    public var kinds: [BlockSpec]
    /// Layer i is of the kind `order[i % order.count]`.
    public var order: [Int]
    /// Which layers have their weights in common; nil where each has its own.
    public var sharing: WeightSharing?

    /// The same block in every layer.
    public init(_ block: BlockSpec) {
        kinds = [block]
        order = [0]
    }

    /// - Precondition: there is at least one of both, and every entry of `order` is a position in `kinds`.
    public init(kinds: [BlockSpec], order: [Int]) {
        precondition(!order.isEmpty && order.allSatisfy(kinds.indices.contains))
        self.kinds = kinds
        self.order = order
    }

    public subscript(layer: Int) -> BlockSpec { kinds[kind(of: layer)] }

    /// The position in `kinds` of a layer's block.
    func kind(of layer: Int) -> Int { order[layer % order.count] }

    /// The set of weights that a layer uses; slots of weights count sets, not layers.
    public func weightSet(of layer: Int) -> Int { sharing?.sets[layer] ?? layer }

    /// How many sets of weights that many layers have.
    func weightSetCount(_ layerCount: Int) -> Int { sharing?.setCount ?? layerCount }

    /// The block of a set of weights.
    func block(ofSet set: Int) -> BlockSpec { self[sharing.map { $0.sets.firstIndex(of: set) ?? 0 } ?? set] }
}

/// Layers that use the same weights.
public struct WeightSharing: Sendable, Equatable {
    /// The set of weights of every layer.
    public var sets: [Int]
    /// Sets that stand, whether a layer uses them or not.
    public var setCount: Int
    /// Sets that bear the name of one group.
    public var setsPerGroup: Int

    public init(sets: [Int], setCount: Int, setsPerGroup: Int) {
        self.sets = sets
        self.setCount = setCount
        self.setsPerGroup = setsPerGroup
    }
}

/// An attention sublayer and a feed-forward sublayer, with residual connections and norms.
public struct BlockSpec: Sendable, Equatable {
    /// The norms of one sublayer: `afterResidual(x + after(sublayer(before(x))))`.
    public struct Norms: Sendable, Equatable {
        public var before: NormSpec?
        public var after: NormSpec?
        public var afterResidual: NormSpec?

        public init(before: NormSpec? = nil, after: NormSpec? = nil, afterResidual: NormSpec? = nil) {
            self.before = before
            self.after = after
            self.afterResidual = afterResidual
        }
    }

    public enum Arrangement: String, Sendable {
        /// The feed-forward reads what the attention sublayer leaves.
        case sequential
        /// Both read what enters the block, and both results are added to it. A feed-forward without a norm before it of
        /// its own reads behind attention's. Norms behind residuals do not occur.
        case parallel
    }

    public var arrangement = Arrangement.sequential
    public var attentionNorms: Norms
    public var attention: AttentionSpec
    public var feedForwardNorms: Norms
    public var feedForward: FeedForwardSpec
    /// What a sublayer's result is multiplied by before it is added; nil for nothing.
    public var residualScale: Double?
}

/// A norm over the features, each row alone.
public struct NormSpec: Sendable, Equatable {
    public enum Kind: String, Sendable {
        /// `y = (x - mean) / sqrt(variance + epsilon) · weight + bias`, the variance biased.
        case layer
        /// `y = x / sqrt(mean(x²) + epsilon) · weight`
        case rootMeanSquare
    }

    public var kind = Kind.layer
    public var epsilon: Double
    /// What is added to the stored gain: 1 where gains are stored as distances from 1.
    public var gainOffset = 0.0
    public var hasBias: Bool

    /// - Parameter hasBias: nil for what the kind usually has.
    public init(_ kind: Kind = .layer, epsilon: Double, gainOffset: Double = 0, hasBias: Bool? = nil) {
        self.kind = kind
        self.epsilon = epsilon
        self.gainOffset = gainOffset
        self.hasBias = hasBias ?? (kind == .layer)
    }
}

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
}

/// The sum of token, position and, where `tokenTypeCount` is not zero, token type embeddings, then the norm.
public struct EmbeddingSpec: Sendable, Equatable {
    /// Whether positions have vectors of their own that are added; else attention alone knows of them.
    public var hasLearnedPositions: Bool
    public var tokenTypeCount = 0
    /// What the vectors of tokens are multiplied by before anything is added; nil for nothing.
    public var scale: Double?
    public var norm: NormSpec?

    public init(hasLearnedPositions: Bool, tokenTypeCount: Int = 0, scale: Double? = nil, norm: NormSpec? = nil) {
        self.hasLearnedPositions = hasLearnedPositions
        self.tokenTypeCount = tokenTypeCount
        self.scale = scale
        self.norm = norm
    }
}

/// A norm over the features, each row alone.
public struct NormSpec: Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
        /// `y = (x - mean) / sqrt(variance + epsilon) · weight + bias`, the variance biased.
        case layer
        /// `y = x / sqrt(mean(x²) + epsilon) · weight`
        case rootMeanSquare
    }

    public var kind = Kind.layer
    public var epsilon: Double
    /// What is added to the stored gain: 1 where gains are stored as distances from 1.
    public var gainOffset = 0.0

    public init(_ kind: Kind = .layer, epsilon: Double, gainOffset: Double = 0) {
        self.kind = kind
        self.epsilon = epsilon
        self.gainOffset = gainOffset
    }

    public var hasBias: Bool { kind == .layer }
}

/// An attention sublayer, then a feed-forward sublayer, each with a residual connection and norms.
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

    public var attentionNorms: Norms
    public var attention: AttentionSpec
    public var feedForwardNorms: Norms
    public var feedForward: FeedForwardSpec
}

/// Scaled dot-product attention over heads that are contiguous slices of the features.
public struct AttentionSpec: Sendable, Equatable {
    public var headCount: Int
    /// Heads of keys and values; each serves as many heads of queries that stand next to one another.
    public var keyValueHeadCount: Int
    public var headDimension: Int
    /// What the products of queries and keys are multiplied by, before `isScaledByInverseLayer`.
    public var baseScale: Double
    /// Whether layer i, counted from 0, divides its scale by i + 1.
    public var isScaledByInverseLayer = false
    /// Whether a position sees only itself and what stands before it.
    public var isCausal: Bool
    /// How many positions a causal one sees, itself among them; nil for all.
    public var window: Int?
    /// Whether queries, keys and values come from one matrix, in this order along its outputs.
    public var hasFusedProjection = false
    /// Whether the projections to queries, keys and values have biases, and whether that of the output has one.
    public var hasInputBias = true
    public var hasOutputBias = true
    /// Norms of queries and keys behind the projection and before rotation; nil for none.
    public var headNorm: HeadNorm?
    /// Positions as rotations of queries and keys; nil for none.
    public var rotary: RotarySpec?

    /// A norm of queries and one of keys.
    public struct HeadNorm: Sendable, Equatable {
        public var norm: NormSpec
        /// Whether every head is normed alone, all with one gain; else all heads' features together.
        public var isPerHead: Bool
    }

    public func scale(layer: Int) -> Double {
        isScaledByInverseLayer ? baseScale / Double(layer + 1) : baseScale
    }

    /// Features of the queries, and of keys and of values.
    public var queryWidth: Int { headCount * headDimension }
    public var keyValueWidth: Int { keyValueHeadCount * headDimension }

    /// The outputs of a joined projection that are queries, keys and values.
    public var fusedSlices: [Range<Int>] {
        let (q, kv) = (queryWidth, keyValueWidth)
        return [0..<q, q..<q + kv, q + kv..<q + 2 * kv]
    }
}

/// Rotary position embeddings: the pairs of a head's first `dimension` features are turned by `position · frequency`.
///
/// - Source: Su et al. 2021, "RoFormer" (arXiv 2104.09864), equation 34; pairs as `rotate_half` of transformers makes them.
public struct RotarySpec: Sendable, Equatable {
    /// The first pair turns once in 2π positions, the last in about 2π·base.
    public var base: Double
    /// Even; features of a head beyond it are left.
    public var dimension: Int
    /// Whether a pair are neighbours, 2m and 2m + 1; else m and m + dimension / 2.
    public var isInterleaved = false
    public var scaling = RotaryScaling.none

    public init(base: Double, dimension: Int, isInterleaved: Bool = false, scaling: RotaryScaling = .none) {
        self.base = base
        self.dimension = dimension
        self.isInterleaved = isInterleaved
        self.scaling = scaling
    }
}

/// How rotations are stretched for longer sequences than a model was trained on.
///
/// - Source: `modeling_rope_utils.py` of transformers 5.
public enum RotaryScaling: Sendable, Equatable {
    case none
    /// All frequencies divided by the factor.
    case linear(factor: Double)
    /// Low frequencies divided by the factor, high ones kept, and a smooth passage between them.
    case llama3(factor: Double, lowFactor: Double, highFactor: Double, originalLength: Double)
}

/// `output(activation(input(x)))`, or `output(activation(gate(x)) · input(x))`.
public struct FeedForwardSpec: Sendable, Equatable {
    public var innerSize: Int
    public var activation: Activation
    public var isGated = false
    public var hasBias = true

    public init(innerSize: Int, activation: Activation, isGated: Bool = false, hasBias: Bool = true) {
        self.innerSize = innerSize
        self.activation = activation
        self.isGated = isGated
        self.hasBias = hasBias
    }
}

/// Logits: a product with [vocabulary, hidden], the token embedding itself where `isTied`.
public struct HeadSpec: Sendable, Equatable {
    /// A linear layer, an activation and a norm before the product, as in BERT's masked language model.
    public struct Transform: Sendable, Equatable {
        public var activation: Activation
        public var norm: NormSpec
    }

    public var isTied: Bool
    public var hasBias: Bool
    public var transform: Transform?

    public init(isTied: Bool, hasBias: Bool = false, transform: Transform? = nil) {
        self.isTied = isTied
        self.hasBias = hasBias
        self.transform = transform
    }
}

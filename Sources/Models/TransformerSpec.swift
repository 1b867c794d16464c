/// What a model computes, as a value: which norms stand where, which attention, which feed-forward, which head.
///
/// An architecture's file makes it from `config.json`. Everything else reads it: the forward pass, the table of
/// tensors, the counts of `inspect`. It knows no names of tensors and no formats.
public struct TransformerSpec: Sendable, Equatable {
    /// `model_type` of the configuration: "gpt2".
    public var architecture: String
    public var vocabularySize: Int
    public var hiddenSize: Int
    public var layerCount: Int
    /// The number of learned positions: the longest sequence.
    public var contextLength: Int
    public var embedding: EmbeddingSpec
    /// The block that is repeated `layerCount` times.
    public var block: BlockSpec
    /// The norm behind the last block, where there is one.
    public var finalNorm: NormSpec?
    /// The activation of the pooler: a linear layer over the first token of every sequence.
    public var poolerActivation: Activation?
    /// What makes logits of the hidden states; nil for a bare body.
    public var head: HeadSpec?
}

/// The sum of token, position and, where `tokenTypeCount` is not zero, token type embeddings, then the norm.
public struct EmbeddingSpec: Sendable, Equatable {
    public var tokenTypeCount: Int
    public var norm: NormSpec?
}

/// Layer normalization with gain and bias: `y = (x - mean) / sqrt(variance + epsilon) · weight + bias`, each row alone,
/// the variance biased.
public struct NormSpec: Sendable, Equatable {
    public var epsilon: Double
}

/// An attention sublayer, then a feed-forward sublayer, each with a residual connection and a norm.
public struct BlockSpec: Sendable, Equatable {
    public enum NormPlacement: Sendable, Equatable {
        /// `x + sublayer(norm(x))`
        case beforeSublayer
        /// `norm(x + sublayer(x))`
        case afterResidual
    }

    public var normPlacement: NormPlacement
    public var norm: NormSpec
    public var attention: AttentionSpec
    public var feedForward: FeedForwardSpec
}

/// Scaled dot-product attention over heads that are contiguous slices of the features.
public struct AttentionSpec: Sendable, Equatable {
    public var headCount: Int
    public var headDimension: Int
    /// What the products of queries and keys are multiplied by, before `isScaledByInverseLayer`.
    public var baseScale: Double
    /// Whether layer i, counted from 0, divides its scale by i + 1.
    public var isScaledByInverseLayer: Bool
    /// Whether a position sees only itself and what stands before it.
    public var isCausal: Bool
    /// Whether queries, keys and values come from one matrix, in this order along its outputs.
    public var hasFusedProjection: Bool

    public func scale(layer: Int) -> Double {
        isScaledByInverseLayer ? baseScale / Double(layer + 1) : baseScale
    }
}

/// `output(activation(input(x)))`, both with biases.
public struct FeedForwardSpec: Sendable, Equatable {
    public var innerSize: Int
    public var activation: Activation
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
}

/// The sum of token, position and, where `tokenTypeCount` is not zero, token type embeddings, then the norm.
public struct EmbeddingSpec: Sendable, Equatable {
    /// Vectors of positions that are looked up and added; nil for none.
    public var positions: LearnedPositions?
    /// Vectors of positions that are computed and added; nil for none.
    public var sinusoids: SinusoidalPositions?
    public var tokenTypeCount = 0
    /// Whether vectors of tokens are those of the stack before.
    public var isShared = false
    /// Features of the vectors of tokens, where a linear layer without bias makes hidden ones of them; nil for as many as
    /// hidden ones and no such layer.
    public var width: Int?
    /// What the vectors of tokens are multiplied by before anything is added; nil for nothing.
    public var scale: Double?
    public var norm: NormSpec?

    public init(
        positions: LearnedPositions? = nil, tokenTypeCount: Int = 0, scale: Double? = nil, norm: NormSpec? = nil
    ) {
        self.positions = positions
        self.tokenTypeCount = tokenTypeCount
        self.scale = scale
        self.norm = norm
    }
}

/// Sines and cosines of `position / 10000^(2m / hidden)` for m up to half of the features.
///
/// - Source: Vaswani et al. 2017, "Attention Is All You Need" (arXiv 1706.03762), section 3.5.
public struct SinusoidalPositions: Sendable, Equatable {
    /// Whether sine and cosine alternate, as in the paper; else all sines stand before all cosines.
    public var isInterleaved: Bool

    public init(isInterleaved: Bool) { self.isInterleaved = isInterleaved }
}

/// A table with a vector for every position.
public struct LearnedPositions: Sendable, Equatable {
    public enum Counting: Sendable, Equatable {
        /// Places in the sequence, padded or not.
        case places
        /// Places among those that are read; padding is one row before the first.
        case readPlaces
        /// Places among tokens other than one, which is padding; that is one row before the first.
        case placesOfTokens(except: Int)
    }

    public var counting = Counting.places
    /// Rows of the table before that of the first position.
    public var offset = 0

    public init(counting: Counting = .places, offset: Int = 0) {
        self.counting = counting
        self.offset = offset
    }
}

/// Logits: a product with [vocabulary, hidden or `width`], the token embedding itself where `isTied`.
public struct HeadSpec: Sendable, Equatable {
    /// A linear layer, an activation and a norm before the product, as in BERT's masked language model.
    public struct Transform: Sendable, Equatable {
        public var activation: Activation
        public var norm: NormSpec
    }

    public var isTied: Bool
    public var hasBias: Bool
    /// Whether a row [1, vocabulary] is added besides.
    public var hasBiasRow = false
    public var transform: Transform?
    /// Features that a linear layer without bias makes of hidden ones before the product; nil for no such layer.
    public var width: Int?
    /// What logits are multiplied by; nil for nothing.
    public var scale: Double?
    /// Logits z become `cap · tanh(z / cap)`; nil for as they are.
    public var softCap: Double?

    public init(
        isTied: Bool, hasBias: Bool = false, transform: Transform? = nil, scale: Double? = nil, softCap: Double? = nil
    ) {
        self.isTied = isTied
        self.hasBias = hasBias
        self.transform = transform
        self.scale = scale
        self.softCap = softCap
    }
}

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
    /// Scores s become `cap · tanh(s / cap)`; nil for as they are.
    public var softCap: Double?
    /// Whether a position sees only itself and what stands before it.
    public var isCausal: Bool
    /// A position sees others that are fewer places away than this: before it and, unless attention is causal, behind it;
    /// nil for all.
    public var window: Int?
    /// Whether padding sees no key, and so all keys alike; else it sees what is read.
    public var isPaddingBlind = false
    public var projection = Projection.separate
    /// Whether the projections to queries, keys and values have biases, and whether that of the output has one.
    public var hasInputBias = true
    public var hasOutputBias = true
    /// Norms of queries and keys behind the projection and before rotation; nil for none.
    public var headNorm: HeadNorm?
    /// Positions as rotations of queries and keys; nil for none.
    public var rotary: RotarySpec?
    /// Positions as a bias of the scores; nil for none.
    public var linearBias: LinearBias?
    /// Distances as scores of vectors of their own; nil for none.
    public var disentangled: DisentangledAttention?
    /// Whether each head has a score of its own that takes its share of the softmax and brings no value.
    public var hasSinks = false

    /// How queries, keys and values are projected.
    public enum Projection: String, Sendable {
        /// By a matrix each.
        case separate
        /// By one matrix: all queries, then all keys, then all values along its outputs.
        case joined
        /// By one matrix: for every head of keys the queries that it serves, its keys, its values.
        case joinedByHead
    }

    /// A norm of queries and one of keys.
    public struct HeadNorm: Sendable, Equatable {
        public enum Gains: String, Sendable {
            /// Every head is normed alone, all with one gain.
            case shared
            /// Every head is normed alone with a gain of its own.
            case ofEveryHead
            /// All heads' features are normed together.
            case ofAllHeads
        }

        public var norm: NormSpec
        public var gains: Gains
    }

    public func scale(layer: Int) -> Double {
        isScaledByInverseLayer ? baseScale / Double(layer + 1) : baseScale
    }

    /// Features of the queries, and of keys and of values.
    public var queryWidth: Int { headCount * headDimension }
    public var keyValueWidth: Int { keyValueHeadCount * headDimension }

    /// Queries that a head of keys serves.
    var groupSize: Int { headCount / keyValueHeadCount }

    /// The outputs of a joined projection that are queries, keys and values, in order; none of a separate one.
    public var joinedSlices: [[Range<Int>]] {
        let (q, kv, width) = (queryWidth, keyValueWidth, headDimension)
        switch projection {
        case .separate: return []
        case .joined: return [[0..<q], [q..<q + kv], [q + kv..<q + 2 * kv]]
        case .joinedByHead:
            let group = groupSize * width
            let starts = (0..<keyValueHeadCount).map { $0 * (group + 2 * width) }
            return [
                starts.map { $0..<$0 + group }, starts.map { $0 + group..<$0 + group + width },
                starts.map { $0 + group + width..<$0 + group + 2 * width },
            ]
        }
    }
}

/// Attention with linear biases: every head adds `slope · position of the key` to its scores.
///
/// Heads of the greatest power of two n that fits have the slopes 2^(-8 i / n) for i from 1 on; those that are left the
/// slopes of every other one among twice as many.
///
/// - Source: Press et al. 2022, "Train Short, Test Long" (arXiv 2108.12409); `build_alibi_tensor` of transformers 5.
public struct LinearBias: Sendable, Equatable {
    /// Whether slopes and biases are rounded to bfloat16, whatever the model's type.
    public var isRoundedToBFloat16 = false
    /// Whether scores are scaled with the bias in them.
    public var isScaled = false

    public init(isRoundedToBFloat16: Bool = false, isScaled: Bool = false) {
        self.isRoundedToBFloat16 = isRoundedToBFloat16
        self.isScaled = isScaled
    }
}

/// Disentangled attention: contents meet distances beside contents. With r the row of the distance between query i and key
/// j in the table of `DistanceEmbedding`, K and Q its projections to keys and queries, head by head:
/// `score(i, j) = (q_i · k_j + q_i · K_r + k_j · Q_r) · scale`.
///
/// - Source: He et al. 2021, "DeBERTa" (arXiv 2006.03654), equation 4.
public struct DisentangledAttention: Sendable, Equatable {
    /// Whether queries meet distances as keys: the second term.
    public var hasDistanceKeys: Bool
    /// Whether keys meet distances as queries: the third term.
    public var hasDistanceQueries: Bool
    /// Whether distances are projected as contents are; else by matrices of their own.
    public var sharesProjections: Bool

    public init(hasDistanceKeys: Bool, hasDistanceQueries: Bool, sharesProjections: Bool) {
        self.hasDistanceKeys = hasDistanceKeys
        self.hasDistanceQueries = hasDistanceQueries
        self.sharesProjections = sharesProjections
    }
}

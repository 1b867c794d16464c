/// Scaled dot-product attention over heads that are contiguous slices of the features.
public struct AttentionSpec: Sendable, Equatable {
    public var headCount: Int
    /// Heads of keys and values; each serves as many heads of queries that stand next to one another.
    public var keyValueHeadCount: Int
    public var headDimension: Int
    /// Features of a head's values; nil for as many as of its keys.
    public var valueDimension: Int?
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
    /// Whether padding sees no key; else it sees what is read.
    public var isPaddingBlind = false
    /// What a position attends to that sees no key.
    public var whenBlind = WhenBlind.everything
    public var projection = Projection.separate
    /// Keys and values made of narrower vectors; nil for straight from what enters. The projection is separate.
    public var latent: LatentSpec?
    /// Whether the projections to queries, keys and values have biases, and whether that of the output has one.
    public var hasInputBias = true
    /// Whether keys have a bias where queries and values do.
    public var hasKeyBias = true
    public var hasOutputBias = true
    /// Norms of queries and keys behind the projection and before rotation; nil for none.
    public var headNorm: HeadNorm?
    /// Positions as rotations of queries and keys; nil for none.
    public var rotary: RotarySpec?
    /// Positions as a bias of the scores; nil for none.
    public var linearBias: LinearBias?
    /// Distances as scores of vectors of their own; nil for none.
    public var disentangled: DisentangledAttention?
    /// Positions as a learned bias of the scores, one table a stack; nil for none.
    public var relativeBias: RelativeBias?
    /// Distances as sines and cosines, which queries meet; nil for none.
    public var sinusoidalDistances: SinusoidalDistances?
    /// What is remembered of the segments before; nil for nothing.
    public var recurrence: RecurrenceSpec?
    /// Whether each head has a score of its own that takes its share of the softmax and brings no value.
    public var hasSinks = false

    /// What a position attends to, to each alike, whose every key is padding or out of its sight: one in padding. It depends on
    /// how the library that owns the model masks scores.
    public enum WhenBlind: String, Sendable {
        /// All positions: a sum that swallows every score masks them.
        case everything
        /// The positions that are read: what padding masks swallows more than what causality does.
        case readKeys
        /// The positions that either padding or their place masks: what both mask has twice the weight.
        case keysMaskedOnce
    }

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

    /// The same to what an encoder gave: everything is seen.
    var forCrossing: AttentionSpec {
        var result = self
        result.isCausal = false
        result.window = nil
        result.rotary = nil
        result.relativeBias = nil
        return result
    }

    public func scale(layer: Int) -> Double {
        isScaledByInverseLayer ? baseScale / Double(layer + 1) : baseScale
    }

    /// Features of a head's values.
    public var valueHeadDimension: Int { valueDimension ?? headDimension }

    /// Features of the queries, of the keys, of the values, and of what the heads give together.
    public var queryWidth: Int { headCount * headDimension }
    public var keyWidth: Int { keyValueHeadCount * headDimension }
    public var valueWidth: Int { keyValueHeadCount * valueHeadDimension }
    public var outputWidth: Int { headCount * valueHeadDimension }

    /// Queries that a head of keys serves.
    var groupSize: Int { headCount / keyValueHeadCount }

    /// The outputs of a joined projection that are queries, keys and values, in order; none of a separate one.
    public var joinedSlices: [[Range<Int>]] {
        let (q, kv, width) = (queryWidth, keyWidth, headDimension)
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

/// A bias of every head for the bucket in which the distance from query to key falls: half of the buckets are a distance
/// each, the others grow logarithmically up to `maximumDistance`.
///
/// - Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning" (arXiv 1910.10683), section 2.1;
///   `_relative_position_bucket` of transformers 5, in float32 as there, which decides at the edges of buckets.
public struct RelativeBias: Sendable, Equatable {
    public var bucketCount: Int
    public var maximumDistance: Int
    /// Whether keys behind the query have buckets of their own, half of all.
    public var isBidirectional: Bool

    /// - Precondition: there are at least 2 buckets a direction, and the distance is more than half of those.
    public init(bucketCount: Int, maximumDistance: Int, isBidirectional: Bool) {
        self.bucketCount = bucketCount
        self.maximumDistance = maximumDistance
        self.isBidirectional = isBidirectional
    }

    /// The bucket of a key that stands `distance` positions behind the query.
    func bucket(_ distance: Int) -> Int {
        let count = isBidirectional ? bucketCount / 2 : bucketCount
        let first = isBidirectional && distance > 0 ? count : 0
        let length = isBidirectional ? abs(distance) : max(0, -distance)
        let exactCount = count / 2
        if length < exactCount { return first + length }
        let logarithm = Float(PortableMath.logarithm(Double(Float(length) / Float(exactCount))))
        let whole = Float(PortableMath.logarithm(Double(maximumDistance) / Double(exactCount)))
        let further = logarithm / whole * Float(count - exactCount)
        return first + min(exactCount + Int(further), count - 1)
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

/// Relative positions as Transformer-XL has them. With r_d the projection of sines and cosines of the distance
/// `d = i - j` from key to query, and u and v a vector a head each:
/// `score(i, j) = ((q_i + u) · k_j + (q_i + v) · r_(i - j)) · scale`.
///
/// - Source: Dai et al. 2019, "Transformer-XL" (arXiv 1901.02860), section 3.3.
public struct SinusoidalDistances: Sendable, Equatable {
    /// Distances beyond this are this; nil for as they are.
    public var greatest: Int?
    /// Whether all layers have u and v in common.
    public var sharesBiases: Bool
    /// Whether sine and cosine alternate; else all sines stand before all cosines.
    public var isInterleaved = false

    public init(greatest: Int? = nil, sharesBiases: Bool = false) {
        self.greatest = greatest
        self.sharesBiases = sharesBiases
    }
}

/// Segments that follow one another: a position sees its own segment, and of the ones before as many positions as are
/// remembered, by what they were when they entered the layer.
///
/// The layers of a remembered position see what they saw in its own segment, so that a whole sequence goes through a layer
/// at once, whatever its segments: only who sees whom depends on them. What the last layer gives is remembered by nobody.
///
/// - Source: Dai et al. 2019, "Transformer-XL" (arXiv 1901.02860), section 3.2.
public struct RecurrenceSpec: Sendable, Equatable {
    public enum Start: String, Sendable, CaseIterable {
        /// Before the first segment nothing is remembered.
        case empty
        /// As many vectors of zeros as are remembered stand before the first segment, and are seen.
        case zeros
    }

    /// Positions that are remembered.
    public var memoryLength: Int
    /// What stands before the first segment.
    public var start: Start
    /// Whether a position sees no more than `memoryLength` positions, itself among them, wherever it stands in its segment.
    public var isSameLength: Bool
    /// Positions of a segment; nil for all of a sequence. The input says it, not the model.
    public var segmentLength: Int?

    public init(memoryLength: Int, start: Start, isSameLength: Bool = false) {
        self.memoryLength = memoryLength
        self.start = start
        self.isSameLength = isSameLength
    }

    /// Vectors of zeros that stand before a sequence.
    var zeroCount: Int { start == .zeros ? memoryLength : 0 }

    /// The first position that a position sees; negative for zeros before the sequence.
    func firstSeen(by position: Int) -> Int {
        let segment = segmentLength.map { position / $0 * $0 } ?? 0
        let remembered = max(-zeroCount, segment - memoryLength)
        return isSameLength ? max(remembered, position - memoryLength + 1) : remembered
    }
}

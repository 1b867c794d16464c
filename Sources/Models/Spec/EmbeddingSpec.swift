/// What makes the vectors of positions: the sum of token, position and, where `tokenTypeCount` is not zero, token type
/// embeddings, then the norm; vectors of another width than the hidden states go through a projection. Where numbers are
/// read, their vectors stand for those of tokens.
public struct EmbeddingSpec: Sendable, Equatable {
    /// Numbers that are read instead of tokens; nil for tokens.
    public var features: FeatureSpec?
    /// Vectors of positions that are looked up and added; nil for none.
    public var positions: LearnedPositions?
    /// Vectors of positions that are computed and added; nil for none.
    public var sinusoids: SinusoidalPositions?
    public var tokenTypeCount = 0
    /// Whether vectors of tokens are those of the stack before.
    public var isShared = false
    /// Tables of tokens, one a bin, each with a projection without bias to the hidden size; nil for one table.
    public var bins: VocabularyBins?
    /// The way to the hidden size; nil where the vectors have it.
    public var projection: EmbeddingProjection?
    /// Whether padding enters the first block as zeros.
    public var isZeroAtPadding = false
    /// Vectors of distances, which attention reads; nil for none.
    public var distances: DistanceEmbedding?
    /// What the vectors of tokens are multiplied by before anything is added; nil for nothing.
    public var scale: Double?
    public var norm: NormSpec?

    public init(
        features: FeatureSpec? = nil, positions: LearnedPositions? = nil, tokenTypeCount: Int = 0, scale: Double? = nil,
        norm: NormSpec? = nil,
        projection: EmbeddingProjection? = nil, isZeroAtPadding: Bool = false, distances: DistanceEmbedding? = nil
    ) {
        self.features = features
        self.positions = positions
        self.tokenTypeCount = tokenTypeCount
        self.scale = scale
        self.norm = norm
        self.projection = projection
        self.isZeroAtPadding = isZeroAtPadding
        self.distances = distances
    }
}

/// A vocabulary in bins, the most frequent tokens first, the vectors of each bin as wide as those of the one before or
/// narrower.
///
/// - Source: Baevski and Auli 2019, "Adaptive Input Representations for Neural Language Modeling" (arXiv 1809.10853).
public struct VocabularyBins: Sendable, Equatable {
    /// One behind the last token of each bin, ascending.
    public var ends: [Int]
    /// Features of the vectors of each bin.
    public var widths: [Int]

    /// - Precondition: there is at least one bin, and as many widths.
    public init(ends: [Int], widths: [Int]) {
        precondition(!ends.isEmpty && ends.count == widths.count)
        self.ends = ends
        self.widths = widths
    }

    public var count: Int { ends.count }
    public var tokenCount: Int { ends[ends.count - 1] }

    /// The tokens of a bin.
    public func tokens(of bin: Int) -> Range<Int> { (bin == 0 ? 0 : ends[bin - 1])..<ends[bin] }
}

/// A linear layer from the width of the embeddings to the hidden size.
public struct EmbeddingProjection: Sendable, Equatable {
    public enum Place: String, Sendable {
        /// Vectors of tokens go through it before others, as wide as the hidden size, are added.
        case ofTokens
        /// The sum goes through it, then the norm.
        case beforeNorm
        /// The sum is normed, as wide as the embeddings, and then goes through it.
        case behindNorm
    }

    /// Features of the embeddings.
    public var inputSize: Int
    public var hasBias: Bool
    public var place: Place

    public init(inputSize: Int, hasBias: Bool, place: Place) {
        self.inputSize = inputSize
        self.hasBias = hasBias
        self.place = place
    }
}

/// A table with a vector for every distance between a query and a key, [2 · span, hidden], for all layers.
///
/// The row of a distance d, place of the query less place of the key, is `bucket(d) + span`, kept within the table.
public struct DistanceEmbedding: Sendable, Equatable {
    public var span: Int
    /// How far distances share rows; nil where each has its own.
    public var buckets: LogarithmicBuckets?
    /// The norm of the vectors, with a gain of its own.
    public var norm: NormSpec?

    public init(span: Int, buckets: LogarithmicBuckets? = nil, norm: NormSpec? = nil) {
        self.span = span
        self.buckets = buckets
        self.norm = norm
    }
}

/// Distances up to `middle` are their own buckets; from there to `greatest` they share `middle - 1` more, the farther the
/// more of them: `⌈ln(d / middle) / ln(greatest / middle) · (middle − 1)⌉ + middle`, with the sign of the distance.
///
/// - Source: `make_log_bucket_position` of transformers 5, whose numbers are float32 whatever the model's type.
public struct LogarithmicBuckets: Sendable, Equatable {
    public var middle: Int
    public var greatest: Int

    public init(middle: Int, greatest: Int) {
        self.middle = middle
        self.greatest = greatest
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

/// Logits: a product with [outputs, features], the token embedding itself where `isTied`; or with what was made of other
/// inputs, where `comparesStacks`.
public struct HeadSpec: Sendable, Equatable {
    /// A linear layer, an activation and perhaps a norm before the product, as in BERT's masked language model.
    public struct Transform: Sendable, Equatable {
        public var activation: Activation
        public var norm: NormSpec?
        /// Features that it gives; nil for the hidden size.
        public var outputSize: Int?
        public var hasBias = true
    }

    public var isTied: Bool
    public var hasBias: Bool
    /// Whether it reads the row that is pooled of every sequence, and not the rows of positions.
    public var isOfPooled = false
    /// Whether the product is with the rows pooled of the stack before, times e to the power of a stored number: an output a
    /// sequence of that stack.
    public var comparesStacks = false
    /// Whether a row [1, vocabulary] is added besides.
    public var hasBiasRow = false
    public var transform: Transform?
    /// Features that a linear layer without bias makes of hidden ones before the product; nil for no such layer.
    public var width: Int?
    /// What logits are multiplied by; nil for nothing.
    public var scale: Double?
    /// Logits z become `cap · tanh(z / cap)`; nil for as they are.
    public var softCap: Double?
    /// Log probabilities by way of bins of the vocabulary in place of logits; nil for logits.
    public var adaptive: AdaptiveSoftmax?
    /// Logits of a position, where they are not one a token: ELECTRA's discriminator has 1, whether the token was replaced.
    public var outputCount: Int?

    /// How alike what is pooled of the last stack's inputs is to what is pooled of those of the stack before.
    static var similarity: HeadSpec {
        var head = HeadSpec(isTied: false)
        head.isOfPooled = true
        head.comparesStacks = true
        return head
    }

    /// Features that the product reads; nil for the hidden size.
    public var inputSize: Int? { width ?? transform?.outputSize }

    public init(
        isTied: Bool, hasBias: Bool = false, transform: Transform? = nil, scale: Double? = nil, softCap: Double? = nil,
        outputCount: Int? = nil
    ) {
        self.outputCount = outputCount
        self.isTied = isTied
        self.hasBias = hasBias
        self.transform = transform
        self.scale = scale
        self.softCap = softCap
    }
}

/// Log probabilities in two steps: a softmax over the tokens of the first bin and one entry for each further bin, its
/// cluster; and for the tokens of a cluster a softmax of their own. `log p(w) = log p(cluster) + log p(w | cluster)`.
///
/// - Source: Grave et al. 2017, "Efficient softmax approximation for GPUs" (arXiv 1609.04309);
///   `ProjectedAdaptiveLogSoftmax` of Transformer-XL.
public struct AdaptiveSoftmax: Sendable, Equatable {
    public enum ClusterOrder: String, Sendable, CaseIterable {
        /// The first entry is the second bin's.
        case ascending
        /// The first entry is the last bin's.
        case descending
    }

    public var bins: VocabularyBins
    /// Whether bins are parts of one table; else each has one of its own.
    public var hasOneTable: Bool
    /// Whether a bin's projection from the hidden size, turned around, is that of the embeddings; nil for no projections.
    public var tiedProjections: [Bool]?
    public var clusterOrder: ClusterOrder

    /// The entry behind the tokens of the first bin that stands for another one.
    func entry(of bin: Int) -> Int { clusterOrder == .ascending ? bin - 1 : bins.count - 1 - bin }
}

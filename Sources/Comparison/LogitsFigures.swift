import AssayModels

#if canImport(Glibc)
    import Glibc
#endif

/// How far the two sides' predictions are apart, position by position.
public struct LogitsFigures: Sendable {
    /// One read position of one sequence.
    public struct Position: Sendable, Equatable {
        public var sequence: Int
        public var position: Int
        /// KL(reference || test) in nats, float64, never negative.
        public var kl: Double
        /// Log-probability of the reference's first choice less that of its second.
        public var margin: Double
        public var referenceTop: Int
        public var testTop: Int
        /// Log-probabilities of the token that follows; nil where none does, or the model does not predict it.
        public var referenceNext: Double?
        public var testNext: Double?

        public var isFlip: Bool { referenceTop != testTop }
    }

    public internal(set) var positions: [Position] = []
    public let isCausal: Bool
    /// Whether a row is a sequence's rather than a position's: a classifier's.
    public let isOfSequences: Bool

    init(isCausal: Bool, isOfSequences: Bool = false) {
        self.isCausal = isCausal
        self.isOfSequences = isOfSequences
    }

    init(of spec: TransformerSpec) {
        self.init(isCausal: spec.predictsTokens, isOfSequences: spec.head?.isOfPooled == true)
    }

    /// What a row is of.
    public var rowNoun: String { isOfSequences ? "sequence" : "position" }

    public var kl: Distribution { Distribution(positions.map(\.kl)) }

    /// Positions where the first choices differ, the reference's widest margin first.
    public var flips: [Position] {
        positions.filter(\.isFlip).sorted {
            ($1.margin, $0.sequence, $0.position) < ($0.margin, $1.sequence, $1.position)
        }
    }

    /// Positions where a side's logits are NaN or infinite, so that nothing can be said of them.
    public var notFiniteCount: Int { positions.reduce(0) { $0 + ($1.kl.isFinite ? 0 : 1) } }

    public var flipRate: Double { positions.isEmpty ? 0 : Double(flips.count) / Double(positions.count) }

    /// exp of the mean negative log-probability of the tokens that follow; nil where the model predicts none.
    public var referencePerplexity: Double? { Self.perplexity(positions.compactMap(\.referenceNext)) }
    public var testPerplexity: Double? { Self.perplexity(positions.compactMap(\.testNext)) }
    public var nextTokenCount: Int { positions.reduce(0) { $0 + ($1.referenceNext == nil ? 0 : 1) } }

    private static func perplexity(_ logProbabilities: [Double]) -> Double? {
        guard !logProbabilities.isEmpty else { return nil }
        return exp(-logProbabilities.reduce(0, +) / Double(logProbabilities.count))
    }

    /// Mean KL at every position of a sequence, over the sequences that are read there.
    public var meanByPosition: [(position: Int, kl: Double)] {
        var sums: [Int: (sum: Double, count: Int)] = [:]
        for position in positions {
            let old = sums[position.position] ?? (0, 0)
            sums[position.position] = (old.sum + position.kl, old.count + 1)
        }
        return sums.sorted { $0.key < $1.key }.map { ($0.key, $0.value.sum / Double($0.value.count)) }
    }
}

/// Figures of a list of numbers.
public struct Distribution: Sendable, Equatable {
    public let count: Int
    public let mean: Double
    /// Standard error of the mean: the deviation (n - 1) over √n; nil for fewer than two numbers.
    public let standardError: Double?
    public let median: Double
    public let p99: Double
    public let p999: Double
    public let minimum: Double
    public let maximum: Double

    public init(_ numbers: [Double]) {
        let sorted = numbers.sorted()
        count = numbers.count
        mean = numbers.isEmpty ? 0 : numbers.reduce(0, +) / Double(count)
        if count > 1 {
            let center = mean
            let squares = numbers.reduce(0) { $0 + ($1 - center) * ($1 - center) }
            standardError = (squares / Double(count - 1) / Double(count)).squareRoot()
        } else {
            standardError = nil
        }
        median = Self.quantile(sorted, 0.5)
        p99 = Self.quantile(sorted, 0.99)
        p999 = Self.quantile(sorted, 0.999)
        minimum = sorted.first ?? 0
        maximum = sorted.last ?? 0
    }

    /// Linear between the two nearest ranks, as numpy does by default.
    private static func quantile(_ sorted: [Double], _ share: Double) -> Double {
        guard let last = sorted.last else { return 0 }
        let place = share * Double(sorted.count - 1)
        let below = Int(place)
        guard below + 1 < sorted.count else { return last }
        return sorted[below] + (place - Double(below)) * (sorted[below + 1] - sorted[below])
    }
}

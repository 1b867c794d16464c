/// Several feed-forwards, of which a router chooses a few for every token:
///
///     logits = router(x)
///     y = Σ weight · expert(x) over the chosen, in ascending order, then + shared(x)
///
/// Of experts with equal scores those that stand first are chosen.
///
/// - Source: Shazeer et al. 2017, "Outrageously Large Neural Networks" (arXiv 1701.06538).
public struct ExpertsSpec: Sendable, Equatable {
    public var count: Int
    /// Experts that work on a token.
    public var chosenCount: Int
    public var scoring = Scoring.softmax
    public var hasRouterBias = false
    /// Whether a stored number an expert is added to its score for the choice, and for nothing else.
    public var hasCorrection = false
    /// Which groups of experts are chosen from; nil for all.
    public var groups: Groups?
    /// Whether the weights of the chosen are divided by their sum and `divisorOffset`.
    public var isNormalized = false
    public var divisorOffset = 0.0
    /// What the weights are multiplied by in the end; nil for nothing.
    public var weightScale: Double?
    /// A feed-forward that every token passes besides.
    public var shared: FeedForwardSpec?
    /// Whether the matrices of all experts lie in one tensor, [experts, ...], not in one each.
    public var isStacked = false

    public enum Scoring: String, Sendable {
        /// The softmax over all logits is score and weight.
        case softmax
        /// The sigmoid of each logit is score and weight.
        case sigmoid
        /// Logits are scores; the softmax over the chosen ones' is their weight.
        case softmaxOfChosen
    }

    /// Equal parts of the experts, side by side, of which some are chosen first: those with the greatest sum of their
    /// `bestCount` greatest scores.
    public struct Groups: Sendable, Equatable {
        public var count: Int
        public var chosenCount: Int
        public var bestCount: Int

        public init(count: Int, chosenCount: Int, bestCount: Int) {
            self.count = count
            self.chosenCount = chosenCount
            self.bestCount = bestCount
        }
    }

    public init(count: Int, chosenCount: Int) {
        self.count = count
        self.chosenCount = chosenCount
    }
}

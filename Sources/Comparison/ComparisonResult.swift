import AssayCheckpoints
import AssayModels

/// Everything that a comparison found.
public struct ComparisonResult: Sendable {
    /// A side as reports name it.
    public struct Side: Sendable {
        public var name: String
        public var description: String
        /// "f32", "int4-g32 and f32"; empty for captures.
        public var storages: String
    }

    /// What the models were fed.
    public struct Tokens: Sendable {
        public var batchCount: Int
        public var length: Int
        /// Positions that are read.
        public var readCount: Int
        public var digest: Digest
    }

    public let reference: Side
    public let test: Side
    public let profile: Profile
    public internal(set) var tolerance: Tolerance
    public internal(set) var structure: StructureFindings
    /// Nil where weights were not compared as a whole.
    public internal(set) var weights: [WeightFigures]?
    /// Whether weights count in the verdict.
    public internal(set) var judgesWeights = false
    /// Whether a table of them is wanted.
    public internal(set) var showsWeights = false
    /// Tensors that could have caused the first unexplained tap, and differ; empty where nothing is unexplained.
    public internal(set) var suspects: [WeightFigures] = []
    public internal(set) var tokens: Tokens?
    /// Nil where activations were not compared.
    public internal(set) var taps: [TapFigures]?
    /// Whether a side was captured elsewhere, so that there is no isolated error.
    public internal(set) var isAccumulatedOnly = false
    public internal(set) var logits: LogitsFigures?
    /// What was not compared, and why; sentences.
    public internal(set) var notes: [String] = []

    init(_ reference: ComparisonSide, _ test: ComparisonSide, profile: Profile, tolerance: Tolerance) {
        self.reference = Side(name: reference.name, description: reference.description, storages: reference.storages)
        self.test = Side(name: test.name, description: test.description, storages: test.storages)
        self.profile = profile
        self.tolerance = tolerance
        structure = StructureFindings(reference, test)
    }

    // MARK: Verdict

    /// The worst class of anything that was compared; nil where nothing was.
    public var differenceClass: DifferenceClass? {
        let classes =
            (taps ?? []).map(\.differenceClass)
            + (judgesWeights ? weights ?? [] : []).map(\.differenceClass)
        let order = DifferenceClass.allCases
        return classes.max { order.firstIndex(of: $0)! < order.firstIndex(of: $1)! }
    }

    /// Where it starts: the first tap that leaves what is explained, or the user's own limit.
    public var firstOutside: TapFigures? {
        taps?.first { $0.differenceClass == .unexplained || $0.exceeds(tolerance.limit) }
    }

    /// The block whose own contribution is the largest: by the judged error of what leaves it.
    public var largestContribution: (layer: Int, error: Double)? {
        guard !isAccumulatedOnly else { return nil }
        let outs = (taps ?? []).filter { $0.point == "out" && !$0.judged.isIdentical }
        guard let largest = outs.max(by: { $0.judged.relativeL2 < $1.judged.relativeL2 }), let layer = largest.layer
        else { return nil }
        return (layer, largest.judged.relativeL2)
    }

    /// The tap whose judged error is the largest part of what is allowed.
    public var tightest: TapFigures? {
        taps?.filter { !$0.judged.isIdentical }.max {
            $0.judged.relativeL2 / $0.allowed < $1.judged.relativeL2 / $1.allowed
        }
    }

    /// Weights that are unexplained, where weights are judged.
    public var unexplainedWeights: [WeightFigures] {
        judgesWeights ? (weights ?? []).filter { $0.differenceClass == .unexplained } : []
    }

    public var exitStatus: ExitStatus {
        if structure.differs { return .structureDiffers }
        if firstOutside != nil || !unexplainedWeights.isEmpty { return .numbersDiffer }
        return .done
    }
}

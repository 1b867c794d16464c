import AssayCheckpoints
import AssayModels

// All rules of a verdict stand in this file: what explains the difference of a tap and of a weight, and what follows for
// the whole.
//
// How far a tap may be from its reference before a comparison calls the difference unexplained.
//
// A tap is judged on its isolated error: the test's block ran on the reference's own hidden state, so nothing that
// happened in earlier blocks counts. Two things may explain it.
//
// Arithmetic. The noise floor of a tap is the relative L2 of the reference's block under the profile in use against the
// same block, on the same state, in float64 (the error of a product is flat in K for real data and
// far below the worst case, so it is measured here, not bounded). Two correct computations with different roundings
// differ by about √2 floors; `floorFactor` floors are allowed. A floor is at least the unit roundoff of the profile.
//
// Storage. Where the two sides declare different storages for a weight, each element may differ by half a step of
// either: half a unit in the last place of bf16, f16, f8; scale / 2 for integers. For one product that makes about
// Σ step² x² / 12, but trained models have products that hang on a few large activations, where a mean
// over many roundings says nothing. So what the declared storage does is measured: the reference's block runs once more,
// on the same state, with every such weight of its own rounded to the nearest number that the test's storage holds
// (`RoundedTensor`: the type, or the test's scales and zero points), and the relative L2 at each tap, through norms,
// attention and activations, is that tap's storage term. Where the reference is stored coarsely itself, what rounding to
// its storage takes from the test's weights is added the same way. No difference beyond half a step gets into the term
// (but for clipped elements), so it does not swallow what it is to judge. Models that were rounded to nearest come out at
// about one term; `storageFactor` terms are allowed.
//
// A term in norm alone could hide damage to few elements under the noise of many, so the weights are looked at too: where
// the storages differ, every element is held against half a step (clipped elements, whose integer is the outermost,
// excepted). A tap that a tensor with elements beyond that feeds directly gets no storage term.
//
// Weights are judged whether or not tokens reach them: the row of a token that no text holds may be broken too. Two sides
// of one storage must agree to the last places of float32 (conversions and merges in other programs round there); anything
// more is unexplained, also where no tap shows it.

/// The constants of a verdict.
public struct Tolerance: Sendable, Equatable {
    /// Noise floors that are allowed.
    public var floorFactor = 8.0
    /// Storage terms that are allowed.
    public var storageFactor = 2.0
    /// Relative L2 that is arithmetic whatever the floor: 0 within this program.
    public var leastArithmetic = 0.0
    /// Relative L2 that the user allows at most, at every tap that is judged; nil for no such limit.
    public var limit: Double?

    /// What counts as arithmetic against activations of another program, whose roundings our floor does not know: the
    /// promise of this one against others in float32. Between two captures there is no floor at all.
    public static let betweenPrograms = 1e-5

    public init(limit: Double? = nil) { self.limit = limit }

    /// The least floor: half a unit in the last place.
    static func unitRoundoff(_ profile: Profile) -> Double { profile.precision == .float32 ? 0x1p-24 : 0x1p-53 }

    func arithmetic(floor: Double?) -> Double { max(floorFactor * (floor ?? 0), leastArithmetic) }
}

// MARK: Weights

extension Tolerance {
    /// What explains the difference of a weight.
    static func differenceClass(of weight: WeightFigures) -> DifferenceClass {
        guard let figures = weight.figures else { return weight.hasSameBytes ? .identical : .unexplained }
        if figures.isIdentical || (figures.sums.sum_diff2 == 0 && !figures.hasUnmatchedNonFinite) { return .identical }
        if weight.beyond.count > 0 { return .unexplained }
        return weight.referenceStorage == weight.testStorage ? .arithmetic : .storage
    }
}

// MARK: Taps

extension TapFigures {
    /// - Parameter tensorsBeyond: names of unexplained weights that feed the tap directly.
    mutating func judge(_ tolerance: Tolerance, tensorsBeyond: [String] = []) {
        self.tensorsBeyond = tensorsBeyond
        let arithmetic = tolerance.arithmetic(floor: noiseFloor)
        let storage = tensorsBeyond.isEmpty ? tolerance.storageFactor * (storageTerm ?? 0) : 0
        allowed = arithmetic + storage
        let error = judged.relativeL2
        if judged.isIdentical {
            differenceClass = .identical
        } else if error <= arithmetic {
            differenceClass = .arithmetic
        } else {
            differenceClass = error <= allowed ? .storage : .unexplained
        }
    }

    /// The larger of the errors that are known: what a limit of the user's is about.
    public var largestError: Double { max(accumulated.relativeL2, isolated?.relativeL2 ?? 0) }
}

// MARK: The whole

extension ComparisonResult {
    /// The worst class of anything that was compared; nil where nothing was.
    public var differenceClass: DifferenceClass? {
        let classes = (taps ?? []).map(\.differenceClass) + (weights ?? []).map(\.differenceClass)
        let order = DifferenceClass.allCases
        return classes.max { order.firstIndex(of: $0)! < order.firstIndex(of: $1)! }
    }

    /// Weights whose numbers are equal, and not the bits that store them.
    public var equalInValueOnly: [WeightFigures] {
        (weights ?? []).filter { $0.differenceClass == .identical && !$0.hasSameBits }
    }

    /// Where it starts: the first tap that leaves what is explained, or the user's own limit.
    public var firstOutside: TapFigures? {
        taps?.first { $0.differenceClass == .unexplained || exceedsLimit($0) }
    }

    /// Whether a tap exceeds the user's own limit.
    public func exceedsLimit(_ tap: TapFigures) -> Bool { tolerance.limit.map { !(tap.largestError <= $0) } ?? false }

    /// Weights that are unexplained.
    public var unexplainedWeights: [WeightFigures] {
        (weights ?? []).filter { $0.differenceClass == .unexplained }
    }

    /// Weights that exceed the user's own limit, which is about them where no activations were compared.
    public var weightsAboveLimit: [WeightFigures] {
        guard let limit = tolerance.limit, taps == nil else { return [] }
        return (weights ?? []).filter { weight in weight.figures.map { !($0.relativeL2 <= limit) } ?? false }
    }

    public var exitStatus: ExitStatus {
        if structure.differs { return .structureDiffers }
        if firstOutside != nil || !unexplainedWeights.isEmpty || !weightsAboveLimit.isEmpty { return .numbersDiffer }
        return .done
    }

    /// The block whose own contribution is the largest: by the judged error of what leaves it.
    public var largestContribution: (layer: Int, error: Double, differenceClass: DifferenceClass)? {
        guard !isAccumulatedOnly else { return nil }
        let outs = (taps ?? []).filter { $0.point == "out" && !$0.judged.isIdentical }
        guard let largest = outs.max(by: { $0.judged.relativeL2 < $1.judged.relativeL2 }), let layer = largest.layer
        else { return nil }
        return (layer, largest.judged.relativeL2, largest.differenceClass)
    }

    /// The tap whose judged error is the largest part of what is allowed.
    public var tightest: TapFigures? {
        taps?.filter { !$0.judged.isIdentical }.max {
            $0.judged.relativeL2 / $0.allowed < $1.judged.relativeL2 / $1.allowed
        }
    }
}

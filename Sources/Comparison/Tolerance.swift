import AssayModels

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

/// One tap of a comparison.
public struct TapFigures: Sendable {
    public let name: String
    /// Nil where the tap belongs to no block.
    public let layer: Int?
    /// On the test's own hidden states: everything that came before counts.
    public internal(set) var accumulated = DifferenceFigures()
    /// On the reference's hidden states; nil where a side was captured.
    public internal(set) var isolated: DifferenceFigures?
    /// Relative L2 of the reference's arithmetic against float64; nil between captures.
    public internal(set) var noiseFloor: Double?
    /// Relative L2 that rounding to the declared storages makes; nil where they are the same.
    public internal(set) var storageTerm: Double?
    /// Tensors that feed this tap directly and differ beyond their storage.
    public internal(set) var tensorsBeyond: [String] = []
    /// Relative L2 up to which the difference is explained.
    public internal(set) var allowed = 0.0
    public internal(set) var differenceClass = DifferenceClass.identical

    /// What the class is about: the isolated error where there is one.
    public var judged: DifferenceFigures { isolated ?? accumulated }

    init(_ tap: PlannedTap) {
        name = tap.name
        let parts = tap.name.split(separator: ".")
        layer = parts.count == 3 && parts[0] == "layers" ? Int(parts[1]) : nil
    }

    /// The tap's name within its block.
    public var point: String { layer == nil ? name : String(name.split(separator: ".").last!) }

    mutating func judge(_ tolerance: Tolerance) {
        let arithmetic = tolerance.arithmetic(floor: noiseFloor)
        let storage = tensorsBeyond.isEmpty ? tolerance.storageFactor * (storageTerm ?? 0) : 0
        allowed = arithmetic + storage
        let error = judged.relativeL2
        if judged.isIdentical {
            differenceClass = .identical
        } else if judged.hasUnmatchedNonFinite {
            differenceClass = .unexplained
        } else if error <= arithmetic {
            differenceClass = .arithmetic
        } else {
            differenceClass = error <= allowed ? .storage : .unexplained
        }
    }

    /// Whether the user's own limit is exceeded.
    func exceeds(_ limit: Double?) -> Bool {
        guard let limit else { return false }
        return !(judged.relativeL2 <= limit) || judged.hasUnmatchedNonFinite
    }
}

/// Rotary position embeddings: the pairs of `dimension` features of a head are turned by `position · frequency`.
///
/// - Source: Su et al. 2021, "RoFormer" (arXiv 2104.09864), equation 34; pairs as `rotate_half` of transformers makes them.
public struct RotarySpec: Sendable, Equatable {
    /// The first pair turns once in 2π positions, the last in about 2π·base.
    public var base: Double
    /// Even; features of a head beyond it are left.
    public var dimension: Int
    /// Features of a head before the first that is turned.
    public var offset = 0
    /// Whether a pair are neighbours, 2m and 2m + 1; else m and m + dimension / 2.
    public var isInterleaved = false
    public var scaling = RotaryScaling.none

    public init(base: Double, dimension: Int, isInterleaved: Bool = false, scaling: RotaryScaling = .none) {
        self.base = base
        self.dimension = dimension
        self.isInterleaved = isInterleaved
        self.scaling = scaling
    }
}

/// How rotations are stretched for longer sequences than a model was trained on.
///
/// - Source: `modeling_rope_utils.py` of transformers 5.
public enum RotaryScaling: Sendable, Equatable {
    case none
    /// All frequencies divided by the factor.
    case linear(factor: Double)
    /// A greater base once sequences are longer than `originalLength`: the longer, the greater.
    case dynamic(factor: Double, originalLength: Double)
    /// Low frequencies divided by the factor, high ones kept, and a smooth passage between them.
    case llama3(factor: Double, lowFactor: Double, highFactor: Double, originalLength: Double)
    /// Low frequencies divided by the factor, high ones kept, and a ramp between the pairs that turn `fast` and `slow`
    /// times in the original length; cosines and sines are multiplied by `attentionFactor`.
    case yarn(
        factor: Double, fast: Double, slow: Double, originalLength: Double, isTruncated: Bool, attentionFactor: Double)
    /// Every frequency divided by a number of its own, others once sequences are longer than `originalLength`; cosines
    /// and sines are multiplied by `attentionFactor`.
    case longRope(short: [Double], long: [Double], originalLength: Double, attentionFactor: Double)
}

/// How the numbers of a weight are quantized: an integer of some bits an element, a scale (and a zero point, where it
/// is asymmetric) a group.
///
/// `value = (code - zero point) * scale`, codes in -2^(bits-1) ... 2^(bits-1) - 1.
public struct QuantizationScheme: Sendable, Equatable {
    /// "int4-g32-asym".
    public let name: String
    public let bits: Int
    /// Consecutive elements along the *input* of the product that share a scale; nil for one scale an output channel.
    public let groupSize: Int?
    public let isSymmetric: Bool

    init(bits: Int, groupSize: Int? = nil, isSymmetric: Bool = true) {
        name = "int\(bits)" + (groupSize.map { "-g\($0)" } ?? "") + (isSymmetric ? "" : "-asym")
        self.bits = bits
        self.groupSize = groupSize
        self.isSymmetric = isSymmetric
    }
}

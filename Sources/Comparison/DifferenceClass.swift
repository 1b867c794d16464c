/// What explains a difference.
public enum DifferenceClass: String, Sendable, CaseIterable {
    /// Every number is equal: of a tap every bit; of a weight's bits `WeightFigures.hasSameBits` speaks.
    case identical
    /// No larger than what rounding inside the forward pass makes.
    case arithmetic
    /// No larger than what the declared storage of the weights makes.
    case storage
    /// Larger than all that.
    case unexplained

    /// As tables show it.
    public var label: String {
        switch self {
        case .identical, .arithmetic, .unexplained: rawValue
        case .storage: "explained by storage"
        }
    }
}

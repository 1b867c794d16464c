import AssayModels

/// One tap of a comparison.
public struct TapFigures: Sendable {
    public let name: String
    /// Of the stack that the tap belongs to.
    public let role: StackSpec.Role
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
        let parts = TapName(tap.name)
        (role, layer, point) = (parts?.role ?? .only, parts?.layer, parts?.point ?? tap.name)
    }

    /// The tap's name within its block or stack.
    public let point: String
}

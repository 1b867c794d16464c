import AssayTensors

/// What the user may choose beside the scheme.
public struct QuantizationOptions: Sendable {
    /// The stored type of scales: f32, bf16 or f16. Nil follows the weight: its own type for bf16 and f16, else f32.
    public var scaleType: ElementType?
    /// Whether clipping points inside the range are tried; without, every group's whole range is kept.
    public var searchesClipping = true
    /// Whether NaN becomes 0 and an infinity the group's largest magnitude, counted, instead of an error.
    public var allowsNonFinite = false
    public var threads: Int

    public init(
        scaleType: ElementType? = nil, searchesClipping: Bool = true, allowsNonFinite: Bool = false, threads: Int = 1
    ) {
        self.scaleType = scaleType
        self.searchesClipping = searchesClipping
        self.allowsNonFinite = allowsNonFinite
        self.threads = threads
    }
}

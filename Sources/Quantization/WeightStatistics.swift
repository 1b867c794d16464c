#if canImport(Glibc)
    import Glibc
#endif

/// How far a quantized weight is from its source, in float64 over what a reader of the file decodes.
public struct WeightStatistics: Sendable, Equatable {
    public let elementCount: Int
    /// Stored bits an element, scales and zero points included.
    public let bitsPerElement: Double
    /// Sum of the squared weights.
    public let signal: Double
    /// Sum of the squared errors.
    public let noise: Double
    /// The largest absolute error of an element.
    public let maximumError: Double
    /// What became of groups; nil of blocks, whose owner chooses the scales.
    public let groups: Groups?

    public struct Groups: Sendable, Equatable {
        /// Elements whose nearest integer lies outside the scheme's range.
        public let saturatedCount: Int
        /// Non-zero groups so small that their scale is the smallest normal number of its type.
        public let flooredCount: Int
        /// NaNs and infinities that were replaced because the user allowed it.
        public let replacedCount: Int
    }

    /// `10 log10(signal / noise)`; infinite where nothing was lost.
    public var sqnrDecibels: Double { noise == 0 ? .infinity : 10 * log10(signal / noise) }
    /// `sqrt(noise / signal)`; 0 where nothing was lost.
    public var relativeL2: Double { noise == 0 ? 0 : (noise / signal).squareRoot() }
    public var saturatedFraction: Double {
        elementCount == 0 ? 0 : Double(groups?.saturatedCount ?? 0) / Double(elementCount)
    }

    /// - Parameters:
    ///   - byteCount: stored for the elements, scales included.
    ///   - hasGroups: whether the parts tell what became of groups.
    public init(_ sums: ErrorSums, elementCount: Int, byteCount: Int, hasGroups: Bool) {
        let total = sums.total
        self.elementCount = elementCount
        bitsPerElement = elementCount == 0 ? 0 : Double(byteCount) * 8 / Double(elementCount)
        signal = total.signal
        noise = total.noise
        maximumError = total.maximum
        groups =
            hasGroups
            ? Groups(
                saturatedCount: total.saturatedCount, flooredCount: total.flooredCount,
                replacedCount: total.replacedCount)
            : nil
    }
}

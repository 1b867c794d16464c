import AssayCKernels

#if canImport(Glibc)
    import Glibc
#endif

/// How far some numbers are from their reference: sums in float64 over all pairs of which both are finite.
public struct DifferenceFigures: Sendable {
    var sums: ck_comparison

    init(_ sums: ck_comparison = ck_comparison()) { self.sums = sums }

    /// Adds the figures of a part that begins at an element of the whole. Sums depend on the order of the parts.
    mutating func add(_ part: ck_comparison, at element: Int) {
        withUnsafePointer(to: part) { ck_comparison_add(&sums, $0, UInt64(element)) }
    }

    public var count: Int { Int(sums.count) }

    /// Whether every pair has the same bits.
    public var isIdentical: Bool { sums.count_equal_bits == sums.count }
    public var equalBitsCount: Int { Int(sums.count_equal_bits) }

    /// Pairs of which one is NaN or infinite and the other is not the same: no sum holds them.
    public var unmatchedCount: Int { Int(sums.count_unmatched) }
    public var hasUnmatchedNonFinite: Bool { sums.count_unmatched > 0 }
    public var referenceNonFiniteCount: Int { Int(sums.count_nonfinite_ref) }
    public var testNonFiniteCount: Int { Int(sums.count_nonfinite_test) }

    /// ‖test - reference‖ / ‖reference‖; infinite where the reference is zero and the test is not, and where a number is
    /// not finite that has no counterpart.
    public var relativeL2: Double {
        if hasUnmatchedNonFinite { return .infinity }
        return sums.sum_diff2 == 0 ? 0 : (sums.sum_diff2 / sums.sum_ref2).squareRoot()
    }

    /// Infinite where a number is not finite that has no counterpart.
    public var maximumDifference: Double { hasUnmatchedNonFinite ? .infinity : sums.max_abs_diff }
    public var maximumReference: Double { sums.max_abs_ref }
    /// The first element with the largest difference, counted among all of the tap or tensor; nil where a number is not
    /// finite that has no counterpart.
    public var indexOfMaximum: Int? { hasUnmatchedNonFinite ? nil : Int(sums.index_of_max) }

    /// 10 log10(Σ reference² / Σ (test - reference)²); infinite where nothing differs, minus infinity where a number is not
    /// finite that has no counterpart.
    public var sqnrDecibels: Double {
        if hasUnmatchedNonFinite { return -.infinity }
        return sums.sum_diff2 == 0 ? .infinity : 10 * log10(sums.sum_ref2 / sums.sum_diff2)
    }

    /// Nil where a side is zero, or a number is not finite that has no counterpart.
    public var cosine: Double? {
        guard !hasUnmatchedNonFinite else { return nil }
        let norms = sums.sum_ref2.squareRoot() * sums.sum_test2.squareRoot()
        return norms > 0 ? min(1, max(-1, sums.sum_dot / norms)) : nil
    }
}

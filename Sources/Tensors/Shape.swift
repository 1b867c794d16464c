/// The dimensions of a tensor, outermost first, whose product is known to fit.
///
/// A scalar has no dimensions and one element. Any dimension may be zero.
public struct Shape: Hashable, Sendable, CustomStringConvertible {
    /// More dimensions than any tensor library creates (NumPy's limit).
    public static let maximumRank = 64

    public let dimensions: [Int]
    public let elementCount: Int

    /// Makes a shape, or nil where a dimension is negative, the rank is above `maximumRank`, or the product of the
    /// non-zero dimensions overflows (a zero elsewhere does not excuse it).
    public init?(_ dimensions: [Int]) {
        guard dimensions.count <= Self.maximumRank else { return nil }
        var product = 1
        for dimension in dimensions {
            guard dimension >= 0 else { return nil }
            if dimension == 0 { continue }
            let (next, overflow) = product.multipliedReportingOverflow(by: dimension)
            guard !overflow else { return nil }
            product = next
        }
        self.dimensions = dimensions
        self.elementCount = dimensions.contains(0) ? 0 : product
    }

    public var rank: Int { dimensions.count }

    /// Rows: the first dimension, 1 for a scalar.
    public var rowCount: Int { dimensions.first ?? 1 }

    /// Elements of one row: the product of all dimensions but the first.
    public var rowElementCount: Int { rowCount == 0 ? 0 : elementCount / rowCount }

    /// Elements from one step to the next along every dimension, in the row-major order. A dimension of zero counts as one:
    /// there are no elements to find.
    ///
    /// - Precondition: the product of the non-zero dimensions fits.
    package static func strides(of dimensions: [Int]) -> [Int] {
        var stride = 1
        return dimensions.reversed().map { dimension in
            defer { stride *= max(dimension, 1) }
            return stride
        }.reversed()
    }

    /// Where the element at a position of the row-major order stands: an index for each dimension.
    ///
    /// - Precondition: the position is in `0..<elementCount`.
    public func indices(ofElement position: Int) -> [Int] {
        var rest = position
        return dimensions.reversed().map { dimension in
            defer { rest /= dimension }
            return rest % dimension
        }.reversed()
    }

    public var description: String {
        var text = "["
        for (position, dimension) in dimensions.enumerated() {
            if position > 0 { text += ", " }
            text += String(dimension)
        }
        return text + "]"
    }
}

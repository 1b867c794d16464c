import AssayCKernels

/// What happened to values that a narrower type cannot hold.
public struct ConversionTally: Sendable, Equatable {
    /// Finite values that became infinite, or the type's NaN or largest value where it has no infinity.
    public var overflowed = 0
    /// Non-zero values that became zero.
    public var underflowed = 0

    public init(overflowed: Int = 0, underflowed: Int = 0) {
        self.overflowed = overflowed
        self.underflowed = underflowed
    }

    public static func += (tally: inout ConversionTally, other: ConversionTally) {
        tally.overflowed += other.overflowed
        tally.underflowed += other.underflowed
    }
}

/// The conversion of elements from one floating-point type to another.
public struct ElementConversion: Sendable {
    public let source: ElementType
    public let destination: ElementType

    /// - Returns: nil where one of the types is not a real floating-point type.
    public init?(from source: ElementType, to destination: ElementType) {
        guard source.isFloating, destination.isFloating else { return nil }
        self.source = source
        self.destination = destination
    }

    /// Converts `count` elements.
    ///
    /// - Parameters:
    ///   - bytes: `count` elements of `source`, from a whole unit on.
    ///   - result: room for `count` elements of `destination`.
    @discardableResult
    public func convert(
        _ bytes: UnsafeRawBufferPointer, to result: UnsafeMutableRawBufferPointer, count: Int
    ) -> ConversionTally {
        fatalError("the kernels of this conversion come with the next commit")
    }
}

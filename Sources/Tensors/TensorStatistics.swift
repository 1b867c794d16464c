import AssayCKernels

/// What the numbers of a tensor are like, gathered in one pass over its bytes, in float64.
///
/// Minimum, maximum, mean and standard deviation are of the finite values; NaN and infinities are counted apart. Each
/// block of 1024 values is summed around its own mean and blocks are joined around theirs (Chan, Golub and LeVeque
/// 1979), so that a mean far from zero costs the standard deviation nothing. The result has the same bits at every
/// dispatch level and however the bytes are cut into calls of `add`. It is not meaningful for float64 values whose
/// squares overflow.
public struct TensorStatistics: Sendable {
    private var gathered = ck_statistics_empty()
    /// Values that do not fill a block yet: the first `pendingCount`.
    private var pending = [Double](repeating: 0, count: Int(CK_STATISTICS_BLOCK))
    private var pendingCount = 0
    private let level: DispatchLevel

    public init() {
        self.init(at: .current)
    }

    /// The same at a chosen dispatch level, which this machine must have.
    package init(at level: DispatchLevel) {
        self.level = level
    }

    /// Whether the type's elements are numbers on a line: all but complex ones are. 64-bit integers are rounded to
    /// float64, and a bool is 0 or 1.
    public static func describes(_ type: ElementType) -> Bool { type.kernelNumber != nil }

    /// Takes the next elements of a tensor. A complex type adds nothing.
    ///
    /// - Parameter bytes: whole units of `type`, of any alignment.
    public mutating func add(_ bytes: UnsafeRawBufferPointer, type: ElementType) {
        guard let number = type.kernelNumber, let start = bytes.baseAddress else { return }
        let elementCount = bytes.count / type.unitByteCount * type.elementsPerUnit
        pending.withUnsafeMutableBufferPointer {
            ck_statistics_add(
                level.kernelLevel, number, start, elementCount, $0.baseAddress, &pendingCount, &gathered)
        }
    }

    /// Takes the statistics of a later piece of the tensor. The same pieces, joined in the same order, give the same
    /// bits; other pieces may differ in the last ones.
    public mutating func merge(_ later: TensorStatistics) {
        settle()
        var later = later.settled
        ck_statistics_merge(&gathered, &later)
    }

    /// All elements, NaN and infinities included.
    public var count: Int { Int(settled.nan + settled.infinite + settled.finite) }
    public var nanCount: Int { Int(settled.nan) }
    public var infinityCount: Int { Int(settled.infinite) }
    public var zeroCount: Int { Int(settled.zero) }

    /// The least finite value; nil where there is none.
    public var minimum: Double? { ofFinite(\.minimum) }
    /// The greatest finite value; nil where there is none.
    public var maximum: Double? { ofFinite(\.maximum) }
    public var mean: Double? { ofFinite(\.mean) }
    /// The square root of the mean squared distance from the mean (divided by the count, not by one less).
    public var standardDeviation: Double? {
        ofFinite(\.squares).map { ($0 / Double(settled.finite)).squareRoot() }
    }

    /// The value with negative zero shown as zero: which of the two comes out is chance.
    private func ofFinite(_ figure: KeyPath<ck_statistics, Double>) -> Double? {
        let settled = settled
        return settled.finite == 0 ? nil : settled[keyPath: figure] + 0
    }

    private mutating func settle() {
        guard pendingCount > 0 else { return }
        pending.withUnsafeMutableBufferPointer {
            ck_statistics_add_block(level.kernelLevel, $0.baseAddress, pendingCount, &gathered)
        }
        pendingCount = 0
    }

    /// What was gathered, with the values that wait.
    private var settled: ck_statistics {
        guard pendingCount > 0 else { return gathered }
        var copy = self
        copy.settle()
        return copy.gathered
    }
}

extension ElementType {
    /// The type's number in the statistics kernels; nil for complex types.
    var kernelNumber: Int32? {
        if let float = kernelFloat { return Int32(float.rawValue) }
        let integer: ck_integer
        switch self {
        case .bool: integer = CK_BOOL
        case .u8: integer = CK_U8
        case .i8: integer = CK_I8
        case .u16: integer = CK_U16
        case .i16: integer = CK_I16
        case .u32: integer = CK_U32
        case .i32: integer = CK_I32
        case .u64: integer = CK_U64
        case .i64: integer = CK_I64
        default: return nil
        }
        return Int32(integer.rawValue)
    }
}

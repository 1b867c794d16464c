import AssayCKernels

/// What happened to values that a narrower type cannot hold.
public struct ConversionTally: Sendable, Equatable {
    /// Finite values that became infinite; where the destination has no infinity, finite values and infinities that
    /// became its NaN or its largest value.
    public var overflowed = 0
    /// Values other than zero that became zero.
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

/// The conversion of elements from one floating-point type to another: rounded once, to nearest, ties to even.
///
/// NaN stays NaN, quiet, with the leading bits of its payload where the destination has room for one. Subnormal
/// numbers are exact. What lies beyond the destination's range becomes infinity, its largest value or NaN, as
/// formats/element-types.md says of each type. The bits and the tally are the same at every dispatch level.
public struct ElementConversion: Sendable {
    public let source: ElementType
    public let destination: ElementType
    private let sourceKernel: ck_float
    private let destinationKernel: ck_float
    private let level: DispatchLevel

    /// - Returns: nil where `refusal(from:to:)` has a reason.
    public init?(from source: ElementType, to destination: ElementType) {
        self.init(from: source, to: destination, at: .current)
    }

    /// The same at a chosen dispatch level, which this machine must have.
    package init?(from source: ElementType, to destination: ElementType, at level: DispatchLevel) {
        guard Self.refusal(from: source, to: destination) == nil,
            let sourceKernel = source.kernelFloat, let destinationKernel = destination.kernelFloat
        else { return nil }
        self.source = source
        self.destination = destination
        self.sourceKernel = sourceKernel
        self.destinationKernel = destinationKernel
        self.level = level
    }

    /// Why there is no such conversion, in words that follow a tensor's name and a colon; nil where there is one.
    ///
    /// A floating-point type converts to f64, f32, bf16, f16, f8 e4m3 and e5m2 and their fnuz forms, and to itself.
    public static func refusal(from source: ElementType, to destination: ElementType) -> String? {
        for type in [source, destination] where !type.isFloating {
            return "cannot convert \(source.name) to \(destination.name): \(type.name) is not a floating-point type"
        }
        guard source != destination else { return nil }
        let lack: String
        switch destination {
        case .f4, .f6e2m3, .f6e3m2: lack = "NaN or infinity"
        case .f8e8m0: lack = "zero or negative numbers"
        default: return nil
        }
        return "cannot convert \(source.name) to \(destination.name): \(destination.name) has no \(lack)"
    }

    /// Converts `count` elements.
    ///
    /// - Parameters:
    ///   - bytes: `count` elements of `source`, from a whole unit on; any alignment.
    ///   - result: room for `count` elements of `destination`; any alignment; must not overlap `bytes`.
    @discardableResult
    public func convert(
        _ bytes: UnsafeRawBufferPointer, to result: UnsafeMutableRawBufferPointer, count: Int
    ) -> ConversionTally {
        precondition(count >= 0 && bytes.count >= source.byteCount(ofFirst: count), "source buffer too small")
        precondition(result.count >= destination.byteCount(ofFirst: count), "destination buffer too small")
        var tally = ck_tally()
        guard count > 0, let input = bytes.baseAddress, let output = result.baseAddress else { return .init() }
        ck_convert_elements(
            ck_convert_at(level.kernelLevel), sourceKernel, destinationKernel, output, input, count, &tally)
        return ConversionTally(overflowed: Int(tally.overflowed), underflowed: Int(tally.underflowed))
    }
}

extension ElementType {
    /// The type's number in the conversion kernels; nil for what is not a real floating-point type.
    package var kernelFloat: ck_float? {
        switch self {
        case .f64: CK_F64
        case .f32: CK_F32
        case .bf16: CK_BF16
        case .f16: CK_F16
        case .f8e4m3: CK_F8_E4M3
        case .f8e5m2: CK_F8_E5M2
        case .f8e4m3fnuz: CK_F8_E4M3FNUZ
        case .f8e5m2fnuz: CK_F8_E5M2FNUZ
        case .f8e8m0: CK_F8_E8M0
        case .f6e2m3: CK_F6_E2M3
        case .f6e3m2: CK_F6_E3M2
        case .f4: CK_F4
        case .bool, .u8, .i8, .i16, .u16, .i32, .u32, .i64, .u64, .c64: nil
        }
    }

    /// The bytes in which the first `count` elements of a tensor end, the last of them perhaps shared with others.
    func byteCount(ofFirst count: Int) -> Int {
        let whole = count / elementsPerUnit * unitByteCount
        return whole + (count % elementsPerUnit * bitCount + 7) / 8
    }
}

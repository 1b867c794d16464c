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

/// The conversion of elements from one floating-point type to another: rounded once, to nearest, ties to even. A block
/// type stands for the float32 numbers that its definition computes.
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
    /// A floating-point type converts to f64, f32, bf16, f16, f8 e4m3 and e5m2 and their fnuz forms, to the block types
    /// q4_0, q4_1, q5_0, q5_1 and q8_0, and to itself.
    public static func refusal(from source: ElementType, to destination: ElementType) -> String? {
        let refusal = "cannot convert \(source.name) to \(destination.name): "
        for type in [source, destination] {
            guard type.isFloating else { return refusal + "\(type.name) is not a floating-point type" }
            guard type.kernelFloat != nil else { return refusal + "\(type.name) is carried as it is" }
        }
        guard source != destination else { return nil }
        switch destination {
        case .f4, .f6e2m3, .f6e3m2: return refusal + "\(destination.name) has no NaN or infinity"
        case .f8e8m0: return refusal + "\(destination.name) has no zero or negative numbers"
        case .q40, .q41, .q50, .q51, .q80: return nil
        default: return destination.isBlock ? refusal + "how its integers are chosen is not known here" : nil
        }
    }

    /// Converts `count` elements.
    ///
    /// - Parameters:
    ///   - bytes: `count` elements of `source`, from a whole unit on (of a block type, whole blocks); any alignment.
    ///   - result: room for `count` elements of `destination`; any alignment; must not overlap `bytes`.
    @discardableResult
    public func convert(
        _ bytes: UnsafeRawBufferPointer, to result: UnsafeMutableRawBufferPointer, count: Int
    ) -> ConversionTally {
        precondition([source, destination].allSatisfy { !$0.isBlock || count % $0.elementsPerUnit == 0 }, "cut block")
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
        case .q40: CK_Q4_0
        case .q41: CK_Q4_1
        case .q50: CK_Q5_0
        case .q51: CK_Q5_1
        case .q80: CK_Q8_0
        case .q2K: CK_Q2_K
        case .q3K: CK_Q3_K
        case .q4K: CK_Q4_K
        case .q5K: CK_Q5_K
        case .q6K: CK_Q6_K
        case .iq1S: CK_IQ1_S
        case .iq1M: CK_IQ1_M
        case .iq2XXS: CK_IQ2_XXS
        case .iq2XS: CK_IQ2_XS
        case .iq2S: CK_IQ2_S
        case .iq3XXS: CK_IQ3_XXS
        case .iq3S: CK_IQ3_S
        case .iq4NL: CK_IQ4_NL
        case .iq4XS: CK_IQ4_XS
        case .tq10: CK_TQ1_0
        case .tq20: CK_TQ2_0
        case .mxfp4: CK_MXFP4
        case .nvfp4: CK_NVFP4
        case .bool, .u8, .i8, .i16, .u16, .i32, .u32, .i64, .u64, .c64, .q8K, .q10: nil
        }
    }

    /// The bytes in which the first `count` elements of a tensor end, the last of them perhaps shared with others.
    func byteCount(ofFirst count: Int) -> Int {
        let whole = count / elementsPerUnit * unitByteCount
        return whole + (count % elementsPerUnit * unitByteCount + elementsPerUnit - 1) / elementsPerUnit
    }
}

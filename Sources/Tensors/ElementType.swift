/// What one element of a tensor is, in the bits that a file stores.
///
/// The names are the spelling of the safetensors format (version 0.8 of its library), which has one for every scalar type
/// here; block types have ggml's. Sub-byte types are packed without gaps, first element in the lowest bits. A block type
/// stores some consecutive elements of a row together, with scales of their own; `formats/gguf.md` has their bytes.
public enum ElementType: String, CaseIterable, Sendable, Hashable {
    case bool = "BOOL"
    case f4 = "F4"
    case f6e2m3 = "F6_E2M3"
    case f6e3m2 = "F6_E3M2"
    case u8 = "U8"
    case i8 = "I8"
    case f8e5m2 = "F8_E5M2"
    case f8e4m3 = "F8_E4M3"
    case f8e8m0 = "F8_E8M0"
    case f8e4m3fnuz = "F8_E4M3FNUZ"
    case f8e5m2fnuz = "F8_E5M2FNUZ"
    case i16 = "I16"
    case u16 = "U16"
    case f16 = "F16"
    case bf16 = "BF16"
    case i32 = "I32"
    case u32 = "U32"
    case f32 = "F32"
    case c64 = "C64"
    case f64 = "F64"
    case i64 = "I64"
    case u64 = "U64"

    case q40 = "q4_0"
    case q41 = "q4_1"
    case q50 = "q5_0"
    case q51 = "q5_1"
    case q80 = "q8_0"
    case q2K = "q2_K"
    case q3K = "q3_K"
    case q4K = "q4_K"
    case q5K = "q5_K"
    case q6K = "q6_K"
    case q8K = "q8_K"
    case iq1S = "iq1_s"
    case iq1M = "iq1_m"
    case iq2XXS = "iq2_xxs"
    case iq2XS = "iq2_xs"
    case iq2S = "iq2_s"
    case iq3XXS = "iq3_xxs"
    case iq3S = "iq3_s"
    case iq4NL = "iq4_nl"
    case iq4XS = "iq4_xs"
    case tq10 = "tq1_0"
    case tq20 = "tq2_0"
    case mxfp4 = "mxfp4"
    case nvfp4 = "nvfp4"
    case q10 = "q1_0"

    /// The types whose elements stand alone.
    public static let scalars = allCases.filter { !$0.isBlock }

    /// The type's name as tables, certificates and content digests show it.
    public var name: String { rawValue }

    /// Whether elements are stored in blocks of a row.
    public var isBlock: Bool { block != nil }

    /// Elements and bytes of a block.
    private var block: (elements: Int, bytes: Int)? {
        switch self {
        case .q40, .iq4NL: (32, 18)
        case .q41: (32, 20)
        case .q50: (32, 22)
        case .q51: (32, 24)
        case .q80: (32, 34)
        case .q2K: (256, 84)
        case .q3K, .iq3S: (256, 110)
        case .q4K: (256, 144)
        case .q5K: (256, 176)
        case .q6K: (256, 210)
        case .q8K: (256, 292)
        case .iq1S: (256, 50)
        case .iq1M: (256, 56)
        case .iq2XXS, .tq20: (256, 66)
        case .iq2XS: (256, 74)
        case .iq2S: (256, 82)
        case .iq3XXS: (256, 98)
        case .iq4XS: (256, 136)
        case .tq10: (256, 54)
        case .mxfp4: (32, 17)
        case .nvfp4: (64, 36)
        case .q10: (128, 18)
        default: nil
        }
    }

    /// Bits of one element; of a block type, whose elements have no whole number of them, its share rounded down.
    public var bitCount: Int {
        switch self {
        case _ where isBlock: unitByteCount * 8 / elementsPerUnit
        case .f4: 4
        case .f6e2m3, .f6e3m2: 6
        case .bool, .u8, .i8, .f8e5m2, .f8e4m3, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz: 8
        case .i16, .u16, .f16, .bf16: 16
        case .i32, .u32, .f32: 32
        default: 64
        }
    }

    /// The least number of elements that fill whole bytes: a block, 2 for 4-bit types, 4 for 6-bit types, else 1.
    public var elementsPerUnit: Int {
        if let block { return block.elements }
        return switch bitCount {
        case 4: 2
        case 6: 4
        default: 1
        }
    }

    /// The bytes of `elementsPerUnit` elements: the smallest piece of a tensor that can be read alone.
    public var unitByteCount: Int { block?.bytes ?? elementsPerUnit * bitCount / 8 }

    /// Whether the type stands for real numbers with a fraction, so that `--dtype` applies to it.
    public var isFloating: Bool {
        switch self {
        case _ where isBlock: true
        case .f4, .f6e2m3, .f6e3m2, .f8e5m2, .f8e4m3, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz, .f16, .bf16, .f32, .f64: true
        default: false
        }
    }

    /// Bytes of a tensor of `shape`, or nil where their bits overflow, the elements do not fill whole bytes, or the rows
    /// (last dimension) not whole blocks.
    public func byteCount(of shape: Shape) -> Int? {
        guard shape.elementCount % elementsPerUnit == 0 else { return nil }
        guard !isBlock || (shape.dimensions.last ?? 1) % elementsPerUnit == 0 else { return nil }
        let (bits, overflow) = (shape.elementCount / elementsPerUnit).multipliedReportingOverflow(by: 8 * unitByteCount)
        return overflow ? nil : bits / 8
    }

    /// The bytes of some elements of a tensor, which begin a unit; the last unit is taken whole.
    package func byteRange(of elements: Range<Int>) -> Range<Int> {
        let end = (elements.upperBound + elementsPerUnit - 1) / elementsPerUnit
        return elements.lowerBound / elementsPerUnit * unitByteCount..<end * unitByteCount
    }

    /// The elements in some whole units of bytes.
    package func elements(in bytes: Range<Int>) -> Range<Int> {
        bytes.lowerBound / unitByteCount * elementsPerUnit..<bytes.upperBound / unitByteCount * elementsPerUnit
    }

    /// The name that torch gives the type, and configurations hold; nil where it has none.
    public var torchName: String? {
        switch self {
        case .f64: "float64"
        case .f32: "float32"
        case .f16: "float16"
        case .bf16: "bfloat16"
        case .f8e4m3: "float8_e4m3fn"
        case .f8e5m2: "float8_e5m2"
        case .f8e4m3fnuz: "float8_e4m3fnuz"
        case .f8e5m2fnuz: "float8_e5m2fnuz"
        default: nil
        }
    }

    /// The type that a person names: by its name, or as torch does ("bfloat16", "half").
    public init?(spelling: String) {
        let lowered = spelling.lowercased()
        let others: [String: ElementType] = ["half": .f16, "float": .f32, "double": .f64]
        guard
            let type = ElementType(name: spelling) ?? others[lowered]
                ?? ElementType.allCases.first(where: { $0.torchName == lowered })
        else { return nil }
        self = type
    }

    private static let byLowerCasedName = Dictionary(uniqueKeysWithValues: allCases.map { ($0.name.lowercased(), $0) })

    /// The type with this name, upper or lower case, or nil.
    public init?(name: String) {
        guard let type = Self.byLowerCasedName[name.lowercased()] else { return nil }
        self = type
    }
}

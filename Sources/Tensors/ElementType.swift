/// What one element of a tensor is, in the bits that a file stores.
///
/// The names are the spelling of the safetensors format (version 0.8 of its library), which has one for every
/// type here. Sub-byte types are packed without gaps, first element in the lowest bits.
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

    /// The type's name as tables, certificates and content digests show it.
    public var name: String { rawValue }

    /// Bits of one element.
    public var bitCount: Int {
        switch self {
        case .f4: 4
        case .f6e2m3, .f6e3m2: 6
        case .bool, .u8, .i8, .f8e5m2, .f8e4m3, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz: 8
        case .i16, .u16, .f16, .bf16: 16
        case .i32, .u32, .f32: 32
        case .c64, .f64, .i64, .u64: 64
        }
    }

    /// The least number of elements that fill whole bytes: 2 for 4-bit types, 4 for 6-bit types, else 1.
    public var elementsPerUnit: Int {
        switch bitCount {
        case 4: 2
        case 6: 4
        default: 1
        }
    }

    /// The bytes of `elementsPerUnit` elements: the smallest piece of a tensor that can be read alone.
    public var unitByteCount: Int { elementsPerUnit * bitCount / 8 }

    /// Whether the type is a real floating-point type, so that `--dtype` applies to it.
    public var isFloating: Bool {
        switch self {
        case .f4, .f6e2m3, .f6e3m2, .f8e5m2, .f8e4m3, .f8e8m0, .f8e4m3fnuz, .f8e5m2fnuz, .f16, .bf16, .f32, .f64: true
        default: false
        }
    }

    /// Bytes of a tensor of `shape`, or nil where they overflow or the bits do not fill whole bytes.
    public func byteCount(of shape: Shape) -> Int? {
        let (bits, overflow) = shape.elementCount.multipliedReportingOverflow(by: bitCount)
        guard !overflow, bits % 8 == 0 else { return nil }
        return bits / 8
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

    /// The type with this name, upper or lower case, or nil.
    public init?(name: String) {
        self.init(rawValue: name.uppercased())
    }
}

import AssayTensors

/// The numbers that GGUF has for element types.
enum GGUFType {
    private static let table: [(number: UInt32, type: ElementType)] = [
        (0, .f32), (1, .f16), (2, .q40), (3, .q41), (6, .q50), (7, .q51), (8, .q80), (10, .q2K), (11, .q3K),
        (12, .q4K), (13, .q5K), (14, .q6K), (15, .q8K), (16, .iq2XXS), (17, .iq2XS), (18, .iq3XXS), (19, .iq1S),
        (20, .iq4NL), (21, .iq3S), (22, .iq2S), (23, .iq4XS), (24, .i8), (25, .i16), (26, .i32), (27, .i64),
        (28, .f64), (29, .iq1M), (30, .bf16), (34, .tq10), (35, .tq20), (39, .mxfp4), (40, .nvfp4), (41, .q10),
    ]
    private static let types = Dictionary(uniqueKeysWithValues: table.map { ($0.number, $0.type) })
    private static let numbers = Dictionary(uniqueKeysWithValues: table.map { ($0.type, $0.number) })

    static var elementTypes: [ElementType] { table.map(\.type) }

    static func elementType(_ number: UInt32) -> ElementType? { types[number] }

    static func number(of type: ElementType) -> UInt32? { numbers[type] }

    /// What `general.file_type` says of a file whose weights are mostly of a type.
    ///
    /// - Source: the list of `general.file_type` in the specification of GGUF.
    static func fileType(of type: ElementType) -> Int? {
        switch type {
        case .f32: 0
        case .f16: 1
        case .q40: 2
        case .q41: 3
        case .q80: 7
        case .q50: 8
        case .q51: 9
        case .bf16: 32
        default: nil
        }
    }

    /// What is known of a number that stands for no element type.
    static func describe(_ number: UInt32) -> String {
        switch number {
        case 4, 5: "type \(number), a removed type (q4_2 and q4_3)"
        case 9: "type 9 (q8_1), which ggml computes with and no file holds"
        case 31, 32, 33: "type \(number), a removed type (q4_0 in an order for one processor)"
        case 36, 37, 38: "type \(number), a removed type (iq4_nl in an order for one processor)"
        default: "type \(number)"
        }
    }

    /// Where 16-bit numbers lie in a block whose other parts are bytes: what a big-endian file has turned around. Nil
    /// for blocks whose order in such files nobody defined.
    static func swappedHalves(in type: ElementType) -> [Int]? {
        switch type {
        case .q40, .q80: [0]
        case .q4K: [0, 2]
        case .q6K: [208]
        case .mxfp4, .nvfp4: []
        default: nil
        }
    }
}

/// What a metadata value is. The raw values are those of the file.
enum GGUFValueType: UInt32, CaseIterable {
    case u8, i8, u16, i16, u32, i32, f32, bool, string, array, u64, i64, f64

    /// As it stands in the JSON: "u8".
    var name: String { "\(self)" }

    init?(name: String) {
        guard let type = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = type
    }

    /// Bytes of a number; nil of strings and arrays.
    var byteCount: Int? {
        switch self {
        case .u8, .i8, .bool: 1
        case .u16, .i16: 2
        case .u32, .i32, .f32: 4
        case .u64, .i64, .f64: 8
        case .string, .array: nil
        }
    }

    /// Bytes of the smallest value: an empty string has its length, an empty array its type and length.
    var leastByteCount: Int { byteCount ?? (self == .string ? 8 : 12) }

    var isFloating: Bool { self == .f32 || self == .f64 }
    var isSigned: Bool { self == .i8 || self == .i16 || self == .i32 || self == .i64 }
}

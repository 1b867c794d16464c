import Testing

@testable import AssayTensors

@Suite struct ElementTypeTests {
    struct Row: Sendable, CustomTestStringConvertible {
        var type: ElementType, name: String, bits: Int, unit: (elements: Int, bytes: Int), isFloating: Bool
        var testDescription: String { name }
    }

    static let rows = [
        Row(type: .bool, name: "BOOL", bits: 8, unit: (1, 1), isFloating: false),
        Row(type: .f4, name: "F4", bits: 4, unit: (2, 1), isFloating: true),
        Row(type: .f6e2m3, name: "F6_E2M3", bits: 6, unit: (4, 3), isFloating: true),
        Row(type: .f6e3m2, name: "F6_E3M2", bits: 6, unit: (4, 3), isFloating: true),
        Row(type: .u8, name: "U8", bits: 8, unit: (1, 1), isFloating: false),
        Row(type: .i8, name: "I8", bits: 8, unit: (1, 1), isFloating: false),
        Row(type: .f8e5m2, name: "F8_E5M2", bits: 8, unit: (1, 1), isFloating: true),
        Row(type: .f8e4m3, name: "F8_E4M3", bits: 8, unit: (1, 1), isFloating: true),
        Row(type: .f8e8m0, name: "F8_E8M0", bits: 8, unit: (1, 1), isFloating: true),
        Row(type: .f8e4m3fnuz, name: "F8_E4M3FNUZ", bits: 8, unit: (1, 1), isFloating: true),
        Row(type: .f8e5m2fnuz, name: "F8_E5M2FNUZ", bits: 8, unit: (1, 1), isFloating: true),
        Row(type: .i16, name: "I16", bits: 16, unit: (1, 2), isFloating: false),
        Row(type: .u16, name: "U16", bits: 16, unit: (1, 2), isFloating: false),
        Row(type: .f16, name: "F16", bits: 16, unit: (1, 2), isFloating: true),
        Row(type: .bf16, name: "BF16", bits: 16, unit: (1, 2), isFloating: true),
        Row(type: .i32, name: "I32", bits: 32, unit: (1, 4), isFloating: false),
        Row(type: .u32, name: "U32", bits: 32, unit: (1, 4), isFloating: false),
        Row(type: .f32, name: "F32", bits: 32, unit: (1, 4), isFloating: true),
        Row(type: .c64, name: "C64", bits: 64, unit: (1, 8), isFloating: false),
        Row(type: .f64, name: "F64", bits: 64, unit: (1, 8), isFloating: true),
        Row(type: .i64, name: "I64", bits: 64, unit: (1, 8), isFloating: false),
        Row(type: .u64, name: "U64", bits: 64, unit: (1, 8), isFloating: false),
    ]

    @Test(arguments: rows) func typesAreWhatSafetensorsSays(_ row: Row) {
        #expect(row.type.name == row.name)
        #expect(row.type.bitCount == row.bits)
        #expect(row.type.elementsPerUnit == row.unit.elements)
        #expect(row.type.unitByteCount == row.unit.bytes)
        #expect(row.type.isFloating == row.isFloating)
        #expect(ElementType(name: row.name) == row.type)
        #expect(ElementType(name: row.name.lowercased()) == row.type)
    }

    @Test func theTableIsWhole() {
        #expect(Self.rows.map(\.type) == ElementType.scalars)
    }

    @Test(arguments: ["", "F", "F32 ", "float32", "F8", "E4M3"]) func otherNamesAreNoTypes(_ name: String) {
        #expect(ElementType(name: name) == nil)
    }

    struct Size: Sendable { var type: ElementType, dimensions: [Int], bytes: Int? }

    @Test(arguments: [
        Size(type: .f32, dimensions: [], bytes: 4),
        Size(type: .f32, dimensions: [2, 3], bytes: 24),
        Size(type: .f32, dimensions: [0, 3], bytes: 0),
        Size(type: .f4, dimensions: [3, 2], bytes: 3),
        Size(type: .f4, dimensions: [3], bytes: nil),
        Size(type: .f4, dimensions: [], bytes: nil),
        Size(type: .f6e2m3, dimensions: [4], bytes: 3),
        Size(type: .f6e3m2, dimensions: [2], bytes: nil),
        Size(type: .q40, dimensions: [32], bytes: 18),
        Size(type: .q40, dimensions: [3, 64], bytes: 108),
        Size(type: .q40, dimensions: [0, 64], bytes: 0),
        Size(type: .q40, dimensions: [16, 2], bytes: nil),
        Size(type: .q40, dimensions: [0, 2], bytes: nil),
        Size(type: .q40, dimensions: [], bytes: nil),
        Size(type: .q6K, dimensions: [2, 3, 256], bytes: 1260),
        Size(type: .q8K, dimensions: [Int.max / 1024 * 256], bytes: nil),
        Size(type: .u8, dimensions: [Int.max / 8], bytes: Int.max / 8),
        Size(type: .u8, dimensions: [Int.max / 8 + 1], bytes: nil),
        Size(type: .f64, dimensions: [Int.max / 4], bytes: nil),
    ])
    func byteCountsAreExactOrRefused(_ item: Size) throws {
        #expect(item.type.byteCount(of: try #require(Shape(item.dimensions))) == item.bytes)
    }
}

import AssayTensors

/// A type of zTensor's: a storage type, and the logical type over it where there is one.
struct ZTensorType: Sendable {
    /// "u8".
    let storage: String
    /// "bool"; nil where the elements are what they are stored as.
    let logical: String?
    let bitCount: Int
    /// Nil where we have no such type.
    let elementType: ElementType?

    private init(_ storage: String, _ logical: String?, _ bitCount: Int, _ elementType: ElementType?) {
        self.storage = storage
        self.logical = logical
        self.bitCount = bitCount
        self.elementType = elementType
    }

    /// Storage types and the registered logical types.
    static let all = [
        ZTensorType("f64", nil, 64, .f64), ZTensorType("f32", nil, 32, .f32), ZTensorType("f16", nil, 16, .f16),
        ZTensorType("bf16", nil, 16, .bf16), ZTensorType("i64", nil, 64, .i64), ZTensorType("i32", nil, 32, .i32),
        ZTensorType("i16", nil, 16, .i16), ZTensorType("i8", nil, 8, .i8), ZTensorType("u64", nil, 64, .u64),
        ZTensorType("u32", nil, 32, .u32), ZTensorType("u16", nil, 16, .u16), ZTensorType("u8", nil, 8, .u8),
        ZTensorType("u8", "bool", 8, .bool), ZTensorType("u8", "f8_e4m3fn", 8, .f8e4m3),
        ZTensorType("u8", "f8_e5m2", 8, .f8e5m2), ZTensorType("u8", "f8_e4m3fnuz", 8, .f8e4m3fnuz),
        ZTensorType("u8", "f8_e5m2fnuz", 8, .f8e5m2fnuz), ZTensorType("u8", "f8_e8m0", 8, .f8e8m0),
        ZTensorType("u8", "f4_e2m1", 4, .f4), ZTensorType("f32", "complex64", 64, .c64),
        ZTensorType("f64", "complex128", 128, nil),
    ]

    static let elementTypes = Set(all.compactMap(\.elementType))

    /// The storage type of a name, or nil.
    static func storage(named name: String) -> ZTensorType? { all.first { $0.logical == nil && $0.storage == name } }

    /// The logical type of a name, or nil.
    static func logical(named name: String) -> ZTensorType? { all.first { $0.logical == name } }

    /// The type that an element type is written as, or nil.
    static func of(_ type: ElementType) -> ZTensorType? { all.first { $0.elementType == type } }

    /// Bytes of so many elements, the last one filled up; nil on overflow.
    func byteCount(of elementCount: Int) -> Int? {
        let (bits, overflow) = elementCount.multipliedReportingOverflow(by: bitCount)
        return overflow ? nil : bits / 8 + (bits % 8 == 0 ? 0 : 1)
    }
}

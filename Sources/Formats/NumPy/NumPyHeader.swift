import AssayCheckpoints
import AssayTensors
import SystemPackage

/// What stands before the data of an array: magic, version, and a dictionary of three entries, written as Python.
struct NumPyHeader {
    static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
    /// NumPy's own limit. Nothing that could be read here needs a tenth of it.
    static let maximumByteCount = 10_000

    var elementType: ElementType
    var shape: Shape
    var isFortranOrder: Bool
    var byteOrder: StoredByteOrder
    /// Where the data begins.
    var byteCount: Int

    /// - Parameter member: the archive's member, where there is one.
    /// - Throws: `CheckpointError` where the header is not one, or the data has another size.
    init(of source: any ByteSource, _ path: FilePath, member: CheckpointError.Place?) throws {
        func refuse(_ part: String, _ expected: String, _ found: String) -> CheckpointError {
            let place = member.map { .part("\($0), \(part)") } ?? CheckpointError.Place.part(part)
            return CheckpointError(path, place, expected: expected, found: found)
        }
        let text = try Self.text(of: source, refuse)
        var parser = NumPyHeaderParser(text.bytes)
        do {
            let entries = try parser.entries()
            (elementType, byteOrder) = try NumPyType.parse(entries.description)
            isFortranOrder = entries.isFortranOrder
            guard let shape = Shape(entries.shape) else {
                throw NumPyHeaderParser.Fault(
                    offset: 0,
                    expected: "a shape of at most \(Shape.maximumRank) dimensions whose product fits 63 bits",
                    found: "another of \(entries.shape.count)")
            }
            self.shape = shape
        } catch let fault as NumPyHeaderParser.Fault {
            throw refuse("header byte \(text.begin + fault.offset)", fault.expected, fault.found)
        }
        byteCount = text.begin + text.bytes.count
        guard let data = elementType.byteCount(of: shape) else {
            throw refuse("header", "a size that fits 63 bits", "\(elementType.name) \(shape)")
        }
        guard data == source.byteCount - byteCount else {
            let found = source.byteCount - byteCount
            throw refuse(
                "data", "\(data.inBytes) (\(elementType.name) \(shape))",
                "\(found)\(found < data ? ": the file is cut off; download it again" : ": something else follows the array")"
            )
        }
    }

    private typealias Refusal = (_ part: String, _ expected: String, _ found: String) -> CheckpointError

    private static func text(
        of source: any ByteSource, _ refuse: Refusal
    ) throws -> (begin: Int, bytes: [UInt8]) {
        // Every byte is read once, so that an archive can take its checksum on the way.
        let start = try source.bytes(0..<min(source.byteCount, 8))
        guard start.starts(with: magic.prefix(start.count)), source.byteCount > 0 else {
            throw refuse("byte 0", "the mark of a NumPy array and a header", "other bytes")
        }
        guard source.byteCount >= 12 else {
            throw refuse(
                "byte \(source.byteCount)", "a header", "the end of the file: the file is cut off; download it again")
        }
        guard (1...3).contains(start[6]), start[7] == 0 else {
            throw refuse("byte 6", "version 1.0, 2.0 or 3.0", "\(start[6]).\(start[7])")
        }
        let begin = start[6] == 1 ? 10 : 12
        let digits = try source.bytes(8..<begin)
        let length = begin == 10 ? Int(digits.number(0, UInt16.self)) : Int(digits.number(0, UInt32.self))
        guard length <= maximumByteCount else {
            throw refuse("byte 8", "a header of at most \(maximumByteCount) bytes, NumPy's limit", "\(length)")
        }
        guard length <= source.byteCount - begin else {
            throw refuse(
                "byte 8", "a header that ends inside the \(source.byteCount.inBytes) there are", "\(length.inBytes)")
        }
        return (begin, try source.bytes(begin..<begin + length))
    }

    /// What the array is, under a name; that its size fits was checked.
    func tensor(named name: String) -> TensorInfo {
        TensorInfo(name: name, elementType: elementType, shape: shape)!
    }

    /// The data behind the header.
    func array(in source: any ByteSource) -> StridedArray {
        let dimensions = shape.elementCount == 0 ? [0] : shape.dimensions
        let strides =
            isFortranOrder ? Shape.strides(of: dimensions.reversed()).reversed() : Shape.strides(of: dimensions)
        return StridedArray(
            source, offset: byteCount, elementByteCount: elementType.unitByteCount,
            axes: zip(dimensions, strides).map { StridedArray.Axis(count: $0, stride: $1) }, byteOrder: byteOrder)
    }

    // MARK: Writing

    static let elementTypes = Set(NumPyType.descriptions.keys)

    /// The header that NumPy itself writes: version 1.0, padded so that the data is aligned to 64 bytes, with room for
    /// the first dimension to grow.
    static func bytes(for tensor: TensorInfo) -> [UInt8] {
        // The capabilities hold no other types.
        let description = NumPyType.descriptions[tensor.elementType]!
        let dimensions = tensor.shape.dimensions
        let shape = dimensions.map(String.init).joined(separator: ", ") + (dimensions.count == 1 ? "," : "")
        var text = "{'descr': '\(description)', 'fortran_order': False, 'shape': (\(shape)), }"
        let digitsOfLargest = 21
        if let first = dimensions.first {
            text += String(repeating: " ", count: digitsOfLargest - String(first).count)
        }
        let begin = magic.count + 4
        text += String(repeating: " ", count: (64 - (begin + text.utf8.count + 1) % 64) % 64) + "\n"
        return magic + [1, 0] + UInt16(text.utf8.count).littleEndianBytes + Array(text.utf8)
    }
}

/// Types as NumPy describes them: `<f4`.
enum NumPyType {
    static let descriptions: [ElementType: String] = [
        .bool: "|b1", .u8: "|u1", .i8: "|i1", .u16: "<u2", .i16: "<i2", .u32: "<u4", .i32: "<i4", .u64: "<u8",
        .i64: "<i8", .f16: "<f2", .f32: "<f4", .f64: "<f8", .c64: "<c8",
    ]

    private static let types = Dictionary(
        uniqueKeysWithValues: descriptions.map { (String($0.value.dropFirst()), $0.key) })

    /// - Throws: `NumPyHeaderParser.Fault` for what no element type is, by name.
    static func parse(_ description: String) throws -> (ElementType, StoredByteOrder) {
        let order = description.first.flatMap { "<>|=".contains($0) ? $0 : nil }
        let kind = String(description.dropFirst(order == nil ? 0 : 1))
        guard let type = types[kind] else {
            throw NumPyHeaderParser.Fault(
                offset: 0, expected: "an array of bool, int, float16, float32, float64 or complex64",
                found: "the type '\(description.escapedForDisplay.prefix(80))'\(remark(kind))")
        }
        return (type, StoredByteOrder(isBigEndian: order == ">", type))
    }

    /// What a refused type is, and what to do.
    private static func remark(_ kind: String) -> String {
        switch kind.first {
        case "O": " (Python objects, which could run code when they are unpacked)"
        case "V":
            " (bytes without a meaning: NumPy writes so the types it lacks, such as bfloat16; save a view as integers"
                + " or a copy as float32)"
        case "U", "S", "a": " (text)"
        case "M", "m": " (times)"
        default: ""
        }
    }
}

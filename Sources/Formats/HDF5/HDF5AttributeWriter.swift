import AssayCHDF5
import AssayCheckpoints
import AssayTensors

/// Attributes written through libhdf5, under its lock.
enum HDF5AttributeWriter {
    /// Why an attribute was not written.
    struct Failure: Error {
        var reason: String
    }

    /// Text, as a string of any length; as opaque bytes where a NUL stands in it.
    static func write(_ text: String, _ name: String, on object: hid_t) throws {
        try requireFits(text.utf8.count)
        if text.utf8.contains(0) {
            let bytes = Array(text.utf8)
            try write(
                "opaque[\(bytes.count)] \(HDF5Metadata.textTag)", shape: [], [.string(bytes.hexadecimal)], name,
                on: object)
        } else {
            try write("string", shape: [], [.string(text)], name, on: object)
        }
    }

    /// An attribute in the form that the listing gave it.
    static func write(_ description: JSONValue, _ name: String, on object: hid_t) throws {
        guard let members = description.object, let type = members["type"]?.string, let shape = members["shape"] else {
            throw Failure(reason: "it has no type and shape")
        }
        if shape == .null { return try write(type, shape: nil, [], name, on: object) }
        let dimensions = shape.array?.compactMap(\.int) ?? []
        guard let list = shape.array, list.count == dimensions.count, list.count <= 32, let shape = Shape(dimensions),
            let value = members["value"]
        else { throw Failure(reason: "its shape is none") }
        if !dimensions.isEmpty, let number = Self.number(type), let hexadecimal = value.object?["hex"]?.string {
            guard let bytes = [UInt8](hexadecimal: hexadecimal), bytes.count == number.bitCount / 8 * shape.elementCount
            else { throw Failure(reason: "its bytes are not those of \(type) of the shape \(shape)") }
            guard number != .bool || bytes.allSatisfy({ $0 <= 1 }) else { throw Failure(reason: "a value is no BOOL") }
            return try write(type, shape: dimensions, byteCount: bytes.count, name, on: object) {
                H5Awrite($1, $0, bytes)
            }
        }
        let values = dimensions.isEmpty ? [value] : value.array ?? []
        guard values.count == shape.elementCount else {
            throw Failure(reason: "it has \(values.count) values for the shape \(shape)")
        }
        try write(type, shape: dimensions, values, name, on: object)
    }

    static func write(_ typeName: String, shape: [Int]?, _ values: [JSONValue], _ name: String, on object: hid_t) throws
    {
        try write(typeName, shape: shape, byteCount: byteCount(typeName, values.count), name, on: object) {
            type, attribute in
            guard shape != nil, !values.isEmpty else { return 0 }
            if let layout = HDF5StringLayout(name: typeName), layout.size == nil {
                return try writeStrings(values, type, attribute)
            }
            return H5Awrite(attribute, type, try values.flatMap { try bytes(of: $0, typeName) })
        }
    }

    private static func write(
        _ typeName: String, shape: [Int]?, byteCount: Int, _ name: String, on object: hid_t,
        _ fill: (_ type: hid_t, _ attribute: hid_t) throws -> herr_t
    ) throws {
        guard let type = HDF5Identifier(makeType(typeName)) else {
            throw Failure(reason: "its type '\(typeName.escapedForDisplay)' is not known")
        }
        // Before memory is taken: short values may be filled up to any length. What is written can be read again.
        try requireFits(byteCount)
        guard let space = HDF5Identifier(makeSpace(shape)),
            let attribute = HDF5Identifier(
                H5Acreate2(object, name, type.raw, space.raw, chdf5_default(), chdf5_default()))
        else { throw Failure(reason: "libhdf5 says '\(HDF5Library.errorText())'") }
        guard try fill(type.raw, attribute.raw) >= 0 else {
            throw Failure(reason: "libhdf5 says '\(HDF5Library.errorText())'")
        }
    }

    private static func requireFits(_ byteCount: Int) throws {
        guard byteCount > HDF5Limits.attributeByteCount else { return }
        throw Failure(
            reason: "it would have \(byteCount.inBytes), an attribute has \(HDF5Limits.attributeByteCount) at most")
    }

    /// What an attribute in the form of the listing takes; 0 where its strings are as long as they are, or it is none.
    static func byteCount(of description: JSONValue) -> Int {
        guard let members = description.object, let value = members["value"], let type = members["type"]?.string else {
            return 0
        }
        if number(type) != nil, let hexadecimal = value.object?["hex"]?.string { return hexadecimal.utf8.count / 2 }
        return byteCount(type, value.array?.count ?? 1)
    }

    private static func byteCount(_ typeName: String, _ count: Int) -> Int {
        let size: Int? =
            if let layout = HDF5StringLayout(name: typeName) {
                layout.size
            } else {
                opaque(typeName)?.size ?? ElementType(name: typeName).map { $0.bitCount / 8 }
            }
        let (byteCount, overflow) = (size ?? 0).multipliedReportingOverflow(by: count)
        return overflow ? .max : byteCount
    }

    private static func makeSpace(_ shape: [Int]?) -> hid_t {
        guard let shape else { return H5Screate(H5S_NULL) }
        if shape.isEmpty { return H5Screate(H5S_SCALAR) }
        let dimensions = shape.map { hsize_t($0) }
        return H5Screate_simple(CInt(shape.count), dimensions, nil)
    }

    private static func makeType(_ name: String) -> hid_t {
        if let layout = HDF5StringLayout(name: name) { return layout.makeType() }
        if let (size, tag) = opaque(name) {
            let type = H5Tcreate(H5T_OPAQUE, size)
            H5Tset_tag(type, tag)
            return type
        }
        return number(name).map { HDF5TypeFactory.makeType($0) } ?? -1
    }

    private static func number(_ typeName: String) -> ElementType? {
        ElementType(name: typeName).flatMap { attributeTypes.contains($0) ? $0 : nil }
    }

    private static let attributeTypes: Set<ElementType> = [
        .bool, .u8, .i8, .u16, .i16, .u32, .i32, .u64, .i64, .f16, .f32, .f64,
    ]

    /// The size and tag that "opaque[12] tag" names.
    private static func opaque(_ name: String) -> (size: Int, tag: String)? {
        guard name.hasPrefix("opaque["), let end = name.firstIndex(of: "]"),
            let size = Int(name[name.index(name.startIndex, offsetBy: 7)..<end]), size > 0,
            size <= HDF5Limits.attributeByteCount
        else { return nil }
        return (size, String(name[end...].dropFirst(2)))
    }

    private static func writeStrings(_ values: [JSONValue], _ type: hid_t, _ attribute: hid_t) throws -> herr_t {
        var texts: [[CChar]] = []
        for value in values {
            guard let bytes = ForeignText.bytes(value), !bytes.contains(0) else {
                throw Failure(reason: "a value is no string")
            }
            texts.append(bytes.map { CChar(bitPattern: $0) } + [0])
        }
        try requireFits(texts.reduce(0) { $0 + $1.count })
        let lengths = texts.map(\.count)
        let joined = Array(texts.joined())
        return joined.withUnsafeBufferPointer { buffer in
            var start = 0
            let pointers = lengths.map { length -> UnsafePointer<CChar>? in
                defer { start += length }
                return buffer.baseAddress! + start
            }
            return H5Awrite(attribute, type, pointers)
        }
    }

    private static func bytes(of value: JSONValue, _ typeName: String) throws -> [UInt8] {
        if let layout = HDF5StringLayout(name: typeName) {
            guard let bytes = ForeignText.bytes(value).flatMap({ layout.padded($0) }) else {
                throw Failure(reason: "a value does not fit \(typeName)")
            }
            return bytes
        }
        if let (size, _) = opaque(typeName) {
            guard let bytes = value.string.flatMap({ [UInt8](hexadecimal: $0) }), bytes.count == size else {
                throw Failure(reason: "a value does not fit \(typeName)")
            }
            return bytes
        }
        let type = ElementType(name: typeName)!
        guard let word = word(of: value, type) else { throw Failure(reason: "a value is no \(typeName)") }
        return (0..<type.bitCount / 8).map { UInt8(truncatingIfNeeded: word >> UInt64($0 * 8)) }
    }

    private static func word(of value: JSONValue, _ type: ElementType) -> UInt64? {
        if type.isFloating { return ForeignNumber.word(value, bits: type.bitCount) }
        if type == .bool { return value.bool.map { $0 ? 1 : 0 } }
        return ForeignInteger.word(value, bits: type.bitCount, isSigned: [.i8, .i16, .i32, .i64].contains(type))
    }
}

/// Types of libhdf5 for stored element types.
enum HDF5TypeFactory {
    /// - Returns: an identifier to be closed, negative for types that HDF5 lacks (`HDF5Substitute` has those).
    static func makeType(_ type: ElementType) -> hid_t {
        switch type {
        case .i8, .i16, .i32, .i64: H5Tcopy(chdf5_integer(CInt(type.bitCount), 1))
        case .u8, .u16, .u32, .u64: H5Tcopy(chdf5_integer(CInt(type.bitCount), 0))
        case .f32: H5Tcopy(chdf5_ieee_f32_little())
        case .f64: H5Tcopy(chdf5_ieee_f64_little())
        case .f16: makeHalf()
        case .bool: makeBool()
        case .c64: makeComplex()
        default: -1
        }
    }

    private static func makeHalf() -> hid_t {
        let type = H5Tcopy(chdf5_ieee_f32_little())
        // Fields first: they must fit the size at every moment.
        H5Tset_fields(type, 15, 10, 5, 0, 10)
        H5Tset_size(type, 2)
        H5Tset_ebias(type, 15)
        return type
    }

    /// The enumeration that h5py reads as booleans.
    private static func makeBool() -> hid_t {
        let type = H5Tenum_create(chdf5_integer(8, 1))
        for (name, value) in [("FALSE", Int8(0)), ("TRUE", Int8(1))] {
            var value = value
            H5Tenum_insert(type, name, &value)
        }
        return type
    }

    /// The compound that h5py reads as complex numbers.
    private static func makeComplex() -> hid_t {
        let type = H5Tcreate(H5T_COMPOUND, 8)
        H5Tinsert(type, "r", 0, chdf5_ieee_f32_little())
        H5Tinsert(type, "i", 4, chdf5_ieee_f32_little())
        return type
    }
}

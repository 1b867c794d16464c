import AssayCHDF5
import AssayCheckpoints

#if canImport(Glibc)
    import Glibc
#endif

/// Attributes as JSON, in the helper's process: `"name":{"type":T,"shape":[...],"value":V}` joined by commas.
///
/// `formats/hdf5.md` lists the types. What cannot be carried along (references, compounds) becomes a warning.
enum HDF5AttributeReader {
    private final class Names {
        var names: [String] = []
        var isForeign = false
    }

    static func attributes(
        of object: hid_t, _ place: String, _ budget: inout HDF5ListingBudget, warningsTo output: inout ListingOutput
    ) throws -> String {
        try requireFew(object, place)
        let names = Names()
        let result = withExtendedLifetime(names) {
            chdf5_visit_attributes(
                object,
                { name, context in
                    let names = Unmanaged<Names>.fromOpaque(context!).takeUnretainedValue()
                    guard let name, let text = String(validatingCString: name) else {
                        names.isForeign = true
                        return 0
                    }
                    names.names.append(text)
                    return 0
                }, Unmanaged.passUnretained(names).toOpaque())
        }
        guard result >= 0 else { throw ListingFailure.damaged("attributes of \(place)") }
        if names.isForeign { output.warn("\(place) has an attribute whose name is not UTF-8; it is left out") }
        var texts: [String] = []
        for name in names.names {
            let here = "attribute '\(name.escapedForDisplay)' of \(place)"
            if let text = try value(of: object, name, here, &budget, warningsTo: &output) {
                texts.append("\(JSONValue.quoted(name)):\(text)")
            }
        }
        return texts.joined(separator: ",")
    }

    /// Headers of the second form have an index for many.
    private static func requireFew(_ object: hid_t, _ place: String) throws {
        var info = H5O_info_t()
        guard H5Oget_info2(object, &info, UInt32(H5O_INFO_HDR | H5O_INFO_NUM_ATTRS)) >= 0 else {
            throw ListingFailure.damaged("attributes of \(place)")
        }
        guard info.hdr.version > 1 || info.num_attrs <= HDF5Limits.attributeCount else {
            throw ListingFailure(
                .init(place), "at most \(HDF5Limits.attributeCount) attributes where the file has no index of them",
                "\(info.num_attrs); write the file with h5py's libver='v110'")
        }
    }

    private static func value(
        of object: hid_t, _ name: String, _ place: String, _ budget: inout HDF5ListingBudget,
        warningsTo output: inout ListingOutput
    ) throws -> String? {
        guard let attribute = HDF5Identifier(H5Aopen(object, name, chdf5_default())),
            let type = HDF5Identifier(H5Aget_type(attribute.raw)),
            let space = HDF5Identifier(H5Aget_space(attribute.raw))
        else { throw ListingFailure.damaged(place) }
        guard let kind = Kind(type.raw) else {
            output.warn(
                "\(place) has the type \(HDF5TypeDescription.className(H5Tget_class(type.raw))) and is left out")
            return nil
        }
        guard let shape = try HDF5Dataspace.shape(of: space.raw, place) else {
            return "{\"type\":\(JSONValue.quoted(kind.name)),\"shape\":null,\"value\":null}"
        }
        let count = H5Sget_simple_extent_npoints(space.raw)
        let size = H5Tget_size(type.raw)
        guard count >= 0, size > 0, count <= HDF5Limits.attributeByteCount / size else {
            throw ListingFailure(
                .init(place), "at most \(HDF5Limits.attributeByteCount) bytes", "\(count) elements of \(size.inBytes)")
        }
        let bytesAreListed = kind.isNumber && count > HDF5Limits.listedNumberCount
        try budget.takeValues(bytesAreListed ? 1 : 1 + Int(count))
        let value: String
        if bytesAreListed {
            value = kind.json(ofAll: try bytes(attribute.raw, type.raw, Int(count) * size, place), size)
        } else {
            let values = try read(attribute.raw, type.raw, space.raw, kind, Int(count), size, place)
            value = shape.isEmpty ? values[0] : "[\(values.joined(separator: ","))]"
        }
        return "{\"type\":\(JSONValue.quoted(kind.name)),\"shape\":\(shape),\"value\":\(value)}"
    }

    private static func read(
        _ attribute: hid_t, _ type: hid_t, _ space: hid_t, _ kind: Kind, _ count: Int, _ size: Int, _ place: String
    ) throws -> [String] {
        if case .text(let layout) = kind, layout.size == nil {
            return try variableStrings(attribute, type, space, count, place)
        }
        let bytes = try bytes(attribute, type, count * size, place)
        return (0..<count).map { kind.json(Array(bytes[$0 * size..<($0 + 1) * size])) }
    }

    private static func bytes(_ attribute: hid_t, _ type: hid_t, _ count: Int, _ place: String) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: max(count, 1))
        // The file's own type in memory too: the library converts nothing.
        guard H5Aread(attribute, type, &bytes) >= 0 else { throw ListingFailure.damaged(place) }
        return bytes
    }

    private static func variableStrings(
        _ attribute: hid_t, _ type: hid_t, _ space: hid_t, _ count: Int, _ place: String
    ) throws -> [String] {
        var pointers = [UnsafeMutablePointer<CChar>?](repeating: nil, count: max(count, 1))
        guard H5Aread(attribute, type, &pointers) >= 0 else { throw ListingFailure.damaged(place) }
        defer { H5Dvlen_reclaim(type, space, chdf5_default(), &pointers) }
        // Many may stand for one text in the file: what counts is what they become.
        var left = HDF5Limits.attributeByteCount
        return try pointers.prefix(count).map { pointer in
            guard let pointer else { return "\"\"" }
            let byteCount = strlen(pointer)
            left -= byteCount
            guard left >= 0 else {
                throw ListingFailure(.init(place), "at most \(HDF5Limits.attributeByteCount) bytes of text", "more")
            }
            return ForeignText.json(Array(UnsafeRawBufferPointer(start: pointer, count: byteCount)))
        }
    }

    /// What an attribute's elements are.
    enum Kind {
        case integer(bits: Int, isSigned: Bool, isBigEndian: Bool)
        case float(bits: Int, isBigEndian: Bool)
        case bool
        case text(HDF5StringLayout)
        case opaque(size: Int, tag: String)

        /// - Returns: nil for what cannot be carried along.
        init?(_ type: hid_t) {
            switch H5Tget_class(type) {
            case H5T_STRING:
                guard let layout = HDF5StringLayout(type) else { return nil }
                self = .text(layout)
            case H5T_OPAQUE:
                guard let tag = H5Tget_tag(type) else { return nil }
                defer { H5free_memory(tag) }
                guard let text = String(validatingCString: tag) else { return nil }
                self = .opaque(size: H5Tget_size(type), tag: text)
            case H5T_INTEGER, H5T_FLOAT, H5T_ENUM:
                guard let stored = try? HDF5StoredType(parsing: HDF5TypeDescription.json(of: type)),
                    stored.bitsInByte == nil
                else { return nil }
                let isBig = stored.isBigEndian
                switch stored.elementType {
                case .bool: self = .bool
                case .f16, .f32, .f64: self = .float(bits: stored.elementType.bitCount, isBigEndian: isBig)
                case .i8, .i16, .i32, .i64:
                    self = .integer(bits: stored.elementType.bitCount, isSigned: true, isBigEndian: isBig)
                case .u8, .u16, .u32, .u64:
                    self = .integer(bits: stored.elementType.bitCount, isSigned: false, isBigEndian: isBig)
                default: return nil
                }
            default: return nil
            }
        }

        /// The name of the type in JSON.
        var name: String {
            switch self {
            case .integer(let bits, let isSigned, _): "\(isSigned ? "I" : "U")\(bits)"
            case .float(let bits, _): "F\(bits)"
            case .bool: "BOOL"
            case .text(let layout): layout.name
            case .opaque(let size, let tag): "opaque[\(size)] \(tag)"
            }
        }

        var isNumber: Bool {
            switch self {
            case .integer, .float, .bool: true
            case .text, .opaque: false
            }
        }

        /// Numbers of `size` bytes as bytes, little-endian.
        func json(ofAll bytes: [UInt8], _ size: Int) -> String {
            var bytes = bytes
            switch self {
            case .integer(_, _, isBigEndian: true), .float(_, isBigEndian: true):
                bytes.withUnsafeMutableBytes { $0.swapBytes(ofEach: size) }
            case .bool: bytes = bytes.map { $0 == 0 ? 0 : 1 }
            default: break
            }
            return "{\"hex\":\"\(bytes.hexadecimal)\"}"
        }

        /// One element as JSON.
        func json(_ bytes: [UInt8]) -> String {
            switch self {
            case .integer(let bits, let isSigned, let isBig):
                ForeignInteger.json(UInt64(bytes[...], isBigEndian: isBig), bits: bits, isSigned: isSigned)
            case .float(let bits, let isBig): ForeignNumber.json(UInt64(bytes[...], isBigEndian: isBig), bits: bits)
            case .bool: bytes[0] == 0 ? "false" : "true"
            case .text(let layout): ForeignText.json(layout.content(of: bytes))
            case .opaque: "\"\(bytes.hexadecimal)\""
            }
        }
    }
}

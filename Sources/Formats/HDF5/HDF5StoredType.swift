import AssayCheckpoints
import AssayTensors

/// A type of HDF5 as a tensor's element type: recognised by its bit fields, never by a name.
struct HDF5StoredType: Sendable, Equatable {
    var elementType: ElementType
    /// Bytes of one stored element.
    var size: Int
    var isBigEndian = false
    /// 4 or 6 where elements of fewer bits lie one in a byte and are packed on reading.
    var bitsInByte: Int?

    /// Why a type holds no tensor.
    struct Refusal: Error {
        /// "a compound type".
        var found: String
    }

    /// - Parameter text: the description that the helper writes.
    /// - Throws: `Refusal`, or `JSONError` where the text is no description.
    init(parsing text: String) throws {
        try self.init(JSONValue(parsing: Array(text.utf8)).object ?? JSONObject())
    }

    /// - Parameter attributes: of the dataset; they may say what opaque bytes are.
    /// - Throws: `Refusal`.
    init(_ description: JSONObject, attributes: JSONObject = JSONObject()) throws {
        let name = description["class"]?.string ?? "?"
        guard let size = description["size"]?.int, size > 0 else { throw Refusal(found: "\(name) of no size") }
        switch name {
        case "integer": self = try Self.integer(description, size)
        case "float": self = try Self.float(description, size)
        case "enumeration": self = try Self.enumeration(description, size)
        case "compound": self = try Self.compound(description, size)
        case "opaque" where size == 2 && KerasBFloat16.isNoted(in: attributes): self.init(.bf16, size: size)
        default: throw Refusal(found: "the type '\(name)' of \(size.inBytes)")
        }
    }

    private init(_ elementType: ElementType, size: Int, isBigEndian: Bool = false, bitsInByte: Int? = nil) {
        self.elementType = elementType
        self.size = size
        self.isBigEndian = isBigEndian
        self.bitsInByte = bitsInByte
    }

    private static func integer(_ description: JSONObject, _ size: Int) throws -> HDF5StoredType {
        let isSigned = description["signed"]?.bool == true
        let types: [Int: (signed: ElementType, unsigned: ElementType)] = [
            1: (.i8, .u8), 2: (.i16, .u16), 4: (.i32, .u32), 8: (.i64, .u64),
        ]
        let precision = description["precision"]?.int
        guard let pair = types[size], precision == size * 8, description["offset"]?.int == 0,
            let isBig = isBigEndian(description, size)
        else {
            throw Refusal(found: "an integer of \(precision ?? 0) bits in \(size.inBytes)")
        }
        return HDF5StoredType(isSigned ? pair.signed : pair.unsigned, size: size, isBigEndian: isBig)
    }

    /// nil for orders that are neither.
    private static func isBigEndian(_ description: JSONObject, _ size: Int) -> Bool? {
        switch description["order"]?.string {
        case "little": false
        case "big": size > 1
        default: size == 1 ? false : nil
        }
    }

    /// What makes a floating-point type: the size of the whole and its fields.
    private struct Fields: Hashable {
        var size: Int, precision: Int, sign: Int, exponent: Int, exponentBits: Int, mantissaBits: Int, bias: Int
    }

    private static let floats: [Fields: ElementType] = [
        Fields(size: 8, precision: 64, sign: 63, exponent: 52, exponentBits: 11, mantissaBits: 52, bias: 1023): .f64,
        Fields(size: 4, precision: 32, sign: 31, exponent: 23, exponentBits: 8, mantissaBits: 23, bias: 127): .f32,
        Fields(size: 2, precision: 16, sign: 15, exponent: 10, exponentBits: 5, mantissaBits: 10, bias: 15): .f16,
        Fields(size: 2, precision: 16, sign: 15, exponent: 7, exponentBits: 8, mantissaBits: 7, bias: 127): .bf16,
        Fields(size: 1, precision: 8, sign: 7, exponent: 3, exponentBits: 4, mantissaBits: 3, bias: 7): .f8e4m3,
        Fields(size: 1, precision: 8, sign: 7, exponent: 2, exponentBits: 5, mantissaBits: 2, bias: 15): .f8e5m2,
        Fields(size: 1, precision: 6, sign: 5, exponent: 3, exponentBits: 2, mantissaBits: 3, bias: 1): .f6e2m3,
        Fields(size: 1, precision: 6, sign: 5, exponent: 2, exponentBits: 3, mantissaBits: 2, bias: 3): .f6e3m2,
        Fields(size: 1, precision: 4, sign: 3, exponent: 1, exponentBits: 2, mantissaBits: 1, bias: 1): .f4,
    ]

    private static func float(_ description: JSONObject, _ size: Int) throws -> HDF5StoredType {
        let exponent = description["exponent"]?.array?.map { $0.int ?? -1 } ?? []
        let mantissa = description["mantissa"]?.array?.map { $0.int ?? -1 } ?? []
        let sign = description["sign"]?.int ?? -1
        let bias = description["bias"]?.int ?? -1
        let precision = description["precision"]?.int ?? -1
        guard exponent.count == 2, mantissa.count == 2 else { throw Refusal(found: "a float without fields") }
        let fields = Fields(
            size: size, precision: precision, sign: sign, exponent: exponent[0], exponentBits: exponent[1],
            mantissaBits: mantissa[1], bias: bias)
        guard mantissa[0] == 0, description["offset"]?.int == 0, description["implied"]?.bool == true,
            let type = floats[fields], let isBig = isBigEndian(description, size)
        else {
            throw Refusal(
                found: "a float of \(precision) bits in \(size.inBytes) (sign at bit \(sign), exponent of"
                    + " \(exponent[1]) bits at \(exponent[0]), mantissa of \(mantissa[1]) bits at \(mantissa[0]),"
                    + " bias \(bias))")
        }
        let bits = type.bitCount < 8 ? type.bitCount : nil
        return HDF5StoredType(type, size: size, isBigEndian: isBig, bitsInByte: bits)
    }

    private static func enumeration(_ description: JSONObject, _ size: Int) throws -> HDF5StoredType {
        let (no, yes): (JSONValue, JSONValue) = (["FALSE", 0], ["TRUE", 1])
        guard size == 1, let members = description["members"]?.array, members == [no, yes] || members == [yes, no]
        else {
            throw Refusal(found: "an enumeration that is not FALSE and TRUE in one byte")
        }
        return HDF5StoredType(.bool, size: 1)
    }

    private static func compound(_ description: JSONObject, _ size: Int) throws -> HDF5StoredType {
        let refusal = Refusal(found: "a compound type of \(size.inBytes) that is not a complex number of two F32")
        guard size == 8, let members = description["members"]?.array, members.count == 2 else { throw refusal }
        var parts: [HDF5StoredType] = []
        for (member, (name, offset)) in zip(members, [("r", 0), ("i", 4)]) {
            guard let member = member.array, member.count == 3, member[0].string == name, member[1].int == offset,
                let type = member[2].object
            else { throw refusal }
            guard let part = try? HDF5StoredType(type) else { throw refusal }
            parts.append(part)
        }
        guard parts[0] == parts[1], parts[0].elementType == .f32 else { throw refusal }
        return HDF5StoredType(.c64, size: 8, isBigEndian: parts[0].isBigEndian)
    }
}

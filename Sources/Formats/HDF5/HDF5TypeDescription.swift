import AssayCHDF5
import AssayCheckpoints

/// A stored type, described by its bit fields: written by the helper, judged by the parent.
enum HDF5TypeDescription {
    /// The description as the listing has it.
    static func json(of type: hid_t, isMember: Bool = false) -> String {
        let start = "{\"class\":\"\(className(H5Tget_class(type)))\",\"size\":\(H5Tget_size(type))"
        switch H5Tget_class(type) {
        case H5T_INTEGER: return start + bits(type) + ",\"signed\":\(H5Tget_sign(type) == H5T_SGN_2)}"
        case H5T_FLOAT: return start + bits(type) + fields(type) + "}"
        case H5T_ENUM where !isMember: return start + members(ofEnumeration: type) + "}"
        case H5T_COMPOUND where !isMember: return start + members(ofCompound: type) + "}"
        default: return start + "}"
        }
    }

    /// Whether elements are plain bits, with nothing that points elsewhere.
    static func isPlain(_ type: hid_t) -> Bool {
        switch H5Tget_class(type) {
        case H5T_INTEGER, H5T_FLOAT, H5T_ENUM, H5T_OPAQUE: true
        case H5T_COMPOUND:
            H5Tdetect_class(type, H5T_VLEN) <= 0 && H5Tdetect_class(type, H5T_REFERENCE) <= 0
                && H5Tdetect_class(type, H5T_STRING) <= 0
        default: false
        }
    }

    static func className(_ type: H5T_class_t) -> String {
        switch type {
        case H5T_INTEGER: "integer"
        case H5T_FLOAT: "float"
        case H5T_TIME: "time"
        case H5T_STRING: "string"
        case H5T_BITFIELD: "bit field"
        case H5T_OPAQUE: "opaque"
        case H5T_COMPOUND: "compound"
        case H5T_REFERENCE: "reference"
        case H5T_ENUM: "enumeration"
        case H5T_VLEN: "variable-length"
        case H5T_ARRAY: "array"
        default: "unknown"
        }
    }

    private static func bits(_ type: hid_t) -> String {
        let order =
            switch H5Tget_order(type) {
            case H5T_ORDER_LE: "little"
            case H5T_ORDER_BE: "big"
            default: "other"
            }
        return ",\"order\":\"\(order)\",\"precision\":\(H5Tget_precision(type)),\"offset\":\(H5Tget_offset(type))"
    }

    private static func fields(_ type: hid_t) -> String {
        var sign = 0
        var exponent = 0
        var exponentBits = 0
        var mantissa = 0
        var mantissaBits = 0
        guard H5Tget_fields(type, &sign, &exponent, &exponentBits, &mantissa, &mantissaBits) >= 0 else { return "" }
        let isImplied = H5Tget_norm(type) == H5T_NORM_IMPLIED
        return ",\"sign\":\(sign),\"exponent\":[\(exponent),\(exponentBits)],\"mantissa\":[\(mantissa),\(mantissaBits)]"
            + ",\"bias\":\(H5Tget_ebias(type)),\"implied\":\(isImplied)"
    }

    /// Names and values, where the enumeration could be the one that stands for truth values.
    private static func members(ofEnumeration type: hid_t) -> String {
        let count = H5Tget_nmembers(type)
        guard count == 2, H5Tget_size(type) == 1 else { return ",\"members\":[]" }
        var texts: [String] = []
        for index in 0..<UInt32(count) {
            var value: UInt8 = 0
            guard let name = memberName(type, index), H5Tget_member_value(type, index, &value) >= 0 else {
                return ",\"members\":[]"
            }
            texts.append("[\(JSONValue.quoted(name)),\(value)]")
        }
        return ",\"members\":[\(texts.joined(separator: ","))]"
    }

    /// Names, offsets and types, where the compound could be a complex number.
    private static func members(ofCompound type: hid_t) -> String {
        let count = H5Tget_nmembers(type)
        guard count == 2 else { return ",\"members\":[]" }
        var texts: [String] = []
        for index in 0..<UInt32(count) {
            guard let name = memberName(type, index), let member = HDF5Identifier(H5Tget_member_type(type, index))
            else {
                return ",\"members\":[]"
            }
            let offset = H5Tget_member_offset(type, index)
            texts.append("[\(JSONValue.quoted(name)),\(offset),\(json(of: member.raw, isMember: true))]")
        }
        return ",\"members\":[\(texts.joined(separator: ","))]"
    }

    private static func memberName(_ type: hid_t, _ index: UInt32) -> String? {
        guard let name = H5Tget_member_name(type, index) else { return nil }
        defer { H5free_memory(name) }
        return String(validatingCString: name)
    }
}

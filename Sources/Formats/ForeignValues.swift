import AssayCheckpoints

/// Text metadata whose keys a format cannot have, as a JSON list of pairs under a key that it can.
enum MetadataPairs {
    static func text(of pairs: [(key: String, value: String)]) -> String {
        JSONValue.array(pairs.map { [.string($0.key), .string($0.value)] }).compactText
    }

    /// - Returns: nil where the text is no such list.
    static func parse(_ text: String) -> [(key: String, value: String)]? {
        (try? JSONValue(parsing: Array(text.utf8))).flatMap { pairs($0) }
    }

    /// - Returns: nil where the value is no list of pairs.
    static func pairs(_ value: JSONValue) -> [(key: String, value: String)]? {
        guard let list = value.array else { return nil }
        let pairs = list.compactMap { pair($0) }
        return pairs.count == list.count ? pairs : nil
    }

    /// - Returns: nil where the value is no list of two texts.
    static func pair(_ value: JSONValue) -> (key: String, value: String)? {
        guard let items = value.array, items.count == 2, let key = items[0].string, let text = items[1].string else {
            return nil
        }
        return (key, text)
    }
}

/// What stands under `CheckpointContents.foreignKey`: for each format a member of its own.
extension JSONObject {
    /// - Returns: nil where the text is no object.
    init?(foreign text: String) {
        guard let object = try? JSONValue(parsing: Array(text.utf8)).object else { return nil }
        self = object
    }

    /// Nil where there is nothing to keep.
    var foreignText: String? { members.isEmpty ? nil : JSONValue.object(self).compactText }
}

/// Integers of 8 to 64 bits in the JSON of foreign metadata.
enum ForeignInteger {
    /// - Parameter word: the integer in its low bits.
    static func json(_ word: UInt64, bits: Int, isSigned: Bool) -> String {
        guard isSigned else { return String(word) }
        let unused = Int64(64 - bits)
        return String(Int64(bitPattern: word << UInt64(unused)) >> unused)
    }

    /// The bits of a value, its sign in all that are above; nil where it is no integer that fits.
    static func word(_ value: JSONValue, bits: Int, isSigned: Bool) -> UInt64? {
        guard case .number(let number) = value else { return nil }
        guard isSigned else {
            return UInt64(number.text).flatMap { $0 <= UInt64.max >> UInt64(64 - bits) ? $0 : nil }
        }
        return Int64(number.text).flatMap {
            let high = $0 >> Int64(bits - 1)
            return high == 0 || high == -1 ? UInt64(bitPattern: $0) : nil
        }
    }
}

/// Floating-point numbers in the JSON of foreign metadata: the shortest decimal that reads back as the same bits; for what JSON
/// lacks a string: "Infinity", "-Infinity", "NaN", and "NaN:7fc00001" for NaNs with other bits.
enum ForeignNumber {
    static func json(_ word: UInt64, bits: Int) -> String {
        let value = double(word, bits)
        if value.isNaN {
            return word == canonicalNaN(bits) ? "\"NaN\"" : "\"NaN:\(hexadecimal(word, bits))\""
        }
        if value.isInfinite { return value > 0 ? "\"Infinity\"" : "\"-Infinity\"" }
        return switch bits {
        case 16: "\(Float16(bitPattern: UInt16(word)))"
        case 32: "\(Float(bitPattern: UInt32(word)))"
        default: "\(value)"
        }
    }

    /// The bits of a value, or nil where it is none.
    static func word(_ value: JSONValue, bits: Int) -> UInt64? {
        switch value {
        case .number(let number):
            switch bits {
            case 16: Float16(number.text).map { UInt64($0.bitPattern) }
            case 32: Float(number.text).map { UInt64($0.bitPattern) }
            default: Double(number.text).map(\.bitPattern)
            }
        case .string("NaN"): canonicalNaN(bits)
        case .string("Infinity"): infinity(bits)
        case .string("-Infinity"): infinity(bits) | 1 << UInt64(bits - 1)
        case .string(let text) where text.hasPrefix("NaN:"): UInt64(text.dropFirst(4), radix: 16)
        default: nil
        }
    }

    static func double(_ word: UInt64, _ bits: Int) -> Double {
        switch bits {
        case 16: Double(Float16(bitPattern: UInt16(word)))
        case 32: Double(Float(bitPattern: UInt32(word)))
        default: Double(bitPattern: word)
        }
    }

    private static func canonicalNaN(_ bits: Int) -> UInt64 {
        switch bits {
        case 16: 0x7E00
        case 32: 0x7FC0_0000
        default: 0x7FF8_0000_0000_0000
        }
    }

    private static func infinity(_ bits: Int) -> UInt64 {
        switch bits {
        case 16: 0x7C00
        case 32: 0x7F80_0000
        default: 0x7FF0_0000_0000_0000
        }
    }

    private static func hexadecimal(_ word: UInt64, _ bits: Int) -> String {
        let text = String(word, radix: 16)
        return String(repeating: "0", count: bits / 4 - text.count) + text
    }
}

/// Strings in the JSON of foreign metadata: a string, or `{"hex":"..."}` where the bytes are not UTF-8.
enum ForeignText {
    static func json(_ bytes: [UInt8]) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else { return "{\"hex\":\"\(bytes.hexadecimal)\"}" }
        return JSONValue.quoted(text)
    }

    static func bytes(_ value: JSONValue) -> [UInt8]? {
        switch value {
        case .string(let text): Array(text.utf8)
        case .object(let object): object["hex"]?.string.flatMap { [UInt8](hexadecimal: $0) }
        default: nil
        }
    }
}

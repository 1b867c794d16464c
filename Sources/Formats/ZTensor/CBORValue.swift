/// A value of CBOR (RFC 8949), as far as zTensor's manifests use it: definite lengths, no tags.
enum CBORValue: Equatable, Sendable {
    case unsigned(UInt64)
    /// -1 minus the number.
    case negative(UInt64)
    case bytes([UInt8])
    case text(String)
    case array([CBORValue])
    case map([Entry])
    case bool(Bool)
    case null
    case float(Double)

    struct Entry: Equatable, Sendable {
        var key: CBORValue
        var value: CBORValue
    }

    /// What kind of value it is, for messages.
    var kind: String {
        switch self {
        case .unsigned(let number): "the number \(number)"
        case .negative: "a negative number"
        case .bytes: "bytes"
        case .text(let text): "the text '\(String(text.prefix(80)).escapedForDisplay)'"
        case .array(let elements): "a list of \(elements.count)"
        case .map: "a map"
        case .bool: "a boolean"
        case .null: "null"
        case .float: "a floating-point number"
        }
    }

    var text: String? { if case .text(let text) = self { text } else { nil } }
}

// MARK: Encoding

extension CBORValue {
    /// The value in the core deterministic encoding: shortest heads and floats, map keys in the order of their bytes.
    ///
    /// - Precondition: no key stands twice in a map.
    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        append(to: &bytes)
        return bytes
    }

    private func append(to bytes: inout [UInt8]) {
        switch self {
        case .unsigned(let number): Self.appendHead(0, number, to: &bytes)
        case .negative(let number): Self.appendHead(1, number, to: &bytes)
        case .bytes(let content):
            Self.appendHead(2, UInt64(content.count), to: &bytes)
            bytes += content
        case .text(let text):
            Self.appendHead(3, UInt64(text.utf8.count), to: &bytes)
            bytes += text.utf8
        case .array(let elements):
            Self.appendHead(4, UInt64(elements.count), to: &bytes)
            for element in elements { element.append(to: &bytes) }
        case .map(let entries):
            Self.appendHead(5, UInt64(entries.count), to: &bytes)
            let sorted = entries.map { ($0.key.encoded, $0.value) }.sorted { $0.0.lexicographicallyPrecedes($1.0) }
            for (key, value) in sorted {
                bytes += key
                value.append(to: &bytes)
            }
        case .bool(let value): bytes.append(value ? 0xF5 : 0xF4)
        case .null: bytes.append(0xF6)
        case .float(let value): Self.append(value, to: &bytes)
        }
    }

    private static func appendHead(_ major: UInt8, _ number: UInt64, to bytes: inout [UInt8]) {
        switch number {
        case 0..<24: bytes.append(major << 5 | UInt8(number))
        case 0...0xFF: bytes += [major << 5 | 24, UInt8(number)]
        case 0...0xFFFF: bytes += [major << 5 | 25] + UInt16(number).bigEndianBytes
        case 0...0xFFFF_FFFF: bytes += [major << 5 | 26] + UInt32(number).bigEndianBytes
        default: bytes += [major << 5 | 27] + number.bigEndianBytes
        }
    }

    private static func append(_ value: Double, to bytes: inout [UInt8]) {
        if value.isNaN {
            bytes += [0xF9, 0x7E, 0x00]
        } else if Double(Float16(value)) == value {
            bytes += [0xF9] + Float16(value).bitPattern.bigEndianBytes
        } else if Double(Float(value)) == value {
            bytes += [0xFA] + Float(value).bitPattern.bigEndianBytes
        } else {
            bytes += [0xFB] + value.bitPattern.bigEndianBytes
        }
    }
}

extension FixedWidthInteger {
    fileprivate var bigEndianBytes: [UInt8] { withUnsafeBytes(of: bigEndian) { Array($0) } }
}

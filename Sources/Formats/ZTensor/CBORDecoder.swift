/// Decodes CBOR that must be in the core deterministic encoding (RFC 8949, 4.2.1), so that a value has one encoding and a
/// map no key twice. Depth and the number of values are bounded; memory follows the bytes that are there.
struct CBORDecoder {
    /// What is wrong, and where in the bytes.
    struct Fault: Error, Equatable {
        var offset: Int
        var expected: String
        var found: String
    }

    /// Levels below the root.
    static let maximumDepth = 32
    static let maximumValueCount = 1 << 24

    private let bytes: [UInt8]
    private var offset = 0
    private var valueCount = 0

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// - Throws: `Fault`.
    static func decode(_ bytes: [UInt8]) throws -> CBORValue {
        var decoder = CBORDecoder(bytes)
        let value = try decoder.value(depth: 0)
        guard decoder.offset == bytes.count else {
            throw Fault(
                offset: decoder.offset, expected: "the end of the value",
                found: "\((bytes.count - decoder.offset).inBytes) more")
        }
        return value
    }

    private mutating func value(depth: Int) throws -> CBORValue {
        let start = offset
        func fault(_ expected: String, _ found: String) -> Fault {
            Fault(offset: start, expected: expected, found: found)
        }
        guard depth <= Self.maximumDepth else {
            throw fault("at most \(Self.maximumDepth) levels of nesting", "more")
        }
        valueCount += 1
        guard valueCount <= Self.maximumValueCount else {
            throw fault("at most \(Self.maximumValueCount) values", "more")
        }
        let first = try number(byteCount: 1)
        let (major, info) = (first >> 5, first & 0x1F)
        switch major {
        case 6: throw fault("a value without a tag", "a tag")
        case 7: return try simple(info, at: start)
        default: break
        }
        let argument = try argument(info, at: start)
        switch major {
        case 0: return .unsigned(argument)
        case 1: return .negative(argument)
        case 2: return .bytes(Array(try take(argument, at: start)))
        case 3:
            guard let text = String(validating: try take(argument, at: start), as: UTF8.self) else {
                throw fault("text in UTF-8", "other bytes")
            }
            return .text(text)
        case 4:
            let count = try checkedCount(argument, leastByteCount: 1, at: start)
            var elements: [CBORValue] = []
            for _ in 0..<count { elements.append(try value(depth: depth + 1)) }
            return .array(elements)
        default: return .map(try entries(checkedCount(argument, leastByteCount: 2, at: start), depth: depth + 1))
        }
    }

    private mutating func entries(_ count: Int, depth: Int) throws -> [CBORValue.Entry] {
        var entries: [CBORValue.Entry] = []
        var previous = 0..<0
        for _ in 0..<count {
            let start = offset
            let key = try value(depth: depth)
            let range = start..<offset
            guard bytes[previous].lexicographicallyPrecedes(bytes[range]) else {
                let isTwice = bytes[previous] == bytes[range]
                throw Fault(
                    offset: start, expected: "map keys in the order of their bytes, each once",
                    found: isTwice ? "\(key.kind) twice" : "\(key.kind) behind a later one")
            }
            previous = range
            entries.append(CBORValue.Entry(key: key, value: try value(depth: depth)))
        }
        return entries
    }

    // MARK: Heads

    private mutating func take(_ count: UInt64, at start: Int) throws -> ArraySlice<UInt8> {
        let count = try checkedCount(count, leastByteCount: 1, at: start)
        defer { offset += count }
        return bytes[offset..<offset + count]
    }

    /// A count of things that each take at least so many of the bytes that are left.
    private func checkedCount(_ count: UInt64, leastByteCount: Int, at start: Int) throws -> Int {
        guard count <= UInt64((bytes.count - offset) / leastByteCount) else {
            throw Fault(
                offset: start, expected: "what fits into the \((bytes.count - offset).inBytes) left",
                found: "a length of \(count)")
        }
        return Int(count)
    }

    private mutating func number(byteCount: Int) throws -> UInt64 {
        guard bytes.count - offset >= byteCount else {
            throw Fault(offset: offset, expected: "\(byteCount.inBytes) more", found: "the end")
        }
        defer { offset += byteCount }
        return bytes[offset..<offset + byteCount].reduce(0) { $0 << 8 | UInt64($1) }
    }

    private mutating func argument(_ info: UInt64, at start: Int) throws -> UInt64 {
        guard info >= 24 else { return info }
        guard info <= 27 else {
            throw Fault(offset: start, expected: "a definite length", found: "an indefinite or reserved one")
        }
        let byteCount = 1 << Int(info - 24)
        let argument = try number(byteCount: byteCount)
        // The least that a shorter head cannot say.
        let least: UInt64 = byteCount == 1 ? 24 : 1 << UInt64(4 * byteCount)
        guard argument >= least else {
            throw Fault(offset: start, expected: "the shortest encoding of \(argument)", found: "a longer one")
        }
        return argument
    }

    private mutating func simple(_ info: UInt64, at start: Int) throws -> CBORValue {
        switch info {
        case 20: return .bool(false)
        case 21: return .bool(true)
        case 22: return .null
        case 25...27: return .float(try float(byteCount: 2 << Int(info - 25), at: start))
        default:
            throw Fault(
                offset: start, expected: "a number, text, bytes, a list, a map, a boolean or null",
                found: "a simple value of another kind")
        }
    }

    private mutating func float(byteCount: Int, at start: Int) throws -> Double {
        let bits = try number(byteCount: byteCount)
        let value: Double
        switch byteCount {
        case 2: value = Double(Float16(bitPattern: UInt16(bits)))
        case 4: value = Double(Float(bitPattern: UInt32(bits)))
        default: value = Double(bitPattern: bits)
        }
        guard CBORValue.float(value).encoded == Array(bytes[start..<offset]) else {
            throw Fault(offset: start, expected: "the shortest encoding of \(value)", found: "another")
        }
        return value
    }
}

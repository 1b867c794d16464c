/// Text that is not JSON as RFC 8259 has it: where, what was expected, what was found.
public struct JSONError: Error, Equatable, Sendable {
    public var offset: Int
    public var expected: String
    public var found: String

    public init(offset: Int, expected: String, found: String) {
        self.offset = offset
        self.expected = expected
        self.found = found
    }
}

/// A strict scanner of JSON in UTF-8: the caller pulls what it expects, in order.
///
/// It accepts RFC 8259 and nothing else: no comments, trailing commas, byte order marks, lone surrogates, control
/// characters in strings, or text behind the value. Depth is bounded, so no input exhausts the stack. The platform's
/// parsers are more lenient and say nothing of equal keys, which is why checkpoints are not given to them.
public struct JSONScanner {
    /// Deeper nesting than any checkpoint has.
    public static let maximumDepth = 128

    /// Whether `NaN`, `Infinity` and `-Infinity` are numbers, as Python writes and reads them.
    var takesNonFinite = false
    private let bytes: UnsafeBufferPointer<UInt8>
    public private(set) var offset = 0
    private var depth = 0

    /// Scans bytes that must outlive the scanner.
    public init(_ bytes: UnsafeRawBufferPointer) {
        self.bytes = bytes.bindMemory(to: UInt8.self)
    }

    /// Runs `body` over a scanner of `bytes` and requires that it ends where the text ends.
    public static func scan<R>(_ bytes: [UInt8], _ body: (inout JSONScanner) throws -> R) throws -> R {
        try bytes.withUnsafeBytes { bytes in
            var scanner = JSONScanner(bytes)
            let result = try body(&scanner)
            try scanner.end()
            return result
        }
    }

    // MARK: Structure

    /// Scans an object; `member` is called behind each key's colon and must scan exactly one value.
    public mutating func object(_ member: (inout JSONScanner, _ key: String, _ offset: Int) throws -> Void) throws {
        try open("{", "an object")
        skipWhitespace()
        if accept("}") { return close() }
        while true {
            skipWhitespace()
            let start = offset
            guard peek == UInt8(ascii: "\"") else { throw unexpected("a key in quotes") }
            let key = try string()
            skipWhitespace()
            try expect(":")
            try member(&self, key, start)
            skipWhitespace()
            if accept("}") { return close() }
            guard accept(",") else { throw unexpected("',' or '}'") }
        }
    }

    /// Scans an array; `element` must scan exactly one value.
    public mutating func array(_ element: (inout JSONScanner, _ index: Int) throws -> Void) throws {
        try open("[", "an array")
        skipWhitespace()
        if accept("]") { return close() }
        var index = 0
        while true {
            try element(&self, index)
            index += 1
            skipWhitespace()
            if accept("]") { return close() }
            guard accept(",") else { throw unexpected("',' or ']'") }
        }
    }

    /// Requires that only white space is left.
    public mutating func end() throws {
        skipWhitespace()
        guard offset == bytes.count else { throw unexpected("the end of the text") }
    }

    // MARK: Values

    public mutating func string() throws -> String {
        skipWhitespace()
        guard accept("\"") else { throw unexpected("a string") }
        let start = offset
        while let byte = peek, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { offset += 1 }
        guard peek == UInt8(ascii: "\\") else {
            try finishString()
            return try text(start..<offset - 1)
        }
        return try escapedString(from: start)
    }

    /// A number without fraction or exponent that fits an `Int`.
    public mutating func integer() throws -> Int {
        skipWhitespace()
        let start = offset
        guard let byte = peek, byte == UInt8(ascii: "-") || Self.isDigit(byte) else { throw unexpected("an integer") }
        if let value = shortInteger() { return value }
        let number = try self.number()
        guard let value = number.int else {
            throw JSONError(
                offset: start, expected: "an integer of 64 bits", found: number.text.escapedForDisplay)
        }
        return value
    }

    /// What nearly all integers of a header are: up to 18 digits and nothing else, which need no text made of them. Scans
    /// nothing where it is something else.
    private mutating func shortInteger() -> Int? {
        var end = offset
        var value = 0
        while end < bytes.count, Self.isDigit(bytes[end]), end - offset < 18 {
            value = value * 10 + Int(bytes[end] - UInt8(ascii: "0"))
            end += 1
        }
        let count = end - offset
        guard count == 1 || count > 1 && bytes[offset] != UInt8(ascii: "0") else { return nil }
        if end < bytes.count {
            switch bytes[end] {
            case UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                return nil
            default: break
            }
        }
        offset = end
        return value
    }

    public mutating func number() throws -> JSONNumber {
        skipWhitespace()
        let start = offset
        if peek == UInt8(ascii: "-") { offset += 1 }
        if peek == UInt8(ascii: "0") { offset += 1 } else { try digits() }
        if peek == UInt8(ascii: ".") {
            offset += 1
            try digits()
        }
        if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
            offset += 1
            if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { offset += 1 }
            try digits()
        }
        if let byte = peek, Self.isDigit(byte) { throw unexpected("no digit behind a leading zero") }
        return JSONNumber(text: String(decoding: bytes[start..<offset], as: UTF8.self))
    }

    /// Any value. Equal keys in an object are refused.
    public mutating func value() throws -> JSONValue {
        skipWhitespace()
        if takesNonFinite, let number = nonFinite() { return .number(number) }
        switch peek {
        case UInt8(ascii: "{"):
            var members: [(key: String, value: JSONValue)] = []
            var offsets: [Int] = []
            try object { scanner, key, offset in
                members.append((key, try scanner.value()))
                offsets.append(offset)
            }
            do {
                return .object(try JSONObject(checking: members))
            } catch {
                throw JSONError(
                    offset: offsets[error.position], expected: "each key once",
                    found: "'\(members[error.position].key.escapedForDisplay)' again")
            }
        case UInt8(ascii: "["):
            var elements: [JSONValue] = []
            try array { scanner, _ in elements.append(try scanner.value()) }
            return .array(elements)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"):
            try word("true")
            return .bool(true)
        case UInt8(ascii: "f"):
            try word("false")
            return .bool(false)
        case UInt8(ascii: "n"):
            try word("null")
            return .null
        case .some(let byte) where byte == UInt8(ascii: "-") || Self.isDigit(byte): return .number(try number())
        default: throw unexpected("a value")
        }
    }

    private mutating func nonFinite() -> JSONNumber? {
        for word in ["NaN", "Infinity", "-Infinity"] where bytes[offset...].starts(with: word.utf8) {
            offset += word.utf8.count
            return JSONNumber(text: word)
        }
        return nil
    }

    /// What the next value is, for messages and choices: its first byte.
    public mutating func peekValue() -> Character? {
        skipWhitespace()
        return peek.map { Character(Unicode.Scalar($0)) }
    }

    /// The error for what stands here instead of `expected`.
    public func unexpected(_ expected: String) -> JSONError {
        JSONError(offset: offset, expected: expected, found: describeNext())
    }

    // MARK: Private parts

    private var peek: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private mutating func skipWhitespace() {
        while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { offset += 1 }
    }

    private mutating func accept(_ character: Unicode.Scalar) -> Bool {
        guard peek == UInt8(ascii: character) else { return false }
        offset += 1
        return true
    }

    private mutating func expect(_ character: Unicode.Scalar) throws {
        guard accept(character) else { throw unexpected("'\(character)'") }
    }

    private mutating func open(_ character: Unicode.Scalar, _ what: String) throws {
        skipWhitespace()
        guard accept(character) else { throw unexpected(what) }
        depth += 1
        guard depth <= Self.maximumDepth else {
            throw JSONError(
                offset: offset - 1, expected: "nesting of at most \(Self.maximumDepth)", found: "deeper nesting")
        }
    }

    private mutating func close() { depth -= 1 }

    private mutating func digits() throws {
        guard let byte = peek, Self.isDigit(byte) else { throw unexpected("a digit") }
        while let byte = peek, Self.isDigit(byte) { offset += 1 }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private mutating func word(_ word: StaticString) throws {
        let length = word.utf8CodeUnitCount
        guard offset + length <= bytes.count,
            (0..<length).allSatisfy({ bytes[offset + $0] == word.utf8Start[$0] })
        else { throw unexpected("'\(word)'") }
        offset += length
    }

    private mutating func finishString() throws {
        guard accept("\"") else {
            throw offset < bytes.count
                ? JSONError(
                    offset: offset, expected: "control characters in strings to be escaped", found: describeNext())
                : unexpected("the closing quote of a string")
        }
    }

    private func text(_ range: Range<Int>) throws -> String {
        let slice = UnsafeBufferPointer(rebasing: bytes[range])
        // Nearly all names are ASCII: to validate others takes far longer.
        if slice.isASCII { return String(decoding: slice, as: UTF8.self) }
        if let text = String(validating: slice, as: UTF8.self) { return text }
        throw JSONError(
            offset: range.lowerBound + Self.firstInvalid(slice), expected: "UTF-8", found: "bytes that are not")
    }

    /// The offset of the first byte that does not belong to valid UTF-8.
    private static func firstInvalid(_ slice: UnsafeBufferPointer<UInt8>) -> Int {
        var low = 0
        var decoder = Unicode.UTF8.ForwardParser()
        var iterator = slice.makeIterator()
        while true {
            switch decoder.parseScalar(from: &iterator) {
            case .valid(let scalar): low += scalar.count
            case .emptyInput, .error: return low
            }
        }
    }

    /// A string with escapes; `start` is its first byte and all up to `offset` is plain.
    private mutating func escapedString(from start: Int) throws -> String {
        var result = Array(bytes[start..<offset])
        while let byte = peek, byte != UInt8(ascii: "\""), byte >= 0x20 {
            offset += 1
            guard byte == UInt8(ascii: "\\") else {
                result.append(byte)
                continue
            }
            try appendEscape(to: &result)
        }
        try finishString()
        guard let text = String(validating: result, as: UTF8.self) else {
            throw JSONError(offset: start, expected: "UTF-8", found: "bytes that are not")
        }
        return text
    }

    private mutating func appendEscape(to result: inout [UInt8]) throws {
        guard let code = peek else { throw unexpected("an escape") }
        offset += 1
        switch code {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): result.append(code)
        case UInt8(ascii: "b"): result.append(8)
        case UInt8(ascii: "f"): result.append(12)
        case UInt8(ascii: "n"): result.append(10)
        case UInt8(ascii: "r"): result.append(13)
        case UInt8(ascii: "t"): result.append(9)
        case UInt8(ascii: "u"): result.append(contentsOf: String(Character(try escapedScalar())).utf8)
        default:
            offset -= 1
            throw unexpected("one of the escapes \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u")
        }
    }

    private mutating func escapedScalar() throws -> Unicode.Scalar {
        let start = offset - 2
        let first = try hexadecimalUnit()
        if let scalar = Unicode.Scalar(UInt32(first)) { return scalar }
        let lone = JSONError(
            offset: start, expected: "surrogates in pairs", found: "a lone \\u\(String(first, radix: 16))")
        guard first < 0xDC00, accept("\\"), accept("u") else { throw lone }
        let second = try hexadecimalUnit()
        guard (0xDC00...0xDFFF).contains(second) else { throw lone }
        return Unicode.Scalar(0x10000 + (UInt32(first) - 0xD800) << 10 + (UInt32(second) - 0xDC00))!
    }

    private mutating func hexadecimalUnit() throws -> UInt16 {
        var value: UInt16 = 0
        for _ in 0..<4 {
            guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw unexpected("four hexadecimal digits")
            }
            value = value << 4 | UInt16(digit)
            offset += 1
        }
        return value
    }

    private func describeNext() -> String {
        guard let byte = peek else { return "the end of the text" }
        if byte < 0x80 { return "'\(String(Character(Unicode.Scalar(byte))).escapedForDisplay)'" }
        return "byte 0x\(String(byte, radix: 16))"
    }
}

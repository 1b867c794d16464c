extension JSONValue {
    /// The value as text without white space, members in their own order; non-ASCII stays as it is.
    public var compactText: String { text(.compact) }

    /// The value indented by two spaces for people, with short lists of plain values on one line, and whatever could
    /// disguise text on a terminal escaped. No final newline.
    public var prettyText: String { text(.pretty) }

    /// One text for one value: every object's members sorted by their keys, numbers and strings in one spelling, no white
    /// space.
    ///
    /// - Source: RFC 8785, whole numbers of 64 bits excepted: they keep all their digits.
    public var canonicalText: String { text(.canonical) }

    /// The canonical text in pieces of some hundred kilobytes.
    ///
    /// - Throws: what `take` throws.
    public func writeCanonicalText(_ take: (UnsafeRawBufferPointer) throws -> Void) throws {
        try withoutActuallyEscaping(take) { take in
            var writer = JSONWriter(form: .canonical, flush: take)
            try writer.write(self, level: 0)
            try writer.finish()
        }
    }

    /// Whether both are one value, however they are spelled. Texts count by their bytes: Swift takes canonically equivalent
    /// ones for equal.
    public func isSame(as other: JSONValue) -> Bool { ExactName(canonicalText) == ExactName(other.canonicalText) }

    /// A string in quotes: only `"`, `\` and control characters are escaped.
    public static func quoted(_ string: String) -> String { JSONValue.string(string).compactText }

    private func text(_ form: JSONWriter.Form) -> String {
        var writer = JSONWriter(form: form, flush: nil)
        // Without a taker nothing fails.
        try! writer.write(self, level: 0)
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    fileprivate var isPlain: Bool {
        switch self {
        case .array, .object: false
        default: true
        }
    }
}

/// Makes text of values.
private struct JSONWriter {
    enum Form { case compact, pretty, canonical }

    let form: Form
    /// Takes what was written so far, as it comes; nil keeps all of it.
    let flush: ((UnsafeRawBufferPointer) throws -> Void)?
    private(set) var bytes: [UInt8] = []

    private static let pieceByteCount = 256 << 10
    private static let indentation = 2

    init(form: Form, flush: ((UnsafeRawBufferPointer) throws -> Void)?) { (self.form, self.flush) = (form, flush) }

    mutating func write(_ value: JSONValue, level: Int) throws {
        switch value {
        case .null: append("null")
        case .bool(let value): append(value ? "true" : "false")
        case .number(let number): append(form == .canonical ? number.canonical.text : number.text)
        case .string(let string): appendQuoted(string)
        case .array(let elements):
            try writeList(elements, "[", "]", isFlat: elements.allSatisfy(\.isPlain), level) { writer, element in
                try writer.write(element, level: level + 1)
            }
        case .object(let object):
            let members = form == .canonical ? object.members.sorted(by: Self.precedes) : object.members
            try writeList(members, "{", "}", isFlat: false, level) { writer, member in
                writer.appendQuoted(member.key)
                writer.append(writer.form == .pretty ? ": " : ":")
                try writer.write(member.value, level: level + 1)
            }
        }
        if bytes.count >= Self.pieceByteCount { try finish() }
    }

    /// Hands over what is left.
    mutating func finish() throws {
        guard let flush else { return }
        try bytes.withUnsafeBytes { try flush($0) }
        bytes.removeAll(keepingCapacity: true)
    }

    private static func precedes(_ a: (key: String, value: JSONValue), _ b: (key: String, value: JSONValue)) -> Bool {
        a.key.utf16.lexicographicallyPrecedes(b.key.utf16)
    }

    /// - Parameter isFlat: whether it stands on one line, also for people.
    private mutating func writeList<Element>(
        _ elements: [Element], _ open: String, _ close: String, isFlat: Bool, _ level: Int,
        _ write: (inout JSONWriter, Element) throws -> Void
    ) throws {
        let breaks = form == .pretty && !isFlat
        append(open)
        for (index, element) in elements.enumerated() {
            if index > 0 { append(form == .pretty && isFlat ? ", " : ",") }
            if breaks { appendBreak(level + 1) }
            try write(&self, element)
        }
        if breaks, !elements.isEmpty { appendBreak(level) }
        append(close)
    }

    private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private mutating func appendBreak(_ level: Int) {
        append("\n")
        bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: Self.indentation * level))
    }

    private mutating func appendQuoted(_ string: String) {
        let forPeople = form == .pretty
        append("\"")
        if string.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x22 && $0 != 0x5C && (!forPeople || $0 < 0x7F) }) {
            append(string)
        } else {
            for scalar in string.unicodeScalars { append(Self.escaped(scalar, forPeople: forPeople)) }
        }
        append("\"")
    }

    private static func escaped(_ scalar: Unicode.Scalar, forPeople: Bool) -> String {
        switch scalar {
        case "\"": return "\\\""
        case "\\": return "\\\\"
        case "\n": return "\\n"
        case "\r": return "\\r"
        case "\t": return "\\t"
        case "\u{8}": return "\\b"
        case "\u{C}": return "\\f"
        case _ where scalar.value < 0x20 || forPeople && scalar.needsEscape:
            // Beyond 16 bits there are two units.
            return scalar.utf16.map { unit in
                let hex = String(unit, radix: 16)
                return "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            }.joined()
        default: return String(scalar)
        }
    }
}

extension JSONNumber {
    /// A whole number with all its digits, or the shortest decimal that reads back as the same double, spelled as
    /// ECMAScript spells it: 0.00001, 1e-7, 1e+21.
    ///
    /// - Source: ECMA-262, Number::toString.
    fileprivate var canonical: JSONNumber {
        if let int { return JSONNumber(int) }
        if let whole = UInt64(text) { return JSONNumber(text: String(whole)) }
        guard let double else { return self }
        return double == 0 ? JSONNumber(0) : JSONNumber(text: Self.shortest(double))
    }

    private static func shortest(_ value: Double) -> String {
        // Swift finds the same digits and writes the exponent in its own way.
        let parts = value.magnitude.description.split(separator: "e")
        let (whole, fraction) = (parts[0].prefix { $0 != "." }, parts[0].drop { $0 != "." }.dropFirst())
        var digits = (whole + fraction)[...]
        // The decimal point stands behind so many digits, before the first where it is negative.
        var point = whole.count + (parts.count > 1 ? Int(parts[1])! : 0)
        while digits.first == "0" {
            digits.removeFirst()
            point -= 1
        }
        while digits.last == "0" { digits.removeLast() }
        return (value < 0 ? "-" : "") + spelled(String(digits), point)
    }

    private static func spelled(_ digits: String, _ point: Int) -> String {
        func zeros(_ count: Int) -> String { String(repeating: "0", count: count) }
        switch point {
        case digits.count...21: return digits + zeros(point - digits.count)
        case 1...21: return digits.prefix(point) + "." + digits.dropFirst(point)
        case -5...0: return "0." + zeros(-point) + digits
        default:
            let exponent = point - 1
            return digits.prefix(1) + (digits.count > 1 ? "." : "") + digits.dropFirst()
                + "e\(exponent < 0 ? "-" : "+")\(abs(exponent))"
        }
    }
}

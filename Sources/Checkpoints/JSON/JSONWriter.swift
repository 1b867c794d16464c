extension JSONValue {
    /// The value as text without white space, members in their own order; non-ASCII stays as it is.
    public var compactText: String {
        var text = ""
        write(to: &text, indentation: nil, level: 0)
        return text
    }

    /// The value indented by two spaces for people, with short lists of plain values on one line, and whatever could
    /// disguise text on a terminal escaped. No final newline.
    public var prettyText: String {
        var text = ""
        write(to: &text, indentation: 2, level: 0)
        return text
    }

    /// One text for one value: every object's members sorted by their keys, numbers and strings in one spelling, no white
    /// space.
    ///
    /// - Source: RFC 8785, whole numbers of 64 bits excepted: they keep all their digits.
    public var canonicalText: String { canonical.compactText }

    /// Whether both are one value, however they are spelled. Texts count by their bytes: Swift takes canonically equivalent
    /// ones for equal.
    public func isSame(as other: JSONValue) -> Bool { ExactName(canonicalText) == ExactName(other.canonicalText) }

    private var canonical: JSONValue {
        switch self {
        case .array(let elements): .array(elements.map(\.canonical))
        case .object(let object):
            .object(
                JSONObject(
                    object.members
                        .sorted { $0.key.utf16.lexicographicallyPrecedes($1.key.utf16) }
                        .map { ($0.key, $0.value.canonical) }))
        case .number(let number): .number(number.canonical)
        default: self
        }
    }

    private func write(to text: inout String, indentation: Int?, level: Int) {
        switch self {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .number(let number): text += number.text
        case .string(let string): Self.writeQuoted(string, to: &text, forPeople: indentation != nil)
        case .array(let elements):
            let flat = indentation == nil || elements.allSatisfy(\.isPlain)
            Self.writeList(
                elements, "[", "]", to: &text, indentation: flat ? nil : indentation, level: level,
                separator: indentation != nil && flat ? ", " : ","
            ) { element, text in element.write(to: &text, indentation: indentation, level: level + 1) }
        case .object(let object):
            Self.writeList(object.members, "{", "}", to: &text, indentation: indentation, level: level, separator: ",")
            {
                member, text in
                Self.writeQuoted(member.key, to: &text, forPeople: indentation != nil)
                text += indentation == nil ? ":" : ": "
                member.value.write(to: &text, indentation: indentation, level: level + 1)
            }
        }
    }

    private var isPlain: Bool {
        switch self {
        case .array, .object: false
        default: true
        }
    }

    private static func writeList<Element>(
        _ elements: [Element], _ open: String, _ close: String, to text: inout String, indentation: Int?, level: Int,
        separator: String, _ write: (Element, inout String) -> Void
    ) {
        text += open
        for (index, element) in elements.enumerated() {
            if index > 0 { text += separator }
            if let indentation { text += "\n" + String(repeating: " ", count: indentation * (level + 1)) }
            write(element, &text)
        }
        if let indentation, !elements.isEmpty { text += "\n" + String(repeating: " ", count: indentation * level) }
        text += close
    }

    /// A string in quotes: only `"`, `\` and control characters are escaped.
    public static func quoted(_ string: String) -> String {
        var text = ""
        writeQuoted(string, to: &text)
        return text
    }

    private static func writeQuoted(_ string: String, to text: inout String, forPeople: Bool = false) {
        text += "\""
        if string.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x22 && $0 != 0x5C && (!forPeople || $0 < 0x7F) }) {
            text += string
        } else {
            for scalar in string.unicodeScalars { writeEscaped(scalar, to: &text, forPeople: forPeople) }
        }
        text += "\""
    }

    private static func writeEscaped(_ scalar: Unicode.Scalar, to text: inout String, forPeople: Bool) {
        switch scalar {
        case "\"": text += "\\\""
        case "\\": text += "\\\\"
        case "\n": text += "\\n"
        case "\r": text += "\\r"
        case "\t": text += "\\t"
        case "\u{8}": text += "\\b"
        case "\u{C}": text += "\\f"
        case _ where scalar.value < 0x20 || forPeople && scalar.needsEscape:
            // Beyond 16 bits there are two units.
            for unit in scalar.utf16 {
                let hex = String(unit, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            }
        default: text.unicodeScalars.append(scalar)
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

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

    /// The value with every object's members sorted by the bytes of their keys: one text for one value.
    public var canonicalText: String { sorted.compactText }

    private var sorted: JSONValue {
        switch self {
        case .array(let elements): .array(elements.map(\.sorted))
        case .object(let object):
            .object(
                JSONObject(
                    object.members
                        .sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
                        .map { ($0.key, $0.value.sorted) }))
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
        // None of these lies beyond 16 bits.
        case _ where scalar.value < 0x20 || forPeople && scalar.needsEscape:
            let hex = String(scalar.value, radix: 16)
            text += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
        default: text.unicodeScalars.append(scalar)
        }
    }
}

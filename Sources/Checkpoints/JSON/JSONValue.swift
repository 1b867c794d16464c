#if canImport(Glibc)
    import Glibc
#endif

/// A JSON number as it was written, so that nothing is lost by reading it.
public struct JSONNumber: Sendable, Hashable {
    public let text: String

    /// - Parameter text: a number by JSON's grammar.
    init(text: String) { self.text = text }

    public init(_ value: Int) { text = String(value) }

    /// The value where it is written as an integer (no fraction, no exponent) that fits.
    public var int: Int? { Int(text) }

    /// The nearest double; nil where the number is too large for one.
    public var double: Double? {
        guard let value = Double(text), value.isFinite else { return nil }
        return value
    }
}

/// A JSON value. Objects keep the order of their members.
public enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case number(JSONNumber)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)

    /// Parses a whole text.
    ///
    /// - Throws: `JSONError`.
    public init(parsing bytes: [UInt8]) throws {
        self = try JSONScanner.scan(bytes) { try $0.value() }
    }

    public var string: String? { if case .string(let value) = self { value } else { nil } }
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
    public var object: JSONObject? { if case .object(let value) = self { value } else { nil } }
    public var int: Int? { if case .number(let value) = self { value.int } else { nil } }
    public var double: Double? { if case .number(let value) = self { value.double } else { nil } }

    /// What kind of value it is, for messages: "a string".
    public var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .number(let number): "the number \(number.text.prefix(40))"
        case .string: "a string"
        case .array: "a list"
        case .object: "an object"
        }
    }
}

/// The members of a JSON object, in order, each key once.
public struct JSONObject: Sendable, Equatable {
    public internal(set) var members: [(key: String, value: JSONValue)]
    private var positions: NameMap<Int>

    /// - Precondition: no key stands twice.
    public init(_ members: [(key: String, value: JSONValue)] = []) {
        self.members = members
        positions = NameMap(members.enumerated().map { ($1.key, $0) })
    }

    /// Adds a member, null until it is given its value.
    ///
    /// - Returns: its position in `members`; nil where the key is there already.
    mutating func add(_ key: String) -> Int? {
        if let position = positions.updateValue(members.count, forKey: key) {
            positions[key] = position
            return nil
        }
        members.append((key, .null))
        return members.count - 1
    }

    public subscript(key: String) -> JSONValue? {
        get { positions[key].map { members[$0].value } }
        set {
            switch (positions[key], newValue) {
            case (let position?, let value?): members[position].value = value
            case (nil, let value?):
                positions[key] = members.count
                members.append((key, value))
            case (_?, nil): self = JSONObject(members.filter { ExactName($0.key) != ExactName(key) })
            case (nil, nil): break
            }
        }
    }

    public static func == (a: JSONObject, b: JSONObject) -> Bool {
        a.members.count == b.members.count
            && zip(a.members, b.members).allSatisfy { $0.key == $1.key && $0.value == $1.value }
    }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int) { self = .number(JSONNumber(value)) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSONValue)...) {
        self = .object(JSONObject(elements.map { ($0.0, $0.1) }))
    }

    public init(_ value: Int) { self = .number(JSONNumber(value)) }

    /// The shortest decimal that reads back as the same double; NaN and the infinities, which JSON lacks, become the
    /// strings "NaN", "Infinity" and "-Infinity".
    public init(_ value: Double) {
        if value.isNaN {
            self = "NaN"
        } else if value.isInfinite {
            self = value > 0 ? "Infinity" : "-Infinity"
        } else if value == value.rounded(), abs(value) < 1e15 {
            self = .number(JSONNumber(text: value == 0 ? "0" : String(Int(value))))
        } else {
            self = .number(JSONNumber(text: value.description))
        }
    }

    public init(_ value: Double?) { self = value.map { JSONValue($0) } ?? .null }
    public init(_ value: String?) { self = value.map { .string($0) } ?? .null }
}

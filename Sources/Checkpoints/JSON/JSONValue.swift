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
    /// - Parameter asPython: whether `NaN` and `Infinity` are numbers, which keep their text.
    /// - Throws: `JSONError`.
    public init(parsing bytes: [UInt8], asPython: Bool = false) throws {
        self = try JSONScanner.scan(bytes) { scanner in
            scanner.takesNonFinite = asPython
            return try scanner.value()
        }
    }

    public var string: String? { if case .string(let value) = self { value } else { nil } }
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
    public var object: JSONObject? { if case .object(let value) = self { value } else { nil } }
    public var int: Int? { if case .number(let value) = self { value.int } else { nil } }
    public var double: Double? { if case .number(let value) = self { value.double } else { nil } }

    /// A number, also one that JSON lacks, as `init(_: Double)` spells it.
    public var figure: Double? {
        switch string {
        case "NaN": .nan
        case "Infinity": .infinity
        case "-Infinity": -.infinity
        default: double
        }
    }

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
    public private(set) var members: [(key: String, value: JSONValue)]
    /// Where each key stands; nil where there are so few that looking at each is no slower.
    private var positions: NameMap<Int>?

    private static let fewMembers = 8

    /// - Precondition: no key stands twice.
    public init(_ members: [(key: String, value: JSONValue)] = []) {
        self.members = members
        if members.count > Self.fewMembers { positions = NameMap(members.enumerated().map { ($1.key, $0) }) }
    }

    /// A key that stands twice: the position of the second.
    struct RepeatedKey: Error { var position: Int }

    /// - Throws: `RepeatedKey` for the first key that stands there already.
    init(checking members: [(key: String, value: JSONValue)]) throws(RepeatedKey) {
        self.init(members)
        // Of equal keys a look-up finds the first.
        let isComplete = positions.map { $0.count == members.count } ?? false
        guard !isComplete else { return }
        for (position, member) in members.enumerated() where self.position(of: member.key) != position {
            throw RepeatedKey(position: position)
        }
    }

    private func position(of key: String) -> Int? {
        if let positions { return positions[key] }
        return members.firstIndex { ExactName($0.key) == ExactName(key) }
    }

    public subscript(key: String) -> JSONValue? {
        get { position(of: key).map { members[$0].value } }
        set {
            switch (position(of: key), newValue) {
            case (let position?, let value?): members[position].value = value
            case (nil, let value?): append(key, value)
            case (_?, nil): self = JSONObject(members.filter { ExactName($0.key) != ExactName(key) })
            case (nil, nil): break
            }
        }
    }

    private mutating func append(_ key: String, _ value: JSONValue) {
        members.append((key, value))
        if positions != nil {
            positions![key] = members.count - 1
        } else if members.count > Self.fewMembers {
            self = JSONObject(members)
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

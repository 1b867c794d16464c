import AssayCheckpoints

/// A JSON Schema (draft 2020-12), as far as the project's own schemas need it: a keyword that is not known here is a
/// fault of the schema, never passed over.
public struct JSONSchema {
    private let root: JSONValue

    /// - Throws: `CheckpointError` where the text is no JSON; `UnknownKeyword`.
    public init(parsing bytes: [UInt8]) throws {
        root = try JSONValue(parsing: bytes)
        try check(root)
    }

    public struct UnknownKeyword: Error, Equatable {
        public var keyword: String
        public init(keyword: String) { self.keyword = keyword }
    }

    private static let annotations: Set = ["$schema", "$id", "title", "description"]
    /// Keywords whose value is a schema, a list of schemas, or an object of schemas.
    private static let (one, list, named): (Set, Set, Set) = (["items"], ["anyOf"], ["properties", "$defs"])
    private static let plain: Set = [
        "$ref", "type", "const", "enum", "required", "additionalProperties", "pattern", "minimum", "minItems",
        "maxItems", "minProperties",
    ]

    private func check(_ schema: JSONValue) throws {
        for (keyword, value) in schema.object?.members ?? [] {
            if Self.one.contains(keyword) {
                try check(value)
            } else if Self.list.contains(keyword) {
                try value.array?.forEach(check)
            } else if Self.named.contains(keyword) {
                try value.object?.members.forEach { try check($0.value) }
            } else if !Self.annotations.contains(keyword), !Self.plain.contains(keyword) {
                throw UnknownKeyword(keyword: keyword)
            }
        }
    }

    /// What is wrong with a value, each fault with its place; nothing where it satisfies the schema.
    public func faults(in value: JSONValue) -> [String] { faults(value, root, "") }

    private func faults(_ value: JSONValue, _ schema: JSONValue, _ place: String) -> [String] {
        (schema.object?.members ?? []).flatMap { keyword, rule in
            let isMet = isMet(keyword, rule, value)
            return (isMet ? [] : ["\(place): \(keyword) \(rule.compactText)"])
                + inner(keyword, rule, value, schema, place)
        }
    }

    /// Keywords that judge the value itself.
    private func isMet(_ keyword: String, _ rule: JSONValue, _ value: JSONValue) -> Bool {
        switch keyword {
        case "type": Self.isOfType(rule.string!, value)
        case "const": value == rule
        case "enum": rule.array!.contains(value)
        case "anyOf": rule.array!.contains { faults(value, $0, "").isEmpty }
        case "required": value.object.map { object in rule.array!.allSatisfy { object[$0.string!] != nil } } ?? true
        case "pattern": value.string.map { (try! Regex(rule.string!).firstMatch(in: $0)) != nil } ?? true
        case "minimum": value.double.map { $0 >= rule.double! } ?? true
        case "minItems": value.array.map { $0.count >= rule.int! } ?? true
        case "maxItems": value.array.map { $0.count <= rule.int! } ?? true
        case "minProperties": value.object.map { $0.members.count >= rule.int! } ?? true
        default: true
        }
    }

    /// Keywords that pass parts of the value, or all of it, on to other schemas.
    private func inner(
        _ keyword: String, _ rule: JSONValue, _ value: JSONValue, _ schema: JSONValue, _ place: String
    ) -> [String] {
        switch keyword {
        case "$ref": return faults(value, target(rule.string!), place)
        case "items":
            return (value.array ?? []).enumerated().flatMap { faults($1, rule, "\(place)/\($0)") }
        case "properties":
            return rule.object!.members.flatMap { name, part in
                value.object?[name].map { faults($0, part, "\(place)/\(name)") } ?? []
            }
        case "additionalProperties":
            let known = schema.object?["properties"]?.object
            let others = (value.object?.members ?? []).filter { known?[$0.key] == nil }
            return rule == .bool(false)
                ? others.map { "\(place)/\($0.key): is not foreseen" }
                : others.flatMap { faults($0.value, rule, "\(place)/\($0.key)") }
        default: return []
        }
    }

    private static func isOfType(_ type: String, _ value: JSONValue) -> Bool {
        switch (type, value) {
        case ("object", .object), ("array", .array), ("string", .string), ("boolean", .bool), ("null", .null),
            ("number", .number):
            true
        case ("integer", .number(let number)): number.int != nil
        default: false
        }
    }

    /// "#/$defs/digest".
    private func target(_ reference: String) -> JSONValue {
        reference.split(separator: "/").dropFirst().reduce(root) { $0.object![String($1)]! }
    }
}

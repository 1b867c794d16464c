import AssayCheckpoints
import AssayTensors

/// A `config.json` that is read key by key, so that in the end every key was either used or is known not to matter.
///
/// `null` counts as absent. A value of another kind than expected ("12" for 12) is an error, never converted.
public struct ConfigurationReader {
    /// Larger than any model's sizes, small enough that products of a few do not overflow.
    static let largestSize = Int(Int32.max)

    private let object: JSONObject
    private let file: String
    /// Where the object stands in the configuration: "rope_parameters."
    private let place: String
    private var known: Set<String> = []

    /// - Parameter file: what messages call the configuration: "model/config.json".
    public init(_ object: JSONObject, file: String) {
        self.init(object, file: file, place: "")
    }

    private init(_ object: JSONObject, file: String, place: String) {
        (self.object, self.file, self.place) = (object, file, place)
    }

    // MARK: Values

    /// A size or count: a whole number from 1 on.
    ///
    /// - Parameter other: a second name of the same key; where both stand, they must agree.
    mutating func size(_ key: String, or other: String? = nil) throws(StructureError) -> Int {
        guard let value = try optionalSize(key, or: other) else {
            throw error(key, expected: "a whole number from 1 on", found: "no such key")
        }
        return value
    }

    mutating func optionalSize(
        _ key: String, or other: String? = nil, from smallest: Int = 1
    ) throws(StructureError) -> Int? {
        let first = try wholeNumber(key, from: smallest)
        guard let other, let second = try wholeNumber(other, from: smallest) else { return first }
        guard let first else { return second }
        guard first == second else { throw error(other, expected: "\(first) as in \(key)", found: "\(second)") }
        return first
    }

    /// A size that null switches off; where the key is absent, what the library takes.
    mutating func sizeOrNone(_ key: String, default fallback: Int?) throws(StructureError) -> Int? {
        object[key] == nil ? fallback : try optionalSize(key)
    }

    private mutating func wholeNumber(_ key: String, from smallest: Int) throws(StructureError) -> Int? {
        guard let value = take(key) else { return nil }
        guard let number = value.int, number >= smallest, number <= Self.largestSize else {
            throw error(
                key, expected: "a whole number from \(smallest) to \(Self.largestSize)", found: Self.show(value))
        }
        return number
    }

    /// A number that is added under a root, so that nothing is divided by zero.
    mutating func epsilon(_ key: String, default fallback: Double) throws(StructureError) -> Double {
        guard let value = take(key) else { return fallback }
        guard let number = value.double, number > 0 else {
            throw error(key, expected: "a number above 0", found: Self.show(value))
        }
        return number
    }

    /// A number, neither infinite nor NaN, above 0.
    mutating func positiveNumber(_ key: String) throws(StructureError) -> Double? {
        guard let value = take(key) else { return nil }
        guard let number = value.double, number > 0 else {
            throw error(key, expected: "a number above 0", found: Self.show(value))
        }
        return number
    }

    /// A number, neither infinite nor NaN.
    mutating func number(_ key: String) throws(StructureError) -> Double? {
        guard let value = take(key) else { return nil }
        guard let number = value.double else { throw error(key, expected: "a number", found: Self.show(value)) }
        return number
    }

    /// A number above 0 that null switches off; where the key is absent, what the library takes.
    mutating func numberOrNone(_ key: String, default fallback: Double?) throws(StructureError) -> Double? {
        object[key] == nil ? fallback : try positiveNumber(key)
    }

    /// A list of numbers.
    mutating func numbers(_ key: String) throws(StructureError) -> [Double]? {
        guard let value = take(key) else { return nil }
        guard let list = value.array?.map(\.double), list.allSatisfy({ $0 != nil }) else {
            throw error(key, expected: "a list of numbers", found: Self.show(value))
        }
        return list.map { $0! }
    }

    /// A list of whole numbers from 0 on.
    mutating func wholeNumbers(_ key: String) throws(StructureError) -> [Int]? {
        guard let value = take(key) else { return nil }
        guard let list = value.array?.map(\.int), list.allSatisfy({ ($0 ?? -1) >= 0 }) else {
            throw error(key, expected: "a list of whole numbers", found: Self.show(value))
        }
        return list.map { $0! }
    }

    /// A list of anything.
    mutating func list(_ key: String) throws(StructureError) -> [JSONValue]? {
        guard let value = take(key) else { return nil }
        guard let list = value.array else { throw error(key, expected: "a list", found: Self.show(value)) }
        return list
    }

    /// Whether the key stands, null or not.
    func has(_ key: String) -> Bool { object[key] != nil }

    /// Whether the key stands and is null.
    func isNull(_ key: String) -> Bool { object[key] == .null }

    /// Whether the key's value is a text.
    func isText(_ key: String) -> Bool { object[key]?.string != nil }

    /// Whether the key's value is a list.
    func isList(_ key: String) -> Bool { object[key]?.array != nil }

    /// Keys that stand here.
    var count: Int { object.members.count }

    /// The value of a key as messages show it.
    func shown(_ key: String) -> String { object[key].map(Self.show) ?? "no such key" }

    mutating func text(_ key: String) throws(StructureError) -> String? {
        guard let value = take(key) else { return nil }
        guard let text = value.string else { throw error(key, expected: "a text", found: Self.show(value)) }
        return text
    }

    /// One of an enumeration's words.
    mutating func choice<Word: RawRepresentable & CaseIterable>(
        _ key: String, default fallback: Word
    ) throws(StructureError) -> Word where Word.RawValue == String {
        guard let text = try text(key) else { return fallback }
        guard let word = Word(rawValue: text) else {
            let words = Word.allCases.map { "'\($0.rawValue)'" }.joined(separator: " or ")
            throw error(key, expected: words, found: shown(key))
        }
        return word
    }

    /// A list of words, each one of some.
    mutating func words(_ key: String, among words: [String]) throws(StructureError) -> [String]? {
        guard let value = take(key) else { return nil }
        guard let list = value.array?.map(\.string), list.allSatisfy({ $0.map(words.contains) ?? false }) else {
            throw error(
                key, expected: "a list of \(words.joined(separator: ", "))", found: Self.show(value))
        }
        return list.map { $0! }
    }

    /// Whether the key's value is an object without members.
    func isEmptyObject(_ key: String) -> Bool { object[key]?.object?.members.isEmpty ?? false }

    /// Whether two keys have the same value, whatever the order of members in it.
    func isSame(_ key: String, _ other: String) -> Bool {
        guard let a = object[key], let b = object[other] else { return false }
        return a.isSame(as: b)
    }

    /// A reader of an object within.
    mutating func object(_ key: String) throws(StructureError) -> ConfigurationReader? {
        guard let value = take(key) else { return nil }
        guard let object = value.object else { throw error(key, expected: "an object", found: Self.show(value)) }
        return ConfigurationReader(object, file: file, place: place + key + ".")
    }

    mutating func bool(_ key: String, default fallback: Bool) throws(StructureError) -> Bool {
        guard let value = take(key) else { return fallback }
        guard let bool = value.bool else { throw error(key, expected: "true or false", found: Self.show(value)) }
        return bool
    }

    mutating func activation(_ key: String, default fallback: Activation) throws(StructureError) -> Activation {
        guard let value = take(key) else { return fallback }
        guard let name = value.string, let activation = Activation(configurationName: name) else {
            let names = Activation.configurationNames.map(\.name).sorted().joined(separator: ", ")
            throw error(key, expected: "one of \(names)", found: Self.show(value))
        }
        return activation
    }

    /// The one entry of `architectures`, or nil where the key is absent.
    mutating func architectureClass(among classes: [String]) throws(StructureError) -> String? {
        guard let value = take("architectures") else { return nil }
        guard let list = value.array, list.count == 1, let name = list[0].string, classes.contains(name) else {
            throw error(
                "architectures", expected: "a list with one of \(classes.joined(separator: ", "))",
                found: Self.show(value))
        }
        return name
    }

    // MARK: Checks

    /// Requires a value where the key stands at all: what we cannot compute otherwise.
    mutating func require(_ key: String, _ expected: JSONValue, because reason: String) throws(StructureError) {
        guard let value = take(key), value != expected else { return }
        throw error(key, expected: "\(Self.show(expected)) (\(reason))", found: Self.show(value))
    }

    /// The same of several keys, of which the library's model reads none: what is computed anyway.
    mutating func require(
        _ values: KeyValuePairs<String, JSONValue>, because reason: String = "the library's model has no other"
    ) throws(StructureError) {
        for (key, value) in values { try require(key, value, because: reason) }
    }

    /// Requires that a key is absent or null.
    mutating func requireNone(_ key: String, because reason: String) throws(StructureError) {
        guard let value = take(key) else { return }
        throw error(key, expected: "null (\(reason))", found: Self.show(value))
    }

    /// Requires an empty list or object where the key stands at all.
    mutating func requireEmpty(_ key: String, because reason: String) throws(StructureError) {
        guard let value = take(key), value.array?.isEmpty != true, value.object?.members.isEmpty != true else { return }
        throw error(key, expected: "nothing in it (\(reason))", found: Self.show(value))
    }

    /// Requires that every key was used.
    func finishPart() throws(StructureError) {
        for (key, value) in object.members where !known.contains(key) && value != .null {
            throw error(key, expected: "only keys that are known here", found: Self.show(value))
        }
    }

    /// Requires that every key was used, or is one of `harmless` or begins with one of `harmlessPrefixes`.
    mutating func finish(harmless: Set<String>, harmlessPrefixes: [String] = []) throws(StructureError) {
        for key in HarmlessKeys.elementTypes { try elementType(key) }
        try requireAbsences(besides: harmless)
        for (key, value) in object.members where !known.contains(key) && value != .null {
            if harmless.contains(key) || HarmlessKeys.everywhere.contains(key) { continue }
            if harmlessPrefixes.contains(where: key.hasPrefix) { continue }
            throw error(key, expected: "only keys that are known for this architecture", found: Self.show(value))
        }
    }

    /// Requires of what any configuration may switch on that it is off, unless it was read or does not matter.
    private mutating func requireAbsences(besides harmless: Set<String>) throws(StructureError) {
        for (key, reason) in HarmlessKeys.absences where !known.contains(key) && !harmless.contains(key) {
            try require(key, false, because: reason)
        }
        if !known.contains("pruned_heads") {
            try requireEmpty("pruned_heads", because: "pruned heads are not supported")
        }
        try requireNoAdapters()
    }

    /// Adapters are listed under several headings, each of which must be empty.
    private mutating func requireNoAdapters() throws(StructureError) {
        guard let value = take("adapters") else { return }
        let headings = value.object?.members.map(\.value) ?? [value]
        let isEmpty = headings.allSatisfy {
            $0 == .null || $0.array?.isEmpty == true || $0.object?.members.isEmpty == true
        }
        guard isEmpty else {
            throw error("adapters", expected: "none listed (adapters are not supported)", found: Self.show(value))
        }
    }

    /// Requires a type that is known where the key stands at all. The tensors say themselves what they are; "auto" leaves
    /// it to them.
    private mutating func elementType(_ key: String) throws(StructureError) {
        guard let value = take(key) else { return }
        let name = value.string.map { $0.hasPrefix("torch.") ? String($0.dropFirst("torch.".utf8.count)) : $0 }
        guard let name, name == "auto" || ElementType(spelling: name) != nil else {
            throw error(key, expected: "the name of an element type ('float32')", found: Self.show(value))
        }
    }

    /// An error that names the key.
    func error(_ key: String, expected: String, found: String) -> StructureError {
        StructureError("\(file): \((place + key).shownAsName): expected \(expected), found \(found)")
    }

    private mutating func take(_ key: String) -> JSONValue? {
        known.insert(key)
        guard let value = object[key], value != .null else { return nil }
        return value
    }

    /// A value as messages show it, shortened; of lists in lists in lists it tells their lengths.
    static func show(_ value: JSONValue) -> String { show(value, levels: 3) }

    private static func show(_ value: JSONValue, levels: Int) -> String {
        switch value {
        case .null: "null"
        case .bool(let bool): "\(bool)"
        case .number(let number): String(number.text.prefix(40))
        case .string(let text): "'\(String(text.prefix(60)).escapedForDisplay)'"
        case .array(let list) where list.count <= 4 && levels > 0:
            "[" + list.map { show($0, levels: levels - 1) }.joined(separator: ", ") + "]"
        case .array(let list): "a list of \(list.count)"
        case .object(let object): "an object of \(object.members.count)"
        }
    }
}

import AssayCheckpoints
import SystemPackage

/// Attributes between zTensor and other formats. Text of the root is metadata as it is; other values, and attributes of
/// objects, travel as JSON, `{"ztensor":{"attributes":{KEY:VALUE},"objects":{NAME:{KEY:VALUE}}}}`, under
/// `CheckpointContents.foreignKey`.
enum ZTensorAttributes {
    /// The attribute for pairs whose key no attribute can have: a list of lists of two texts.
    static let pairsKey = "assay.metadata"
    /// The attribute for second names: a list of lists of a name and that of the tensor that it is. The library shares
    /// blobs among tensors that merely are equal, too.
    static let aliasesKey = "assay.aliases"
    private static let member = "ztensor"

    /// What a writer makes of the metadata of a plan.
    struct Restored {
        var root: [CBORValue.Entry] = []
        var byObject = NameMap<[CBORValue.Entry]>()
    }

    // MARK: Reading

    /// The tensor that each second name stands for; nothing where the attribute has another form.
    static func aliases(of manifest: ZTensorManifest) -> NameMap<String> {
        let value = manifest.attributes.first { $0.key.text == aliasesKey }?.value
        return NameMap(value.flatMap { MetadataPairs.pairs(JSONValue(cbor: $0)) } ?? [])
    }

    /// The attribute for some second names; nil for none.
    static func entry(aliases: [(name: String, target: String)]) -> CBORValue.Entry? {
        guard !aliases.isEmpty else { return nil }
        return CBORValue.Entry(
            key: .text(aliasesKey), value: .array(aliases.map { .array([.text($0.name), .text($0.target)]) }))
    }

    /// Values that JSON lacks, of all attributes together: as JSON each takes many times its bytes.
    private static let maximumTaggedCount = 1 << 17

    /// - Throws: `CheckpointError` where there are more than can be kept.
    static func check(_ manifest: ZTensorManifest, _ path: FilePath) throws {
        let attributes = manifest.attributes + manifest.objects.flatMap { $0.attributes ?? [] }
        let count = attributes.reduce(0) { $0 + JSONValue.taggedCount($1.value) }
        guard count <= maximumTaggedCount else {
            throw CheckpointError(
                path, .part("manifest"),
                expected: "attributes of at most \(maximumTaggedCount) values that JSON lacks (maps, bytes, floats)",
                found: "\(count)")
        }
    }

    static func metadata(of manifest: ZTensorManifest) -> [(key: String, value: String)] {
        var pairs: [(key: String, value: String)] = []
        var others = JSONObject()
        var foreign: [(key: String, value: JSONValue)] = []
        for entry in manifest.attributes {
            guard let key = entry.key.text else { continue }
            if key == aliasesKey { continue }
            if key == pairsKey, let more = MetadataPairs.pairs(JSONValue(cbor: entry.value)) {
                pairs += more
            } else if key == CheckpointContents.foreignKey, let text = entry.value.text,
                let object = JSONObject(foreign: text)
            {
                others = object
            } else if let text = entry.value.text {
                pairs.append((key, text))
            } else {
                foreign.append((key, JSONValue(cbor: entry.value)))
            }
        }
        let objects = manifest.objects.compactMap { object -> (key: String, value: JSONValue)? in
            guard object.layout == ZTensor.denseLayout, let attributes = object.attributes else { return nil }
            return (object.name, JSONValue(cborMembers: attributes))
        }
        var mine: [(key: String, value: JSONValue)] = []
        if !foreign.isEmpty { mine.append(("attributes", .object(JSONObject(foreign)))) }
        if !objects.isEmpty { mine.append(("objects", .object(JSONObject(objects)))) }
        if !mine.isEmpty { others[member] = .object(JSONObject(mine)) }
        if let text = others.foreignText { pairs.append((CheckpointContents.foreignKey, text)) }
        return pairs
    }

    // MARK: Writing

    /// - Throws: `UsageError` where the JSON under the foreign key is not of this form.
    static func restored(from metadata: [(key: String, value: String)]) throws -> Restored {
        var result = Restored()
        var misfits: [CBORValue] = []
        var seen = NameSet()
        for (key, value) in metadata {
            if key == CheckpointContents.foreignKey, seen.insert(key) {
                try takeForeign(value, into: &result, &seen)
            } else if key != pairsKey, key != aliasesKey, ZTensorManifest.objection(key) == nil, seen.insert(key) {
                result.root.append(CBORValue.Entry(key: .text(key), value: .text(value)))
            } else {
                misfits.append(.array([.text(key), .text(value)]))
            }
        }
        if !misfits.isEmpty { result.root.append(CBORValue.Entry(key: .text(pairsKey), value: .array(misfits))) }
        return result
    }

    private static func takeForeign(_ text: String, into result: inout Restored, _ seen: inout NameSet) throws {
        let foreignKey = CBORValue.text(CheckpointContents.foreignKey)
        guard var object = JSONObject(foreign: text) else {
            result.root.append(CBORValue.Entry(key: foreignKey, value: .text(text)))
            return
        }
        if let mine = object[member]?.object {
            for (key, value) in mine["attributes"]?.object?.members ?? [] where seen.insert(key) {
                result.root.append(try entry(key, value))
            }
            for (name, attributes) in mine["objects"]?.object?.members ?? [] {
                result.byObject[name] = try (attributes.object?.members ?? []).map { try entry($0.key, $0.value) }
            }
            object[member] = nil
        }
        if let rest = object.foreignText { result.root.append(CBORValue.Entry(key: foreignKey, value: .text(rest))) }
    }

    private static func entry(_ key: String, _ value: JSONValue) throws -> CBORValue.Entry {
        guard ZTensorManifest.objection(key) == nil, let value = CBORValue(json: value) else {
            throw UsageError(
                "metadata '\(CheckpointContents.foreignKey)': expected zTensor attributes, found \(value.kind) under"
                    + " '\(key.escapedForDisplay)'")
        }
        return CBORValue.Entry(key: .text(key), value: value)
    }
}

// MARK: JSON

/// Text, booleans, null, lists and integers are themselves; what JSON lacks is an object of one member.
extension JSONValue {
    fileprivate init(cborMembers entries: [CBORValue.Entry]) {
        self = .object(
            JSONObject(entries.compactMap { entry in entry.key.text.map { ($0, JSONValue(cbor: entry.value)) } }))
    }

    /// How many objects `init(cbor:)` makes.
    fileprivate static func taggedCount(_ value: CBORValue) -> Int {
        switch value {
        case .bytes, .float: 1
        case .unsigned(let number), .negative(let number): Int(exactly: number) == nil ? 1 : 0
        case .array(let elements): elements.reduce(0) { $0 + taggedCount($1) }
        case .map(let entries): entries.reduce(1) { $0 + taggedCount($1.key) + taggedCount($1.value) }
        case .text, .bool, .null: 0
        }
    }

    init(cbor value: CBORValue) {
        switch value {
        case .unsigned(let number):
            self = Int(exactly: number).map { JSONValue($0) } ?? ["integer": .string("\(number)")]
        case .negative(let number):
            self = Int(exactly: number).map { JSONValue(-1 - $0) } ?? ["negative": .string("\(number)")]
        case .bytes(let bytes): self = ["bytes": .string(bytes.hexadecimal)]
        case .text(let text): self = .string(text)
        case .array(let elements): self = .array(elements.map { JSONValue(cbor: $0) })
        case .map(let entries):
            self = ["map": .array(entries.map { [JSONValue(cbor: $0.key), JSONValue(cbor: $0.value)] })]
        case .bool(let value): self = .bool(value)
        case .null: self = .null
        case .float(let value): self = ["float": .string(value.bitPattern.hexadecimal)]
        }
    }
}

extension CBORValue {
    /// - Returns: nil where the JSON is none that a CBOR value becomes.
    init?(json value: JSONValue) {
        switch value {
        case .null: self = .null
        case .bool(let value): self = .bool(value)
        case .string(let text): self = .text(text)
        case .number:
            guard let number = value.int else { return nil }
            self = number >= 0 ? .unsigned(UInt64(number)) : .negative(UInt64(-1 - number))
        case .array(let elements):
            let values = elements.compactMap { CBORValue(json: $0) }
            guard values.count == elements.count else { return nil }
            self = .array(values)
        case .object(let object):
            guard object.members.count == 1, let value = CBORValue(tag: object.members[0].key, object.members[0].value)
            else {
                return nil
            }
            self = value
        }
    }

    private init?(tag: String, _ value: JSONValue) {
        switch (tag, value.string) {
        case ("integer", let text?):
            guard let number = UInt64(text) else { return nil }
            self = .unsigned(number)
        case ("negative", let text?):
            guard let number = UInt64(text) else { return nil }
            self = .negative(number)
        case ("bytes", let text?):
            guard let bytes = [UInt8](hexadecimal: text) else { return nil }
            self = .bytes(bytes)
        case ("float", let text?):
            guard text.utf8.count == 16, let bits = UInt64(text, radix: 16) else { return nil }
            self = .float(Double(bitPattern: bits))
        case ("map", nil):
            let entries = (value.array ?? []).compactMap { pair -> Entry? in
                guard let pair = pair.array, pair.count == 2, let key = CBORValue(json: pair[0]),
                    let value = CBORValue(json: pair[1])
                else { return nil }
                return Entry(key: key, value: value)
            }
            guard entries.count == value.array?.count, Set(entries.map(\.key.encoded)).count == entries.count else {
                return nil
            }
            self = .map(entries)
        default: return nil
        }
    }
}

import AssayCheckpoints

/// Metadata between checkpoints and attributes. Text is a string attribute of the root group; attributes of other
/// types or of other objects travel as JSON, `{"hdf5":{PATH:{NAME:{"type":T,"shape":S,"value":V}}}}`, under
/// `CheckpointContents.foreignKey`. Paths of groups end with a slash.
enum HDF5Metadata {
    /// The root attribute for pairs whose key no attribute can have: a JSON list of pairs.
    static let pairsAttribute = "assay_metadata"
    /// The tag of opaque bytes that are text with a NUL in it.
    static let textTag = "assay:text"
    private static let member = "hdf5"

    // MARK: Reading

    static func metadata(of structure: HDF5Structure) -> [(key: String, value: String)] {
        var pairs: [(key: String, value: String)] = []
        var foreign: [(key: String, value: JSONValue)] = []
        var others = JSONObject()
        for group in structure.groups {
            let isRoot = group.path == "/"
            var attributes: [(key: String, value: JSONValue)] = []
            for attribute in group.attributes.members {
                guard isRoot, let text = text(of: attribute.value) else {
                    attributes.append(attribute)
                    continue
                }
                if attribute.key == pairsAttribute, let more = MetadataPairs.parse(text) {
                    pairs += more
                } else if attribute.key == CheckpointContents.foreignKey,
                    let object = JSONObject(foreign: text)
                {
                    others = object
                } else {
                    pairs.append((attribute.key, text))
                }
            }
            if !attributes.isEmpty || (group.isEmpty && !isRoot) {
                foreign.append((group.path, .object(JSONObject(attributes))))
            }
        }
        for dataset in structure.datasets {
            let attributes = HDF5Substitute.without(dataset.attributes)
            if !attributes.members.isEmpty { foreign.append((dataset.path, .object(attributes))) }
        }
        if !foreign.isEmpty {
            foreign.sort { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
            others[member] = .object(JSONObject(foreign))
        }
        if let text = others.foreignText { pairs.append((CheckpointContents.foreignKey, text)) }
        return pairs
    }

    /// The text of a scalar string attribute.
    private static func text(of attribute: JSONValue) -> String? {
        guard let object = attribute.object, object["shape"]?.array == [], let type = object["type"]?.string,
            let value = object["value"]?.string
        else { return nil }
        if HDF5StringLayout(name: type) != nil { return value }
        guard type.hasPrefix("opaque["), type.hasSuffix("] \(textTag)"), let bytes = [UInt8](hexadecimal: value) else {
            return nil
        }
        return String(validating: bytes, as: UTF8.self)
    }

    /// The attributes of several shards as those of one file: of an attribute that several have the first's value, but lists
    /// of Keras one behind the other. Texts are parsed one by one, and one is written.
    static func joined(_ texts: [String]) -> String {
        guard var object = JSONObject(foreign: texts[0]) else { return texts[0] }
        var paths = NameMap<SharedAttributes>()
        for text in texts {
            for (path, attributes) in JSONObject(foreign: text)?[member]?.object?.members ?? [] {
                paths[path, default: SharedAttributes()].add(attributes.object ?? JSONObject())
            }
        }
        guard paths.count > 0 else { return texts[0] }
        let sorted = paths.pairs.sorted { ExactName($0.name) < ExactName($1.name) }
        object[member] = .object(JSONObject(sorted.map { ($0.name, .object($0.value.joined)) }))
        return object.foreignText ?? texts[0]
    }

    /// The attributes of one object in several shards.
    private struct SharedAttributes {
        /// In the order in which they came.
        private var names: [String] = []
        private var values = NameMap<[JSONValue]>()

        mutating func add(_ attributes: JSONObject) {
            for (name, value) in attributes.members {
                if values[name] == nil { names.append(name) }
                values[name, default: []].append(value)
            }
        }

        var joined: JSONObject {
            JSONObject(names.map { ($0, KerasNames.joined($0, values[$0] ?? [])) })
        }
    }

    // MARK: Writing

    /// What a writer makes of the metadata of a plan.
    struct Attributes {
        /// Text of the root, in order.
        var text: [(key: String, value: String)] = []
        /// By path: attributes to restore.
        var foreign: [(path: String, attributes: JSONObject)] = []
    }

    /// Longer names fit no attribute.
    private static let maximumNameByteCount = 60_000

    /// - Throws: `UsageError` where the JSON under the foreign key is not of this form.
    static func attributes(for metadata: [(key: String, value: String)]) throws -> Attributes {
        var result = Attributes()
        var misfits: [(key: String, value: String)] = []
        var seen = NameSet()
        for (key, value) in metadata {
            if key == CheckpointContents.foreignKey, seen.insert(key) {
                try takeForeign(value, into: &result)
                continue
            }
            let fits = !key.isEmpty && !key.utf8.contains(0) && key.utf8.count <= maximumNameByteCount
            // Text under such a name would be taken for one of Keras' lists.
            if fits, KerasNames.Listing(attribute: key) == nil, key != pairsAttribute, seen.insert(key) {
                result.text.append((key, value))
            } else {
                misfits.append((key, value))
            }
        }
        if !misfits.isEmpty { result.text.append((pairsAttribute, MetadataPairs.text(of: misfits))) }
        return result
    }

    private static func takeForeign(_ text: String, into result: inout Attributes) throws {
        guard var object = JSONObject(foreign: text) else {
            result.text.append((CheckpointContents.foreignKey, text))
            return
        }
        if let mine = object[member] {
            guard let paths = mine.object else {
                throw UsageError(
                    "metadata '\(CheckpointContents.foreignKey)': expected an object under '\(member)', found \(mine.kind)"
                )
            }
            for (path, value) in paths.members {
                guard HDF5.isPath(path), let attributes = value.object else {
                    throw UsageError(
                        "metadata '\(CheckpointContents.foreignKey)': expected attributes of a path, found"
                            + " \(value.kind) under '\(path.escapedForDisplay)'")
                }
                result.foreign.append((path, path.hasSuffix("/") ? attributes : HDF5Substitute.without(attributes)))
            }
        }
        object[member] = nil
        if let rest = object.foreignText { result.text.append((CheckpointContents.foreignKey, rest)) }
    }
}

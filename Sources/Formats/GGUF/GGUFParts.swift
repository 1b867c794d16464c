import AssayCheckpoints

/// Metadata of a checkpoint in several files: the first has them all, as llama.cpp's tool writes it; others may repeat some.
extension GGUF {
    public static func conflict(
        between first: CheckpointContents, and other: CheckpointContents
    ) -> (key: String, first: String, other: String)? {
        let known = NameMap(entries(of: first).map { ($0.key, $0.value) })
        for (key, value) in entries(of: other) {
            guard let said = known[key], said != value else { continue }
            return (key, said.compactText, value.compactText)
        }
        return nil
    }

    /// Text, and the entries of other types; without what each file has for itself.
    private static func entries(of contents: CheckpointContents) -> [(key: String, value: JSONValue)] {
        let text = contents.metadata.filter { $0.key != CheckpointContents.foreignKey }
        let foreign = contents.metadata.first { $0.key == CheckpointContents.foreignKey }?.value
        // A text stands there too, by its key alone.
        let members = (foreign.flatMap { member(of: $0) }?.members ?? []).filter { $0.value.object?["value"] != nil }
        return text.map { ($0.key, .string($0.value)) } + members.filter { $0.key != GGUFMetadata.alignmentKey }
    }

    private static func member(of foreign: String) -> JSONObject? {
        JSONObject(foreign: foreign)?[GGUFMetadata.member]?.object
    }

    /// What later parts add stands behind what the first says.
    public static func joined(_ key: String, _ values: [String]) -> String? {
        guard key == CheckpointContents.foreignKey, var object = JSONObject(foreign: values[0]) else { return nil }
        var entries = object[GGUFMetadata.member]?.object ?? JSONObject()
        for (key, value) in values.dropFirst().flatMap({ member(of: $0)?.members ?? [] }) where entries[key] == nil {
            entries[key] = value
        }
        object[GGUFMetadata.member] = .object(entries)
        return object.foreignText ?? values[0]
    }
}

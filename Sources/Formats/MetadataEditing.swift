import AssayCheckpoints

/// Changes metadata as a user asks for it: text as text, and what is not text in the form its format gave it.
public enum MetadataEditing {
    /// - Parameters:
    ///   - edits: done one after the other.
    ///   - implied: done before them; what these set, they may set again.
    ///   - contents: of the source.
    ///   - format: that will be written.
    /// - Returns: the metadata for a `WritePlan`.
    /// - Throws: `UsageError` where the format holds no metadata, an entry to be removed is not there, one is set twice, or
    ///   a value is not of its entry's type.
    public static func apply(
        _ edits: [MetadataEdit], after implied: [MetadataEdit] = [], to contents: CheckpointContents,
        for format: any CheckpointFormat.Type
    ) throws(UsageError) -> [(key: String, value: String)] {
        guard let first = (implied + edits).first else { return contents.metadata }
        guard format.capabilities.holdsMetadata else {
            throw UsageError(
                "\(first.option): \(format.name) holds no metadata; these do:"
                    + " \(FormatRegistry.names { $0.capabilities.holdsMetadata })")
        }
        var table = MetadataTable(contents)
        for edit in implied { _ = try table.apply(edit, for: format) }
        var set = NameSet()
        for edit in edits {
            let key = try table.apply(edit, for: format)
            guard edit.value == nil || set.insert(key) else {
                throw UsageError("\(edit.option): '\(key.escapedForDisplay)' is set twice")
            }
        }
        return table.metadata
    }
}

/// Metadata that is being changed.
private struct MetadataTable {
    private var texts: [(key: String, value: String)]
    private var foreign: JSONObject
    /// Keys of what is not text, as people see it.
    private let shown: NameSet

    init(_ contents: CheckpointContents) {
        let key = CheckpointContents.foreignKey
        let text = contents.metadata.first { $0.key == key }?.value
        let object = text.flatMap { JSONObject(foreign: $0) }
        foreign = object ?? JSONObject()
        texts = contents.metadata.filter { object == nil || $0.key != key }
        shown = NameSet(contents.shownMetadata.map(\.key))
    }

    var metadata: [(key: String, value: String)] {
        texts + (foreign.foreignText.map { [(CheckpointContents.foreignKey, $0)] } ?? [])
    }

    /// - Returns: the key of the entry, without the type that some formats write behind it.
    mutating func apply(
        _ edit: MetadataEdit, for format: any CheckpointFormat.Type
    ) throws(UsageError) -> String {
        guard edit.key != CheckpointContents.foreignKey else {
            throw UsageError("\(edit.option): is reserved for what other formats hold beside text")
        }
        let foreign = try applyToForeign(edit, for: format)
        let key = foreign?.key ?? edit.key
        let position = texts.firstIndex { ExactName($0.key) == ExactName(key) }
        texts.removeAll { ExactName($0.key) == ExactName(key) }
        let value = foreign == nil ? edit.value : foreign?.text
        if let value {
            guard foreign != nil || position != nil || !shown.contains(key) else {
                throw UsageError(
                    "\(edit.option): is not text, and what is not text can only be changed in gguf metadata")
            }
            guard foreign != nil || position != nil || !FormatRegistry.all.contains(where: { $0.namesType(key) }) else {
                throw UsageError("\(edit.option): only gguf has entries with types; \(format.name) holds text")
            }
            texts.insert((key, value), at: position ?? texts.count)
        } else if foreign == nil, position == nil {
            throw UsageError("\(edit.option): there is no such entry; there are: \(known.isEmpty ? "none" : known)")
        }
        return key
    }

    private var known: String { texts.map(\.key).listed(first: 20) }

    /// - Returns: what the format makes of it that holds the entry beside the text, or will; nil where none does.
    private mutating func applyToForeign(
        _ edit: MetadataEdit, for written: any CheckpointFormat.Type
    ) throws(UsageError) -> ForeignEdit? {
        for format in FormatRegistry.all where format.metadataOwner == format.name {
            let member = foreign[format.name]?.object
            let isWritten = format.name == written.metadataOwner
            guard member != nil || isWritten,
                let edited = try format.edit(
                    edit, in: member ?? JSONObject(), beside: texts.map(\.key), isWritten: isWritten)
            else { continue }
            foreign[format.name] = edited.member.members.isEmpty ? nil : .object(edited.member)
            return edited
        }
        return nil
    }
}

import AssayCheckpoints

/// A change of an entry that is not text: it keeps its type, or gets the one that stands behind the key.
///
/// `llama.context_length=4096` changes a number that is there; `general.file_type:u32=7` makes one, of any type but
/// strings, which need none, and arrays, which are too much for a command line.
struct GGUFMetadataEdit {
    private(set) var result: (key: String, member: JSONObject)

    /// - Returns: nil where the entry is text, or is not there.
    /// - Throws: `UsageError`.
    init?(_ edit: MetadataEdit, in member: JSONObject, isWritten: Bool) throws(UsageError) {
        let named = isWritten && edit.value != nil ? Self.namedType(edit.key) : nil
        let key = named?.key ?? edit.key
        let entry = member[key]?.object
        result = (key, member)
        guard let value = edit.value else {
            // Text has a place here too, which goes with it.
            guard entry != nil else { return nil }
            result.member[key] = nil
            return
        }
        let known = entry?["type"]?.string.flatMap { GGUFValueType(name: $0) }
        guard let type = named?.type ?? known, type != .string else { return nil }
        result.member[key] = ["type": .string(type.name), "value": try Self.value(value, type, edit)]
    }

    /// "general.file_type:u32" in its parts.
    private static func namedType(_ text: String) -> (key: String, type: GGUFValueType)? {
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")),
            let type = GGUFValueType(name: String(text[text.utf8.index(after: colon)...])), type.byteCount != nil
        else { return nil }
        return (String(text[..<colon]), type)
    }

    private static func value(
        _ text: String, _ type: GGUFValueType, _ edit: MetadataEdit
    ) throws(UsageError) -> JSONValue {
        guard type != .array else {
            throw UsageError("\(edit.option): is an array, which cannot be set; take it away, or leave it")
        }
        let value: JSONValue? = try? JSONValue(parsing: Array(text.utf8))
        guard let value, GGUFMetadataWriter.word(value, type) != nil else {
            throw UsageError("\(edit.option): expected a value of type \(type.name), found '\(text.escapedForDisplay)'")
        }
        return value
    }
}

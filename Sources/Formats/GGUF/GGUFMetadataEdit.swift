import AssayCheckpoints

/// A change of a GGUF entry: one that is not text keeps its type, or gets the one that stands behind the key.
///
/// `llama.context_length=4096` changes a number that is there; `general.file_type:u32=7` makes one, of any type but arrays,
/// which are too much for a command line.
struct GGUFMetadataEdit {
    private(set) var result: ForeignEdit

    /// - Returns: nil where the entry is text, and nothing has to be noted of it.
    /// - Throws: `UsageError`.
    init?(
        _ edit: MetadataEdit, in member: JSONObject, beside texts: [String], isWritten: Bool
    ) throws(UsageError) {
        let isThere = member[edit.key] != nil || texts.contains { ExactName($0) == ExactName(edit.key) }
        let named = isWritten && edit.value != nil && !isThere ? try Self.namedType(edit) : nil
        let key = named?.key ?? edit.key
        let entry = member[key]?.object
        result = ForeignEdit(key: key, member: member)
        guard let value = edit.value else {
            // Text has a place here too, which goes with it.
            guard entry != nil else { return nil }
            result.member[key] = nil
            return
        }
        let known = entry?["type"]?.string.flatMap { GGUFValueType(name: $0) }
        if let known, let named, named.type != known {
            throw UsageError(
                "\(edit.option): '\(key.escapedForDisplay)' is there as \(known.name) and keeps that type; leave the type out"
            )
        }
        let usual: GGUFValueType? = key == GGUFMetadata.alignmentKey && isWritten ? .u32 : nil
        guard let type = named?.type ?? known ?? usual, type != .string else {
            // What lists a file's entries lists the new text too.
            guard isWritten, !member.members.isEmpty || named != nil else { return nil }
            if !member.members.isEmpty { result.member[key] = ["type": .string(GGUFValueType.string.name)] }
            result.text = value
            return
        }
        // The first entry that is not text makes a list of what the file has: the text is in it.
        if member.members.isEmpty {
            for text in texts where GGUFMetadataWriter.isFree(text) {
                result.member[text] = ["type": .string(GGUFValueType.string.name)]
            }
        }
        result.member[key] = ["type": .string(type.name), "value": try Self.value(value, key, type, edit)]
    }

    /// "general.file_type:u32" in its parts; nil where no type is named.
    private static func namedType(
        _ edit: MetadataEdit
    ) throws(UsageError) -> (key: String, type: GGUFValueType)? {
        guard let colon = edit.key.utf8.lastIndex(of: UInt8(ascii: ":")) else { return nil }
        let name = String(edit.key[edit.key.utf8.index(after: colon)...])
        guard let type = GGUFValueType(name: name.lowercased()), type != .array, colon > edit.key.startIndex else {
            let names = GGUFValueType.allCases.filter { $0 != .array }.map(\.name).joined(separator: ", ")
            throw UsageError(
                "\(edit.option): '\(name.escapedForDisplay)' is no type of a gguf entry; choose one of \(names)")
        }
        return (String(edit.key[..<colon]), type)
    }

    /// Whether a number became infinite, or 0 without being it.
    private static func isRoundedAway(_ value: JSONValue, _ word: UInt64, _ type: GGUFValueType) -> Bool {
        guard type.isFloating, case .number(let number) = value else { return false }
        let result = ForeignNumber.double(word, 8 * type.byteCount!)
        let isZero = number.text.prefix { $0 != "e" && $0 != "E" }.allSatisfy { !("1"..."9").contains($0) }
        return !result.isFinite || result == 0 && !isZero
    }

    private static func value(
        _ text: String, _ key: String, _ type: GGUFValueType, _ edit: MetadataEdit
    ) throws(UsageError) -> JSONValue {
        guard type != .array else {
            throw UsageError("\(edit.option): is an array, which cannot be set; take it away, or leave it")
        }
        let value: JSONValue? = try? JSONValue(parsing: Array(text.utf8))
        guard let value, let word = GGUFMetadataWriter.word(value, type), !isRoundedAway(value, word, type) else {
            throw UsageError("\(edit.option): expected a value of type \(type.name), found '\(text.escapedForDisplay)'")
        }
        if key == GGUFMetadata.alignmentKey {
            guard type == .u32, let number = value.int, number > 0, number & (number - 1) == 0 else {
                throw UsageError("\(edit.option): expected a power of two (u32), found '\(text.escapedForDisplay)'")
            }
        }
        return value
    }
}

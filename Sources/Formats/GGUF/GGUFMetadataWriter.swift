import AssayCheckpoints

/// Makes metadata entries of a plan's metadata: what the JSON under the foreign key lists, in its order and types, then
/// text that is not listed there. See `GGUFMetadata`.
struct GGUFMetadataWriter {
    private(set) var bytes: [UInt8] = []
    private(set) var count = 0
    private(set) var alignment = GGUF.defaultAlignment
    private var written = NameSet()
    /// Text, by key, the first of each.
    private var texts = NameMap<String>()
    /// Text whose key the format cannot have.
    private var misfits: [(key: String, value: String)] = []

    /// - Throws: `UsageError` where the JSON is not of its form.
    init(_ plan: WritePlan) throws {
        var foreign: JSONObject?
        var keys: [String] = []
        for (key, value) in plan.metadata {
            if key == CheckpointContents.foreignKey, foreign == nil {
                foreign = JSONObject(foreign: value)
                if foreign != nil { continue }
            }
            if Self.isFree(key), texts[key] == nil {
                texts[key] = value
                keys.append(key)
            } else {
                misfits.append((key, value))
            }
        }
        let typed = try Self.typed(in: foreign)
        try putTyped(typed, isLaterPart: plan.part.map { $0.number > 0 } ?? false)
        if plan.part.map({ $0.number == 0 }) ?? true {
            putTexts(keys, isOriginal: typed != nil)
            foreign?[GGUFMetadata.member] = nil
            if let text = foreign?.foreignText { put(CheckpointContents.foreignKey, text) }
        }
        if let part = plan.part { try putPart(part) }
    }

    /// Whether text may stand under a key: one that the format has and gives no other meaning.
    static func isFree(_ key: String) -> Bool {
        isKey(key) && key != GGUFMetadata.alignmentKey && key != GGUFMetadata.pairsKey && key != GGUFMetadata.fillerKey
            && !GGUFMetadata.isPartKey(key)
    }

    private static func isKey(_ key: String) -> Bool {
        let utf8 = key.utf8
        return !utf8.isEmpty && utf8.count <= GGUF.maximumKeyByteCount && utf8.allSatisfy { $0 < 0x80 }
    }

    private static func typed(in foreign: JSONObject?) throws -> JSONObject? {
        guard let member = foreign?[GGUFMetadata.member] else { return nil }
        guard let object = member.object else {
            throw UsageError(
                "metadata '\(CheckpointContents.foreignKey)': expected an object under '\(GGUFMetadata.member)', found"
                    + " \(member.kind)")
        }
        return object
    }

    // MARK: Entries

    /// Adds an entry of so many bytes in all that means nothing; none where they are too few for one.
    mutating func fill(_ byteCount: Int) {
        let key = GGUFMetadata.fillerKey
        let spaces = byteCount - (8 + key.utf8.count + 4 + 8)
        if spaces >= 0 { put(key, String(repeating: " ", count: spaces)) }
    }

    private mutating func putTyped(_ typed: JSONObject?, isLaterPart: Bool) throws {
        for (key, value) in typed?.members ?? [] {
            // Later parts repeat only what their own data depends on.
            guard !isLaterPart || key == GGUFMetadata.alignmentKey else { continue }
            let refusal = UsageError(
                "metadata '\(CheckpointContents.foreignKey)': expected a typed value under '\(key.escapedForDisplay)',"
                    + " as formats/gguf.md has it")
            guard Self.isKey(key), !GGUFMetadata.isPartKey(key), let entry = value.object,
                let type = entry["type"]?.string.flatMap({ GGUFValueType(name: $0) })
            else { throw refusal }
            if type == .string, entry["value"] == nil {
                if let text = texts[key] { put(key, text) }
                texts[key] = nil
                continue
            }
            var encoded: [UInt8] = []
            let isEncoded =
                type == .array
                ? Self.encodeArray(entry, into: &encoded) : Self.encode(entry["value"], type, into: &encoded)
            guard isEncoded else { throw refusal }
            if key == GGUFMetadata.alignmentKey {
                guard type == .u32 else { throw refusal }
                alignment = try Self.alignment(entry["value"])
            }
            put(key, type, encoded)
        }
    }

    private static func alignment(_ value: JSONValue?) throws -> Int {
        guard let number = value?.int, number > 0, number & (number - 1) == 0, number <= GGUF.maximumAlignment else {
            throw UsageError(
                "metadata '\(GGUFMetadata.alignmentKey)': expected a power of two up to \(GGUF.maximumAlignment), found"
                    + " \(value?.compactText ?? "none"); set another with --set-metadata"
                    + " \(GGUFMetadata.alignmentKey):u32=\(GGUF.defaultAlignment)")
        }
        return number
    }

    /// The text that is left.
    ///
    /// - Parameter isOriginal: whether the JSON says what a GGUF file held. `format: pt` is then what a safetensors file
    ///   on the way had to say, and no part of it.
    private mutating func putTexts(_ keys: [String], isOriginal: Bool) {
        for key in keys {
            guard let text = texts[key], !(isOriginal && key == "format" && text == "pt") else { continue }
            if written.contains(key) { misfits.append((key, text)) } else { put(key, text) }
        }
        if !misfits.isEmpty { put(GGUFMetadata.pairsKey, MetadataPairs.text(of: misfits)) }
    }

    private mutating func putPart(_ part: CheckpointPart) throws {
        guard let number = UInt16(exactly: part.number), let count = UInt16(exactly: part.count),
            let tensorCount = Int32(exactly: part.tensorCount ?? 0)
        else {
            throw UsageError("gguf numbers at most 65535 files; choose a larger --shard-size")
        }
        put(GGUFMetadata.partKeys.number, .u16, number.littleEndianBytes)
        put(GGUFMetadata.partKeys.count, .u16, count.littleEndianBytes)
        put(GGUFMetadata.partKeys.tensorCount, .i32, tensorCount.littleEndianBytes)
    }

    private mutating func put(_ key: String, _ text: String) {
        var encoded: [UInt8] = []
        Self.append(Array(text.utf8), to: &encoded)
        put(key, .string, encoded)
    }

    private mutating func put(_ key: String, _ type: GGUFValueType, _ encoded: [UInt8]) {
        Self.append(Array(key.utf8), to: &bytes)
        bytes += type.rawValue.littleEndianBytes
        bytes += encoded
        count += 1
        _ = written.insert(key)
    }

    // MARK: Values

    private static func append(_ text: [UInt8], to bytes: inout [UInt8]) {
        bytes += UInt64(text.count).littleEndianBytes
        bytes += text
    }

    /// - Returns: false where the value is none of the type.
    private static func encode(_ value: JSONValue?, _ type: GGUFValueType, into bytes: inout [UInt8]) -> Bool {
        guard let value else { return false }
        switch type {
        case .string:
            guard let text = ForeignText.bytes(value) else { return false }
            append(text, to: &bytes)
        case .array:
            guard let object = value.object else { return false }
            return encodeArray(object, into: &bytes)
        default:
            guard let word = word(value, type), let byteCount = type.byteCount else { return false }
            bytes += word.littleEndianBytes.prefix(byteCount)
        }
        return true
    }

    /// Nesting is bounded by the JSON's.
    private static func encodeArray(_ array: JSONObject, into bytes: inout [UInt8]) -> Bool {
        guard let items = array["items"]?.string.flatMap({ GGUFValueType(name: $0) }),
            let values = array["value"]?.array
        else { return false }
        bytes += items.rawValue.littleEndianBytes + UInt64(values.count).littleEndianBytes
        return values.allSatisfy { encode($0, items, into: &bytes) }
    }

    /// The bits of a number or truth value, or nil where it does not fit the type.
    static func word(_ value: JSONValue, _ type: GGUFValueType) -> UInt64? {
        guard let byteCount = type.byteCount else { return nil }
        if type == .bool { return value.bool.map { $0 ? 1 : 0 } }
        if type.isFloating { return ForeignNumber.word(value, bits: 8 * byteCount) }
        return ForeignInteger.word(value, bits: 8 * byteCount, isSigned: type.isSigned)
    }
}

import AssayCheckpoints

/// The metadata of a file. Strings are text; everything else travels as JSON, `{"gguf":{KEY:{"type":T,"value":V}}}`,
/// under `CheckpointContents.foreignKey`, with a place without value for every string, so that the order is kept too.
struct GGUFMetadata {
    /// Text, and the JSON.
    var pairs: [(key: String, value: String)] = []
    /// What is not text, for people: long arrays shortened.
    var shown: [(key: String, value: String)] = []
    /// How many elements every list has, by its key.
    var listCounts = NameMap<Int>()
    var alignment = GGUF.defaultAlignment
    var part: CheckpointPart?
    /// How many tensors the file has, where it is the only part and says so.
    var tensorCount: Int?
    var warnings: [String] = []

    static let member = "gguf"
    static let alignmentKey = "general.alignment"
    /// A string under this key holds, as a JSON list, text under keys that the format cannot have.
    static let pairsKey = "assay.metadata"
    /// A string of spaces under this key keeps the data where it is when a header becomes shorter. Short, so that it fits into
    /// what an alignment of 32 leaves.
    static let fillerKey = "assay.pad"
    /// Which of how many files this is; no property of what the files hold.
    static let partKeys = (number: "split.no", count: "split.count", tensorCount: "split.tensors.count")

    static func isPartKey(_ key: String) -> Bool {
        key == partKeys.number || key == partKeys.count || key == partKeys.tensorCount
    }
}

/// Parses metadata entries and writes their JSON down on the way.
struct GGUFMetadataParser {
    private var metadata = GGUFMetadata()
    private var keys = NameSet()
    /// Members of the object under "gguf".
    private var json = ""
    private var hasTyped = false
    private var foreign = JSONObject()
    private var partNumbers = NameMap<UInt64>()

    static func parse(_ cursor: inout GGUFCursor, count: Int) throws -> GGUFMetadata {
        var parser = GGUFMetadataParser()
        for _ in 0..<count { try parser.parseEntry(&cursor) }
        return parser.finish()
    }

    private mutating func parseEntry(_ cursor: inout GGUFCursor) throws {
        let key = try key(&cursor)
        let start = cursor.offset
        let what = "'\(key.escapedForDisplay)'"
        let type = try valueType(&cursor, "of \(what)")
        if key == GGUFMetadata.alignmentKey { return try takeAlignment(&cursor, type, at: start) }
        if GGUFMetadata.isPartKey(key) {
            guard let byteCount = type.byteCount, !type.isFloating, type != .bool else {
                throw cursor.error(
                    at: start, expected: "a whole number as \(what)", found: "a value of type \(type.name)")
            }
            let word = try cursor.word(byteCount, "the value of \(what)")
            guard !type.isSigned || word >> (8 * byteCount - 1) == 0 else {
                throw cursor.error(at: start, expected: "a whole number from 0 on as \(what)", found: "a negative one")
            }
            partNumbers[key] = word
            return try checkPart(cursor, at: start)
        }
        guard type == .string else {
            let (text, shown) = try value(&cursor, type, "the value of \(what)", key)
            return add(key, text, type == .array ? shown : "\(type.name) \(shown)")
        }
        let bytes = try cursor.string("the value of \(what)")
        guard let text = String(validating: bytes, as: UTF8.self) else {
            let json = ForeignText.json(Array(bytes))
            return add(key, "{\"type\":\"string\",\"value\":\(json)}", "string \(json)")
        }
        if takeReserved(key, text) { return }
        metadata.pairs.append((key, text))
        member(key, "{\"type\":\"string\"}")
    }

    private mutating func member(_ key: String, _ text: String) {
        if !json.isEmpty { json += "," }
        json += JSONValue.quoted(key) + ":" + text
    }

    private mutating func add(_ key: String, _ text: String, _ shown: String) {
        hasTyped = true
        member(key, text)
        metadata.shown.append((key, shown))
    }

    /// Text that other formats had and GGUF cannot: what our writer put under keys of its own.
    private mutating func takeReserved(_ key: String, _ text: String) -> Bool {
        if key == GGUFMetadata.pairsKey, let pairs = MetadataPairs.parse(text) {
            metadata.pairs += pairs
            return true
        }
        if key == GGUFMetadata.fillerKey { return text.utf8.allSatisfy { $0 == UInt8(ascii: " ") } }
        if key == CheckpointContents.foreignKey, let object = JSONObject(foreign: text) {
            foreign = object
            return true
        }
        return false
    }

    private mutating func key(_ cursor: inout GGUFCursor) throws -> String {
        let start = cursor.offset
        let bytes = try cursor.string("a metadata key", atMost: GGUF.maximumKeyByteCount)
        guard !bytes.isEmpty, bytes.allSatisfy({ $0 < 0x80 }) else {
            throw cursor.error(
                at: start, expected: "a metadata key in ASCII", found: bytes.isEmpty ? "an empty one" : "other bytes")
        }
        let key = String(decoding: bytes, as: UTF8.self)
        guard keys.insert(key) else {
            throw cursor.error(
                at: start, expected: "each metadata key once", found: "'\(key.escapedForDisplay)' a second time")
        }
        return key
    }

    private func valueType(_ cursor: inout GGUFCursor, _ whose: String) throws -> GGUFValueType {
        let start = cursor.offset
        let number = try cursor.u32("the value type \(whose)")
        guard let type = GGUFValueType(rawValue: number) else {
            throw cursor.error(at: start, expected: "a value type \(whose), 0 to 12", found: "\(number)")
        }
        return type
    }

    private mutating func takeAlignment(_ cursor: inout GGUFCursor, _ type: GGUFValueType, at start: Int) throws {
        let key = GGUFMetadata.alignmentKey
        guard type == .u32 else {
            throw cursor.error(at: start, expected: "'\(key)' as a u32", found: "a value of type \(type.name)")
        }
        let alignment = try cursor.u32(key)
        guard alignment > 0, alignment & (alignment - 1) == 0 else {
            throw cursor.error(at: start, expected: "a power of two as '\(key)'", found: "\(alignment)")
        }
        if alignment % 8 != 0 {
            metadata.warnings.append("\(key) is \(alignment), where the specification wants a multiple of 8")
        }
        metadata.alignment = Int(alignment)
        hasTyped = true
        member(key, "{\"type\":\"u32\",\"value\":\(alignment)}")
    }

    /// No more parts than their numbers, of 16 bits, can say.
    private func checkPart(_ cursor: GGUFCursor, at start: Int) throws {
        let (number, count) = (partNumbers[GGUFMetadata.partKeys.number], partNumbers[GGUFMetadata.partKeys.count])
        // A count of 0 says that the file is not split.
        let parts = count.map { max(1, $0) }
        guard parts ?? 1 <= UInt64(UInt16.max), number ?? 0 < parts ?? .max else {
            throw cursor.error(
                at: start, expected: "at most 65535 parts, their numbers from 0 to one less than there are",
                found: "part \(number ?? 0) of \(count.map(String.init) ?? "some")")
        }
    }

    // MARK: Values

    /// An entry's value in JSON, and what people see of it.
    private mutating func value(
        _ cursor: inout GGUFCursor, _ type: GGUFValueType, _ what: String, _ key: String
    ) throws -> (json: String, shown: String) {
        guard type == .array else {
            let element = try element(&cursor, type, what)
            return ("{\"type\":\"\(type.name)\",\"value\":\(element)}", element)
        }
        var (json, shown) = ("", "")
        metadata.listCounts[key] = try array(&cursor, what, depth: 1, into: &json, &shown)
        return ("{\"type\":\"array\"," + json.dropFirst(), shown)
    }

    /// A number, a truth value or a string, in JSON.
    private func element(_ cursor: inout GGUFCursor, _ type: GGUFValueType, _ what: String) throws -> String {
        let start = cursor.offset
        guard let byteCount = type.byteCount else { return ForeignText.json(Array(try cursor.string(what))) }
        let word = try cursor.word(byteCount, what)
        if type == .bool {
            guard word < 2 else {
                throw cursor.error(at: start, expected: "0 or 1 for a bool in \(what)", found: "\(word)")
            }
            return word == 1 ? "true" : "false"
        }
        if type.isFloating { return ForeignNumber.json(word, bits: 8 * byteCount) }
        return ForeignInteger.json(word, bits: 8 * byteCount, isSigned: type.isSigned)
    }

    /// Elements of an array that people see.
    private static let shownCount = 6
    private static let shownByteCount = 60

    /// Adds `{"items":TYPE,"value":[...]}`.
    ///
    /// - Returns: how many elements there are.
    @discardableResult
    private func array(
        _ cursor: inout GGUFCursor, _ what: String, depth: Int, into json: inout String, _ shown: inout String
    ) throws -> Int {
        guard depth <= GGUF.maximumNesting else {
            throw cursor.error(
                expected: "arrays nested at most \(GGUF.maximumNesting) deep in \(what)", found: "deeper ones")
        }
        let start = cursor.offset
        let items = try valueType(&cursor, "of the array in \(what)")
        let count = try cursor.u64("the length of the array in \(what)")
        guard count <= UInt64(cursor.bytesLeft / items.leastByteCount) else {
            throw cursor.error(
                at: start, expected: "an array in \(what) that ends inside the file (\(cursor.bytesLeft.inBytes) left)",
                found: "\(count) elements of type \(items.name)")
        }
        json += "{\"items\":\"\(items.name)\",\"value\":["
        var examples: [String] = []
        for index in 0..<Int(count) {
            if index > 0 { json += "," }
            var example = ""
            if items == .array {
                try array(&cursor, what, depth: depth + 1, into: &json, &example)
            } else {
                example = try element(&cursor, items, what)
                json += example
            }
            if index < Self.shownCount { examples.append(Self.shortened(example)) }
        }
        json += "]}"
        let rest = count > UInt64(Self.shownCount) ? ", ..." : ""
        shown = "\(items.name)[\(count)] [\(examples.joined(separator: ", "))\(rest)]"
        return Int(count)
    }

    private static func shortened(_ text: String) -> String {
        text.utf8.count <= shownByteCount ? text : text.prefix(shownByteCount - 3) + "..."
    }

    // MARK: Result

    private mutating func finish() -> GGUFMetadata {
        let tensorCount = partNumbers[GGUFMetadata.partKeys.tensorCount].map { Int(clamping: $0) }
        if let count = partNumbers[GGUFMetadata.partKeys.count], count > 1 {
            metadata.part = CheckpointPart(
                number: partNumbers[GGUFMetadata.partKeys.number].map { Int(clamping: $0) } ?? 0,
                count: Int(clamping: count), tensorCount: tensorCount)
        } else {
            metadata.tensorCount = tensorCount
        }
        // Text alone, as other formats have it, needs no JSON.
        guard hasTyped || !foreign.members.isEmpty else { return metadata }
        var members = foreign.members.filter { $0.key != GGUFMetadata.member }.map {
            JSONValue.quoted($0.key) + ":" + $0.value.compactText
        }
        if hasTyped { members.append("\"\(GGUFMetadata.member)\":{\(json)}") }
        metadata.pairs.append((CheckpointContents.foreignKey, "{\(members.joined(separator: ","))}"))
        return metadata
    }
}

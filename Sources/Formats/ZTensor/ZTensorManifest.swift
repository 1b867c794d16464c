import AssayCheckpoints
import SystemPackage

/// What a zTensor file says of itself: objects, the shards that hold some of their bytes, and attributes.
struct ZTensorManifest: Sendable {
    var attributes: [CBORValue.Entry] = []
    var shards: [Shard] = []
    var objects: [Object] = []

    struct Shard: Sendable {
        var name: String
        var byteCount: Int
        var digest: String
    }

    struct Object: Sendable {
        var name: String
        /// Any that the format allows; ours must fit `Int`.
        var shape: [UInt64]
        var layout: String
        var attributes: [CBORValue.Entry]?
        var parts: [Part]

        func part(_ name: String) -> Part? { parts.first { ExactName($0.name) == ExactName(name) } }
    }

    struct Part: Sendable {
        var name: String
        /// One of `ZTensorType`'s.
        var storage: String
        var logical: String?
        /// In the file, or in the shard.
        var blob: Range<Int>
        var shard: String?
        var encoding: String?
        /// Bytes once decoded.
        var byteCount: Int
        /// "xxh3:" or another algorithm's name and hexadecimal digits.
        var digest: String?

        /// Nil where the logical type is not known.
        var type: ZTensorType? {
            logical.map { ZTensorType.logical(named: $0) } ?? ZTensorType.storage(named: storage)
        }
    }

    static let maximumNameByteCount = 1024
    static let maximumRank = 64
    /// Bits of it can be counted.
    static let maximumByteCount = Int.max / 64
    private static let maximumShardNameByteCount = 64

    /// What is wrong with the name of an object, a part or an attribute, or nil.
    static func objection(_ name: String) -> String? {
        if name.isEmpty { return "is empty" }
        if name.utf8.contains(0) { return "contains a NUL" }
        let count = name.utf8.count
        return count > maximumNameByteCount ? "has \(count.inBytes), more than \(maximumNameByteCount)" : nil
    }

    // MARK: Reading

    /// - Throws: `CheckpointError` where the bytes are no manifest.
    init(parsing bytes: [UInt8], _ path: FilePath) throws {
        let root: CBORValue
        do {
            root = try CBORDecoder.decode(bytes)
        } catch let fault as CBORDecoder.Fault {
            throw CheckpointError(
                path, .part("manifest"), expected: "\(fault.expected) at byte \(fault.offset) of it", found: fault.found
            )
        }
        let fields = try ZTensorFields(root, path, .part("manifest"))
        attributes = try fields.attributes() ?? []
        shards = try (fields.map("shards") ?? []).map { try Self.shard($0.key, $0.value, fields) }
        guard let objects = try fields.map("objects") else { throw fields.missing("objects") }
        self.objects = try objects.map { try Self.object($0.key, $0.value, fields) }
        try ZTensorAttributes.check(self, path)
    }

    private static func shard(_ key: CBORValue, _ value: CBORValue, _ root: ZTensorFields) throws -> Shard {
        guard let name = key.text, isShardName(name) else {
            throw root.fault(
                "shards named by 1 to \(maximumShardNameByteCount) of A-Z a-z 0-9 . _ -, not beginning with '.'",
                key.kind)
        }
        let fields = try ZTensorFields(value, root.path, .part("manifest: shard '\(name)'"))
        guard let digest = try fields.digest() else { throw fields.missing("digest") }
        let byteCount = try fields.required(fields.number("size"), "size")
        guard byteCount >= ZTensorFile.leastByteCount else {
            throw fields.fault("a size of at least \(ZTensorFile.leastByteCount)", "\(byteCount)")
        }
        return Shard(name: name, byteCount: byteCount, digest: digest)
    }

    /// Shard names become parts of file names; so narrow a set of characters can lead nowhere else.
    private static func isShardName(_ name: String) -> Bool {
        let bytes = Array(name.utf8)
        guard let first = bytes.first, first != UInt8(ascii: "."), bytes.count <= maximumShardNameByteCount else {
            return false
        }
        return bytes.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
    }

    private static func name(_ key: CBORValue, _ what: String, _ fields: ZTensorFields) throws -> String {
        guard let name = key.text else { throw fields.fault("\(what) named by text", key.kind) }
        if let objection = objection(name) {
            throw fields.fault(
                "\(what) with a name that can be read",
                "one that \(objection): '\(String(name.prefix(80)).escapedForDisplay)'")
        }
        return name
    }

    private static func object(_ key: CBORValue, _ value: CBORValue, _ root: ZTensorFields) throws -> Object {
        let name = try name(key, "objects", root)
        let fields = try ZTensorFields(value, root.path, .tensor(name))
        let shape = try fields.required(fields.numbers("shape"), "shape")
        guard shape.count <= maximumRank else {
            throw fields.fault("a shape of at most \(maximumRank) dimensions", "\(shape.count)")
        }
        var elementCount: UInt64 = 1
        for dimension in shape {
            let (next, overflow) = elementCount.multipliedReportingOverflow(by: dimension)
            guard !overflow else { throw fields.fault("a shape whose product fits 64 bits", "one that overflows") }
            elementCount = next
        }
        let parts = try fields.required(fields.map("parts"), "parts").map {
            try part($0.key, $0.value, of: name, fields)
        }
        guard !parts.isEmpty else { throw fields.fault("at least one part", "none") }
        return Object(
            name: name, shape: shape, layout: try fields.required(fields.text("layout"), "layout"),
            attributes: try fields.attributes(), parts: parts)
    }

    private static func part(
        _ key: CBORValue, _ value: CBORValue, of object: String, _ parent: ZTensorFields
    ) throws -> Part {
        let name = try name(key, "parts", parent)
        let fields = try ZTensorFields(value, parent.path, parent.place, prefix: "part '\(name.escapedForDisplay)': ")
        let storage = try fields.required(fields.text("dtype"), "dtype")
        guard ZTensorType.storage(named: storage) != nil else {
            let known = ZTensorType.all.filter { $0.logical == nil }.map(\.storage).joined(separator: ", ")
            throw fields.fault(
                "a dtype that is known (\(known))", "'\(storage.prefix(80).description.escapedForDisplay)'")
        }
        let blob = try fields.required(fields.numbers("blob"), "blob")
        guard blob.count == 2 else { throw fields.fault("a blob of offset and length", "\(blob.count) numbers") }
        let (end, overflow) = blob[0].addingReportingOverflow(blob[1])
        guard !overflow, let end = Int(exactly: end) else {
            throw fields.fault("a blob inside the file", "offset \(blob[0]) and length \(blob[1])")
        }
        let (encoding, decoded) = (try fields.text("encoding"), try fields.number("decoded_length"))
        guard (encoding == nil) == (decoded == nil) else {
            throw fields.fault(
                "an encoding and a decoded_length, or neither",
                encoding == nil ? "only a decoded_length" : "only an encoding")
        }
        guard decoded ?? 0 <= maximumByteCount else {
            throw fields.fault("a decoded_length of at most \(maximumByteCount)", "\(decoded ?? 0)")
        }
        let range = Int(blob[0])..<end
        return Part(
            name: name, storage: storage, logical: try fields.text("type"), blob: range,
            shard: try fields.text("shard"),
            encoding: encoding, byteCount: decoded ?? range.count, digest: try fields.digest())
    }

    // MARK: Writing

    /// The manifest in the deterministic encoding.
    var encoded: [UInt8] {
        var root = [CBORValue.Entry(key: .text("objects"), value: .map(objects.map(Self.entry)))]
        if !attributes.isEmpty { root.append(CBORValue.Entry(key: .text("attributes"), value: .map(attributes))) }
        return CBORValue.map(root).encoded
    }

    private static func entry(_ object: Object) -> CBORValue.Entry {
        var fields: [(String, CBORValue)] = [
            ("shape", .array(object.shape.map { .unsigned($0) })), ("layout", .text(object.layout)),
            ("parts", .map(object.parts.map(entry))),
        ]
        if let attributes = object.attributes { fields.append(("attributes", .map(attributes))) }
        return entry(object.name, fields)
    }

    private static func entry(_ part: Part) -> CBORValue.Entry {
        var fields: [(String, CBORValue)] = [
            ("dtype", .text(part.storage)),
            ("blob", .array([.unsigned(UInt64(part.blob.lowerBound)), .unsigned(UInt64(part.blob.count))])),
        ]
        if let logical = part.logical { fields.append(("type", .text(logical))) }
        if let digest = part.digest { fields.append(("digest", .text(digest))) }
        return entry(part.name, fields)
    }

    private static func entry(_ key: String, _ fields: [(String, CBORValue)]) -> CBORValue.Entry {
        CBORValue.Entry(key: .text(key), value: .map(fields.map { CBORValue.Entry(key: .text($0.0), value: $0.1) }))
    }

    init(attributes: [CBORValue.Entry], objects: [Object]) {
        self.attributes = attributes
        self.objects = objects
    }
}

/// The fields of a map in a manifest. Fields that nobody knows are passed over, as the format wants it.
struct ZTensorFields {
    let path: FilePath
    let place: CheckpointError.Place
    private let prefix: String
    private let entries: [CBORValue.Entry]

    init(_ value: CBORValue, _ path: FilePath, _ place: CheckpointError.Place, prefix: String = "") throws {
        guard case .map(let entries) = value else {
            throw CheckpointError(path, place, expected: "\(prefix)a map", found: value.kind)
        }
        self.path = path
        self.place = place
        self.prefix = prefix
        self.entries = entries
    }

    func fault(_ expected: String, _ found: String) -> CheckpointError {
        CheckpointError(path, place, expected: prefix + expected, found: found)
    }

    func missing(_ key: String) -> CheckpointError { fault("'\(key)'", "none") }

    func required<T>(_ value: T?, _ key: String) throws -> T {
        guard let value else { throw missing(key) }
        return value
    }

    private func value(_ key: String) -> CBORValue? {
        entries.first { entry in entry.key.text.map { ExactName($0) == ExactName(key) } ?? false }?.value
    }

    private func fault(_ key: String, _ kind: String, _ value: CBORValue) -> CheckpointError {
        fault("'\(key)' to be \(kind)", value.kind)
    }

    func map(_ key: String) throws -> [CBORValue.Entry]? {
        guard let value = value(key) else { return nil }
        guard case .map(let entries) = value else { throw fault(key, "a map", value) }
        return entries
    }

    func text(_ key: String) throws -> String? {
        guard let value = value(key) else { return nil }
        guard let text = value.text else { throw fault(key, "text", value) }
        return text
    }

    func number(_ key: String) throws -> Int? {
        guard let value = value(key) else { return nil }
        guard case .unsigned(let number) = value, let number = Int(exactly: number) else {
            throw fault(key, "a number below 2^63", value)
        }
        return number
    }

    func numbers(_ key: String) throws -> [UInt64]? {
        guard let value = value(key) else { return nil }
        guard case .array(let elements) = value else { throw fault(key, "a list of numbers", value) }
        return try elements.map {
            guard case .unsigned(let number) = $0 else { throw fault(key, "a list of numbers", $0) }
            return number
        }
    }

    /// An algorithm's name, a colon, and lower-case hexadecimal digits.
    func digest() throws -> String? {
        guard let text = try text("digest") else { return nil }
        let parts = text.utf8.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty,
            parts[0].allSatisfy({ digits.contains($0) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }),
            parts[1].allSatisfy({ digits.contains($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0) })
        else {
            throw fault(
                "a digest of the form 'xxh3:' and lower-case hexadecimal digits",
                "'\(text.prefix(80).description.escapedForDisplay)'")
        }
        return text
    }

    /// - Throws: `CheckpointError` where a key is no name.
    func attributes() throws -> [CBORValue.Entry]? {
        guard let entries = try map("attributes") else { return nil }
        for entry in entries {
            guard let key = entry.key.text else { throw fault("attributes with keys of text", entry.key.kind) }
            if let objection = ZTensorManifest.objection(key) {
                throw fault("attributes with keys that can be read", "one that \(objection)")
            }
        }
        return entries
    }
}

import AssayCheckpoints
import AssayConversion
import AssayTensors
import SystemPackage

extension Certificate {
    /// The statement as a JSON value; its canonical text is what is written.
    public var json: JSONValue {
        let subjects =
            [Self.subject(destinationName, content: destinationContentDigest, sha256: isFolder ? nil : files[0].digest)]
            + (isFolder ? fileSubjects : [])
            + destinationTensors.map { Self.subject("tensor:" + $0.info.name, sha256: $0.digest) }
        return [
            "_type": .string(Self.statementType),
            "subject": .array(subjects),
            "predicateType": .string(Self.predicateType),
            "predicate": predicate,
        ]
    }

    /// The files of a folder; those of tensors with their content digests.
    private var fileSubjects: [JSONValue] {
        let tensors = Dictionary(grouping: destinationTensors) { ExactName($0.file ?? "") }
        return files.map { file in
            let own = tensors[ExactName(file.name)] ?? []
            let content = file.metadataDigest == nil ? nil : ContentDigest.of(own.map(\.info), own.map(\.digest))
            return Self.subject(file.name, content: content, sha256: file.digest)
        }
    }

    private static func subject(_ name: String, content: Digest? = nil, sha256: Digest?) -> JSONValue {
        var digests = JSONObject()
        digests["assayContent1"] = content.map { .string("\($0)") }
        digests["sha256"] = sha256.map { .string("\($0)") }
        return ["name": .string(name), "digest": .object(digests)]
    }

    private var predicate: JSONValue {
        var predicate = JSONObject([
            ("tool", .string(tool)),
            ("arithmeticVersion", JSONValue(arithmeticVersion)),
            ("operation", .string(operation)),
            ("source", .object(Self.side(sourceName, sourceFormat, sourceContentDigest, sourceTensors))),
            ("destination", destination),
            ("transforms", .array(transforms.map(\.json))),
            ("dropped", .array(dropped.map { ["name": .string($0.name), "rule": .string($0.rule)] })),
            ("checks", ["reread": .bool(wasReread)]),
        ])
        if !metadataEdits.isEmpty { predicate["metadataEdits"] = .array(metadataEdits.map(\.json)) }
        if !comparisons.isEmpty { predicate["comparisons"] = .array(comparisons.map { .object($0.json) }) }
        return .object(predicate)
    }

    private var destination: JSONValue {
        var side = Self.side(destinationName, destinationFormat, destinationContentDigest, destinationTensors)
        side["kind"] = isFolder ? "folder" : "file"
        side["files"] = .array(files.map(\.json))
        return .object(side)
    }

    private static func side(_ name: String, _ format: String, _ digest: Digest, _ tensors: [Tensor]) -> JSONObject {
        JSONObject([
            ("name", .string(name)), ("format", .string(format)), ("contentDigest", .string("\(digest)")),
            ("tensors", .array(tensors.map(\.json))),
        ])
    }

    /// The bytes of the certificate's file: canonical JSON and a newline.
    public var fileBytes: [UInt8] {
        var bytes: [UInt8] = []
        try! Self.write(json) { bytes.append(contentsOf: $0) }
        return bytes
    }

    /// Writes the certificate's file, in pieces: it may be as long as the names of a million tensors.
    func write(to output: OutputFile) throws {
        var offset = 0
        try Self.write(json) { piece in
            try output.write(at: offset, piece)
            offset += piece.count
        }
    }

    private static func write(_ json: JSONValue, _ take: (UnsafeRawBufferPointer) throws -> Void) throws {
        try json.writeCanonicalText(take)
        try [UInt8(ascii: "\n")].withUnsafeBytes(take)
    }

    /// The certificate's own digest: SHA-256 of its canonical form, however a file spells it.
    static func digest(of json: JSONValue) -> Digest {
        var hasher = DigestHasher()
        try! write(json) { hasher.update($0) }
        return hasher.finalize()
    }
}

extension Certificate.Tensor {
    var json: JSONValue {
        var object = JSONObject([
            ("name", .string(info.name)), ("type", .string(info.elementType.name)),
            ("shape", .array(info.shape.dimensions.map { JSONValue($0) })), ("sha256", .string("\(digest)")),
        ])
        object["aliasOf"] = info.aliasOf.map { .string($0) }
        object["file"] = file.map { .string($0) }
        return .object(object)
    }

    init?(_ value: JSONValue) {
        guard let object = value.object, let name = object["name"]?.string,
            let type = object["type"]?.string.flatMap({ ElementType(rawValue: $0) }),
            let dimensions = object["shape"]?.array?.map(\.int), dimensions.allSatisfy({ $0 != nil }),
            let shape = Shape(dimensions.map { $0! }),
            let info = TensorInfo(name: name, elementType: type, shape: shape, aliasOf: object["aliasOf"]?.string),
            let digest = object["sha256"]?.string.flatMap({ Digest(hexadecimal: $0) })
        else { return nil }
        self.info = info
        self.digest = digest
        file = object["file"]?.string
    }
}

extension Certificate.File {
    var json: JSONValue {
        var object = JSONObject([("name", .string(name))])
        object["metadataDigest"] = metadataDigest.map { .string("\($0)") }
        object["sha256"] = digest.map { .string("\($0)") }
        return .object(object)
    }

    /// - Returns: nil where the name is not that of a file in the folder, but could lead out of it; where a digest is none,
    ///   or there is none at all: nothing would be said of the file.
    init?(_ value: JSONValue) {
        guard let object = value.object, let name = object["name"]?.string else { return nil }
        func digest(_ key: String) -> Digest? { object[key]?.string.flatMap { Digest(hexadecimal: $0) } }
        metadataDigest = digest("metadataDigest")
        self.digest = digest("sha256")
        let stated = ["metadataDigest", "sha256"].count { object[$0] != nil }
        guard stated > 0, stated == [metadataDigest, self.digest].count(where: { $0 != nil }) else { return nil }
        let path = FilePath(name)
        guard !path.isEmpty, path.isRelative, path.string == name,
            path.components.allSatisfy({ $0.kind == .regular })
        else { return nil }
        self.name = name
    }
}

extension MetadataEdit {
    var json: JSONValue {
        value.map { ["set": .string(key), "value": .string($0)] } ?? ["remove": .string(key)]
    }

    init?(_ json: JSONValue) {
        if let key = json.object?["remove"]?.string {
            self.init(key: key, value: nil)
        } else if let key = json.object?["set"]?.string, let value = json.object?["value"]?.string {
            self.init(key: key, value: value)
        } else {
            return nil
        }
    }
}

extension Certificate.Transform {
    var json: JSONValue {
        var object = JSONObject(
            origin.members(outputs: outputs) + [
                ("outputs", .array(outputs.map { .string($0) })), ("operation", .string(operation)),
            ])
        if overflowed > 0 { object["overflowed"] = JSONValue(overflowed) }
        if underflowed > 0 { object["underflowed"] = JSONValue(underflowed) }
        object["quantization"] = quantization.map { .object($0) }
        return .object(object)
    }

    init?(_ value: JSONValue) {
        guard let object = value.object, let outputs = object["outputs"]?.array?.compactMap(\.string),
            outputs.count == object["outputs"]?.array?.count, let operation = object["operation"]?.string,
            let origin = TensorOrigin(object, outputs: outputs)
        else { return nil }
        let counts = ["overflowed", "underflowed"].map { object[$0] == nil ? 0 : object[$0]?.int ?? -1 }
        guard counts.allSatisfy({ $0 >= 0 }), (object["quantization"] == nil) == (object["quantization"]?.object == nil)
        else { return nil }
        self.origin = origin
        self.outputs = outputs
        self.operation = operation
        (overflowed, underflowed) = (counts[0], counts[1])
        quantization = object["quantization"]?.object
    }

    /// Whether it makes integers or blocks of numbers.
    fileprivate var quantizes: Bool {
        operation.hasPrefix("quantize ")
            || operation.split(separator: " ").last.flatMap { ElementType(rawValue: String($0)) }?.isBlock ?? false
    }
}

extension Certificate {
    /// Larger than the certificate of a million tensors.
    static let maximumByteCount = 1 << 30

    /// Reads a certificate.
    ///
    /// - Throws: `CheckpointError` where it is none, or contradicts itself.
    public init(reading path: FilePath) throws { self = try Self.read(path).certificate }

    /// Reads a certificate with its own digest.
    ///
    /// - Throws: as `init(reading:)`.
    static func read(_ path: FilePath) throws -> (certificate: Certificate, digest: Digest) {
        let value = try JSONValue(reading: InputFile(path), "a certificate", atMost: maximumByteCount)
        return (try Certificate(value, path), digest(of: value))
    }

    private init(_ value: JSONValue, _ path: FilePath) throws {
        @discardableResult func require<T>(_ part: T?, _ name: String, _ expected: String) throws -> T {
            guard let part else {
                throw CheckpointError(path, .part(name), expected: expected, found: "none, or something else")
            }
            return part
        }
        guard let statement = value.object else {
            throw CheckpointError(path, .file, expected: "a certificate, a JSON object", found: value.kind)
        }
        guard statement["payload"] == nil, statement["dsseEnvelope"] == nil else {
            throw CheckpointError(
                path, .file, expected: "a certificate as assay wrote it",
                found:
                    "an envelope that somebody signed; give what is in it, and the envelope to --signature if that is"
                    + " a manifest")
        }
        for (key, text) in [("_type", Self.statementType), ("predicateType", Self.predicateType)] {
            guard statement[key]?.string == text else {
                throw CheckpointError(
                    path, .part(key), expected: "'\(text)'",
                    found: statement[key]?.string.map { "'\($0.escapedForDisplay)'" } ?? "none")
            }
        }
        let predicate = try require(statement["predicate"]?.object, "predicate", "an object")
        let source = try require(predicate["source"]?.object, "source", "an object")
        let destination = try require(predicate["destination"]?.object, "destination", "an object")
        func list<T>(_ object: JSONObject, _ key: String, _ make: (JSONValue) -> T?) throws -> [T] {
            try require(object[key]?.array, key, "a list").enumerated().map {
                try require(make($1), "\(key)[\($0)]", "a complete entry")
            }
        }
        tool = try require(predicate["tool"]?.string, "tool", "a string")
        arithmeticVersion = try require(
            predicate["arithmeticVersion"]?.int.flatMap { $0 > 0 ? $0 : nil }, "arithmeticVersion",
            "a whole number above 0")
        operation = try require(
            predicate["operation"]?.string.flatMap { Self.operations.contains($0) ? $0 : nil }, "operation",
            Self.operations.joined(separator: " or "))
        sourceName = try require(source["name"]?.string, "source.name", "a string")
        sourceFormat = try require(source["format"]?.string, "source.format", "a string")
        sourceTensors = try list(source, "tensors") { Tensor($0) }
        destinationName = try require(destination["name"]?.string, "destination.name", "a string")
        destinationFormat = try require(destination["format"]?.string, "destination.format", "a string")
        let kinds = ["file": false, "folder": true]
        isFolder = try require(destination["kind"]?.string.flatMap { kinds[$0] }, "destination.kind", "file or folder")
        destinationTensors = try list(destination, "tensors") { Tensor($0) }
        files = try list(destination, "files") { File($0) }
        try require(isFolder || files.count == 1 ? true : nil, "destination.files", "one file")
        transforms = try list(predicate, "transforms") { Transform($0) }
        dropped = try list(predicate, "dropped") { value in
            guard let name = value.object?["name"]?.string, let rule = value.object?["rule"]?.string else { return nil }
            return Drop(name: name, rule: rule)
        }
        metadataEdits =
            try predicate["metadataEdits"] == nil ? [] : list(predicate, "metadataEdits") { MetadataEdit($0) }
        comparisons = try predicate["comparisons"] == nil ? [] : list(predicate, "comparisons") { ComparisonRecord($0) }
        wasReread = try require(predicate["checks"]?.object?["reread"]?.bool, "checks.reread", "a boolean")
        try checkStatedDigests(source, destination, path)
        let own = json
        // The subjects repeat what the predicate says; whoever reads only them must not be misled.
        guard let subject = statement["subject"], subject.isSame(as: own.object!["subject"]!) else {
            throw CheckpointError(
                path, .part("subject"), expected: "the files and tensors of the predicate, with their digests",
                found: "something else")
        }
        var rest = statement
        rest["subject"] = nil
        var strange = StrangeMembers()
        try strange.compare(.object(rest), own, path)
        unknownMembers = strange.names
        try requireDistinctNames(path)
        try requireAliases(path)
        try requireTransforms(path)
        try requireOperation(path)
        try requireDrops(path)
        try requirePlaces(path)
    }

    /// A second name is one of a tensor that stands there, or was left out, and has its bytes.
    private func requireAliases(_ path: FilePath) throws(CheckpointError) {
        let left = NameSet(dropped.map(\.name))
        for (tensors, place) in [(sourceTensors, "source.tensors"), (destinationTensors, "destination.tensors")] {
            let named = NameMap(tensors.map { ($0.info.name, $0) })
            for tensor in tensors {
                guard let target = tensor.info.aliasOf, !left.contains(target) else { continue }
                if let owner = named[target], owner.info.aliasOf == nil, owner.digest == tensor.digest { continue }
                throw CheckpointError(
                    path, .part(place), expected: "second names of tensors that are there and have the same bytes",
                    found: "'\(tensor.info.name.escapedForDisplay)' as one of '\(target.escapedForDisplay)'")
            }
        }
    }

    /// Who quantizes says so, and nobody else.
    private func requireOperation(_ path: FilePath) throws(CheckpointError) {
        let quantizes = transforms.contains(where: \.quantizes)
        guard quantizes != (operation == "quantize") else { return }
        throw CheckpointError(
            path, .part("operation"),
            expected: quantizes ? "'quantize', as transforms do" : "'convert', as no transform quantizes",
            found: "'\(operation)'")
    }

    /// What was left out was not read.
    private func requireDrops(_ path: FilePath) throws(CheckpointError) {
        let read = NameSet(sourceTensors.map(\.info.name) + transforms.flatMap(\.origin.sources))
        for drop in dropped where read.contains(drop.name) {
            throw CheckpointError(
                path, .part("dropped"), expected: "tensors that nothing was made of",
                found: "'\(drop.name.escapedForDisplay)', which was converted")
        }
    }

    /// Each tensor is made by one transform; only a second name of one may go without.
    private func requireTransforms(_ path: FilePath) throws(CheckpointError) {
        let tensors = NameSet(destinationTensors.map(\.info.name))
        var made = NameSet()
        func refuse(_ name: String, _ found: String) -> CheckpointError {
            CheckpointError(
                path, .part("transforms"), expected: "for each tensor of the destination the one that made it",
                found: "\(found) '\(name.escapedForDisplay)'")
        }
        for name in transforms.lazy.flatMap(\.outputs) {
            guard tensors.contains(name) else { throw refuse(name, "one that made something else,") }
            guard made.insert(name) else { throw refuse(name, "two for") }
        }
        for tensor in destinationTensors where tensor.info.aliasOf == nil && !made.contains(tensor.info.name) {
            throw refuse(tensor.info.name, "none for")
        }
    }

    /// Each tensor and each file stands in it once: of a second one nothing would be checked.
    private func requireDistinctNames(_ path: FilePath) throws(CheckpointError) {
        for (names, place) in [
            (sourceTensors.map(\.info.name), "source.tensors"),
            (destinationTensors.map(\.info.name), "destination.tensors"), (files.map(\.name), "destination.files"),
            (dropped.map(\.name), "dropped"),
        ] {
            var seen = NameSet()
            for name in names where !seen.insert(name) {
                throw CheckpointError(
                    path, .part(place), expected: "each name once", found: "'\(name.escapedForDisplay)' again")
            }
        }
    }

    /// Each tensor of a folder lies in a file of which the metadata is known, and so does what the only file holds.
    private func requirePlaces(_ path: FilePath) throws(CheckpointError) {
        let known = NameSet(files.filter { $0.metadataDigest != nil }.map(\.name))
        guard isFolder || known.count == 1 else {
            throw CheckpointError(
                path, .part("destination.files"), expected: "the metadataDigest of the only file", found: "none")
        }
        let expected = isFolder ? "for each the 'file' with a metadataDigest that holds it" : "no 'file' for any"
        for tensor in destinationTensors {
            guard tensor.file.map({ isFolder && known.contains($0) }) ?? !isFolder else {
                let file = tensor.file.map { "'\($0.escapedForDisplay)'" } ?? "none"
                throw CheckpointError(
                    path, .part("destination.tensors"), expected: expected,
                    found: "'\(tensor.info.name.escapedForDisplay)' in \(file)")
            }
        }
    }

    /// The content digests it states must be those of the tensors it lists.
    private func checkStatedDigests(_ source: JSONObject, _ destination: JSONObject, _ path: FilePath) throws {
        for (side, digest, name) in [
            (source, sourceContentDigest, "source"), (destination, destinationContentDigest, "destination"),
        ] where side["contentDigest"]?.string != "\(digest)" {
            throw CheckpointError(
                path, .part("\(name).contentDigest"), expected: "\(digest), which its tensors give",
                found: side["contentDigest"]?.string?.escapedForDisplay ?? "none")
        }
    }
}

/// What a certificate says beside what was understood of it.
private struct StrangeMembers {
    /// Of members under names that this version does not know: "predicate.source.licence".
    private(set) var names: [String] = []
    private var place: [String] = []

    /// Every name that has a meaning somewhere. Where it has none, or another value than it can have, it is a mistake.
    private static let known = NameSet([
        "_type", "aliasOf", "arithmeticVersion", "assayContent1", "axis", "checks", "comparisons", "contentDigest",
        "destination", "digest", "dropped", "file", "files", "format", "kind", "mapping", "metadataDigest",
        "metadataEdits", "name", "operation", "outputs", "overflowed", "predicate", "predicateType", "quantization",
        "remove", "reread", "rule", "set", "sha256", "shape", "slice", "source", "sources", "subject", "tensors",
        "tool", "transforms", "transpose", "type", "underflowed", "value",
    ])

    /// - Parameters:
    ///   - found: what stands in the file.
    ///   - own: what would be written of what was understood.
    mutating func compare(_ found: JSONValue, _ own: JSONValue, _ path: FilePath) throws(CheckpointError) {
        switch (found, own) {
        case (.object(let object), .object(let understood)):
            for (key, value) in object.members {
                place.append(key)
                defer { place.removeLast() }
                if let other = understood[key] {
                    try compare(value, other, path)
                } else if Self.known.contains(key) {
                    throw CheckpointError(
                        path, .part(shownPlace), expected: "nothing of this kind there", found: value.kind)
                } else {
                    names.append(shownPlace)
                }
            }
        case (.array(let list), .array(let understood)) where list.count == understood.count:
            for (index, (value, other)) in zip(list, understood).enumerated() {
                place.append("[\(index)]")
                defer { place.removeLast() }
                try compare(value, other, path)
            }
        default:
            guard !found.isSame(as: own) else { return }
            throw CheckpointError(
                path, .part(shownPlace), expected: own.shortText, found: found.shortText)
        }
    }

    private var shownPlace: String {
        place.reduce("") { $1.hasPrefix("[") || $0.isEmpty ? $0 + $1 : "\($0).\($1)" }.escapedForDisplay
    }
}

extension JSONValue {
    /// As far as it fits into a sentence.
    fileprivate var shortText: String {
        let text = canonicalText
        return (text.count > 60 ? text.prefix(60) + "..." : text).escapedForDisplay
    }
}

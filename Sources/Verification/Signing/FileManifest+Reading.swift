import AssayCheckpoints
import SystemPackage

extension FileManifest {
    /// Larger than the manifest of a million files.
    private static let maximumByteCount = 1 << 30
    private static let payloadType = "application/vnd.in-toto+json"

    /// Reads the manifest in a signature (a Sigstore bundle, or the DSSE envelope of one), or a manifest that nobody
    /// signed. Signatures are not checked.
    ///
    /// - Returns: the manifest, and whether a signature came with it.
    /// - Throws: `CheckpointError` where it is none, or contradicts itself; `StructureError` where it is of a kind that is
    ///   not read; `SystemError`.
    static func read(_ path: FilePath) throws -> (manifest: FileManifest, isSigned: Bool) {
        let value = try JSONValue(reading: InputFile(path), "a signature", atMost: maximumByteCount)
        guard let object = value.object else {
            throw CheckpointError(path, .file, expected: "a signature (a Sigstore bundle)", found: value.kind)
        }
        let envelope = object["dsseEnvelope"]?.object ?? object
        guard envelope["payload"] != nil else { return (try FileManifest(value, path), false) }
        guard envelope["payloadType"]?.string == payloadType else {
            throw CheckpointError(
                path, .part("payloadType"), expected: "'\(payloadType)'", found: found(envelope["payloadType"]))
        }
        guard let payload = envelope["payload"]?.string.flatMap({ [UInt8](base64: $0) }) else {
            throw CheckpointError(
                path, .part("payload"), expected: "text in base64", found: "something else")
        }
        do {
            return (try FileManifest(JSONValue(parsing: payload), path), true)
        } catch let error as JSONError {
            throw CheckpointError(
                path, .part("payload, byte \(error.offset)"), expected: error.expected, found: error.found)
        }
    }

    private static func found(_ value: JSONValue?) -> String {
        value.map { $0.string.map { "'\($0.escapedForDisplay)'" } ?? $0.kind } ?? "none"
    }

    private init(_ value: JSONValue, _ path: FilePath) throws {
        func require<T>(_ part: T?, _ place: String, _ expected: String, _ value: JSONValue?) throws -> T {
            guard let part else {
                throw CheckpointError(path, .part(place), expected: expected, found: Self.found(value))
            }
            return part
        }
        func requireText(_ text: String, _ value: JSONValue?, _ place: String) throws {
            _ = try require(value?.string == text ? text : nil, place, "'\(text)'", value)
        }
        let statement = try require(value.object, "statement", "an object", value)
        try requireText(Certificate.statementType, statement["_type"], "_type")
        guard statement["predicateType"]?.string == Self.predicateType else {
            throw Self.foreign(path, "its predicateType is \(Self.found(statement["predicateType"]))")
        }
        let predicate = try require(
            statement["predicate"]?.object, "predicate", "an object", statement["predicate"])
        let how = try require(
            predicate["serialization"]?.object, "serialization", "an object", predicate["serialization"])
        guard how["hash_type"]?.string == "sha256" else {
            throw Self.foreign(path, "its digests are \(how["hash_type"]?.string?.escapedForDisplay ?? "of no kind")")
        }
        let methods = ["files": false, "shards": true]
        let isInRanges = try require(
            how["method"]?.string.flatMap { methods[$0] }, "serialization.method", "'files' or 'shards'", how["method"])
        let allowsLinks = try require(
            how["allow_symlinks"]?.bool, "serialization.allow_symlinks", "true or false", how["allow_symlinks"])
        let ignored = how["ignore_paths"] ?? []
        let paths = ignored.array?.map(\.string) ?? [nil]
        serialization = Serialization(
            isInRanges: isInRanges, allowsLinks: allowsLinks,
            ignoredPaths: try require(
                paths.contains(nil) ? nil : paths.compactMap { $0 }, "serialization.ignore_paths", "a list of paths",
                ignored))
        resources = try require(
            predicate["resources"]?.array, "resources", "a list", predicate["resources"]
        ).enumerated().map { try require(Resource($1, isInRanges), "resources[\($0)]", "a file with its SHA-256", $1) }
        let subjects = try require(
            statement["subject"]?.array, "subject", "a list of one", statement["subject"])
        guard subjects.count == 1, let subject = subjects[0].object else {
            throw CheckpointError(
                path, .part("subject"), expected: "a list of one object", found: "\(subjects.count) entries")
        }
        name = subject["name"]?.string ?? ""
        try requireConsistent(subject["digest"]?.object?["sha256"], path)
    }

    /// Sound perhaps, but nothing that is checked here.
    private static func foreign(_ path: FilePath, _ reason: String) -> StructureError {
        StructureError(
            "\(path.forDisplay): \(reason), which is not checked here; 'model_signing verify' may, and --signature none"
                + " leaves it out")
    }

    /// The root digest must be that of the resources, and each file stand in it once.
    private func requireConsistent(_ root: JSONValue?, _ path: FilePath) throws {
        guard root?.string == "\(rootDigest)" else {
            throw CheckpointError(
                path, .part("subject"), expected: "the SHA-256 \(rootDigest), which the digests of its files give",
                found: Self.found(root))
        }
        var seen = Set<ExactName>()
        for resource in resources {
            guard seen.insert(ExactName(resource.label)).inserted else {
                throw CheckpointError(
                    path, .part("resources"), expected: "each file once",
                    found: "'\(resource.label.escapedForDisplay)' again")
            }
        }
    }
}

extension FileManifest.Resource {
    /// "model.safetensors", or with a range "model.safetensors:0:1000".
    var label: String { range.map { "\(file):\($0.lowerBound):\($0.upperBound)" } ?? file }

    /// - Returns: nil where it is incomplete, or its name could lead out of the folder.
    fileprivate init?(_ value: JSONValue, _ isInRanges: Bool) {
        guard let object = value.object, var name = object["name"]?.string,
            let digest = object["digest"]?.string.flatMap({ Digest(hexadecimal: $0) }),
            let algorithm = object["algorithm"]?.string, algorithm == "sha256" || algorithm.hasPrefix("sha256-sharded-")
        else { return nil }
        if isInRanges {
            let parts = name.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count >= 3, let first = Int(parts[parts.count - 2]), let end = Int(parts[parts.count - 1]),
                0 <= first, first < end
            else { return nil }
            range = first..<end
            name = parts.dropLast(2).joined(separator: ":")
        }
        let path = FilePath(name)
        guard
            name == FileManifest.ownName
                || (!path.isEmpty && path.isRelative && path.string == name
                    && path.components.allSatisfy { $0.kind == .regular })
        else { return nil }
        file = name
        self.digest = digest
    }
}

import AssayCheckpoints

/// Keras' `.keras`: a zip archive of weights in HDF5 and of JSON that says how to build the model. The weights are read where
/// they lie; of the JSON the names of Keras and of the model are shown, and nothing in it is carried out.
struct KerasArchive {
    private let archive: ZipArchive
    /// What it says of itself, for people.
    let details: [(key: String, value: String)]

    private static let weightsName = "model.weights.h5"
    private static let configurationName = "config.json"
    private static let metadataName = "metadata.json"
    /// Weights in forms that are refused by name.
    private static let otherWeightsNames = ["model.weights.npz", "model.weights.json"]
    /// Longer JSON is not looked at: no weight depends on it.
    private static let maximumJSONByteCount = 16 << 20

    static func recognizes(_ file: InputFile) throws -> Bool {
        try ZipArchive.holds(file) { name in
            ([weightsName] + otherWeightsNames).contains { ExactName($0) == ExactName(name) }
        }
    }

    /// - Throws: `CheckpointError` where the archive or its JSON is damaged.
    init(_ file: InputFile) throws {
        archive = try ZipArchive(file)
        var details: [(key: String, value: String)] = []
        if let version = try Self.json(Self.metadataName, in: archive)?["keras_version"]?.string {
            details.append(("keras", version.escapedForDisplay))
        }
        let model = try Self.json(Self.configurationName, in: archive)
        if let kind = model?["class_name"]?.string {
            let name = model?["config"]?.object?["name"]?.string
            details.append(("class", kind.escapedForDisplay + (name.map { " '\($0.escapedForDisplay)'" } ?? "")))
        }
        self.details = details
    }

    private static func json(_ name: String, in archive: ZipArchive) throws -> JSONObject? {
        guard let position = archive.position(of: name) else { return nil }
        let source = archive.source(of: position, isChecked: true)
        guard source.byteCount <= maximumJSONByteCount else { return nil }
        do {
            return try JSONValue(parsing: source.bytes(0..<source.byteCount), asPython: true).object
        } catch let error as JSONError {
            throw CheckpointError(
                archive.file.path, archive.members[position].place,
                expected: "\(error.expected) at its byte \(error.offset)", found: error.found)
        }
    }

    var byteCount: Int { archive.file.byteCount }

    /// Sentences about what is passed over.
    var warnings: [String] {
        let others = archive.members.map(\.name).filter { $0 != Self.weightsName }
        guard !others.isEmpty else { return [] }
        return ["members of the archive that hold no weights are passed over: \(others.listed(first: 5))"]
    }

    /// The weights with their checksum, where they are there and stored.
    var weights: CheckedSource? {
        archive.position(of: Self.weightsName).flatMap { archive.source(of: $0, isChecked: true) as? CheckedSource }
    }

    /// Opens the weights.
    ///
    /// - Parameter open: is handed them as a file, where they lie.
    /// - Throws: `CheckpointError` where they are not there as they are; what `open` throws.
    func withWeights<R>(_ open: (InputFile) throws -> R) throws -> R {
        let path = archive.file.path
        guard let position = archive.position(of: Self.weightsName) else {
            let other = archive.members.map(\.name).first { Self.otherWeightsNames.contains($0) } ?? "none"
            throw CheckpointError(
                path, .file, expected: "weights as '\(Self.weightsName)'",
                found: "'\(other)'; load the model in Keras and save it without weights_format or shards")
        }
        let member = archive.members[position]
        guard member.method == .stored else {
            throw CheckpointError(
                path, member.place, expected: "a stored member, as Keras writes it",
                found: "a deflated one; extract it ('unzip ARCHIVE \(member.name)') and read that file")
        }
        do {
            return try open(InputFile(archive.storedRange(of: position)))
        } catch let error as CheckpointError {
            guard error.place == .file else { throw error }
            throw CheckpointError(path, member.place, expected: error.expected, found: error.found)
        }
    }
}

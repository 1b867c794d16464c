import AssayCheckpoints
import AssayConversion
import AssayFormats
import SystemPackage

/// What a conversion took along beside the tensors, held against the source: metadata, and the files of a model folder.
///
/// `config.json`, which conversions change, is compared by `SourceConfiguration`.
struct SourceSurroundings {
    private let source: Checkpoint
    private let checkpoint: Checkpoint
    private let certificate: Certificate
    private let holdsMetadata: Bool
    private let keepsFormat: Bool
    /// The metadata of the source with the recorded changes; nil where these do not fit it, or another format holds it.
    private let expected: Entries?
    private let found: Entries

    init(of source: Checkpoint, _ checkpoint: Checkpoint, _ certificate: Certificate) {
        self.source = source
        self.checkpoint = checkpoint
        self.certificate = certificate
        let format = FormatRegistry.format(named: certificate.destinationFormat)
        holdsMetadata = format?.capabilities.holdsMetadata ?? false
        keepsFormat = source.contents.formatName == certificate.destinationFormat
        let metadata = (holdsMetadata && keepsFormat ? format : nil).flatMap {
            try? MetadataEditing.apply([], after: certificate.metadataEdits, to: source.contents, for: $0)
        }
        expected = metadata.map { Entries($0) }
        found = Entries(checkpoint.contents.metadata)
    }

    func check() throws -> [VerifiedStatement] { [metadata(), try files()].compactMap { $0 } }

    /// Entries that a format writes by itself come and go; what another format made of the metadata is not followed.
    var unchecked: [UncheckedStatement] {
        guard holdsMetadata else { return [] }
        let said = "its metadata says what that of \(source.path.forDisplay) says"
        guard keepsFormat else {
            return source.contents.metadata.isEmpty
                ? [] : [UncheckedStatement(statement: said + ", in another format", missing: [])]
        }
        let keys = expected?.keys ?? []
        let alone = found.keys.filter { expected?[$0] == nil } + keys.filter { found[$0] == nil }
        return alone.isEmpty
            ? [] : [UncheckedStatement(statement: said + " (only one has \(alone.listed(first: 5)))", missing: [])]
    }

    /// Nil where there is nothing to compare.
    private func metadata() -> VerifiedStatement? {
        guard holdsMetadata, keepsFormat else { return nil }
        let edits = certificate.metadataEdits
        let common = found.keys.filter { expected?[$0] != nil }
        var statement = VerifiedStatement(
            "the metadata is that of \(source.path.forDisplay)" + (edits.isEmpty ? "" : ", with the recorded changes"),
            checked: common.count, "value")
        statement.add("other values", common.filter { expected?[$0] != found[$0] }, .structureDiffers)
        if let expected {
            let changed = edits.map(\.key).filter { (expected[$0] == nil) != (found[$0] == nil) }
            statement.add("not as the certificate says", changed, .structureDiffers)
        } else {
            statement.add("changes that do not fit its metadata", edits.map(\.key), .structureDiffers)
        }
        return common.isEmpty && statement.findings.isEmpty ? nil : statement
    }

    /// Metadata by key. What is not text stands together in one JSON object, by format, and counts as entries too.
    private struct Entries {
        let keys: [String]
        private let values: NameMap<String>

        init(_ metadata: [(key: String, value: String)]) {
            let pairs = metadata.flatMap { key, value -> [(String, String)] in
                guard key == CheckpointContents.foreignKey else { return [(key, value)] }
                let formats = (try? JSONValue(parsing: Array(value.utf8)))?.object?.members ?? []
                return formats.flatMap { $0.value.object?.members ?? [] }.map { ($0.key, $0.value.canonicalText) }
            }
            (keys, values) = (pairs.map(\.0), NameMap(pairs))
        }

        subscript(key: String) -> ExactName? { values[key].map { ExactName($0) } }
    }

    /// The tokenizer and its like, which are copied. Nil where none came along, or one side is no folder.
    private func files() throws -> VerifiedStatement? {
        guard let folder = source.folder, checkpoint.folder != nil else { return nil }
        var statement = VerifiedStatement(
            "the files beside the weights are those of \(source.path.forDisplay)", checked: 0, "file")
        var (absent, other) = ([String](), [VerifiedStatement.Item]())
        for file in certificate.files where file.metadataDigest == nil && isCopied(file.name) {
            let path = folder.appending(file.name)
            guard try SystemCall.status(path)?.kind == .file else {
                absent.append(file.name)
                continue
            }
            statement.checkedCount += 1
            let digest = try InputFile(path).digest()
            if digest != file.digest {
                other.append(.init(name: file.name, found: file.digest, expected: digest))
            }
        }
        statement.add("other bytes", other, .structureDiffers)
        statement.add("not there", absent, .structureDiffers)
        let known = NameSet(certificate.files.map(\.name))
        // Into a file nothing comes along.
        let left =
            try certificate.isFolder
            ? CompanionFiles(of: source, changes: [], for: checkpoint.path).copied
                .filter { isCopied($0) && !known.contains($0) } : []
        statement.add("did not come along", left, .structureDiffers)
        return statement.checkedCount == 0 && statement.findings.isEmpty ? nil : statement
    }

    /// Whether a conversion copies it; an index is made anew.
    private func isCopied(_ name: String) -> Bool {
        name != CompanionFiles.configurationName && !name.lowercased().hasSuffix(ShardIndex.fileSuffix)
    }
}

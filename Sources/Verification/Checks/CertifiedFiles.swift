import AssayCheckpoints
import AssayFormats
import SystemPackage

/// The files of a checkpoint, held against a certificate: the metadata of those with tensors, the bytes of the others
/// (configuration, tokenizer, index), and of all where the certificate has their digests.
struct CertifiedFiles {
    private let checkpoint: Checkpoint
    private let certificate: Certificate
    private let reading: ReadingOptions
    /// Where the names of the certificate are to be found.
    private let home: FilePath
    /// Files of the folder that the certificate does not name.
    private let strangers: [String]
    /// The files of tensors by their names. The name of a path that is not UTF-8 stands in a certificate, which is text, as
    /// nearly as text can have it.
    private let own: NameMap<FilePath>

    init(_ checkpoint: Checkpoint, _ certificate: Certificate, _ reading: ReadingOptions) throws {
        self.checkpoint = checkpoint
        self.certificate = certificate
        self.reading = reading
        own = NameMap(checkpoint.files.map { ($0.lastComponent?.string ?? "", $0) })
        home = checkpoint.folder ?? checkpoint.path.removingLastComponent()
        strangers = try checkpoint.folder.map { try Self.strangers(in: $0, certificate) } ?? []
    }

    func check() throws -> [VerifiedStatement] {
        [try metadata(), try bytes()].compactMap { $0 }
    }

    private func path(_ file: Certificate.File) throws -> FilePath? {
        let path = own[file.name] ?? home.appending(file.name)
        return try SystemCall.status(path)?.kind == .file ? path : nil
    }

    /// The metadata of the files of tensors, and, of a folder, which tensors lie in which of them.
    private func metadata() throws -> VerifiedStatement? {
        let tensors = Dictionary(grouping: certificate.destinationTensors) { ExactName($0.file ?? "") }
        var (elsewhere, others) = ([VerifiedStatement.Item](), [String]())
        var (statement, names) = try compare(
            \.metadataDigest, "the metadata is the certificate's", other: "other metadata"
        ) { path, file in
            let contents = try Checkpoint.reader(of: path, reading).contents
            if contents.formatName != certificate.destinationFormat {
                others.append("\(file.name) (\(contents.formatName), not \(certificate.destinationFormat))")
            }
            let there = NameSet(contents.tensors.map(\.name))
            elsewhere += (tensors[ExactName(file.name)] ?? []).filter { !there.contains($0.info.name) }
                .map { .init(name: $0.info.name, file: file.name) }
            return MetadataDigest.of(contents.metadata)
        }
        statement.add("in another file than the certificate says", elsewhere, .invalidFile)
        statement.add("of another format", others, .invalidFile)
        return names.isEmpty ? nil : statement
    }

    private func bytes() throws -> VerifiedStatement? {
        var (statement, names) = try compare(
            \.digest, "the files have the certificate's SHA-256", other: "other bytes"
        ) { path, _ in try InputFile(path).digest() }
        if statement.findings.isEmpty { statement.remark = names.joined(separator: ", ") }
        statement.add("not in the certificate", strangers.filter(configures), nil)
        return names.isEmpty && statement.findings.isEmpty ? nil : statement
    }

    /// Holds the files of which the certificate states a digest against it.
    private func compare(
        _ stated: (Certificate.File) -> Digest?, _ statement: String, other: String,
        _ found: (FilePath, Certificate.File) throws -> Digest
    ) throws -> (made: VerifiedStatement, names: [String]) {
        var made = VerifiedStatement(statement, checked: 0, "file")
        var (names, missing) = ([String](), [String]())
        var wrong: [VerifiedStatement.Item] = []
        for file in certificate.files {
            guard let expected = stated(file) else { continue }
            names.append(file.name)
            guard let path = try path(file) else {
                missing.append(file.name)
                continue
            }
            made.checkedCount += 1
            let found = try found(path, file)
            if found != expected { wrong.append(.init(name: file.name, found: found, expected: expected)) }
        }
        made.add(other, wrong, .invalidFile)
        made.add("missing", missing, .structureDiffers)
        return (made, names)
    }

    private static func strangers(in folder: FilePath, _ certificate: Certificate) throws -> [String] {
        let known = NameSet(certificate.files.map(\.name))
        return try tree(in: folder).filter { !known.contains($0) && !CertificateFile.isName($0) }
    }

    /// Every file in a folder, however deep, relative to it. A link to a folder is named itself, with a slash at its end:
    /// whatever it leads to, a loader may follow it. Hidden ones are other programs' own, which no conversion takes along.
    private static func tree(in root: FilePath) throws(SystemError) -> [String] {
        var names: [String] = []
        for (name, isFile) in try SystemCall.tree(in: root, depth: .max) {
            if isFile {
                names.append(name)
            } else if try SystemCall.status(root.pushing(FilePath(name)))?.kind == .folder {
                names.append(name + "/")
            }
        }
        return names
    }

    /// A folder's certificate names every JSON file there was; one more may change what the model computes, and so may what a
    /// link leads to.
    private func configures(_ name: String) -> Bool {
        certificate.isFolder && (name.lowercased().hasSuffix(".json") || name.hasSuffix("/"))
    }

    var notes: [String] {
        let others = strangers.filter { !configures($0) }
        return others.isEmpty ? [] : ["the certificate does not speak of \(others.joined(separator: ", "))"]
    }
}

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

    init(_ checkpoint: Checkpoint, _ certificate: Certificate, _ reading: ReadingOptions) {
        self.checkpoint = checkpoint
        self.certificate = certificate
        self.reading = reading
        home = checkpoint.folder ?? checkpoint.path.removingLastComponent()
    }

    func check() throws -> [VerifiedStatement] {
        [try metadata(), try bytes()].compactMap { $0 }
    }

    private func path(_ file: Certificate.File) throws -> FilePath? {
        let path = home.appending(file.name)
        return try SystemCall.status(path)?.kind == .file ? path : nil
    }

    private func metadata() throws -> VerifiedStatement? {
        let files = certificate.files.compactMap { file in file.metadataDigest.map { (file, $0) } }
        var statement = VerifiedStatement("the metadata is the certificate's", checked: 0, "file")
        var missing: [String] = []
        var wrong: [VerifiedStatement.Item] = []
        for (file, expected) in files {
            guard let path = try path(file) else {
                missing.append(file.name)
                continue
            }
            statement.checkedCount += 1
            let found = MetadataDigest.of(try Checkpoint.reader(of: path, reading).contents.metadata)
            if found != expected { wrong.append(.init(name: file.name, found: found, expected: expected)) }
        }
        statement.add("other metadata", wrong, .invalidFile)
        statement.add("missing", missing, .structureDiffers)
        return files.isEmpty ? nil : statement
    }

    private func bytes() throws -> VerifiedStatement? {
        let files = certificate.files.compactMap { file in file.digest.map { (file, $0) } }
        var statement = VerifiedStatement("the files have the certificate's SHA-256", checked: 0, "file")
        var missing: [String] = []
        var wrong: [VerifiedStatement.Item] = []
        for (file, expected) in files {
            guard let path = try path(file) else {
                missing.append(file.name)
                continue
            }
            statement.checkedCount += 1
            let found = try CertificateFile.digest(of: path)
            if found != expected { wrong.append(.init(name: file.name, found: found, expected: expected)) }
        }
        statement.add("other bytes", wrong, .invalidFile)
        statement.add("missing", missing, .structureDiffers)
        statement.add("not in the certificate", try strangers().filter(configures), nil)
        if wrong.isEmpty, missing.isEmpty { statement.remark = files.map(\.0.name).joined(separator: ", ") }
        return files.isEmpty && statement.findings.isEmpty ? nil : statement
    }

    /// Files of the folder that the certificate does not name.
    private func strangers() throws -> [String] {
        guard let folder = checkpoint.folder else { return [] }
        let known = NameSet(certificate.files.map(\.name))
        return try SystemCall.names(in: folder).filter { name in
            try !known.contains(name) && !name.hasPrefix(".") && !CertificateFile.isName(name)
                && SystemCall.status(folder.appending(name))?.kind == .file
        }
    }

    /// A folder's certificate names every JSON file there was; one more may change what the model computes.
    private func configures(_ name: String) -> Bool { certificate.isFolder && name.lowercased().hasSuffix(".json") }

    func notes() throws -> [String] {
        let others = try strangers().filter { !configures($0) }
        return others.isEmpty ? [] : ["the certificate does not speak of \(others.joined(separator: ", "))"]
    }
}

import AssayCheckpoints
import AssayConversion
import AssayFormats
import SystemPackage

/// What speaks of a checkpoint: its own certificate, the one of the folder it lies in, or those of its files.
public struct CertificateOnHand: Sendable {
    public let documents: [Document]
    /// What is said of the files of this checkpoint.
    public let part: Certificate
    /// The same, with what is said of other files of the folder.
    public let whole: Certificate
    /// What was joined to that, each as it says it: several where they lie beside single files.
    let claims: [Certificate]

    /// Whether all that it speaks of is of this checkpoint.
    var isWhole: Bool { part.destinationTensors.count == whole.destinationTensors.count }

    /// A file with a certificate.
    public struct Document: Sendable, Equatable {
        public var path: FilePath
        /// SHA-256 of the certificate in its canonical form.
        public var digest: Digest
    }

    private init(_ documents: [Document], _ part: Certificate, whole: Certificate, claims: [Certificate]? = nil) {
        self.documents = documents
        self.part = part
        self.whole = whole
        self.claims = claims ?? [whole]
    }

    /// The certificate that lies where a conversion puts it: in the folder, beside the file, or, for a file of a
    /// folder, in the folder, where it names that file.
    ///
    /// - Returns: nil where there is none.
    /// - Throws: `CheckpointError` where what lies there is no certificate; `SystemError`.
    public static func find(for checkpoint: Checkpoint) throws -> CertificateOnHand? {
        let isFolder = checkpoint.folder != nil
        let own = CertificateFile.path(for: checkpoint.folder ?? checkpoint.path, isFolder: isFolder)
        if try isThere(own) { return try CertificateOnHand(reading: own, of: checkpoint) }
        if !isFolder {
            let around = CertificateFile.path(
                for: checkpoint.path.settled().removingLastComponent(), isFolder: true)
            if try isThere(around) {
                let (whole, digest) = try Certificate.read(around)
                if let part = whole.part(of: checkpoint) {
                    return CertificateOnHand([Document(path: around, digest: digest)], part, whole: whole)
                }
            }
        }
        return try ofItsFiles(checkpoint)
    }

    /// - Throws: `CheckpointError` where it is a link that leads nowhere: somebody meant it to be there.
    private static func isThere(_ path: FilePath) throws -> Bool {
        if try SystemCall.status(path) != nil { return true }
        try CompanionFiles.refuseDanglingLink(path)
        return false
    }

    /// The certificate in a file, whatever its place.
    ///
    /// - Throws: `StructureError` where it is one of a folder and does not name a file of this checkpoint.
    public init(reading path: FilePath, of checkpoint: Checkpoint) throws {
        let (whole, digest) = try Certificate.read(path)
        let document = Document(path: path, digest: digest)
        if checkpoint.folder == nil, whole.isFolder {
            guard let part = whole.part(of: checkpoint) else {
                throw StructureError(
                    "\(path.forDisplay): is the certificate of a folder and does not name"
                        + " \(checkpoint.path.forDisplay); give that of this file, or verify the folder")
            }
            self.init([document], part, whole: whole)
        } else {
            let named = checkpoint.files.count == 1 ? whole.naming(checkpoint.files[0]) : whole
            self.init([document], named, whole: named)
        }
    }

    /// Certificates beside the single files of a checkpoint, joined.
    private static func ofItsFiles(_ checkpoint: Checkpoint) throws -> CertificateOnHand? {
        let found = try checkpoint.files.map { (file: $0, path: CertificateFile.path(for: $0, isFolder: false)) }
            .filter { try isThere($0.path) }
        let read = try found.map { try Certificate.read($0.path) }
        let documents = zip(found, read).map { Document(path: $0.path, digest: $1.digest) }
        let claims = zip(found, read).map { $1.certificate.naming($0.file) }
        try requireAgreement(claims, found.map(\.path))
        return Certificate(joining: claims).map { CertificateOnHand(documents, $0, whole: $0, claims: claims) }
    }

    /// What several say of a tensor of the source, they say alike.
    private static func requireAgreement(_ certificates: [Certificate], _ paths: [FilePath]) throws(CheckpointError) {
        var known = NameMap<(tensor: Certificate.Tensor, path: FilePath)>()
        for (certificate, path) in zip(certificates, paths) {
            for tensor in certificate.sourceTensors {
                guard let (other, place) = known[tensor.info.name] else {
                    known[tensor.info.name] = (tensor, path)
                    continue
                }
                guard other.digest == tensor.digest, other.info.isShaped(like: tensor.info) else {
                    throw CheckpointError(
                        path, .part("source.tensors"),
                        expected: "what \(place.forDisplay) says of '\(tensor.info.name.escapedForDisplay)'",
                        found: "another digest, type or shape")
                }
            }
        }
    }
}

extension Certificate {
    /// What the certificate of a folder says of the files of one checkpoint in it.
    ///
    /// - Returns: nil where it is none of a folder, or does not name one of the files.
    func part(of checkpoint: Checkpoint) -> Certificate? {
        let names = (checkpoint.files + [checkpoint.index].compactMap { $0 }).map { $0.lastComponent?.string ?? "" }
        let (wanted, known) = (NameSet(names), NameSet(files.map(\.name)))
        guard isFolder, names.allSatisfy({ known.contains($0) }) else { return nil }
        var part = self
        part.files = files.filter { wanted.contains($0.name) }
        part.destinationTensors = destinationTensors.filter { wanted.contains($0.file ?? "") }
        let made = NameSet(part.destinationTensors.map(\.info.name))
        part.transforms = transforms.filter { $0.outputs.allSatisfy { made.contains($0) } }
        return part
    }

    /// The certificate of a single file, by the name that the file has now: the place tells what it speaks of.
    func naming(_ file: FilePath) -> Certificate {
        guard !isFolder, files.count == 1 else { return self }
        var renamed = self
        renamed.files[0].name = file.lastComponent?.string ?? ""
        return renamed
    }

    /// The certificate of a single file among several: its tensors lie in that.
    private var placed: Certificate {
        guard !isFolder else { return self }
        var placed = self
        for index in destinationTensors.indices { placed.destinationTensors[index].file = files[0].name }
        return placed
    }

    /// Certificates of files that are one checkpoint together.
    ///
    /// - Returns: nil where there are none.
    init?(joining certificates: [Certificate]) {
        guard var joined = certificates.first?.placed else { return nil }
        var known = NameSet(joined.sourceTensors.map(\.info.name))
        for other in certificates.dropFirst().map(\.placed) {
            joined.sourceTensors += other.sourceTensors.filter { known.insert($0.info.name) }
            joined.destinationTensors += other.destinationTensors
            joined.files += other.files
            joined.transforms += other.transforms
            joined.dropped += other.dropped
            joined.arithmeticVersion = min(joined.arithmeticVersion, other.arithmeticVersion)
        }
        // What one of them left out may be in another.
        var seen = NameSet(joined.transforms.flatMap(\.origin.sources))
        joined.dropped = joined.dropped.filter { seen.insert($0.name) }
        self = joined
    }
}

import AssayCheckpoints
import AssayComparison
import AssayConversion
import AssayFormats
import SystemPackage

/// Puts what a comparison found into the certificate of the checkpoint that was compared.
public struct ComparisonCertifying {
    private let reference: Checkpoint
    private let test: Checkpoint
    private let path: FilePath
    private let certificate: Certificate

    /// Finds the certificate, and makes sure that it is true: what it says next is about what it speaks of.
    ///
    /// - Throws: `UsageError` where there is none of this checkpoint alone; `StructureError` where it does not hold.
    public init(_ reference: Checkpoint, _ test: Checkpoint, _ options: ConversionOptions) throws {
        let found = try CertificateOnHand.find(for: test)
        guard let found, found.documents.count == 1, found.whole.destinationTensors.count == test.contents.tensors.count
        else {
            throw UsageError(
                "--certify: \(test.path.forDisplay) has no certificate of its own; 'assay convert' and 'assay quantize'"
                    + " write one")
        }
        let report = try Verifier(test, options).verify(.init(certificate: found))
        guard report.exitStatus == .done else {
            throw StructureError(
                "--certify: \(found.documents[0].path.forDisplay) does not hold for \(test.path.forDisplay);"
                    + " 'assay verify' says why")
        }
        self.reference = reference
        self.test = test
        // What takes its place takes that of the file, not of a link to it.
        path = try SystemCall.followed(found.documents[0].path)
        certificate = try Certificate(reading: path)
        try certificate.requireWritable(path)
    }

    /// - Returns: where the certificate lies.
    /// - Throws: `UsageError` where there are no figures to certify; `SystemError`.
    public func certify(_ result: ComparisonResult, tool: String, _ options: ConversionOptions) throws -> FilePath {
        guard !result.structure.differs, result.differenceClass != nil else {
            throw UsageError("--certify: the structures differ, so there are no figures of one model to certify")
        }
        // What was compared must be what is certified: no file of either has changed since it was opened.
        let compared = try test.whileUnchanged {
            try reference.whileUnchanged { try ComparisonRecord.Reference(reference, threads: options.threads) }
        }
        let record = ComparisonRecord(result, compared, tool: tool)
        try Publication.run(in: path.folder) { publication in
            // Another comparison may have put its figures into it meanwhile.
            var renewed = try Certificate(reading: path)
            guard Self.claims(of: renewed) == Self.claims(of: certificate) else {
                throw UsageError(
                    "--certify: \(path.forDisplay): was made anew meanwhile, and nothing was put into it; compare again"
                )
            }
            try renewed.requireWritable(path)
            renewed.comparisons.removeAll { $0.concerns(theSameAs: record) }
            renewed.comparisons.append(record)
            try publication.publish(CertificateFile.stage(renewed, at: path))
        }
        return path
    }

    /// What a certificate says of the checkpoint alone.
    private static func claims(of certificate: Certificate) -> [UInt8] {
        var certificate = certificate
        certificate.comparisons = []
        return certificate.fileBytes
    }
}

extension ComparisonRecord.Reference {
    init(_ checkpoint: Checkpoint, threads: Int) throws {
        let digests = try Verifier.digests(of: checkpoint.reader, threads: threads)
        name = checkpoint.path.settled().lastComponent?.string ?? "/"
        contentDigest = ContentDigest.of(checkpoint.contents.tensors, digests)
        configuration = try Self.configuration(of: checkpoint)
    }

    static func configuration(of checkpoint: Checkpoint) throws -> Digest? {
        guard let path = checkpoint.folder?.appending("config.json"), try SystemCall.status(path)?.kind == .file else {
            return nil
        }
        return try InputFile(path).digest()
    }
}

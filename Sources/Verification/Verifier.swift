import AssayCheckpoints
import AssayConversion
import AssayFormats

/// Checks a checkpoint against its certificate, its container's own digests, and its source.
public struct Verifier {
    private let checkpoint: Checkpoint
    private let options: ConversionOptions
    private let progress: (@Sendable (Int) -> Void)?

    /// - Parameter options: threads and memory; the destination in it is not used.
    public init(_ checkpoint: Checkpoint, _ options: ConversionOptions, progress: (@Sendable (Int) -> Void)? = nil) {
        self.checkpoint = checkpoint
        self.options = options
        self.progress = progress
    }

    /// - Parameters:
    ///   - certificate: what speaks of the checkpoint, if anything.
    ///   - source: what it was made from, if at hand.
    /// - Throws: `StructureError` where there is nothing to verify; `CheckpointError` where data cannot be read for
    ///   damage; `SystemError`.
    public func verify(certificate: CertificateOnHand?, against source: Checkpoint?) throws -> VerificationReport {
        guard certificate != nil || source != nil || holdsDigests else {
            throw StructureError(
                "\(checkpoint.path.forDisplay): there is nothing to verify: no certificate speaks of it and the format"
                    + " stores no digests; 'assay convert' and 'assay quantize' write certificates, --certificate PATH"
                    + " names one that lies elsewhere, --against SRC compares with the source")
        }
        let digests = try Self.digests(of: checkpoint.reader, threads: options.threads, progress)
        let tensors = DigestedTensors(checkpoint.contents.tensors, digests)
        var report = VerificationReport(
            contentDigest: tensors.contentDigest, certificates: certificate?.paths ?? [], statements: [])
        if let stored = checkpoint.contents.storedDigests {
            report.statements.append(ContainerDigests(tensors: tensors, stored: stored).check())
        } else if let statement = contentChecks() {
            report.statements.append(statement)
        }
        if let certificate {
            report.statements.append(CertifiedTensors(tensors: tensors, certificate: certificate.part).check())
            let files = try CertifiedFiles(checkpoint, certificate.part, options.reading)
            report.statements += try files.check()
            report.notes += files.notes
        } else if source == nil {
            // The container holds what was put into it; where that came from is another matter.
            report.notes.append(
                "what this was made from is not recorded; give --certificate PATH or --against SRC to check that too")
        }
        if let source {
            let against =
                try certificate.map {
                    try AgainstCertifiedSource(source, $0, tensors, options, progress).check()
                } ?? AgainstPlainSource(source, checkpoint, tensors, options, progress).check()
            report.statements += against
            // Of a source that has nothing to do with it, one statement said it all.
            if against.count > 1, let same = try SourceConfiguration(source: source, checkpoint: checkpoint).check() {
                report.statements.append(same)
            }
            if certificate == nil { report.notes.append(AgainstPlainSource.scope(source, checkpoint)) }
        }
        return report
    }

    /// What the container says of its tensors' bytes, which was checked when they were read; nil where it says nothing.
    private func contentChecks() -> VerifiedStatement? {
        let tensors = checkpoint.contents.tensors
        let stored = tensors.indices.filter { tensors[$0].aliasOf == nil }
        let unchecked = stored.filter { checkpoint.reader.contentCheck(of: $0) == nil }
        guard unchecked.count < stored.count else { return nil }
        var statement = VerifiedStatement(
            "the container's own digests hold", checked: stored.count - unchecked.count)
        statement.add("without a digest", unchecked.map { tensors[$0].name }, nil)
        return statement
    }

    /// Whether the container says anything of its tensors' bytes.
    private var holdsDigests: Bool {
        checkpoint.contents.storedDigests != nil
            || checkpoint.contents.tensors.indices.contains { checkpoint.reader.contentCheck(of: $0) != nil }
    }

    /// SHA-256 of every tensor, large ones first so that all threads end together; an alias has its target's.
    public static func digests(
        of reader: any CheckpointReader, threads: Int, _ progress: (@Sendable (Int) -> Void)? = nil
    ) throws -> [Digest] {
        let tensors = reader.contents.tensors
        let stored = tensors.indices.filter { tensors[$0].aliasOf == nil }
        let steps = stored.map { CopyStep(source: $0, info: tensors[$0]) }
        var options = ConversionOptions(destination: "")
        options.threads = threads
        let results = try Recomputation.run(steps, on: reader, options, progress: progress)
        let byName = NameMap(zip(stored.map { tensors[$0].name }, results.map(\.sourceDigest)))
        return tensors.map { byName[$0.aliasOf ?? $0.name]! }
    }
}

/// The tensors of a checkpoint and the digests that their bytes have.
struct DigestedTensors: Sendable {
    let infos: [TensorInfo]
    let digests: [Digest]
    private let byName: NameMap<Int>

    init(_ infos: [TensorInfo], _ digests: [Digest]) {
        self.infos = infos
        self.digests = digests
        byName = NameMap(infos.enumerated().map { ($1.name, $0) })
    }

    var contentDigest: Digest { ContentDigest.of(infos, digests) }

    subscript(name: String) -> (info: TensorInfo, digest: Digest)? { byName[name].map { (infos[$0], digests[$0]) } }
}

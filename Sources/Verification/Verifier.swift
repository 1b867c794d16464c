import AssayCheckpoints
import AssayConversion
import AssayFormats
import AssayModels
import AssayQuantization

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

    /// What there is beside a checkpoint that says something of it.
    public struct Evidence: Sendable {
        public var certificate: CertificateOnHand?
        /// The manifest of files that somebody signed.
        public var signature: SignatureOnHand?
        /// What the checkpoint was made from.
        public var source: Checkpoint?
        /// Which tensors of the source are which of the checkpoint, where names and shapes are not the same.
        public var map: TensorMap?
        /// What recorded comparisons were over.
        public var tokens: TokenBatch?

        public init(certificate: CertificateOnHand? = nil) { self.certificate = certificate }

        /// Whether it says anything of the checkpoint.
        var isEmpty: Bool { certificate == nil && signature == nil && source == nil }
    }

    /// - Throws: `StructureError` where there is nothing to verify; `CheckpointError` where data cannot be read for
    ///   damage; `UsageError` where what was given does not fit; `SystemError`.
    public func verify(_ evidence: Evidence) throws -> VerificationReport {
        guard !evidence.isEmpty || checkpoint.holdsDigests else {
            throw StructureError(
                "\(checkpoint.path.forDisplay): there is nothing to verify: no certificate speaks of it and the format"
                    + " stores no digests; 'assay convert' and 'assay quantize' write certificates, --certificate PATH"
                    + " names one that lies elsewhere, --against SRC compares with the source")
        }
        let digests = try Self.digests(of: checkpoint.reader, threads: options.threads, progress)
        let tensors = DigestedTensors(checkpoint.contents.tensors, digests)
        var report = VerificationReport(
            contentDigest: tensors.contentDigest, certificates: evidence.certificate?.documents ?? [], statements: [])
        if let stored = checkpoint.contents.storedDigests {
            report.statements.append(ContainerDigests(tensors: tensors, stored: stored).check())
        } else if let statement = contentChecks() {
            report.statements.append(statement)
        }
        if let signature = evidence.signature {
            let files = SignedFiles(checkpoint: checkpoint, signature: signature, threads: options.threads)
            let isAlone = evidence.certificate == nil && evidence.source == nil && !checkpoint.holdsDigests
            report.statements.append(try files.check(isAlone: isAlone))
            report.notes += try files.notes()
        }
        if let certificate = evidence.certificate {
            report.statements.append(CertifiedTensors(tensors: tensors, certificate: certificate.part).check())
            let files = try CertifiedFiles(checkpoint, certificate.part, options.reading)
            report.statements += try files.check()
            report.notes += files.notes
        } else if evidence.source == nil {
            // The container holds what was put into it; where that came from is another matter.
            report.notes.append(
                "what this was made from is not recorded; give --certificate PATH or --against SRC to check that too")
        }
        if let source = evidence.source {
            try against(source, evidence, tensors, &report)
            if evidence.certificate == nil { report.notes.append(AgainstPlainSource.scope(source, checkpoint)) }
            if let format = evidence.certificate?.part.sourceFormat, format != source.contents.formatName {
                report.notes.append(
                    "the certificate calls the source \(format.escapedForDisplay), \(source.path.forDisplay) is"
                        + " \(source.contents.formatName)")
            }
        }
        var seen = NameSet()
        report.unchecked += (evidence.certificate?.claims ?? [])
            .flatMap { $0.unchecked(withSource: evidence.source != nil) }.filter { seen.insert($0.statement) }
        try compare(evidence, &report)
        return report
    }

    /// Does the recorded comparisons again. One file of a folder is not the model that they are about, and nor are several
    /// files together that have certificates of their own.
    private func compare(_ evidence: Evidence, _ report: inout VerificationReport) throws {
        let certificate = evidence.certificate
        if let tokens = evidence.tokens, certificate == nil {
            throw UsageError(
                "\(tokens.source.forDisplay): there is no certificate that could record a comparison over these tokens;"
                    + " 'assay diff --certify' puts one into a checkpoint's certificate")
        }
        let isAll = certificate?.whole.destinationTensors.count == checkpoint.contents.tensors.count
        let (statements, unchecked) = try RepeatedComparisons(
            checkpoint: checkpoint, records: certificate?.claims.flatMap(\.comparisons) ?? [],
            scope: certificate?.claims.count ?? 0 > 1
                ? "each file by itself" : isAll ? nil : "all tensors that the certificate names",
            threads: options.threads
        ).check(against: evidence.source, tokens: evidence.tokens)
        report.statements += statements
        report.unchecked += unchecked
    }

    private func against(
        _ source: Checkpoint, _ evidence: Evidence, _ tensors: DigestedTensors, _ report: inout VerificationReport
    ) throws {
        var statements: [VerifiedStatement]
        let map = evidence.map
        do {
            if let certificate = evidence.certificate {
                statements = try AgainstCertifiedSource(source, certificate, tensors, options, progress).check()
                if let map { statements.append(try CertifiedMapping(source, map, certificate).check()) }
            } else {
                statements = try AgainstPlainSource(source, map, checkpoint, tensors, options, progress).check()
            }
        } catch let error as QuantizationError {
            // What was quantized once can be quantized again: this is not what it was made of.
            var statement = VerifiedStatement(
                "\(source.path.forDisplay) holds the tensors that this was made of", checked: 0)
            statement.add("element \(error.index) \(error.problem)", [error.tensor], .invalidFile)
            statements = [statement]
        }
        report.statements += statements
        // Of a source that has nothing to do with it, one statement said it all.
        guard statements.count > 1 else { return }
        if let same = try SourceConfiguration(source: source, checkpoint: checkpoint).check() {
            report.statements.append(same)
        }
        // Certificates of several files may each record changes of their own.
        if let certificate = evidence.certificate, certificate.claims.count == 1 {
            let around = SourceSurroundings(of: source, checkpoint, certificate.part)
            report.statements += try around.check()
            report.unchecked += around.unchecked
        }
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

extension Certificate {
    /// What takes the source, where there is none; and what is over, and can be seen from no file any more.
    fileprivate func unchecked(withSource: Bool) -> [UncheckedStatement] {
        let made = UncheckedStatement(
            statement:
                "it was made by the recorded transforms of \(sourceName) (\(sourceFormat)), whose content digest is"
                + " \(sourceContentDigest)",
            missing: ["--against SRC"])
        var seen = NameSet()
        let rules = dropped.map(\.rule).filter { seen.insert($0) }
        let past = [
            dropped.isEmpty ? nil : "tensors were dropped by rule: \(dropped.count) (\(rules.listed(first: 3)))",
            metadataEdits.isEmpty ? nil : "metadata was changed (\(metadataEdits.map(\.text).listed(first: 3)))",
            arithmeticVersion == Arithmetic.version
                ? nil : "it was made with arithmetic version \(arithmeticVersion), this is \(Arithmetic.version)",
            unknownMembers.isEmpty
                ? nil : "members that this version does not know: \(unknownMembers.listed(first: 3))",
            wasReread ? "the written files were read again before they were published" : nil,
        ]
        return (withSource ? [] : [made])
            + past.compactMap { $0 }.map { UncheckedStatement(statement: $0, missing: []) }
    }
}

extension MetadataEdit {
    /// "licence set to MIT"
    fileprivate var text: String { value.map { "\(key) set to \($0)" } ?? "\(key) removed" }
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

import AssayCheckpoints
import AssayConversion
import AssayFormats
import AssayTensors
import SystemPackage

/// One statement that was checked, or could not be.
public struct VerifiedStatement: Sendable {
    public enum Result: Sendable, Equatable {
        case holds
        case fails(ExitStatus)
        /// Nothing contradicts it, but it was not tried, for the reason given in the detail.
        case notChecked
    }

    public var statement: String
    public var result: Result
    /// Figures, or what was found instead.
    public var detail: String
}

/// What verification found.
public struct VerificationReport: Sendable {
    public var statements: [VerifiedStatement]
    public var contentDigest: Digest

    /// The gravest of what failed; structure outranks numbers.
    public var exitStatus: ExitStatus {
        let failures = statements.compactMap { statement -> ExitStatus? in
            if case .fails(let status) = statement.result { status } else { nil }
        }
        if failures.contains(.invalidFile) { return .invalidFile }
        if failures.contains(.structureDiffers) { return .structureDiffers }
        if let first = failures.first { return first }
        // What could not be checked is not verified.
        return statements.isEmpty || statements.contains { $0.result == .notChecked } ? .structureDiffers : .done
    }
}

/// Checks a checkpoint against its certificate, its container's own digests, and its source.
public struct Verifier {
    let checkpoint: Checkpoint
    let options: ConversionOptions
    let progress: (@Sendable (Int) -> Void)?

    /// - Parameter options: threads and memory; the destination in it is not used.
    public init(_ checkpoint: Checkpoint, _ options: ConversionOptions, progress: (@Sendable (Int) -> Void)? = nil) {
        self.checkpoint = checkpoint
        self.options = options
        self.progress = progress
    }

    /// - Parameters:
    ///   - certificate: what lies beside the checkpoint, if anything.
    ///   - source: what it was made from, if at hand.
    public func verify(certificate: Certificate?, against source: Checkpoint?) throws -> VerificationReport {
        let contents = checkpoint.contents
        let digests = try Self.digests(of: checkpoint.reader, threads: options.threads, progress)
        var report = VerificationReport(statements: [], contentDigest: ContentDigest.of(contents.tensors, digests))
        if let stored = contents.storedDigests { report.statements.append(compareStored(stored, digests)) }
        if let certificate {
            report.statements += compare(certificate, digests)
            report.statements += try compareFiles(certificate)
        }
        if let source {
            report.statements +=
                try certificate.map { try recompute($0, source, digests) }
                ?? compareDirectly(source, digests)
        }
        return report
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
        let byName = NameMap(
            zip(stored.map { tensors[$0].name }, results.map(\.sourceDigest)))
        return tensors.map { byName[$0.aliasOf ?? $0.name]! }
    }

    // MARK: The checkpoint by itself

    private func compareStored(_ stored: [Digest], _ digests: [Digest]) -> VerifiedStatement {
        let tensors = checkpoint.contents.tensors
        let wrong = tensors.indices.filter { stored[$0] != digests[$0] }.map { tensors[$0].name }
        return VerifiedStatement(
            statement: "the container's digests hold",
            result: wrong.isEmpty ? .holds : .fails(.invalidFile),
            detail: wrong.isEmpty ? "\(tensors.count) tensors" : "wrong for \(Self.list(wrong))")
    }

    private func compare(_ certificate: Certificate, _ digests: [Digest]) -> [VerifiedStatement] {
        let tensors = checkpoint.contents.tensors
        let found = NameMap(
            zip(tensors.map(\.name), zip(tensors, digests)))
        let wanted = NameSet(certificate.destinationTensors.map(\.info.name))
        let missing = certificate.destinationTensors.map(\.info.name).filter { found[$0] == nil }
        let extra = tensors.map(\.name).filter { !wanted.contains($0) }
        var misshapen: [String] = []
        var wrong: [String] = []
        for tensor in certificate.destinationTensors {
            guard let (info, digest) = found[tensor.info.name] else { continue }
            if info.shape != tensor.info.shape || info.elementType != tensor.info.elementType {
                misshapen.append(info.name)
            } else if digest != tensor.digest {
                wrong.append(info.name)
            }
        }
        let structure = [("missing", missing), ("extra", extra), ("of another shape or type", misshapen)]
            .filter { !$0.1.isEmpty }.map { "\($0.0): \(Self.list($0.1))" }
        return [
            VerifiedStatement(
                statement: "the tensors are those of the certificate",
                result: structure.isEmpty ? .holds : .fails(.structureDiffers),
                detail: structure.isEmpty ? "\(tensors.count) tensors" : structure.joined(separator: "; ")),
            VerifiedStatement(
                statement: "their bytes have the certificate's digests",
                result: wrong.isEmpty ? .holds : .fails(.invalidFile),
                detail: wrong.isEmpty
                    ? "content \(certificate.destinationContentDigest)" : "other bytes in \(Self.list(wrong))"),
        ]
    }

    private func compareFiles(_ certificate: Certificate) throws -> [VerifiedStatement] {
        try certificate.fileDigests.map { name, digest in
            let statement = "the file \(name.escapedForDisplay) has the certificate's digest"
            guard
                let path = checkpoint.files.first(where: { $0.lastComponent?.string == name }) ?? checkpoint.files.first
            else { return VerifiedStatement(statement: statement, result: .notChecked, detail: "no such file") }
            let found = try CertificateFile.digest(of: path)
            return VerifiedStatement(
                statement: statement, result: found == digest ? .holds : .fails(.invalidFile), detail: "sha256 \(found)"
            )
        }
    }

    // MARK: Against the source

    /// Does the recorded transforms again and compares what they give.
    private func recompute(
        _ certificate: Certificate, _ source: Checkpoint, _ digests: [Digest]
    ) throws -> [VerifiedStatement] {
        let positions = source.contents.indexByName()
        let made = NameMap(
            zip(checkpoint.contents.tensors.map(\.name), digests))
        let infos = NameMap(
            certificate.destinationTensors.map { ($0.info.name, $0.info) })
        var steps: [any TensorStep] = []
        var absent: [String] = []
        var unknown: [String] = []
        let factory = try Recomputation.Factory(source)
        for transform in certificate.transforms {
            guard let index = positions[transform.source] else {
                absent.append(transform.source)
                continue
            }
            let outputs = transform.outputs.compactMap { infos[$0] }
            guard outputs.count == transform.outputs.count,
                let step = try factory.step(transform.operation, index, outputs: outputs)
            else {
                unknown.append("\(transform.source) (\(transform.operation))")
                continue
            }
            steps.append(step)
        }
        let results = try Recomputation.run(steps, on: source.reader, options, progress: progress)
        let recorded = NameMap(certificate.sourceTensors.map { ($0.info.name, $0.info) })
        absent += source.contents.tensors.filter { info in
            guard let other = recorded[info.name] else { return false }
            return other.shape != info.shape || other.elementType != info.elementType
        }.map(\.name)
        return [
            sourceStatement(certificate, source, steps, results, absent: absent),
            transformStatement(steps, results, made, unknown: unknown),
            coverageStatement(certificate, source),
        ]
    }

    private func sourceStatement(
        _ certificate: Certificate, _ source: Checkpoint, _ steps: [any TensorStep], _ results: [Recomputation.Result],
        absent: [String]
    ) -> VerifiedStatement {
        let recorded = NameMap(
            certificate.sourceTensors.map { ($0.info.name, $0.digest) })
        let changed = zip(steps, results).filter { step, result in
            recorded[source.contents.tensors[step.source].name] != result.sourceDigest
        }.map { source.contents.tensors[$0.0.source].name }
        let statement = "\(source.path.forDisplay) is the certificate's source"
        if !absent.isEmpty {
            return VerifiedStatement(
                statement: statement, result: .fails(.structureDiffers),
                detail: "missing there, or of another shape or type: \(Self.list(absent))")
        }
        return VerifiedStatement(
            statement: statement, result: changed.isEmpty ? .holds : .fails(.invalidFile),
            detail: changed.isEmpty ? "\(steps.count) tensors" : "other bytes in \(Self.list(changed))")
    }

    private func transformStatement(
        _ steps: [any TensorStep], _ results: [Recomputation.Result], _ made: NameMap<Digest>, unknown: [String]
    ) -> VerifiedStatement {
        var wrong: [String] = []
        for (step, result) in zip(steps, results) {
            for (output, digest) in zip(step.outputs, result.outputDigests) where made[output.name] != digest {
                wrong.append(output.name)
            }
        }
        let statement = "the recorded transforms of the source give these very bytes"
        if !wrong.isEmpty {
            return VerifiedStatement(
                statement: statement, result: .fails(.invalidFile), detail: "other bytes in \(Self.list(wrong))")
        }
        if !unknown.isEmpty {
            return VerifiedStatement(
                statement: statement, result: .notChecked,
                detail: "this version cannot repeat: \(Self.list(unknown))")
        }
        let kinds = Dictionary(grouping: steps.map(\.transform)) { $0 }.sorted { $0.key < $1.key }
        return VerifiedStatement(
            statement: statement, result: .holds,
            detail: kinds.map { "\($0.value.count) × \($0.key)" }.joined(separator: ", "))
    }

    /// Every tensor of the source went somewhere, or was dropped by a rule.
    private func coverageStatement(_ certificate: Certificate, _ source: Checkpoint) -> VerifiedStatement {
        var used = NameSet(certificate.transforms.map(\.source))
        used.formUnion(certificate.dropped.map(\.name))
        used.formUnion(certificate.destinationTensors.compactMap { $0.info.aliasOf == nil ? nil : $0.info.name })
        let lost = source.contents.tensors.map(\.name).filter { !used.contains($0) }
        let dropped = certificate.dropped.count
        return VerifiedStatement(
            statement: "every tensor of the source is accounted for",
            result: lost.isEmpty ? .holds : .fails(.structureDiffers),
            detail: lost.isEmpty
                ? "\(used.count) tensors" + (dropped > 0 ? ", \(dropped) of them dropped by rule" : "")
                : "went nowhere: \(Self.list(lost))")
    }

    /// Without a certificate: same names and shapes, and the same bytes or those of a plain cast.
    private func compareDirectly(_ source: Checkpoint, _ digests: [Digest]) throws -> [VerifiedStatement] {
        let contents = checkpoint.contents
        let positions = source.contents.indexByName()
        var steps: [any TensorStep] = []
        var unlike: [String] = []
        for info in contents.tensors {
            guard let index = positions[info.name] else {
                unlike.append(info.name)
                continue
            }
            let operation =
                source.contents.tensors[index].elementType == info.elementType
                ? "copy" : "cast \(source.contents.tensors[index].elementType.name) to \(info.elementType.name)"
            var output = info
            output.aliasOf = nil
            guard let step = Recomputation.step(operation, index, of: source.contents, outputs: [output]) else {
                unlike.append(info.name)
                continue
            }
            steps.append(step)
        }
        let names = NameSet(contents.tensors.map(\.name))
        let lost = source.contents.tensors.map(\.name).filter { !names.contains($0) }
        let results = try Recomputation.run(steps, on: source.reader, options, progress: progress)
        let made = NameMap(zip(contents.tensors.map(\.name), digests))
        var equality = transformStatement(steps, results, made, unknown: [])
        equality.statement = "the bytes are those of \(source.path.forDisplay), copied or cast"
        if case .fails = equality.result { equality.result = .fails(.numbersDiffer) }
        let structure = [("not in the source, or of another shape", unlike), ("went nowhere", lost)]
            .filter { !$0.1.isEmpty }.map { "\($0.0): \(Self.list($0.1))" }
        return [
            VerifiedStatement(
                statement: "the tensors are those of \(source.path.forDisplay)",
                result: structure.isEmpty ? .holds : .fails(.structureDiffers),
                detail: structure.isEmpty ? "\(names.count) tensors" : structure.joined(separator: "; ")),
            equality,
        ]
    }

    /// The first ten names, and how many there are.
    static func list(_ names: [String]) -> String {
        names.prefix(10).map(\.escapedForDisplay).joined(separator: ", ")
            + (names.count > 10 ? ", ... (\(names.count) in all)" : "")
    }
}

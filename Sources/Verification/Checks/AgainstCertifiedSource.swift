import AssayCheckpoints
import AssayConversion
import AssayFormats
import AssayModels

/// A source, held against a certificate; and what its tensors become when the recorded transforms are done again.
struct AgainstCertifiedSource {
    private let source: Checkpoint
    private let certificate: CertificateOnHand
    private let made: DigestedTensors
    private let repetition: Repetition
    private let missing: [String]
    private let misshapen: [String]
    /// Sources whose transform this version cannot do.
    private let unknown: [String]

    init(
        _ source: Checkpoint, _ certificate: CertificateOnHand, _ made: DigestedTensors, _ options: ConversionOptions,
        _ progress: (@Sendable (Int) -> Void)?
    ) throws {
        let part = certificate.part
        let positions = source.contents.indexByName()
        let recorded = NameMap(part.sourceTensors.map { ($0.info.name, $0.info) })
        let outputs = NameMap(part.destinationTensors.map { ($0.info.name, $0.info) })
        let factory = try Recomputation.Factory(source)
        var (missing, misshapen, unknown) = ([String](), [String](), [String]())
        var steps: [any TensorStep] = []
        for transform in part.transforms {
            guard let index = positions[transform.source] else {
                missing.append(transform.source)
                continue
            }
            let info = source.contents.tensors[index]
            let wanted = transform.outputs.compactMap { outputs[$0] }
            if let other = recorded[info.name], other.shape != info.shape || other.elementType != info.elementType {
                misshapen.append(info.name)
            } else if wanted.count == transform.outputs.count,
                let step = try factory.step(transform.operation, index, outputs: wanted)
            {
                steps.append(step)
            } else {
                unknown.append("\(transform.source) (\(transform.operation))")
            }
        }
        (self.missing, self.misshapen, self.unknown) = (missing, misshapen, unknown)
        self.source = source
        self.certificate = certificate
        self.made = made
        repetition = try Repetition(steps, of: source, options, progress)
    }

    func check() throws -> [VerifiedStatement] {
        var identity = try sourceTensors()
        guard !repetition.steps.isEmpty else {
            // Nothing of it was used: one statement says it all.
            identity.add("its own tensors went nowhere", lost, .structureDiffers)
            identity.add("this version cannot repeat", unknown, nil)
            return [identity]
        }
        return [identity, transforms(), coverage()]
    }

    private func sourceTensors() throws -> VerifiedStatement {
        let recorded = NameMap(certificate.part.sourceTensors.map { ($0.info.name, $0.digest) })
        let aliases = try aliases()
        let found = zip(repetition.sourceNames, repetition.results.map(\.sourceDigest)) + aliases.found
        var statement = VerifiedStatement(
            "\(source.path.forDisplay) holds the tensors that this was made of", checked: found.count)
        let wrong = found.compactMap { name, digest in
            recorded[name] == digest
                ? nil : VerifiedStatement.Item(name: name, found: digest, expected: recorded[name])
        }
        statement.add("other bytes", wrong, .invalidFile)
        statement.add("missing", missing + aliases.missing, .structureDiffers)
        statement.add("of another shape or type", misshapen, .structureDiffers)
        return statement
    }

    /// Second names that went along with what they name. In this source they may be tensors of their own.
    private func aliases() throws -> (found: [(String, Digest)], missing: [String]) {
        let digests = NameMap(zip(repetition.sourceNames, repetition.results.map(\.sourceDigest)))
        let positions = source.contents.indexByName()
        var (found, missing) = ([(String, Digest)](), [String]())
        for name in certificate.part.destinationTensors.filter({ $0.info.aliasOf != nil }).map(\.info.name) {
            guard let position = positions[name] else {
                missing.append(name)
                continue
            }
            let target = source.contents.tensors[position].aliasOf.flatMap { digests[$0] }
            found.append((name, try target ?? source.reader.digest(of: position)))
        }
        return (found, missing)
    }

    private func transforms() -> VerifiedStatement {
        var statement = VerifiedStatement(
            "the recorded transforms, done again, give these very bytes", checked: repetition.outputCount,
            remark: repetition.summary)
        // Casts are exact everywhere; how integers are chosen may change with the arithmetic.
        let isComparable = certificate.part.arithmeticVersion == Arithmetic.version
        let (wrong, inexact) = repetition.differences(from: made)
        statement.add("other bytes", wrong + (isComparable ? inexact : []), .invalidFile)
        statement.add("made by no recorded transform", unexplained, .structureDiffers)
        if !isComparable {
            statement.add(
                "quantized with arithmetic version \(certificate.part.arithmeticVersion), this is"
                    + " \(Arithmetic.version)", inexact, nil)
        }
        statement.add("this version cannot repeat", unknown, nil)
        statement.add("without its source", missing + misshapen, nil)
        return statement
    }

    /// Tensors that the certificate lists and no transform of it makes; an alias has the bytes of what it names.
    private var unexplained: [String] {
        let outputs = NameSet(certificate.part.transforms.flatMap(\.outputs))
        return certificate.part.destinationTensors.filter { tensor in
            guard let target = tensor.info.aliasOf else { return !outputs.contains(tensor.info.name) }
            return !outputs.contains(target) || made[target]?.digest != tensor.digest
        }.map(\.info.name)
    }

    private func coverage() -> VerifiedStatement {
        var statement = VerifiedStatement(
            "every tensor of the source is accounted for", checked: source.contents.tensors.count)
        statement.add("went nowhere", lost, .structureDiffers)
        let dropped = certificate.whole.dropped.count
        if dropped > 0 { statement.remark = "\(dropped) dropped by rule, the certificate says" }
        return statement
    }

    /// Tensors of the source that neither went anywhere nor were dropped by a rule.
    private var lost: [String] {
        let whole = certificate.whole
        var used = NameSet(whole.transforms.map(\.source))
        used.formUnion(whole.dropped.map(\.name))
        used.formUnion(whole.destinationTensors.compactMap { $0.info.aliasOf == nil ? nil : $0.info.name })
        return source.contents.tensors.map(\.name).filter { !used.contains($0) }
    }
}

/// Steps done again on a source, and what they gave.
struct Repetition {
    let steps: [any TensorStep]
    let results: [Recomputation.Result]
    /// The source tensor of each step.
    let sourceNames: [String]

    init(
        _ steps: [any TensorStep], of source: Checkpoint, _ options: ConversionOptions,
        _ progress: (@Sendable (Int) -> Void)?
    ) throws {
        self.steps = steps
        results = try Recomputation.run(steps, on: source.reader, options, progress: progress)
        sourceNames = steps.map { source.contents.tensors[$0.source].name }
    }

    var outputCount: Int { steps.reduce(0) { $0 + $1.outputs.count } }

    /// "12 × copy, 16 × cast F32 to BF16".
    var summary: String {
        Dictionary(grouping: steps.map(\.transform)) { $0 }.sorted { $0.key < $1.key }
            .map { "\($0.value.count) × \($0.key)" }.joined(separator: ", ")
    }

    /// Outputs that have other bytes than what was made: of steps that give the same bits in every version (copies and
    /// casts), and of those that compute with the arithmetic of this one.
    func differences(
        from made: DigestedTensors
    ) -> (exact: [VerifiedStatement.Item], computed: [VerifiedStatement.Item]) {
        var (exact, computed) = ([VerifiedStatement.Item](), [VerifiedStatement.Item]())
        for (step, result) in zip(steps, results) {
            for (output, digest) in zip(step.outputs, result.outputDigests) where made[output.name]?.digest != digest {
                let item = VerifiedStatement.Item(
                    name: output.name, found: made[output.name]?.digest, expected: digest)
                if step is CopyStep || step is CastStep { exact.append(item) } else { computed.append(item) }
            }
        }
        return (exact, computed)
    }
}

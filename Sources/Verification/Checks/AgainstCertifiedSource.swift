import AssayCheckpoints
import AssayConversion
import AssayFormats
import AssayModels
import AssayPackings
import AssayTensors

/// A source, held against a certificate; and what its tensors become when the recorded transforms are done again.
struct AgainstCertifiedSource {
    private let source: Checkpoint
    private let certificate: CertificateOnHand
    private let made: DigestedTensors
    private let repetition: Repetition
    /// What the certificate says of each step.
    private let repeated: [Certificate.Transform]
    /// The tensors of the source, and behind them what mappings make of them.
    private let mapped: MappedTensors
    private let threads: Int
    private let missing: [String]
    private let misshapen: [String]
    /// Sources whose transform this version cannot do.
    private let unknown: [String]

    init(
        _ source: Checkpoint, _ certificate: CertificateOnHand, _ made: DigestedTensors, _ options: ConversionOptions,
        _ progress: (@Sendable (Int) -> Void)?
    ) throws {
        let part = certificate.part
        let recorded = NameMap(part.sourceTensors.map { ($0.info.name, $0.info) })
        let outputs = NameMap(part.destinationTensors.map { ($0.info.name, $0.info) })
        var factory = Recomputation.Factory(source)
        var mapped = MappedTensors(source)
        var (missing, misshapen, unknown) = ([String](), [String](), [String]())
        var (steps, repeated) = ([any TensorStep](), [Certificate.Transform]())
        for transform in part.transforms + part.transformsOfSilentAliases(in: source.contents) {
            let names = transform.origin.sources
            let infos = names.compactMap { mapped.info(named: $0) }
            missing += names.filter { mapped.info(named: $0) == nil }
            let other = infos.filter { info in recorded[info.name].map { !$0.isShaped(like: info) } ?? false }
            misshapen += other.map(\.name)
            guard infos.count == names.count, other.isEmpty else { continue }
            let wanted = transform.outputs.compactMap { outputs[$0] }
            if wanted.count == transform.outputs.count,
                let step = try mapped.step(transform, outputs: wanted, &factory)
            {
                steps.append(step)
                repeated.append(transform)
            } else {
                unknown.append("\(names.joined(separator: ", ")) (\(transform.operation))")
            }
        }
        // One that is cut stands in several transforms.
        var seen = NameSet()
        self.missing = missing.filter { seen.insert($0) }
        self.misshapen = misshapen.filter { seen.insert($0) }
        self.unknown = unknown
        self.source = source
        self.certificate = certificate
        self.made = made
        self.mapped = mapped
        self.repeated = repeated
        threads = options.threads
        repetition = try Repetition(steps, of: mapped.checkpoint, options, progress)
    }

    func check() throws -> [VerifiedStatement] {
        var identity = try sourceTensors()
        guard !repetition.steps.isEmpty || identity.checkedCount > 0 else {
            // Nothing of it was used: one statement says it all.
            identity.add("its own tensors went nowhere", lost, .structureDiffers)
            identity.add("made by no recorded transform", unexplained, .structureDiffers)
            identity.add("this version cannot repeat", unknown, nil)
            return [identity]
        }
        return [identity, transforms(), coverage()]
    }

    private func sourceTensors() throws -> VerifiedStatement {
        let recorded = NameMap(certificate.part.sourceTensors.map { ($0.info.name, $0.digest) })
        let found = try sourceDigests()
        var statement = VerifiedStatement(
            "\(source.path.forDisplay) holds the tensors that this was made of", checked: found.count)
        let wrong = found.compactMap { name, digest in
            recorded[name] == digest
                ? nil : VerifiedStatement.Item(name: name, found: digest, expected: recorded[name])
        }
        statement.add("other bytes", wrong, .invalidFile)
        // Those that no transform has too: the content digest that is stated is of all.
        let known = NameSet(missing + misshapen)
        let others = expected.filter { !known.contains($0.name) }
        let absent = others.filter { mapped.info(named: $0.name) == nil }
        statement.add("missing", missing + absent.map(\.name), .structureDiffers)
        let unlike = others.filter { tensor in
            mapped.info(named: tensor.name).map { !$0.isShaped(like: tensor) } ?? false
        }
        statement.add("of another shape or type", misshapen + unlike.map(\.name), .structureDiffers)
        return statement
    }

    /// What the source must hold: all that is recorded of it. A file of a folder is made of some of that.
    private var expected: [TensorInfo] {
        let part = certificate.part
        let silent = NameSet(part.silentAliases.map(\.info.name))
        return part.sourceTensors.map(\.info).filter { certificate.isWhole || silent.contains($0.name) }
    }

    /// Of every tensor of the source that was used or is expected, each once: as the steps read it, or by itself.
    private func sourceDigests() throws -> [(String, Digest)] {
        let read = zip(repetition.steps, repetition.results).filter { mapped.isOfSource($0.0.source) }
        var known = Dictionary(read.map { ($0.0.source, $0.1.sourceDigest) }, uniquingKeysWith: { first, _ in first })
        let (tensors, positions) = (source.contents.tensors, source.contents.indexByName())
        let wanted = Set(
            mapped.arranged
                + expected.compactMap { tensor in
                    positions[tensor.name].flatMap { tensors[$0].isShaped(like: tensor) ? $0 : nil }
                })
        for index in wanted where known[index] == nil {
            known[index] = tensors[index].aliasOf.flatMap { positions[$0] }.flatMap { known[$0] }
        }
        let unread = wanted.filter { known[$0] == nil }.sorted()
        let slots = ResultSlots<Digest>(count: unread.count)
        try Parallel.forEach(unread.count, threads: threads) { slots.set($0, try source.reader.digest(of: unread[$0])) }
        for (index, digest) in zip(unread, slots.all) { known[index] = digest }
        return known.sorted { $0.key < $1.key }.map { (tensors[$0.key].name, $0.value) }
    }

    private func transforms() -> VerifiedStatement {
        let absent = repetition.outputNames.filter { made[$0] == nil }
        var statement = VerifiedStatement(
            "the recorded transforms, done again, give these very bytes",
            checked: repetition.outputNames.count - absent.count, remark: repetition.summary)
        // Casts are exact everywhere; how integers are chosen may change with the arithmetic.
        let isComparable = certificate.part.arithmeticVersion == Arithmetic.version
        let (wrong, inexact) = repetition.differences(from: made)
        let (miscounted, mismeasured) = otherFigures
        statement.add("other bytes", wrong + (isComparable ? inexact : []), .invalidFile)
        statement.add("other figures", miscounted + (isComparable ? mismeasured : []), .invalidFile)
        statement.add("made by no recorded transform", unexplained, .structureDiffers)
        if !isComparable {
            statement.add(
                "quantized with arithmetic version \(certificate.part.arithmeticVersion), this is"
                    + " \(Arithmetic.version)", inexact + mismeasured, nil)
        }
        statement.add("this version cannot repeat", unknown, nil)
        statement.add("without its source", missing + misshapen, nil)
        statement.add("not there to compare", absent, nil)
        return statement
    }

    /// Steps of which the certificate counts or measures something else than what was found when they were done again.
    private var otherFigures: (counts: [VerifiedStatement.Item], measures: [VerifiedStatement.Item]) {
        let aliases = NameSet(certificate.part.destinationTensors.filter { $0.info.aliasOf != nil }.map(\.info.name))
        var (counts, measures) = ([VerifiedStatement.Item](), [VerifiedStatement.Item]())
        for (transform, result) in zip(repeated, repetition.results) {
            let name = transform.outputs.first ?? ""
            // The figures of a second name stand at what it names.
            if aliases.contains(name), !transform.hasFigures { continue }
            if result.findings.tally != transform.tally { counts.append(.init(name: name)) }
            let (said, found) = (transform.quantization, result.findings.quantization)
            if !(said.map { .object($0) } ?? JSONValue.null).isSame(as: found.map { .object($0) } ?? .null) {
                measures.append(.init(name: name))
            }
        }
        return (counts, measures)
    }

    /// Tensors that the certificate lists and no transform of it makes; an alias has the bytes of what it names.
    private var unexplained: [String] {
        let makers = certificate.part.makers
        return certificate.part.destinationTensors.filter { tensor in
            guard let target = tensor.info.aliasOf else { return makers[tensor.info.name] == nil }
            guard let maker = makers[target], made[target]?.digest == tensor.digest else { return true }
            return makers[tensor.info.name] == nil && !maker.isOfOne
        }.map(\.info.name)
    }

    private func coverage() -> VerifiedStatement {
        let elsewhere = usedElsewhere.count
        var statement = VerifiedStatement(
            "every tensor of the source is accounted for", checked: source.contents.tensors.count - elsewhere)
        statement.add("went nowhere", lost, .structureDiffers)
        statement.add("went nowhere in part", mapped.lostParts(certificate.whole.transforms), .structureDiffers)
        let dropped = certificate.whole.dropped.map(\.name)
        statement.add(
            "dropped, the certificate says, and not there", dropped.filter { mapped.info(named: $0) == nil },
            .structureDiffers)
        let remarks = [
            dropped.isEmpty ? nil : "\(dropped.count) dropped by rule, the certificate says",
            elsewhere == 0 ? nil : "\(elsewhere) more went into other files, the certificate says",
        ].compactMap { $0 }
        statement.remark = remarks.isEmpty ? nil : remarks.joined(separator: "; ")
        return statement
    }

    /// Tensors of the source of which something was made, but nothing in these files.
    private var usedElsewhere: [String] {
        guard !certificate.isWhole else { return [] }
        let here = Self.used(certificate.part)
        let anywhere = Self.used(certificate.whole)
        return source.contents.tensors.map(\.name).filter { anywhere.contains($0) && !here.contains($0) }
    }

    private static func used(_ certificate: Certificate) -> NameSet {
        var used = NameSet(certificate.transforms.flatMap(\.origin.sources))
        used.formUnion(certificate.silentAliases.map(\.info.name))
        return used
    }

    /// Tensors of the source that neither went anywhere nor were dropped by a rule.
    private var lost: [String] {
        var used = Self.used(certificate.whole)
        used.formUnion(certificate.whole.dropped.map(\.name))
        return source.contents.tensors.map(\.name).filter { !used.contains($0) }
    }
}

extension Certificate {
    /// Which transform makes a tensor.
    fileprivate var makers: NameMap<Transform> {
        NameMap(transforms.flatMap { transform in transform.outputs.map { ($0, transform) } })
    }

    /// Second names that went along with what they name, in no transform of their own.
    fileprivate var silentAliases: [Tensor] {
        let makers = makers
        return destinationTensors.filter { $0.info.aliasOf != nil && makers[$0.info.name] == nil }
    }

    /// What was done to what a second name names, to be done to the tensor that has this name in a source: it may be one of
    /// its own there, with other bytes.
    fileprivate func transformsOfSilentAliases(in source: CheckpointContents) -> [Transform] {
        let (makers, positions) = (makers, source.indexByName())
        return silentAliases.map(\.info).compactMap { alias in
            guard let maker = makers[alias.aliasOf!], maker.isOfOne else { return nil }
            let named = positions[alias.name].flatMap { source.tensors[$0].aliasOf }
            if let named, ExactName(named) == ExactName(maker.origin.sources[0]) { return nil }
            let origin = TensorOrigin(sources: [alias.name], arrangement: maker.origin.arrangement)
            return Transform(origin: origin, outputs: [alias.name], operation: maker.operation)
        }
    }
}

extension Certificate.Transform {
    /// Whether it makes one tensor of one.
    fileprivate var isOfOne: Bool { origin.sources.count == 1 && outputs.count == 1 }

    fileprivate var tally: ConversionTally { ConversionTally(overflowed: overflowed, underflowed: underflowed) }

    fileprivate var hasFigures: Bool { tally != ConversionTally() || quantization != nil }
}

/// The tensors of a source, followed by those that mappings make of them.
private struct MappedTensors {
    private let source: Checkpoint
    private let positions: NameMap<Int>
    private var parts: [RearrangedReader.Part]
    private var infos: [TensorInfo]

    init(_ source: Checkpoint) {
        self.source = source
        positions = source.contents.indexByName()
        infos = source.contents.tensors
        parts = infos.indices.map { RearrangedReader.Part(sources: [$0]) }
    }

    func info(named name: String) -> TensorInfo? { positions[name].map { infos[$0] } }

    /// The step that a recorded transform stands for, adding what its mapping makes.
    ///
    /// - Returns: nil where this version does not know it, or it does not fit the tensors.
    mutating func step(
        _ transform: Certificate.Transform, outputs: [TensorInfo], _ factory: inout Recomputation.Factory
    ) throws -> (any TensorStep)? {
        let part = RearrangedReader.Part(
            sources: transform.origin.sources.map { positions[$0]! }, arrangement: transform.origin.arrangement)
        let measured = transform.quantization != nil
        if part.arrangement.isIdentity {
            return try factory.step(transform.operation, part.sources[0], outputs: outputs, measured: measured)
        }
        guard let name = transform.outputs.first,
            let (type, shape) = try? part.arrangement.result(of: part.sources.map { infos[$0] }),
            let info = TensorInfo(name: name, elementType: type, shape: shape)
        else { return nil }
        parts.append(part)
        infos.append(info)
        let (made, position) = (contents, infos.count - 1)
        let weight = PlainTensor(reader: RearrangedReader(source.reader, [part], tensors: [info]), index: 0)
        return try Recomputation.step(transform.operation, position, of: made, outputs: outputs, measured: measured)
            ?? Recomputation.quantizeStep(transform.operation, position, of: made, weight: weight, outputs: outputs)
    }

    private var contents: CheckpointContents {
        var contents = source.contents
        contents.tensors = infos
        return contents
    }

    var checkpoint: Checkpoint { source.read(through: RearrangedReader(source.reader, parts, tensors: infos)) }

    func isOfSource(_ tensor: Int) -> Bool { tensor < source.contents.tensors.count }

    /// The tensors of the source that mappings make others of.
    var arranged: [Int] { Set(parts[source.contents.tensors.count...].flatMap(\.sources)).sorted() }

    /// Tensors that are cut, and whose parts are not all of them: along no axis do the cuts go from end to end.
    func lostParts(_ transforms: [Certificate.Transform]) -> [String] {
        var taken: [Int: [Int: [Range<Int>]]] = [:]
        var whole = Set<Int>()
        for origin in transforms.map(\.origin) {
            guard let slice = origin.arrangement.slice, let axis = origin.arrangement.axis else {
                whole.formUnion(origin.sources.compactMap { positions[$0] })
                continue
            }
            guard let index = positions[origin.sources[0]] else { continue }
            let place = origin.arrangement.axes.map { $0.indices.contains(axis) ? $0[axis] : -1 } ?? axis
            taken[index, default: [:]][place, default: []].append(slice)
        }
        return taken.keys.sorted().filter { index in
            let dimensions = infos[index].shape.dimensions
            return !whole.contains(index)
                && !taken[index]!.contains { dimensions.indices.contains($0) && $1.unbrokenEnd >= dimensions[$0] }
        }.map { infos[$0].name }
    }
}

extension [Range<Int>] {
    /// How far they reach from 0 on without a gap.
    var unbrokenEnd: Int {
        var end = 0
        for range in sorted(by: { $0.lowerBound < $1.lowerBound }) where range.lowerBound <= end {
            end = Swift.max(end, range.upperBound)
        }
        return end
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

    var outputNames: [String] { steps.flatMap { $0.outputs.map(\.name) } }

    /// "12 × copy, 16 × cast F32 to BF16".
    var summary: String {
        Dictionary(grouping: steps.map(\.transform)) { $0 }.sorted { $0.key < $1.key }
            .map { "\($0.value.count) × \($0.key)" }.joined(separator: ", ")
    }

    /// Outputs that are there and have other bytes: of steps that give the same bits in every version (copies and
    /// casts), and of those that compute with the arithmetic of this one.
    func differences(
        from made: DigestedTensors
    ) -> (exact: [VerifiedStatement.Item], computed: [VerifiedStatement.Item]) {
        var (exact, computed) = ([VerifiedStatement.Item](), [VerifiedStatement.Item]())
        for (step, result) in zip(steps, results) {
            for (output, digest) in zip(step.outputs, result.outputDigests) {
                guard let found = made[output.name]?.digest, found != digest else { continue }
                let item = VerifiedStatement.Item(name: output.name, found: found, expected: digest)
                if Recomputation.isExact(step) { exact.append(item) } else { computed.append(item) }
            }
        }
        return (exact, computed)
    }
}

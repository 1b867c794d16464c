import AssayCheckpoints
import AssayFormats
import AssayQuantization
import AssayTensors
import SystemPackage

/// What a conversion did, figure by figure: what a certificate is made of.
public struct ConversionOutcome: Sendable {
    public struct File: Sendable {
        public var name: String
        public var tensors: [TensorInfo]
        /// Of each tensor, in the same order; nil where digests were not taken.
        public var digests: [Digest]?
        public var byteCount: Int
        /// As it was read again; nil where nothing was.
        public var metadata: [(key: String, value: String)]?
    }

    public struct Step: Sendable {
        public var source: String
        public var sourceDigest: Digest?
        public var transform: String
        public var outputs: [String]
        public var findings: StepFindings
    }

    public var files: [File]
    /// The other files of a folder: what they were meant to hold.
    public var sideFiles: [(name: String, digest: Digest)] = []
    public var steps: [Step]
    /// Of the tensors that a map made others of; empty where there is no map, or digests were not taken.
    public var mappedDigests = NameMap<Digest>()
    public var wasVerified: Bool
    public var tally: ConversionTally
    /// Where the time went; no part of a certificate.
    public var seconds = PhaseSeconds()

    public struct PhaseSeconds: Sendable {
        /// Reading, computing and handing over to the system.
        public var converting = 0.0
        /// Waiting until the disk has it.
        public var flushing = 0.0
        /// Reading it again and comparing.
        public var verifying = 0.0
    }

    mutating func add(_ written: WrittenFile) {
        files.append(written.file)
        steps += written.steps
        for step in written.steps { tally += step.findings.tally }
    }

    /// The content digest of the source tensors that were used, and of the destination.
    public var destinationContentDigest: Digest? {
        let digests = files.compactMap(\.digests)
        guard digests.count == files.count else { return nil }
        return ContentDigest.of(files.flatMap(\.tensors), digests.flatMap { $0 })
    }
}

/// One file of the destination, and what its steps found.
struct WrittenFile: Sendable {
    var file: ConversionOutcome.File
    var steps: [ConversionOutcome.Step]
}

/// A conversion that is complete and checked, but not published yet. Dropped, it leaves nothing behind.
public struct FinishedConversion: Sendable {
    public let plan: ConversionPlan
    public let outcome: ConversionOutcome
    /// Where the result lies: the file, or the folder of its files.
    private let place: FilePath
    /// nil where an earlier run put it in its place, and was interrupted then.
    private let staged: StagedOutput?
    private let partial: PartialRun?

    init(
        plan: ConversionPlan, outcome: ConversionOutcome, place: FilePath, staged: StagedOutput?, partial: PartialRun?
    ) {
        self.plan = plan
        self.outcome = outcome
        self.place = place
        self.staged = staged
        self.partial = partial
    }

    /// Whether the destination is in its place already.
    public var isPublished: Bool { staged == nil }

    /// The folder under construction, for what else belongs in it; nil where the destination is a file.
    public var stagingFolder: FilePath? { plan.isFolder ? place : nil }

    /// The written files: their final names, and where they lie until then.
    public var stagedFiles: [(name: String, path: FilePath)] {
        outcome.files.map { ($0.name, plan.isFolder ? place.appending($0.name) : place) }
    }

    /// Puts the result in its place, as the only step of a publication, or as one of several.
    public func publish() throws { try staged?.publish() }
    public func publish(in publication: Publication) throws {
        if let staged { try publication.publish(staged) }
    }

    /// Removes what was kept for the case of an interruption: the last thing to do.
    public func forgetProgress() { partial?.remove() }
}

extension ConversionPlan {
    /// Writes everything beside the destination, flushes it, reads it again and compares.
    ///
    /// - Parameters:
    ///   - partial: where finished files are kept, should the run be interrupted, and those of an earlier run lie.
    ///   - progress: told how many bytes of the source (and, when verifying, of the destination) were done.
    public func run(
        keepingIn partial: PartialRun? = nil,
        progress: (@Sendable (_ phase: ConversionPhase, _ bytes: Int) -> Void)? = nil
    ) throws -> FinishedConversion {
        try source.refuse(conversion: destination, isFolder: isFolder)
        try checkSpace(keeping: files.indices.filter { partial?.file($0) != nil })
        let before = try sourceFiles.map { try SystemCall.status($0) }
        let staged = try stage(partial)
        let place = try staged?.staging ?? partial!.place(of: self)
        var outcome = ConversionOutcome(files: [], steps: [], wasVerified: options.verifies, tally: ConversionTally())
        try source.whileUnchanged {
            for (index, file) in files.enumerated() {
                let path = isFolder ? place.appending(file.name) : place
                let written =
                    try partial?.file(index)?.outcome
                    ?? write(index, to: path, partial, &outcome.seconds) { progress?(.converting, $0) }
                outcome.add(written)
            }
            if let mapping, options.takesDigests || mapping.source.holdsDigests {
                outcome.mappedDigests = try mapping.sourceDigests(
                    of: files.flatMap { $0.steps.map(\.source) }, copies: outcome.steps.map(\.sourceDigest),
                    threads: options.threads)
            }
        }
        outcome.sideFiles = try writeSideFiles(into: staged?.staging)
        let verification = try ContinuousClock().measure {
            if options.verifies { try reread(&outcome, in: place) { progress?(.verifying, $0) } }
        }
        outcome.seconds.verifying = verification / .seconds(1)
        for (path, status) in zip(sourceFiles, before) { try SystemCall.requireUnchanged(path, since: status) }
        try partial?.complete(at: place)
        return FinishedConversion(plan: self, outcome: outcome, place: place, staged: staged, partial: partial)
    }

    /// - Returns: nil where the result is in its place already.
    private func stage(_ partial: PartialRun?) throws -> StagedOutput? {
        guard !(partial?.isPublished ?? false) else { return nil }
        return try StagedOutput(
            destination, isFolder: isFolder, overwrite: options.overwrite, replaceable: replaceable(),
            at: partial?.place(of: self))
    }

    /// Whether the digests of what is written are taken, for whatever needs them.
    var takesDigests: Bool { options.takesDigests || options.verifies || format.capabilities.storesDigests }

    private func write(
        _ index: Int, to path: FilePath, _ partial: PartialRun?, _ seconds: inout ConversionOutcome.PhaseSeconds,
        progress: @escaping @Sendable (Int) -> Void
    ) throws -> WrittenFile {
        guard let partial else { return try write(files[index], to: path, &seconds, progress: progress) }
        return try partial.make(index, at: path, options.reading.cache) {
            try write(files[index], to: path, &seconds, progress: progress)
        }
    }

    private func write(
        _ file: PlannedFile, to path: FilePath, _ seconds: inout ConversionOutcome.PhaseSeconds,
        progress: @escaping @Sendable (Int) -> Void
    ) throws -> WrittenFile {
        let clock = ContinuousClock()
        let begin = clock.now
        let output = try OutputFile(creating: path, cache: options.reading.cache)
        var writing = options.writing
        writing.threads = options.threads
        let writer = try format.makeWriter(file.plan, output, writing)
        let pipeline = Pipeline(
            reader: source.reader, steps: file.steps, positions: file.positions, writer: writer,
            threads: options.threads, pieceTarget: options.pieceByteCount, takesDigests: takesDigests,
            progress: progress)
        let results = try QuantizationError.naming(source.path.forDisplay) { try pipeline.run() }
        try requireStoredDigests(file.steps, results)
        let digests = takesDigests ? Self.digests(of: file.plan, results.flatMap { $0.outputDigests.map { $0! } }) : nil
        try writer.finish(digests: digests ?? [])
        let written = clock.now
        try output.synchronize()
        if options.verifies { try requireHeader(writer, in: path) }
        seconds.converting += (written - begin) / .seconds(1)
        seconds.flushing += (clock.now - written) / .seconds(1)
        let byteCount = try SystemCall.status(path)?.byteCount ?? 0
        return WrittenFile(
            file: .init(name: file.name, tensors: file.plan.tensors, digests: digests, byteCount: byteCount),
            steps: zip(file.steps, results).map { step, result in
                .init(
                    source: source.contents.tensors[step.source].name, sourceDigest: result.sourceDigest,
                    transform: step.transform, outputs: step.outputs.map(\.name), findings: result.findings)
            })
    }

    /// What was read must be what the source's own digests speak of.
    private func requireStoredDigests(
        _ steps: [any TensorStep], _ results: [Pipeline.StepResult]
    ) throws(CheckpointError) {
        guard let stored = source.contents.storedDigests else { return }
        for (step, result) in zip(steps, results) {
            guard let found = result.sourceDigest, found != stored[step.source] else { continue }
            throw CheckpointError(
                source.path, .tensor(source.contents.tensors[step.source].name),
                expected: "bytes of the SHA-256 \(stored[step.source]), as the container says", found: "\(found)")
        }
    }

    /// The digests of all tensors of a plan from those of its stored ones; an alias has its target's.
    private static func digests(of plan: WritePlan, _ stored: [Digest]) -> [Digest] {
        let names = plan.tensors.filter { $0.aliasOf == nil }.map(\.name)
        let byName = NameMap(zip(names, stored))
        return plan.tensors.map { byName[$0.aliasOf ?? $0.name]! }
    }

    /// The files beside those of tensors, in the order in which folders are listed.
    var sideFiles: [SideFile] {
        func key(_ file: SideFile) -> String { file.name.replacing("/", with: "\0") }
        let all = (isFolder ? [indexFile].compactMap { $0 } : []) + companions.files
        return all.sorted { key($0).utf8.lexicographicallyPrecedes(key($1).utf8) }
    }

    /// - Parameter folder: nil where they were put in their places by an earlier run.
    /// - Returns: their names, and SHA-256 of what is to be in them.
    private func writeSideFiles(into folder: FilePath?) throws -> [(name: String, digest: Digest)] {
        var made = NameSet()
        return try sideFiles.map { file in
            guard let folder else { return (file.name, try file.digest()) }
            try Self.makeFolders(of: file.name, in: folder, &made)
            return (file.name, try file.write(into: folder))
        }
    }

    /// Makes the folders in which a file is to lie, as far as they are not made yet.
    private static func makeFolders(of name: String, in target: FilePath, _ made: inout NameSet) throws {
        var path = target
        for component in FilePath(name).removingLastComponent().components {
            path.append(component)
            if made.insert(path.string) { try SystemCall.makeFolder(path) }
        }
    }

    /// The index of a sharded checkpoint, as the Hugging Face libraries write it.
    ///
    /// - Returns: nil where there is none.
    private var indexFile: SideFile? {
        guard files.count > 1, !format.capabilities.numbersParts else { return nil }
        var map: [(key: String, value: JSONValue)] = []
        // Every name in it must be one that the format's own library finds.
        let listsAliases = !format.capabilities.notesAliases
        for file in files {
            let listed = file.plan.tensors.filter { listsAliases || $0.aliasOf == nil }
            map += listed.map { ($0.name, .string(file.name)) }
        }
        map.sort { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
        let index: JSONValue = [
            "metadata": ["total_size": JSONValue(destinationByteCount)], "weight_map": .object(JSONObject(map)),
        ]
        return SideFile(name: weightsFileName + ShardIndex.fileSuffix, content: .text(index.prettyText + "\n"))
    }
}

/// What a conversion is busy with.
public enum ConversionPhase: Sendable { case converting, verifying }

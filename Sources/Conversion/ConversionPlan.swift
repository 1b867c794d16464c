import AssayCheckpoints
import AssayFormats
import AssayPackings
import AssayTensors
import SystemPackage

/// Everything a conversion will do, decided before the first byte is written.
public struct ConversionPlan: Sendable {
    /// What is read: of a mapped checkpoint, with the names and shapes that the map gives.
    public let source: Checkpoint
    /// Where its tensors come from, where a map was applied.
    public let mapping: MappedCheckpoint?
    public let format: any CheckpointFormat.Type
    public let options: ConversionOptions
    /// Whether the destination is a folder, with the model's other files.
    public let isFolder: Bool
    public let files: [PlannedFile]
    /// Source tensors that go nowhere, each with the rule that says so.
    public let dropped: [(name: String, rule: String)]
    /// How many tensors are parts of packed weights, which the wanted element type does not apply to.
    public let packedCount: Int
    /// Changes of the metadata, done one after the other: what the conversion makes untrue, then what the user asked for.
    public let metadataEdits: [MetadataEdit]
    /// Files of the model folder that come along.
    public let companions: CompanionFiles
    /// Sentences for the user.
    public let notes: [String]
    /// What the weights are called in a folder; the name of their index begins with it.
    let weightsFileName: String

    /// One file of the destination.
    public struct PlannedFile: Sendable {
        public var name: String
        public var steps: [any TensorStep]
        public var plan: WritePlan
        /// The positions of each step's outputs in `plan.tensors`.
        var positions: [[Int]]
    }

    public var destination: FilePath { options.destination }
    /// Every file that is read: of tensors, the index, and what comes along.
    var sourceFiles: [FilePath] { source.files + otherSourceFiles }
    /// Those that hold no tensors.
    var otherSourceFiles: [FilePath] { [source.index].compactMap { $0 } + companions.sources }
    public var sourceByteCount: Int { files.reduce(0) { $0 + $1.steps.reduce(0) { $0 + $1.sourceByteCount } } }
    public var destinationByteCount: Int {
        files.reduce(0) { $0 + $1.plan.storedByteCount }
    }
    public var expectedPeakByteCount: Int { options.expectedPeakByteCount }
    /// Free space where the destination will be.
    public var freeByteCount: Int? {
        let folder = destination.settled().removingLastComponent()
        return SystemCall.freeByteCount(at: folder.isEmpty ? "." : folder)
    }

    /// Makes the plan of steps that were chosen for every tensor that is to be kept.
    ///
    /// - Parameters:
    ///   - steps: for stored tensors, in the source's order.
    ///   - aliases: names that share the bytes of a step's only output.
    ///   - changes: what becomes different in `config.json`.
    ///   - weightType: what weights become, where that is more than a cast: the metadata may have to follow.
    ///   - mapping: what made `source`, if a map did.
    /// - Parameter canChoose: whether the command has `--exclude` and `--dtype`, which refusals then advise.
    /// - Throws: `UsageError` where the format cannot hold the result, or the destination is unfit.
    public init(
        _ source: Checkpoint, _ options: ConversionOptions, steps: [any TensorStep], aliases: [TensorInfo],
        dropped: [(name: String, rule: String)], changes: [(key: String, value: JSONValue)] = [],
        weightType: ElementType? = nil, packedCount: Int = 0, notes: [String] = [],
        mapping: MappedCheckpoint? = nil, canChoose: Bool = true
    ) throws {
        let target = try Destination(options, source)
        try options.check(target.format)
        let implied =
            weightType.flatMap {
                target.format.capabilities.holdsMetadata
                    ? FormatRegistry.edits(forWeightsOf: $0, in: source.contents, writing: target.format) : nil
            } ?? []
        metadataEdits = implied + options.metadataEdits
        let metadata = try MetadataEditing.apply(
            options.metadataEdits, after: implied, to: source.contents, for: target.format)
        let fitted = try Self.fit(steps, aliases, source.contents, target)
        self.source = source
        self.mapping = mapping
        self.options = options
        self.dropped = dropped
        self.packedCount = packedCount
        format = target.format
        isFolder = target.isFolder
        weightsFileName = target.weightsFileName
        companions =
            try isFolder
            ? CompanionFiles(of: source, changes: changes, for: options.destination)
            : CompanionFiles(leaving: source.folder)
        self.notes =
            try notes + fitted.notes + Self.leftovers(options)
            + (dropped.isEmpty || !companions.holdsConfiguration
                ? []
                : [
                    "\(dropped.count) of \((mapping?.source ?? source).contents.tensors.count) tensors are left out: the folder"
                        + " will be no complete model"
                ])
        let isUnchanged = dropped.isEmpty && steps.allSatisfy(\.isCopy)
        let parts = target.split(fitted.steps, fitted.aliases)
        let tensorCount = fitted.steps.reduce(fitted.aliases.count) { $0 + $1.outputs.count }
        files = try parts.enumerated().map { number, file in
            var planned = try Self.planFile(
                file.name, file.steps, file.aliases, metadata, target.format,
                originalHeader: isUnchanged ? source.contents.originalHeader : nil, canChoose: canChoose)
            planned.plan.removedMetadata = options.removedMetadata
            if parts.count > 1, target.format.capabilities.numbersParts {
                planned.plan.part = CheckpointPart(number: number, count: parts.count, tensorCount: tensorCount)
            }
            return planned
        }
    }

    /// What earlier runs left beside the destination.
    private static func leftovers(_ options: ConversionOptions) throws -> [String] {
        let destination = options.destination
        let certificate = destination.settled().beside(CompanionFiles.certificateSuffix)
        let killed =
            [destination, certificate].flatMap { StagedOutput.leftovers(of: $0) }.map {
                "\($0.forDisplay) is left from a run that was killed, if none is at work elsewhere; then it can be removed"
            }
            + [destination, certificate].flatMap { place in
                StagedOutput.previous(of: place).map {
                    "\($0.forDisplay) is what stood at \(place.forDisplay) before a run that was killed; rename it back,"
                        + " or remove it"
                }
            }
        let partial = PartialRun.folder(for: destination)
        guard !options.keepsProgress, try SystemCall.status(partial) != nil else { return killed }
        return killed + [
            "\(partial.forDisplay) is kept from an interrupted run; use --resume to go on with it, or remove it"
        ]
    }

    private static func planFile(
        _ name: String, _ steps: [any TensorStep], _ aliases: [TensorInfo],
        _ metadata: [(key: String, value: String)], _ format: any CheckpointFormat.Type,
        originalHeader: OriginalHeader?,
        canChoose: Bool
    ) throws -> PlannedFile {
        var positions: [[Int]] = []
        var tensors: [TensorInfo] = []
        for step in steps {
            positions.append(step.outputs.indices.map { tensors.count + $0 })
            tensors += step.outputs
        }
        tensors += aliases
        var seen = NameSet()
        for tensor in tensors where !seen.insert(tensor.name) {
            throw UsageError(
                "tensor '\(tensor.name.escapedForDisplay)': two tensors of the output would have this name")
        }
        let plan = WritePlan(
            tensors: tensors, metadata: format.capabilities.holdsMetadata ? metadata : [],
            originalHeader: originalHeader)
        try format.capabilities.check(plan, formatName: format.name, canChoose: canChoose)
        return PlannedFile(name: name, steps: steps, plan: plan, positions: positions)
    }

    private typealias Fitted = (steps: [any TensorStep], aliases: [TensorInfo], notes: [String])

    /// Makes do with what the format lacks, and says so: without aliases every name gets its own bytes, without names the
    /// only tensor takes the file's, and metadata is left.
    private static func fit(
        _ steps: [any TensorStep], _ aliases: [TensorInfo], _ contents: CheckpointContents, _ target: Destination
    ) throws -> Fitted {
        let (name, capabilities) = (target.format.name, target.format.capabilities)
        var fitted: Fitted = (steps, aliases, [])
        if !capabilities.holdsAliases, !aliases.isEmpty {
            fitted.steps += try repeated(aliases, steps, contents)
            fitted.aliases = []
            fitted.notes.append(
                "\(name) cannot share bytes between names; stored once more: \(aliases.map(\.name).listed(first: 5))")
        }
        if capabilities.notesAliases, !aliases.isEmpty, contents.formatName != name {
            fitted.notes.append(
                "\(name) keeps a second name as a note, which load_model of its library understands and load_file does not:"
                    + " \(aliases.map(\.name).listed(first: 5))")
        }
        if !capabilities.holdsNames, steps.count == 1, let output = steps[0].outputs.first,
            ExactName(output.name) != ExactName(target.stem)
        {
            var renamed = output
            renamed.name = target.stem
            fitted.steps = [try step(like: steps[0], steps[0].source, contents, renamed)]
            let (old, new) = (output.name.escapedForDisplay, target.stem.escapedForDisplay)
            fitted.notes.append("\(name) holds no names: tensor '\(old)' becomes '\(new)', after the file")
        }
        if !capabilities.holdsMetadata, !contents.metadata.isEmpty {
            fitted.notes.append(
                "\(name) holds no metadata; left behind: \(contents.metadata.map(\.key).listed(first: 5))")
        }
        return fitted
    }

    /// For each alias the step of what it names, done for itself.
    private static func repeated(
        _ aliases: [TensorInfo], _ steps: [any TensorStep], _ contents: CheckpointContents
    ) throws -> [any TensorStep] {
        let positions = contents.indexByName()
        let made = NameMap(steps.flatMap { step in step.outputs.map { ($0.name, step) } })
        return try aliases.compactMap { alias in
            guard let index = positions[alias.name], let original = alias.aliasOf.flatMap({ made[$0] }) else {
                return nil
            }
            var output = alias
            output.aliasOf = nil
            return try step(like: original, index, contents, output)
        }
    }

    /// A copy or cast as another step does it, to another tensor.
    private static func step(
        like other: any TensorStep, _ index: Int, _ contents: CheckpointContents, _ output: TensorInfo
    ) throws -> any TensorStep {
        guard let step = Recomputation.step(other.transform, index, of: contents, outputs: [output]) else {
            throw UsageError(
                "tensor '\(output.name.escapedForDisplay)': '\(other.transform)' cannot be done for it; choose another format"
            )
        }
        return step
    }

    /// Bytes that the disk must have free for some of the files. What a compressing format will need is not known
    /// beforehand; half is a cautious guess.
    private func neededByteCount(_ files: some Sequence<PlannedFile>) -> Int {
        let byteCount = files.reduce(0) { $0 + $1.plan.storedByteCount }
        return (isCompressed ? byteCount / 2 : byteCount) + (format.capabilities.needsPlainCopy ? byteCount : 0)
    }

    /// Whether the files will take fewer bytes than their tensors.
    public var isCompressed: Bool { format.capabilities.compresses || options.writing.deflateLevel != nil }

    /// By how many bytes the disk is too small; nil where it suffices, or nobody knows.
    public var lackingByteCount: Int? {
        let needed = neededByteCount(files)
        return freeByteCount.flatMap { $0 < needed ? needed - $0 : nil }
    }

    /// - Parameter kept: positions of files that are there already.
    /// - Throws: `SystemError` where the disk is too small.
    func checkSpace(keeping kept: [Int] = []) throws {
        let kept = Set(kept)
        let needed = neededByteCount(files.indices.lazy.filter { !kept.contains($0) }.map { files[$0] })
        guard let free = freeByteCount, free < needed else { return }
        throw SystemError(
            "write about \(needed) bytes", destination, .noSpace, advice: "\(free) bytes are free there")
    }
}

extension ConversionPlan {
    /// The plan of a plain conversion: every tensor copied, or cast where `elementType` asks for it.
    ///
    /// Only floating-point tensors are cast, and of those not the parts of packed weights nor the exponents of block
    /// scales, which mean nothing by themselves.
    ///
    /// - Parameter map: applied before, to the tensors that are kept.
    public static func convert(
        _ source: Checkpoint, _ options: ConversionOptions, to elementType: ElementType?,
        configuration: JSONObject? = nil, map: TensorMap? = nil
    ) throws -> ConversionPlan {
        let names = source.contents.tensors.map(\.name)
        try options.requireMatches(among: names)
        let dropped = names.compactMap { name in options.ruleDropping(name).map { (name: name, rule: $0) } }
        guard dropped.count < names.count || names.isEmpty else {
            throw UsageError("\(source.path.forDisplay): no tensor is left by --include and --exclude")
        }
        let left = NameSet(dropped.map(\.name))
        let mapping = try map.map { try MappedCheckpoint(source, $0, leaving: left) }
        return try convert(
            mapping?.checkpoint ?? source, options, to: elementType, configuration, dropped: dropped, mapping)
    }

    private static func convert(
        _ source: Checkpoint, _ options: ConversionOptions, to elementType: ElementType?, _ configuration: JSONObject?,
        dropped: [(name: String, rule: String)], _ mapping: MappedCheckpoint?
    ) throws -> ConversionPlan {
        let left = mapping == nil ? NameSet(dropped.map(\.name)) : NameSet()
        let (packed, unused) = try elementType == nil ? ([], []) : packedParts(source, configuration)
        var steps: [any TensorStep] = []
        var aliases: [TensorInfo] = []
        var kept = NameMap<TensorInfo>()
        for (index, info) in source.contents.tensors.enumerated() where !left.contains(info.name) {
            if let target = info.aliasOf.flatMap({ kept[$0] }) {
                var alias = target
                alias.name = info.name
                alias.aliasOf = target.name
                aliases.append(alias)
                continue
            }
            let stays = packed.contains(index) || unused.contains(index)
            let step = try Self.step(index, info, to: stays ? nil : elementType)
            steps.append(step)
            kept[info.name] = step.outputs[0]
        }
        let changes = elementType.flatMap { dtypeChange($0, configuration) }
        return try ConversionPlan(
            source, options, steps: steps, aliases: aliases, dropped: dropped, changes: changes.map { [$0] } ?? [],
            weightType: steps.contains { dequantizes($0, source.contents) } ? elementType : nil,
            packedCount: steps.count { packed.contains($0.source) },
            notes: note(of: steps.filter { unused.contains($0.source) }) + noteOfExponents(steps, elementType),
            mapping: mapping)
    }

    /// Exponents of block scales are left to whoever knows what they scale.
    private static func noteOfExponents(_ steps: [any TensorStep], _ type: ElementType?) -> [String] {
        let names = steps.filter { $0.isCopy && $0.outputs[0].elementType == .f8e8m0 }.map { $0.outputs[0].name }
        guard let type, type != .f8e8m0, !names.isEmpty else { return [] }
        return ["exponents of scales stay \(ElementType.f8e8m0.name): \(names.listed(first: 4))"]
    }

    private static func note(of unused: [any TensorStep]) -> [String] {
        guard !unused.isEmpty else { return [] }
        let names = unused.map { $0.outputs[0].name }
        return ["scales and zero points of activations stay as they are: \(names.listed(first: 4))"]
    }

    /// Where a tensor of `source` comes from.
    public func origin(of tensor: Int) -> TensorOrigin {
        mapping?.origin(of: tensor) ?? TensorOrigin(sources: [source.contents.tensors[tensor].name])
    }

    private static func dequantizes(_ step: any TensorStep, _ contents: CheckpointContents) -> Bool {
        !step.isCopy && contents.tensors[step.source].elementType.isBlock
    }

    private static func packedParts(
        _ source: Checkpoint, _ configuration: JSONObject?
    ) throws -> (packed: Set<Int>, unused: Set<Int>) {
        let logical = try LogicalCheckpoint(
            source.reader, configuration: configuration, name: source.path.forDisplay)
        let packed = logical.tensors.filter { $0.orientation != nil || $0.parts.count > 1 }
        return (Set(packed.flatMap(\.parts)), Set(logical.unused))
    }

    private static func step(_ index: Int, _ info: TensorInfo, to type: ElementType?) throws -> any TensorStep {
        var stored = info
        stored.aliasOf = nil
        guard let type, info.elementType.isFloating, info.elementType != type, info.elementType != .f8e8m0 else {
            return CopyStep(source: index, info: stored)
        }
        let name = info.name.escapedForDisplay
        guard let conversion = ElementConversion(from: info.elementType, to: type) else {
            let reason = ElementConversion.refusal(from: info.elementType, to: type) ?? "no conversion exists"
            throw UsageError("tensor '\(name)': \(reason)")
        }
        guard let output = TensorInfo(name: info.name, elementType: type, shape: info.shape) else {
            throw UsageError("tensor '\(name)': \(type.name) \(info.shape) does not fill whole bytes")
        }
        return CastStep(source: index, from: info, to: output, conversion)
    }

    /// What `config.json` says of the weights' type, where it says anything.
    private static func dtypeChange(
        _ type: ElementType, _ configuration: JSONObject?
    ) -> (key: String, value: JSONValue)? {
        guard let configuration, let name = type.torchName else { return nil }
        let key = ["dtype", "torch_dtype"].first { configuration[$0] != nil }
        return key.map { ($0, .string(name)) }
    }
}

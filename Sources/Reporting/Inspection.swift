import AssayCheckpoints
import AssayConversion
import AssayFormats
import AssayModels
import AssayTensors
import AssayVerification
import SystemPackage

/// What `inspect` says about a checkpoint.
public struct Inspection {
    private let checkpoint: Checkpoint
    /// Positions of the tensors that the pattern selects.
    private let selected: [Int]
    private let contentDigest: Digest?
    private let statistics: [TensorStatistics]?
    private let model: ModelFinding?
    /// Whether blocks are said as equations too.
    private let explains: Bool
    /// What says where the checkpoint came from; nil where nothing does.
    private let certificate: FilePath?

    /// What the configuration of a model folder says, and how the tensors agree with it.
    private enum ModelFinding {
        case known(ModelSummary, TableReport)
        case refused(String)
    }

    /// - Throws: what reading throws; `UsageError` where the pattern matches no tensor, or there is no model to explain.
    public init(
        of checkpoint: Checkpoint, pattern: NamePattern?, computesDigest: Bool, computesStatistics: Bool,
        explains: Bool = false, threads: Int
    ) throws {
        self.checkpoint = checkpoint
        self.explains = explains
        let contents = checkpoint.contents
        if let pattern {
            try NamePatterns([pattern]).requireMatches(
                among: contents.tensors.map(\.name), option: checkpoint.path.forDisplay, noun: "tensor")
            selected = contents.tensors.indices.filter { pattern.matches(contents.tensors[$0].name) }
        } else {
            selected = Array(contents.tensors.indices)
        }
        model = try ModelConfiguration.read(of: checkpoint).map { try Self.model(checkpoint, $0) }
        guard !explains || model != nil else {
            throw UsageError("--explain: says nothing of \(checkpoint.path.forDisplay), which has no config.json")
        }
        if let stored = contents.storedDigests {
            contentDigest = ContentDigest.of(contents.tensors, stored)
        } else if computesDigest {
            contentDigest = ContentDigest.of(
                contents.tensors, try Verifier.digests(of: checkpoint.reader, threads: threads))
        } else {
            contentDigest = nil
        }
        statistics = computesStatistics ? try Self.statistics(of: checkpoint.reader, selected, threads: threads) : nil
        certificate = try CertificateFile.lying(by: checkpoint)
    }

    private static func model(_ checkpoint: Checkpoint, _ configuration: JSONObject) throws -> ModelFinding {
        do {
            let model = try Model(
                checkpoint.reader, configuration: configuration,
                configurationFile: checkpoint.folder!.appending("config.json").forDisplay,
                name: checkpoint.path.forDisplay)
            return .known(ModelSummary(model), model.report)
        } catch let error as StructureError {
            return .refused(error.sentence)
        }
    }

    private static func statistics(
        of reader: any CheckpointReader, _ selected: [Int], threads: Int
    ) throws -> [TensorStatistics] {
        let results = ResultSlots<TensorStatistics>(count: selected.count)
        try Parallel.forEach(selected.count, threads: threads) { position in
            let info = reader.contents.tensors[selected[position]]
            var statistics = TensorStatistics()
            try reader.forEachPiece(of: selected[position]) { _, bytes in
                statistics.add(bytes, type: info.elementType)
            }
            results.set(position, statistics)
        }
        return results.all
    }

    /// 2 where the checkpoint is not what its configuration says.
    public var exitStatus: ExitStatus {
        switch model {
        case .known(_, let report)?: report.isSound ? .done : .structureDiffers
        case .refused?, nil: .done
        }
    }

    // MARK: Text

    /// - Parameter width: of the terminal; nil where nothing needs to fit.
    public func text(width: Int?) -> String {
        var lines = headLines(width) + modelLines(width)
        if !selected.isEmpty {
            lines.append("")
            lines.append(tensorTable.text(width: width))
        }
        if statistics != nil {
            lines.append("")
            lines.append(statisticsTable.text(width: width))
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Where what is said about something begins.
    private static let column = 14

    private func headLines(_ width: Int?) -> [String] {
        let contents = checkpoint.contents
        var lines = [checkpoint.path.forDisplay]
        func add(_ label: String, _ text: String) { lines += text.labelled(label, column: Self.column, to: width) }
        let files = checkpoint.files.count == 1 ? "" : ", \(checkpoint.files.count) files"
        add("format", "\(contents.formatName)\(files), \(Quantities.bytes(contents.fileByteCount))")
        for (key, value) in contents.details { add(key, value) }
        add("tensors", totals.text)
        if selected.count < contents.tensors.count { add("selected", Quantities.plural(selected.count, "tensor")) }
        if let contentDigest { add("content", "\(contentDigest)") }
        for (key, value) in contents.metadata where key != CheckpointContents.foreignKey {
            lines.append(metadataLine(key, value))
        }
        lines += contents.shownMetadata.map { metadataLine($0.key, $0.value) }
        if contents.shownMetadata.isEmpty,
            contents.metadata.contains(where: { $0.key == CheckpointContents.foreignKey })
        {
            add("metadata", "and attributes that are not text (shown by --json)")
        }
        if let certificate { add("certificate", "\(certificate.forDisplay); 'assay verify' checks it") }
        for warning in checkpoint.warnings { add("note", warning.escaped) }
        if model == nil { add("complete", completeness) }
        return lines
    }

    /// What can be said without a configuration. A tensor whose data is cut off is refused when the file is opened.
    private var completeness: String {
        checkpoint.lonePart.map {
            "no: this is part \($0.number + 1) of \($0.count); name the folder or the index of all"
        }
            ?? "every tensor's data is there; "
            + (hasConfiguration
                ? "name the folder to see what its config.json says"
                : "no config.json beside it says what a model needs")
    }

    private var hasConfiguration: Bool {
        let folder = (checkpoint.index ?? checkpoint.path).removingLastComponent()
        return (try? SystemCall.status(folder.appending("config.json"))) != nil
    }

    private func metadataLine(_ key: String, _ value: String) -> String {
        let line = "  metadata    \(key.shownAsName): \(value.escapedForDisplay)"
        return line.count > 80 ? line.prefix(79) + "…" : line
    }

    private var totals: TensorTotals { TensorTotals(checkpoint.contents.tensors) }

    private func modelLines(_ width: Int?) -> [String] {
        switch model {
        case nil: return []
        case .refused(let sentence):
            return "cannot be computed: \(sentence)".labelled("model", column: Self.column, to: width)
        case .known(let summary, let report):
            var lines: [String] = []
            func add(_ label: String, _ text: String) {
                lines += text.labelled(label, column: Self.column, to: width)
            }
            add(
                "model",
                "\(summary.architecture), \(Quantities.count(summary.parameterCount)) parameters"
                    + (summary.storages.isEmpty ? "" : " in \(summary.storages)"))
            add(
                "blocks",
                "\(summary.layerCount) layers, hidden \(summary.hiddenSize), \(summary.headCount) heads of"
                    + " \(summary.headDimension), inner \(summary.innerSize), \(summary.activation)")
            if let experts = summary.experts {
                add("experts", "\(experts.count) of inner \(experts.innerSize), \(experts.chosenCount) a token")
            }
            let head = Explanation.head(summary) + (summary.hasPooler ? ", pooler" : "")
            if summary.vocabularySize > 0 {
                add(
                    "vocabulary",
                    "\(Quantities.count(summary.vocabularySize)), context \(Quantities.count(summary.contextLength)), "
                        + head)
            } else {
                add("results", head)
            }
            for (stack, costs) in zip(summary.spec.stacks, summary.costs) { describe(stack, costs, add) }
            add(
                "complete",
                report.isSound
                    ? "yes" + (report.ignored.isEmpty ? "" : ", \(report.ignored.count) not needed")
                    : "no: \(report.missing.count) missing, \(report.extra.count) extra, \(report.misshapen.count) misshapen"
            )
            lines += report.sentences.prefix(10).flatMap { $0.labelled("", column: Self.column, to: width) }
            if report.sentences.count > 10 { lines.append("              ... \(report.sentences.count) in all") }
            return lines
        }
    }

    /// What a stack costs, what its layers see, and how its blocks are built.
    private func describe(_ stack: StackSpec, _ costs: StackCosts, _ add: (_ label: String, _ text: String) -> Void) {
        let length = min(stack.contextLength, Self.longestShownContext)
        if let features = stack.embedding.features {
            add("reads", Explanation.role(stack) + Explanation.reading(features))
        }
        add("work", Explanation.role(stack) + work(stack, costs, length))
        if costs.cachedNumbers > 0 {
            add(
                "cache",
                Explanation.role(stack) + "\(Quantities.bytes(2 * costs.cachedNumbers)) a token in 16 bits, "
                    + "\(Quantities.bytes(2 * costs.cachedNumbers(length: length))) at \(Quantities.count(length))")
        }
        if explains, let features = stack.embedding.features {
            for (line, text) in Explanation.equations(stack.embedding, features).enumerated() {
                add(line == 0 ? "input" : "", text)
            }
        }
        add("attention", Explanation.role(stack) + Explanation.attentionPattern(stack))
        for (number, block) in stack.blocks.kinds.enumerated() {
            let label = stack.blocks.kinds.count == 1 ? "block" : "block \(number + 1)"
            for (line, text) in Explanation.drawing(block).enumerated() { add(line == 0 ? label : "", text) }
            guard explains else { continue }
            for (line, text) in Explanation.equations(block, hidden: stack.hiddenSize).enumerated() {
                add(line == 0 ? "equations" : "", text)
            }
        }
    }

    /// What a token costs, or a position of what is read whole.
    private func work(_ stack: StackSpec, _ costs: StackCosts, _ length: Int) -> String {
        let last = costs.weightOperations + costs.attentionOperations(length: length)
        let once =
            costs.sequenceOperations > 0 ? ", \(Quantities.operations(costs.sequenceOperations)) once a sequence" : ""
        guard stack.embedding.features != nil else {
            return "\(Quantities.operations(costs.weightOperations)) FLOPs a token, "
                + "\(Quantities.operations(last)) at position \(Quantities.count(length))\(once)"
        }
        let (all, overflow) = last.multipliedReportingOverflow(by: length)
        return "\(Quantities.operations(last)) FLOPs a position, "
            + "\(Quantities.operations(overflow ? Int.max : all)) for all \(Quantities.count(length))\(once)"
    }

    /// Models that turn positions have no end of their own.
    private static let longestShownContext = 1 << 20

    private var tensorTable: TextTable {
        var table = TextTable([("tensor", .left), ("type", .left), ("shape", .left), ("bytes", .right)])
        table.reserveCapacity(rows: selected.count)
        for index in selected {
            let info = checkpoint.contents.tensors[index]
            table.add([
                info.name.shownAsName + (info.aliasOf.map { " = \($0.shownAsName)" } ?? ""),
                info.elementType.name, info.shape.description, Quantities.bytes(info.byteCount),
            ])
        }
        return table
    }

    private var statisticsTable: TextTable {
        var table = TextTable([
            ("tensor", .left), ("min", .right), ("max", .right), ("mean", .right), ("std", .right), ("zeros", .right),
            ("NaN", .right), ("Inf", .right),
        ])
        for (index, statistics) in zip(selected, statistics ?? []) {
            let info = checkpoint.contents.tensors[index]
            func figure(_ value: Double?) -> String { value.map { Quantities.figure($0) } ?? "-" }
            table.add([
                info.name.shownAsName, figure(statistics.minimum), figure(statistics.maximum),
                figure(statistics.mean), figure(statistics.standardDeviation), Quantities.count(statistics.zeroCount),
                Quantities.count(statistics.nanCount), Quantities.count(statistics.infinityCount),
            ])
        }
        return table
    }

    // MARK: JSON

    public var json: String {
        let contents = checkpoint.contents
        var object = JSONObject([
            ("path", .string(checkpoint.path.string)), ("format", .string(contents.formatName)),
            ("files", .array(checkpoint.files.map { .string($0.string) })),
            ("fileBytes", JSONValue(contents.fileByteCount)),
            ("details", .object(JSONObject(contents.details.map { ($0.key, .string($0.value)) }))),
            ("contentDigest", JSONValue(contentDigest?.description)),
            ("metadata", .object(JSONObject(Self.unique(contents.metadata)))),
            ("shownMetadata", .object(JSONObject(Self.unique(contents.shownMetadata)))),
            ("totals", totals.json),
            ("tensors", .array(selected.enumerated().map { tensorJSON($0.offset, contents.tensors[$0.element]) })),
            ("warnings", .array(checkpoint.warnings.map { .string($0) })),
            ("certificate", JSONValue(certificate?.string)),
        ])
        object["part"] = checkpoint.lonePart.map { ["number": JSONValue($0.number + 1), "count": JSONValue($0.count)] }
        object["model"] = modelJSON
        if let fault = contents.fault {
            object["error"] = .string(fault.description)
            object["exitCode"] = JSONValue(Int(fault.exitStatus.rawValue))
        }
        return JSONValue.object(object).prettyText + "\n"
    }

    /// The first of every key.
    private static func unique(_ pairs: [(key: String, value: String)]) -> [(key: String, value: JSONValue)] {
        var seen = NameSet()
        return pairs.filter { seen.insert($0.key) }.map { ($0.key, .string($0.value)) }
    }

    private func tensorJSON(_ position: Int, _ info: TensorInfo) -> JSONValue {
        var object = JSONObject([
            ("name", .string(info.name)), ("type", .string(info.elementType.name)),
            ("shape", .array(info.shape.dimensions.map { JSONValue($0) })), ("bytes", JSONValue(info.byteCount)),
        ])
        object["aliasOf"] = info.aliasOf.map { .string($0) }
        if let digest = checkpoint.contents.storedDigests?[selected[position]] {
            object["sha256"] = .string("\(digest)")
        }
        if let statistics = statistics?[position] {
            object["statistics"] = [
                "count": JSONValue(statistics.count), "min": JSONValue(statistics.minimum),
                "max": JSONValue(statistics.maximum), "mean": JSONValue(statistics.mean),
                "std": JSONValue(statistics.standardDeviation), "zeros": JSONValue(statistics.zeroCount),
                "nan": JSONValue(statistics.nanCount), "inf": JSONValue(statistics.infinityCount),
            ]
        }
        return .object(object)
    }

    private var modelJSON: JSONValue? {
        switch model {
        case nil: return nil
        case .refused(let sentence): return ["refused": .string(sentence)]
        case .known(let summary, let report):
            let experts: JSONValue? = summary.experts.map {
                [
                    "count": JSONValue($0.count), "perToken": JSONValue($0.chosenCount),
                    "innerSize": JSONValue($0.innerSize),
                ]
            }
            return [
                "architecture": .string(summary.architecture), "parameters": JSONValue(summary.parameterCount),
                "storage": .string(summary.storages),
                "layers": JSONValue(summary.layerCount), "hiddenSize": JSONValue(summary.hiddenSize),
                "heads": JSONValue(summary.headCount), "headDimension": JSONValue(summary.headDimension),
                "innerSize": JSONValue(summary.innerSize), "activation": .string("\(summary.activation)"),
                "experts": experts ?? .null,
                "stacks": .array(zip(summary.spec.stacks, summary.costs).map(stackJSON)),
                "vocabulary": JSONValue(summary.vocabularySize), "context": JSONValue(summary.contextLength),
                "headTied": .bool(summary.isHeadTied), "isComplete": .bool(report.isSound),
                "missing": .array(report.missing.map { .string($0) }),
                "extra": .array(report.extra.map { .string($0) }),
                "misshapen": .array(
                    report.misshapen.map {
                        [
                            "name": .string($0.name),
                            "expected": .array($0.expected.dimensions.map { JSONValue($0) }),
                            "found": .array($0.found.dimensions.map { JSONValue($0) }),
                        ]
                    }),
                "ignored": .array(report.ignored.map { .string($0) }),
            ]
        }
    }
}

extension Inspection {
    private func stackJSON(_ stack: StackSpec, _ costs: StackCosts) -> JSONValue {
        var object = JSONObject([
            ("role", .string(stack.role == .only ? "" : stack.role.rawValue)), ("layers", JSONValue(stack.layerCount)),
            ("flopsPerToken", JSONValue(costs.weightOperations)),
            (
                "flopsPerTokenAtContext",
                JSONValue(
                    costs.weightOperations
                        + costs.attentionOperations(length: min(stack.contextLength, Self.longestShownContext)))
            ),
            ("flopsPerSequence", JSONValue(costs.sequenceOperations)),
            ("cachedNumbersPerToken", JSONValue(costs.cachedNumbers)),
            ("reads", .string(stack.embedding.features.map(Explanation.reading) ?? "tokens")),
            ("attention", .string(Explanation.attentionPattern(stack))),
            (
                "blocks",
                .array(stack.blocks.kinds.map { block in .array(Explanation.drawing(block).map { .string($0) }) })
            ),
        ])
        if explains {
            object["equations"] = .array(
                stack.blocks.kinds.map { block in
                    .array(Explanation.equations(block, hidden: stack.hiddenSize).map { .string($0) })
                })
        }
        return .object(object)
    }
}

/// How many tensors there are of which type, and how large they are.
private struct TensorTotals {
    private let count: Int
    private var elementCount = 0
    /// The largest first.
    private let groups: [(type: ElementType, count: Int, bytes: Int)]

    init(_ tensors: [TensorInfo]) {
        count = tensors.count
        var groups: [(type: ElementType, count: Int, bytes: Int)] = []
        for tensor in tensors where tensor.aliasOf == nil {
            let type = tensor.elementType
            let position = groups.firstIndex { $0.type == type } ?? groups.count
            if position == groups.count { groups.append((type, 0, 0)) }
            groups[position].count += 1
            groups[position].bytes += tensor.byteCount
            elementCount += tensor.shape.elementCount
        }
        self.groups = groups.sorted { ($1.bytes, $0.type.name) < ($0.bytes, $1.type.name) }
    }

    private var byteCount: Int { groups.reduce(0) { $0 + $1.bytes } }
    private var aliasCount: Int { groups.reduce(count) { $0 - $1.count } }

    /// "52, 2,012,345 elements, 7.9 MB: 51 F32 (7.9 MB), 1 I64 (8 B)".
    var text: String {
        let parts = groups.map { "\(Quantities.count($0.count)) \($0.type.name) (\(Quantities.bytes($0.bytes)))" }
        return
            "\(Quantities.count(count)), \(Quantities.plural(elementCount, "element")), \(Quantities.bytes(byteCount))"
            + (parts.isEmpty ? "" : ": " + parts.joined(separator: ", "))
            + (aliasCount > 0 ? ", \(Quantities.plural(aliasCount, "more name")) for the same bytes" : "")
    }

    var json: JSONValue {
        let types = groups.map { group -> (key: String, value: JSONValue) in
            (group.type.name, ["tensors": JSONValue(group.count), "bytes": JSONValue(group.bytes)])
        }
        return [
            "tensors": JSONValue(count), "aliases": JSONValue(aliasCount),
            "elements": JSONValue(elementCount), "bytes": JSONValue(byteCount),
            "types": .object(JSONObject(types)),
        ]
    }
}

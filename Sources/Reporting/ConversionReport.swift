import AssayCheckpoints
import AssayConversion
import AssayTensors
import SystemPackage

/// What a conversion would do, or has done, as text and as JSON.
public enum ConversionReport {
    // MARK: Before

    /// - Parameter width: that lines are to fit; nil where nothing needs to.
    public static func text(of plan: ConversionPlan, width: Int?) -> String {
        var lines = Lines(width)
        lines.addHead(
            "\(plan.source.path.forDisplay) (\(plan.source.contents.formatName)) to \(plan.destination.forDisplay)"
                + " (\(plan.format.name))")
        lines.add("transforms", transforms(plan.files.flatMap { $0.steps.map(\.transform) }))
        lines.addMapping(plan)
        for (name, rule) in plan.dropped.prefix(10) { lines.add("dropped", "\(name.shownAsName): \(rule)") }
        if plan.dropped.count > 10 { lines.add("dropped", "... \(plan.dropped.count) in all") }
        lines.add(plan.metadataEdits)
        lines.addPacked(plan)
        if plan.files.count > 1 { lines.add("files", "\(plan.files.count)") }
        lines.add("along", names: plan.companions.copied)
        lines.add("left", names: plan.companions.left)
        for note in plan.notes { lines.add("note", note) }
        lines.add("bytes in", Quantities.bytes(plan.sourceByteCount))
        lines.add(
            "bytes out", Quantities.bytes(plan.destinationByteCount) + (plan.isCompressed ? " before compression" : ""))
        lines.add("peak memory", "about \(Quantities.bytes(plan.expectedPeakByteCount))")
        lines.add("free disk", freeDisk(plan))
        return lines.text
    }

    /// "69.2 GB", with what it lacks where it is too small.
    private static func freeDisk(_ plan: ConversionPlan) -> String {
        guard let free = plan.freeByteCount else { return "unknown" }
        let lack = plan.lackingByteCount.map { ": too small, \(Quantities.bytes($0)) more are needed" } ?? ""
        return Quantities.bytes(free) + lack
    }

    /// Lines of a label and what is said about it.
    private struct Lines {
        private(set) var all: [String] = []
        private let width: Int?
        private static let column = 15

        init(_ width: Int?) { self.width = width }

        var text: String { all.joined(separator: "\n") + "\n" }

        mutating func addHead(_ text: String) { all += text.wrapped(to: width, indent: "  ") }

        mutating func add(_ label: String, _ text: String) {
            all += text.labelled(label, column: Self.column, to: width)
        }

        /// Names of files; nothing where there are none.
        mutating func add(_ label: String, names: [String]) {
            if !names.isEmpty { add(label, names.map(\.shownAsName).joined(separator: ", ")) }
        }

        mutating func add(lines: [String]) { all += lines }

        mutating func add(_ edits: [MetadataEdit]) {
            for edit in edits {
                let key = edit.key.shownAsName
                add("metadata", edit.value.map { "\(key) becomes '\($0.escapedForDisplay)'" } ?? "\(key) is taken away")
            }
        }

        mutating func addMapping(_ plan: ConversionPlan) {
            guard plan.mapping != nil else { return }
            let kinds = plan.files.flatMap(\.steps).compactMap {
                plan.origin(of: $0.source).kind(outputs: $0.outputs.map(\.name))
            }
            add("mapping", kinds.isEmpty ? "changes nothing" : ConversionReport.transforms(kinds))
        }

        mutating func addPacked(_ plan: ConversionPlan) {
            guard plan.packedCount > 0 else { return }
            add(
                "packed",
                "\(Quantities.plural(plan.packedCount, "tensor")) of packed weights left as they are: --dtype rounds"
                    + " plain weights only, and nothing unpacks them yet")
        }
    }

    public static func json(of plan: ConversionPlan) -> String {
        let value: JSONValue = [
            "source": .string(plan.source.path.string), "sourceFormat": .string(plan.source.contents.formatName),
            "destination": .string(plan.destination.string), "destinationFormat": .string(plan.format.name),
            "files": .array(plan.files.map { .string($0.name) }),
            "steps": .array(
                plan.files.flatMap(\.steps).map { step in
                    let outputs = step.outputs.map(\.name)
                    return .object(
                        JSONObject(
                            plan.origin(of: step.source).members(outputs: outputs) + [
                                ("operation", .string(step.transform)),
                                ("outputs", .array(outputs.map { .string($0) })),
                            ]))
                }),
            "dropped": .array(plan.dropped.map { ["name": .string($0.name), "rule": .string($0.rule)] }),
            "metadataEdits": json(plan.metadataEdits),
            "packedLeft": JSONValue(plan.packedCount), "left": .array(plan.companions.left.map { .string($0) }),
            "notes": .array(plan.notes.map { .string($0) }),
            "bytesIn": JSONValue(plan.sourceByteCount), "bytesOut": JSONValue(plan.destinationByteCount),
            "expectedPeakBytes": JSONValue(plan.expectedPeakByteCount),
            "freeBytes": plan.freeByteCount.map { JSONValue($0) } ?? .null,
            "lackingBytes": JSONValue(plan.lackingByteCount ?? 0),
        ]
        return value.prettyText + "\n"
    }

    // MARK: After

    public static func text(
        of finished: FinishedConversion, certificate: FilePath?, seconds: Double, width: Int?
    ) -> String {
        let (plan, outcome) = (finished.plan, finished.outcome)
        let written = outcome.files.reduce(0) { $0 + $1.byteCount }
        let count = outcome.files.reduce(0) { $0 + $1.tensors.count }
        var lines = Lines(width)
        lines.addHead(
            "\(plan.destination.forDisplay): \(plan.format.name), \(Quantities.plural(count, "tensor")),"
                + " \(Quantities.bytes(written))")
        lines.add("transforms", transforms(outcome.steps.map(\.transform)))
        lines.addMapping(plan)
        if !plan.dropped.isEmpty { lines.add("dropped", "\(Quantities.plural(plan.dropped.count, "tensor")) by rule") }
        lines.add(plan.metadataEdits)
        lines.addPacked(plan)
        if outcome.tally.overflowed > 0 {
            lines.add("overflowed", "\(Quantities.plural(outcome.tally.overflowed, "value")) too large for the type")
        }
        if outcome.tally.underflowed > 0 {
            lines.add("underflowed", "\(Quantities.plural(outcome.tally.underflowed, "value")) became zero")
        }
        let replaced = outcome.steps.reduce(0) {
            $0 + ($1.findings.quantization?["replacedElements"]?.int ?? 0)
        }
        if replaced > 0 {
            lines.add("replaced", "\(Quantities.plural(replaced, "element")), not finite (--allow-non-finite)")
        }
        if let digest = outcome.destinationContentDigest { lines.add("content", "\(digest)") }
        lines.add("read again", outcome.wasVerified ? "and equal" : "no (--no-verify)")
        lines.add("left", names: plan.companions.left)
        lines.add("certificate", certificate?.forDisplay ?? "none")
        lines.add(lines: quantizationLines(outcome, width: width))
        lines.add("time", time(plan, outcome, seconds))
        return lines.text
    }

    /// "8.4 s: 1.1 s at 950 MB/s, 6.2 s until the disk had it, 1.1 s to read it again".
    private static func time(_ plan: ConversionPlan, _ outcome: ConversionOutcome, _ seconds: Double) -> String {
        let parts = outcome.seconds
        let rate = parts.converting > 0 ? Double(plan.sourceByteCount) / parts.converting : 0
        return
            "\(Quantities.figure(seconds)) s: \(Quantities.figure(parts.converting)) s at \(Quantities.bytes(Int(rate)))/s,"
            + " \(Quantities.figure(parts.flushing)) s until the disk had it"
            + (outcome.wasVerified ? ", \(Quantities.figure(parts.verifying)) s to read it again" : "")
    }

    /// What rounding cost, a line a weight.
    private static func quantizationLines(_ outcome: ConversionOutcome, width: Int?) -> [String] {
        var table = TextTable([
            ("quantized weight", .left), ("bits", .right), ("SQNR dB", .right), ("rel. L2", .right),
            ("max error", .right), ("saturated", .right),
        ])
        for step in outcome.steps {
            guard let figures = step.findings.quantization else { continue }
            func figure(_ key: String, digits: Int) -> String {
                figures[key]?.double.map { Quantities.rounded($0, digits: digits) } ?? figures[key]?.string ?? "-"
            }
            let saturated = figures["saturatedFraction"]?.double.map { Quantities.rounded($0 * 100, digits: 2) + " %" }
            table.add([
                step.source.shownAsName, figure("bitsPerElement", digits: 2), figure("sqnrDecibels", digits: 1),
                figure("relativeL2", digits: 4),
                figures["maximumError"]?.double.map { Quantities.figure($0, significant: 2) } ?? "-",
                saturated ?? "-",
            ])
        }
        return table.isEmpty ? [] : ["", table.text(width: width), ""]
    }

    public static func json(of finished: FinishedConversion, certificate: FilePath?) -> String {
        let (plan, outcome) = (finished.plan, finished.outcome)
        let value: JSONValue = [
            "destination": .string(plan.destination.string), "format": .string(plan.format.name),
            "files": .array(outcome.files.map { ["name": .string($0.name), "bytes": JSONValue($0.byteCount)] }),
            "tensors": JSONValue(outcome.files.reduce(0) { $0 + $1.tensors.count }),
            "contentDigest": JSONValue(outcome.destinationContentDigest?.description),
            "steps": .array(steps(finished)),
            "dropped": .array(plan.dropped.map { ["name": .string($0.name), "rule": .string($0.rule)] }),
            "metadataEdits": json(plan.metadataEdits),
            "packedLeft": JSONValue(plan.packedCount), "left": .array(plan.companions.left.map { .string($0) }),
            "notes": .array(plan.notes.map { .string($0) }),
            "overflowed": JSONValue(outcome.tally.overflowed), "underflowed": JSONValue(outcome.tally.underflowed),
            "verified": .bool(outcome.wasVerified), "certificate": JSONValue(certificate?.string),
            "seconds": [
                "converting": JSONValue(outcome.seconds.converting), "flushing": JSONValue(outcome.seconds.flushing),
                "verifying": JSONValue(outcome.seconds.verifying),
            ],
        ]
        return value.prettyText + "\n"
    }

    // MARK: In place

    /// - Parameters:
    ///   - wasDone: false of a dry run.
    ///   - renewed: certificates that were written anew.
    public static func text(of edit: HeaderEdit, wasDone: Bool, _ renewed: [FilePath], width: Int?) -> String {
        var lines = Lines(width)
        lines.addHead(
            "\(edit.path.forDisplay): \(edit.format.name), the header\(wasDone ? " was changed" : " would be changed") in place"
        )
        lines.add(edit.edits)
        lines.add("header", "\(Quantities.bytes(edit.header.count)); the data stays as it is, where it is")
        for path in renewed { lines.add("certificate", "\(path.forDisplay), renewed") }
        return lines.text
    }

    public static func json(of edit: HeaderEdit, wasDone: Bool, _ renewed: [FilePath]) -> String {
        let value: JSONValue = [
            "file": .string(edit.path.string), "format": .string(edit.format.name),
            "metadataEdits": json(edit.edits), "headerBytes": JSONValue(edit.header.count), "done": .bool(wasDone),
            "renewedCertificates": .array(renewed.map { .string($0.string) }),
        ]
        return value.prettyText + "\n"
    }

    private static func json(_ edits: [MetadataEdit]) -> JSONValue {
        .array(edits.map { ["key": .string($0.key), "value": JSONValue($0.value)] })
    }

    private static func steps(_ finished: FinishedConversion) -> [JSONValue] {
        let plan = finished.plan
        let positions = plan.source.contents.indexByName()
        return finished.outcome.steps.map { step in
            var object = JSONObject(
                plan.origin(of: positions[step.source]!).members(outputs: step.outputs) + [
                    ("operation", .string(step.transform)), ("outputs", .array(step.outputs.map { .string($0) })),
                ])
            object["quantization"] = step.findings.quantization.map { .object($0) }
            return .object(object)
        }
    }

    /// "12 × copy, 40 × cast F32 to BF16".
    static func transforms(_ operations: [String]) -> String {
        let counts = Dictionary(grouping: operations) { $0 }.mapValues(\.count)
        return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            .map { "\(Quantities.count($0.value)) × \($0.key)" }.joined(separator: ", ")
    }
}

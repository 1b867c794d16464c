import AssayCheckpoints
import AssayConversion
import AssayTensors
import SystemPackage

/// What a conversion would do, or has done, as text and as JSON.
public enum ConversionReport {
    // MARK: Before

    public static func text(of plan: ConversionPlan) -> String {
        var lines = [
            "\(plan.source.path.forDisplay) (\(plan.source.contents.formatName)) to \(plan.destination.forDisplay) (\(plan.format.name))"
        ]
        lines.append("  transforms   " + transforms(plan.files.flatMap { $0.steps.map(\.transform) }))
        lines += plan.dropped.prefix(10).map { "  dropped      \($0.name.escapedForDisplay): \($0.rule)" }
        if plan.dropped.count > 10 { lines.append("  dropped      ... \(plan.dropped.count) in all") }
        if plan.files.count > 1 { lines.append("  files        \(plan.files.count)") }
        if !plan.companions.copied.isEmpty {
            lines.append("  along        " + plan.companions.copied.joined(separator: ", "))
        }
        if !plan.companions.left.isEmpty {
            lines.append("  left         " + plan.companions.left.joined(separator: ", "))
        }
        lines += plan.notes.map { "  note         \($0)" }
        lines.append("  bytes in     \(Quantities.bytes(plan.sourceByteCount))")
        lines.append(
            "  bytes out    \(Quantities.bytes(plan.destinationByteCount))\(compressed(plan) ? " before compression" : "")"
        )
        lines.append("  peak memory  about \(Quantities.bytes(plan.expectedPeakByteCount))")
        lines.append("  free disk    \(plan.freeByteCount.map { Quantities.bytes($0) } ?? "unknown")")
        return lines.joined(separator: "\n") + "\n"
    }

    private static func compressed(_ plan: ConversionPlan) -> Bool {
        plan.format.name == "zplanes" || plan.options.writing.deflateLevel != nil
    }

    public static func json(of plan: ConversionPlan) -> String {
        let value: JSONValue = [
            "source": .string(plan.source.path.string), "sourceFormat": .string(plan.source.contents.formatName),
            "destination": .string(plan.destination.string), "destinationFormat": .string(plan.format.name),
            "files": .array(plan.files.map { .string($0.name) }),
            "steps": .array(
                plan.files.flatMap(\.steps).map { step in
                    [
                        "source": .string(plan.source.contents.tensors[step.source].name),
                        "operation": .string(step.transform),
                        "outputs": .array(step.outputs.map { .string($0.name) }),
                    ]
                }),
            "dropped": .array(plan.dropped.map { ["name": .string($0.name), "rule": .string($0.rule)] }),
            "bytesIn": JSONValue(plan.sourceByteCount), "bytesOut": JSONValue(plan.destinationByteCount),
            "expectedPeakBytes": JSONValue(plan.expectedPeakByteCount),
            "freeBytes": plan.freeByteCount.map { JSONValue($0) } ?? .null,
        ]
        return value.prettyText + "\n"
    }

    // MARK: After

    public static func text(
        of finished: FinishedConversion, certificate: FilePath?, seconds: Double, width: Int?
    ) -> String {
        let (plan, outcome) = (finished.plan, finished.outcome)
        let written = outcome.files.reduce(0) { $0 + $1.byteCount }
        var lines = [
            "\(plan.destination.forDisplay): \(plan.format.name), \(Quantities.plural(outcome.files.reduce(0) { $0 + $1.tensors.count }, "tensor")), \(Quantities.bytes(written))"
        ]
        lines.append("  transforms   " + transforms(outcome.steps.map(\.transform)))
        if !plan.dropped.isEmpty {
            lines.append("  dropped      \(Quantities.plural(plan.dropped.count, "tensor")) by rule")
        }
        if outcome.tally.overflowed > 0 {
            lines.append(
                "  overflowed   \(Quantities.plural(outcome.tally.overflowed, "value")) too large for the type")
        }
        if outcome.tally.underflowed > 0 {
            lines.append("  underflowed  \(Quantities.plural(outcome.tally.underflowed, "value")) became zero")
        }
        if let digest = outcome.destinationContentDigest { lines.append("  content      \(digest)") }
        lines.append("  read again   \(outcome.wasVerified ? "and equal" : "no (--no-verify)")")
        if !plan.companions.left.isEmpty {
            lines.append("  left         " + plan.companions.left.joined(separator: ", "))
        }
        lines.append("  certificate  \(certificate?.forDisplay ?? "none")")
        lines += quantizationLines(outcome, width: width)
        lines.append("  time         " + time(plan, outcome, seconds))
        return lines.joined(separator: "\n") + "\n"
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
            let saturated = (figures["saturatedFraction"]?.double ?? 0) * 100
            table.add([
                step.source.escapedForDisplay, figure("bitsPerElement", digits: 2), figure("sqnrDecibels", digits: 1),
                figure("relativeL2", digits: 4),
                figures["maximumError"]?.double.map { Quantities.figure($0, significant: 2) } ?? "-",
                Quantities.rounded(saturated, digits: 2) + " %",
            ])
        }
        return table.isEmpty ? [] : [""] + table.lines(width: width) + [""]
    }

    public static func json(of finished: FinishedConversion, certificate: FilePath?) -> String {
        let (plan, outcome) = (finished.plan, finished.outcome)
        let value: JSONValue = [
            "destination": .string(plan.destination.string), "format": .string(plan.format.name),
            "files": .array(outcome.files.map { ["name": .string($0.name), "bytes": JSONValue($0.byteCount)] }),
            "tensors": JSONValue(outcome.files.reduce(0) { $0 + $1.tensors.count }),
            "contentDigest": JSONValue(outcome.destinationContentDigest?.description),
            "steps": .array(outcome.steps.map(json)),
            "dropped": .array(plan.dropped.map { ["name": .string($0.name), "rule": .string($0.rule)] }),
            "overflowed": JSONValue(outcome.tally.overflowed), "underflowed": JSONValue(outcome.tally.underflowed),
            "verified": .bool(outcome.wasVerified), "certificate": JSONValue(certificate?.string),
            "seconds": [
                "converting": JSONValue(outcome.seconds.converting), "flushing": JSONValue(outcome.seconds.flushing),
                "verifying": JSONValue(outcome.seconds.verifying),
            ],
        ]
        return value.prettyText + "\n"
    }

    private static func json(_ step: ConversionOutcome.Step) -> JSONValue {
        var object = JSONObject([
            ("source", .string(step.source)), ("operation", .string(step.transform)),
            ("outputs", .array(step.outputs.map { .string($0) })),
        ])
        object["quantization"] = step.findings.quantization.map { .object($0) }
        return .object(object)
    }

    /// "12 × copy, 40 × cast F32 to BF16".
    static func transforms(_ operations: [String]) -> String {
        let counts = Dictionary(grouping: operations) { $0 }.mapValues(\.count)
        return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            .map { "\(Quantities.count($0.value)) × \($0.key)" }.joined(separator: ", ")
    }
}

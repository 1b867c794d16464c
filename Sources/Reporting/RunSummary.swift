import AssayCheckpoints
import AssayModels
import AssayTensors

/// What a forward pass showed: a line a tap.
public final class RunSummary {
    private let runner: BlockRunner
    private var taps: [(tap: PlannedTap, statistics: TensorStatistics)] = []

    public init(_ runner: BlockRunner) { self.runner = runner }

    /// Takes the values of a tap, or some rows of them.
    public func observe(_ values: TapValues) {
        if taps.last?.tap != values.tap { taps.append((values.tap, TensorStatistics())) }
        let type: ElementType = runner.settings.profile.precision == .float64 ? .f64 : .f32
        taps[taps.count - 1].statistics.add(values.values.bytes, type: type)
    }

    public func text(_ capture: String?, width: Int?) -> String {
        let tokens = runner.tokens
        var lines =
            ("\(runner.model.name): \(runner.model.spec.architecture), profile \(runner.settings.profile.rawValue),"
            + " \(tokens.summary)").wrapped(to: width, indent: "  ")
        var table = TextTable([
            ("tap", .left), ("shape", .left), ("min", .right), ("max", .right), ("mean", .right), ("std", .right),
            ("NaN", .right), ("Inf", .right),
        ])
        for (tap, statistics) in taps {
            func figure(_ value: Double?) -> String { value.map { Quantities.figure($0) } ?? "-" }
            table.add([
                tap.name, "\(tap.shape)", figure(statistics.minimum),
                figure(statistics.maximum), figure(statistics.mean), figure(statistics.standardDeviation),
                "\(statistics.nanCount)", "\(statistics.infinityCount)",
            ])
        }
        lines.append(table.text(width: width))
        if let capture { lines += "captured in \(capture.escapedForDisplay)".wrapped(to: width, indent: "  ") }
        return lines.joined(separator: "\n") + "\n"
    }

    public func json(_ capture: String?) -> String {
        let tokens = runner.tokens
        let first = runner.tokens(of: 0)
        let value: JSONValue = [
            "model": .string(runner.model.name), "architecture": .string(runner.model.spec.architecture),
            "profile": .string(runner.settings.profile.rawValue), "arithmeticVersion": JSONValue(Arithmetic.version),
            "batch": JSONValue(first.batchCount), "time": JSONValue(first.length),
            "tokensDigest": .string("\(tokens.digest)"), "capture": JSONValue(capture),
            "taps": .array(
                taps.map { tap, statistics in
                    [
                        "name": .string(tap.name), "shape": .array(tap.shape.map { JSONValue($0) }),
                        "min": JSONValue(statistics.minimum), "max": JSONValue(statistics.maximum),
                        "mean": JSONValue(statistics.mean), "std": JSONValue(statistics.standardDeviation),
                        "nan": JSONValue(statistics.nanCount),
                        "inf": JSONValue(statistics.infinityCount),
                    ]
                }),
        ]
        return value.prettyText + "\n"
    }
}

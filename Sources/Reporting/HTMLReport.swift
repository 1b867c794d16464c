import AssayCheckpoints
import AssayComparison
import AssayModels
import AssayPackings
import SystemPackage

/// The findings of a comparison as one HTML file: no outside references, no scripts, light and dark, wide and narrow.
public struct HTMLReport {
    let report: DiffReport
    var result: ComparisonResult { report.result }

    public init(_ report: DiffReport) { self.report = report }

    /// Writes the file.
    ///
    /// - Throws: `SystemError` where it cannot be written.
    public func write(to destination: StagedOutput) throws {
        let file = try OutputFile(creating: destination.staging)
        try file.write(at: 0, Array(html.utf8))
        try file.synchronize()
        try destination.publish()
    }

    /// A report may take the place of a report, and of nothing else.
    ///
    /// - Throws: `UsageError` where some other file stands there.
    public static func requireReplaceable(_ path: FilePath) throws {
        guard try SystemCall.status(path)?.kind == .file else { return }
        guard try InputFile(path).prefix(beginning.utf8.count) == Array(beginning.utf8) else {
            throw UsageError(
                "\(path.forDisplay): is in the way of the report and is none itself; name another place, or remove it")
        }
    }

    private static let beginning = "<!DOCTYPE html>"

    public var html: String {
        """
        \(Self.beginning)
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>\(HTMLText.escaped("\(shortName(result.test)) against \(shortName(result.reference))"))</title>
        <style>
        \(HTMLStyle.text)
        </style>
        </head>
        <body>
        <main>
        <header>
        <h1>\(HTMLText.escaped(shortName(result.test))) <span class="soft">against</span> \(HTMLText.escaped(shortName(result.reference)))</h1>
        <p class="verdict \(verdictStyle)"><b>\(HTMLText.escaped(verdictWord))</b> \(HTMLText.escaped(report.verdict))</p>
        </header>
        \(tiles)
        \(sides)
        \(structure)
        \(cause)
        <div class="plots">
        \(plots.joined(separator: "\n"))
        </div>
        \(tables.joined(separator: "\n"))
        <footer>
        <p>Written by assay diff. Exit code \(result.exitStatus.rawValue).</p>
        </footer>
        </main>
        </body>
        </html>

        """
    }

    private func shortName(_ side: ComparisonResult.Side) -> String {
        let name = side.name.split(separator: "/").last.map(String.init) ?? side.name
        return name.isEmpty ? side.name : name
    }

    // MARK: Head

    private var verdictStyle: String {
        switch result.exitStatus {
        case .done: "good"
        case .numbersDiffer: "bad"
        default: "worse"
        }
    }

    private var verdictWord: String {
        switch result.exitStatus {
        case .done: (result.differenceClass?.label ?? "nothing compared").capitalizedFirst + "."
        case .numbersDiffer: result.differenceClass == .unexplained ? "Unexplained." : "Above the limit."
        default: "Structure differs."
        }
    }

    private var tiles: String {
        var entries: [(String, String)] = []
        if let largest = (result.taps ?? []).map(\.judged).max(by: { $0.relativeL2 < $1.relativeL2 }) {
            entries.append(
                (result.isAccumulatedOnly ? "largest error" : "largest isolated error", report.error(largest)))
        }
        if let last = result.taps?.last {
            entries.append(("accumulated at \(last.name)", report.error(last.accumulated)))
        }
        if let logits = result.logits, logits.notFiniteCount > 0 {
            let count = Quantities.count(logits.notFiniteCount)
            entries.append(("logits not finite", "\(count) of \(Quantities.plural(logits.kl.count, logits.rowNoun))"))
        } else if let logits = result.logits {
            let kl = logits.kl
            entries.append(
                ("mean KL, nats", report.figure(kl.mean) + (kl.standardError.map { " ± \(report.figure($0))" } ?? "")))
            entries.append(("top-1 flips", "\(Quantities.count(logits.flips.count)) of \(Quantities.count(kl.count))"))
            if let a = logits.referencePerplexity, let b = logits.testPerplexity {
                entries.append(
                    (
                        "perplexity, A to B",
                        "\(Quantities.figure(a, significant: 5)) to \(Quantities.figure(b, significant: 5))"
                    ))
            }
        }
        guard !entries.isEmpty else { return "" }
        let items = entries.map {
            "<div><dt>\(HTMLText.escaped($0.0))</dt><dd>\(HTMLText.escaped($0.1))</dd></div>"
        }
        return "<dl class=\"tiles\">\n\(items.joined(separator: "\n"))\n</dl>"
    }

    private var sides: String {
        var rows = [
            ["A, the reference", result.reference.name, result.reference.description],
            ["B", result.test.name, result.test.description],
        ]
        if let tokens = result.tokens {
            rows.append([
                tokens.summary == nil ? "tokens" : "input", tokens.words,
                "SHA-256 " + tokens.digest.description.prefix(16) + "…",
            ])
        }
        rows.append(["arithmetic", "profile \(result.profile.rawValue)", "version \(Arithmetic.version)"])
        let notes = result.notes.map { "<p>\(HTMLText.escaped($0.capitalizedFirst)).</p>" }.joined(separator: "\n")
        let body = rows.map { row in
            "<tr><th>\(HTMLText.escaped(row[0]))</th><td>\(HTMLText.escaped(row[1]))</td><td>\(HTMLText.escaped(row[2]))</td></tr>"
        }
        return
            "<section><div class=\"scroll\"><table class=\"sides\"><tbody>\n\(body.joined(separator: "\n"))\n</tbody></table></div>\n\(notes)</section>"
    }

    private var structure: String {
        let sentences = result.structure.sentences
        guard !sentences.isEmpty else { return "" }
        let items = sentences.prefix(200).map { "<li>\(HTMLText.escaped($0))</li>" }.joined(separator: "\n")
        let more = sentences.count > 200 ? "<p>… \(sentences.count) in all</p>" : ""
        return "<section><h2>Structure</h2>\n<ul>\n\(items)\n</ul>\(more)</section>"
    }

    /// What makes the sides part, and how far each goes with it and without.
    private var cause: String {
        guard let diagnosis = result.diagnosis else { return "" }
        let (one, other) = diagnosis.isOfReference ? ("A", "B") : ("B", "A")
        let rows =
            [
                ["What \(one) does", diagnosis.mistake],
                ["At \(diagnosis.tap), as they are", "relative L2 \(report.figure(diagnosis.before))"],
                ["With the same mistake in \(other)", "relative L2 \(report.figure(diagnosis.after))"],
            ] + diagnosis.alternatives.map { ["Gives the same over these tokens", $0] }
        let body = rows.map { "<tr><th>\(HTMLText.escaped($0[0]))</th><td>\(HTMLText.escaped($0[1]))</td></tr>" }
        return
            "<section><h2>Cause</h2>\n<div class=\"scroll\"><table class=\"sides\"><tbody>\n\(body.joined(separator: "\n"))\n</tbody></table></div></section>"
    }

    // MARK: Tables

    private var tables: [String] {
        [suspectTable, flipTable, tapTable, weightTable].compactMap { $0 }
    }

    private func details(_ title: String, open: Bool = false, _ content: String) -> String {
        "<details\(open ? " open" : "")><summary>\(HTMLText.escaped(title))</summary>\n\(content)\n</details>"
    }

    private var suspectTable: String? {
        guard !result.suspects.isEmpty else { return nil }
        return details(
            result.firstOutside == nil ? "Tensors that differ" : "Tensors behind the first tap that differs",
            open: true,
            HTMLText.table(
                ["tensor", "A", "B", "relative L2", "elements beyond rounding", "worst, in allowed distances"],
                result.suspects.map { weight in
                    return [
                        weight.name, weight.referenceStorage.label, weight.testStorage.label,
                        weight.figures.map { report.error($0) } ?? "-",
                        weight.figures == nil ? "-" : Quantities.count(weight.beyond.count),
                        weight.figures == nil ? "-" : report.figure(weight.beyond.worst),
                    ]
                }, numeric: [3, 4, 5]))
    }

    private var flipTable: String? {
        guard let logits = result.logits, logits.notFiniteCount == 0, !logits.flips.isEmpty else { return nil }
        return details(
            "Top-1 flips, A's widest margins first (\(Quantities.count(logits.flips.count)))",
            HTMLText.table(
                ["sequence", "position", "A's first choice", "B's first choice", "A's margin, nats", "KL, nats"],
                logits.flips.prefix(100).map {
                    [
                        "\($0.sequence)", "\($0.position)", "\($0.referenceTop)", "\($0.testTop)",
                        report.figure($0.margin),
                        report.figure($0.kl),
                    ]
                }, numeric: [0, 1, 2, 3, 4, 5]))
    }

    private var tapTable: String? {
        guard let taps = result.taps, !taps.isEmpty else { return nil }
        return details(
            "Every tap (\(taps.count))",
            HTMLText.table(
                [
                    "tap", "accumulated", "isolated", "floor", "storage term", "allowed", "max abs", "dB", "cosine",
                    "class",
                ],
                taps.map { tap in
                    [
                        tap.name, report.error(tap.accumulated), tap.isolated.map { report.error($0) } ?? "-",
                        tap.noiseFloor.map { report.figure($0) } ?? "-",
                        tap.storageTerm.map { report.figure($0) } ?? "-", report.figure(tap.allowed),
                        report.figure(tap.judged.maximumDifference), report.decibels(tap.judged.sqnrDecibels),
                        tap.judged.cosine.map { Quantities.rounded($0, digits: 6) } ?? "-",
                        report.label(tap, tap.differenceClass.label),
                    ]
                }, numeric: [1, 2, 3, 4, 5, 6, 7, 8]))
    }

    private var weightTable: String? {
        guard let weights = result.weights, !weights.isEmpty else { return nil }
        return details(
            "Every weight (\(weights.count))",
            HTMLText.table(
                ["tensor", "shape", "A", "B", "max abs", "relative L2", "dB", "class"],
                weights.map { weight in
                    [
                        weight.name, weight.shape.description, weight.referenceStorage.label,
                        weight.testStorage.label + (weight.isTransposed ? ", transposed" : ""),
                        weight.figures.map { report.figure($0.maximumDifference) } ?? "-",
                        weight.figures.map { report.error($0) } ?? "-",
                        weight.figures.map { report.decibels($0.sqnrDecibels) } ?? "-", weight.differenceClass.label,
                    ]
                }, numeric: [4, 5, 6]))
    }
}

extension String {
    fileprivate var capitalizedFirst: String { prefix(1).uppercased() + dropFirst() }
}

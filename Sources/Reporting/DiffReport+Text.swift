import AssayCheckpoints
import AssayComparison
import AssayModels
import AssayPackings
import AssayTensors

extension DiffReport {
    /// The findings as text.
    ///
    /// - Parameter width: that lines are to fit; nil where nothing needs to.
    public func text(width: Int?) -> String {
        var sections = [headLines(width)]
        if result.structure.differs { sections.append(structureLines(width)) }
        if result.showsWeights { sections.append(weightLines(width)) }
        if result.taps?.isEmpty == false { sections.append(tapLines(width)) }
        if !result.routing.isEmpty { sections.append(routingLines(width)) }
        if !result.suspects.isEmpty { sections.append(suspectLines(width)) }
        if result.logits != nil { sections.append(logitsLines) }
        sections.append(
            result.notes.flatMap { "note: \($0)".wrapped(to: width, indent: "  ") }
                + verdict.wrapped(to: width))
        return sections.map { $0.joined(separator: "\n") }.joined(separator: "\n\n") + "\n"
    }

    private func headLines(_ width: Int?) -> [String] {
        var lines = side("A", result.reference, width) + side("B", result.test, width)
        if let tokens = result.tokens {
            lines.append(
                (tokens.summary == nil ? "tokens   " : "input    ") + tokens.words
                    + ", profile \(result.profile.rawValue)")
        }
        return lines
    }

    private func side(_ letter: String, _ side: ComparisonResult.Side, _ width: Int?) -> [String] {
        let indent = String(repeating: " ", count: 9)
        return side.name.escapedForDisplay.wrapped(to: width, first: letter + indent.dropFirst(), indent: indent)
            + side.description.wrapped(to: width, first: indent, indent: indent)
    }

    // MARK: Structure

    private func structureLines(_ width: Int?) -> [String] {
        let sentences = result.structure.sentences
        return ["structure differs"]
            + sentences.prefix(20).flatMap { $0.wrapped(to: width, first: "  ", indent: "    ") }
            + (sentences.count > 20 ? ["  ... \(sentences.count) in all"] : [])
    }

    // MARK: Weights

    /// Weights that differ, the worst first; equal ones are counted.
    private func weightLines(_ width: Int?) -> [String] {
        let weights = result.weights ?? []
        let equal = weights.filter { $0.differenceClass == .identical }.count
        var lines = ["weights: \(Quantities.count(equal)) of \(Quantities.plural(weights.count, "tensor")) equal"]
        let different = weights.filter { $0.differenceClass != .identical }
        guard !different.isEmpty else { return lines }
        var table = TextTable([
            ("tensor", .left), ("A", .left), ("B", .left), ("max", .right), ("rel L2", .right), ("dB", .right),
            ("", .left),
        ])
        for weight in different { table.add(row(weight)) }
        lines.append(table.text(width: width))
        return lines
    }

    private func row(_ weight: WeightFigures) -> [String] {
        [
            weight.name.shownAsName, weight.referenceStorage.label,
            weight.testStorage.label + (weight.isTransposed ? "ᵀ" : ""),
            weight.figures.map { figure($0.maximumDifference) } ?? "-",
            weight.figures.map { error($0) } ?? "-",
            weight.figures.map { decibels($0.sqnrDecibels) } ?? "-", short(weight.differenceClass),
        ]
    }

    func decibels(_ value: Double) -> String {
        value.isFinite ? Quantities.rounded(value, digits: 1) : value > 0 ? "inf" : "-"
    }

    func short(_ differenceClass: DifferenceClass) -> String {
        differenceClass == .storage ? "storage" : differenceClass.rawValue
    }

    private func suspectLines(_ width: Int?) -> [String] {
        result.suspects.prefix(8).flatMap { weight -> [String] in
            var text = "suspect: '\(weight.name.escapedForDisplay)'"
            if let figures = weight.figures, figures.hasUnmatchedNonFinite {
                text +=
                    " has \(Quantities.plural(figures.unmatchedCount, "NaN or infinity", "NaNs or infinities"))"
                    + " without counterpart" + (weight.beyond.first.map { ", element \(place($0, weight))" } ?? "")
            } else if let figures = weight.figures {
                text += " differs by relative L2 \(error(figures))"
                let others = weight.referenceStorage != weight.testStorage
                text += ", \(Quantities.plural(weight.beyond.count, "element"))"
                text += others ? " beyond \(weight.testStorage.label)'s rounding" : " beyond the last places"
                if others, weight.beyond.worst.isFinite { text += " (up to \(figure(weight.beyond.worst)) times)" }
            }
            if weight.isEqualWhenTurned { text += "; turned it would be equal" }
            if let twin = weight.twin { text += "; it holds A's '\(twin.escapedForDisplay)'" }
            return text.wrapped(to: width, indent: "  ")
        }
    }

    /// "[5, 7]": an element's place, in the order of the test's dimensions.
    private func place(_ position: Int, _ weight: WeightFigures) -> String {
        let shape = weight.isTransposed ? Shape(weight.shape.dimensions.reversed()) : weight.shape
        return "\((shape ?? weight.shape).indices(ofElement: position))"
    }

    // MARK: Taps

    private func tapLines(_ width: Int?) -> [String] {
        let taps = result.taps ?? []
        var table = TextTable([
            ("tap", .left), ("accumulated", .right), ("isolated", .right), ("floor", .right), ("allowed", .right),
            ("class", .left),
        ])
        for tap in shownTaps(taps) { table.add(row(tap)) }
        let left = taps.count - shownTaps(taps).count
        return ["relative L2 of activations", table.text(width: width)]
            + (left > 0 ? ["(\(left) more taps in --json and --report)"] : [])
    }

    /// What leaves every step, and all taps of the block where it starts.
    private func shownTaps(_ taps: [TapFigures]) -> [TapFigures] {
        let start = result.firstOutside?.layer
        let shown = taps.filter { tap in tap.layer == nil || tap.point == "out" || tap.layer == start }
        // Values of modules, which belong to no layer: those around the first that is outside.
        guard shown.filter({ $0.layer == nil }).count > 40 else { return shown }
        let first = result.firstOutside.flatMap { outside in shown.firstIndex { $0.name == outside.name } } ?? 0
        return Array(shown[max(0, first - 5)..<min(shown.count, first + 35)])
    }

    private func row(_ tap: TapFigures) -> [String] {
        [
            tap.name.escapedForDisplay, error(tap.accumulated), tap.isolated.map { error($0) } ?? "-",
            tap.noiseFloor.map { figure($0) } ?? "-", figure(tap.allowed),
            label(tap, short(tap.differenceClass)) + (result.exceedsLimit(tap) ? " > limit" : ""),
        ]
    }

    /// A tap that is no other than its states make it adds nothing; equal it is not.
    func label(_ tap: TapFigures, _ name: String) -> String {
        tap.differenceClass == .identical && !tap.accumulated.isIdentical ? "adds nothing" : name
    }

    // MARK: Logits

    private var logitsLines: [String] {
        guard let logits = result.logits else { return [] }
        let kl = logits.kl
        guard logits.notFiniteCount == 0 else {
            return [
                logits.place,
                "  not finite at \(Quantities.count(logits.notFiniteCount)) of them: nothing can be said of predictions",
            ]
        }
        let error = kl.standardError.map { " ± \(figure($0))" } ?? ""
        var lines = [
            logits.place,
            "  KL(A || B)   mean \(figure(kl.mean))\(error) nats, median \(figure(kl.median))",
            "               p99 \(figure(kl.p99)), p99.9 \(figure(kl.p999)), max \(figure(kl.maximum))",
            "  top-1 flips  \(Quantities.count(logits.flips.count)), \(Quantities.rounded(100 * logits.flipRate, digits: 2)) %",
        ]
        for flip in logits.flips.prefix(5) {
            lines.append(
                "               \(logits.place(of: flip)): \(flip.referenceTop) to \(flip.testTop),"
                    + " A's margin \(figure(flip.margin))")
        }
        if let reference = logits.referencePerplexity, let test = logits.testPerplexity {
            lines.append(
                "  perplexity   A \(Quantities.figure(reference, significant: 6)), B \(Quantities.figure(test, significant: 6)),"
                    + " ratio \(Quantities.rounded(test / reference, digits: 6))")
        }
        return lines
    }
}

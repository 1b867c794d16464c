import AssayComparison
import AssayModels

extension HTMLReport {
    /// The figures, each with a caption that says how to read it.
    var plots: [String] {
        [errorPlot, tapMap, divergencePlot, weightPlot].compactMap { $0 }
    }

    private func figure(_ title: String, _ svg: String?, _ caption: String) -> String? {
        svg.map {
            "<figure><h2>\(HTMLText.escaped(title))</h2>\n\($0)\n<figcaption>\(HTMLText.escaped(caption))</figcaption></figure>"
        }
    }

    // MARK: Error by layer

    private var errorPlot: String? {
        // What leaves every step.
        let taps = (result.taps ?? []).filter { $0.layer == nil && $0.point != "pooler" || $0.point == "out" }
        guard !taps.isEmpty else { return nil }
        func series(_ name: String, _ style: String, _ value: (TapFigures) -> Double?) -> LinePlot.Series {
            LinePlot.Series(
                name: name, style: style,
                values: taps.map { tap in value(tap).flatMap { $0 > 0 && $0.isFinite ? $0 : nil } },
                notes: taps.map { tap in
                    "\(tap.name), \(name): \(value(tap).map { $0.isFinite ? report.figure($0) : "not finite" } ?? "-")"
                })
        }
        let first = result.firstOutside
        let plot = LinePlot(
            title: "Relative L2 error by layer",
            places: taps.map(label),
            series: [
                series("allowed", "allowed") { $0.allowed }, series("noise floor", "floor") { $0.noiseFloor },
                series("accumulated", "accumulated") { $0.accumulated.relativeL2 },
                series("isolated", "isolated") { $0.isolated?.relativeL2 },
            ],
            placesTitle: "what leaves each layer", valuesTitle: "relative L2", isLogarithmic: true,
            marked: first.flatMap { first in
                taps.firstIndex { $0.name == first.name || $0.layer == first.layer && first.layer != nil }
            })
        return figure(
            "Error by layer", plot.svg,
            result.isAccumulatedOnly
                ? "A side was captured elsewhere, so every error is accumulated: it holds what all layers before added."
                : "Isolated: the layer of B ran on A's own hidden states, so this is what the layer itself adds. Accumulated:"
                    + " B ran on its own. Allowed is for the isolated error. Errors of zero have no place on this axis\(notFinite(taps))."
                    + (first == nil ? "" : " The dashed line is where the difference starts."))
    }

    private func notFinite(_ taps: [TapFigures]) -> String {
        guard let first = taps.first(where: { !$0.largestError.isFinite }) else { return "" }
        return ", and neither have those that are not finite, from \(first.name) on"
    }

    private var tapMap: String? {
        let taps = (result.taps ?? []).filter { $0.layer != nil }
        // Those that there are: the names of captured taps may claim any number.
        var layers: [Place] = []
        for place in taps.map(Place.init) where !layers.contains(place) { layers.append(place) }
        guard !layers.isEmpty else { return nil }
        layers.sort { $0.order < $1.order }
        var points: [String] = []
        for tap in taps where !points.contains(tap.point) { points.append(tap.point) }
        let byPlace = Dictionary(grouping: taps, by: Place.init)
        let map = HeatMap(
            title: "Relative L2 error of every tap", rows: points, columns: layers.map(\.label),
            cells: points.map { point in
                layers.map { layer in
                    byPlace[layer]?.first { $0.point == point }.map { tap in
                        HeatMap.Cell(
                            value: tap.judged.relativeL2,
                            note:
                                "\(tap.name): \(report.error(tap.judged)), allowed \(report.figure(tap.allowed)), "
                                + report.label(tap, tap.differenceClass.label),
                            isMarked: tap.differenceClass == .unexplained)
                    }
                }
            })
        let kind = result.isAccumulatedOnly ? "Accumulated" : "Isolated"
        return figure(
            "Taps by layer", map.svg,
            "\(kind) relative L2 of every tap, in the order of the forward pass from top to bottom"
                + (layers.contains { $0.role != .only } ? "; letters are those of the stacks." : "."))
    }

    /// A layer of a stack.
    private struct Place: Hashable {
        let role: StackSpec.Role
        let layer: Int

        init(_ tap: TapFigures) { (role, layer) = (tap.role, tap.layer ?? 0) }

        /// "3", "e3" in an encoder.
        var label: String { (role == .only ? "" : String(role.rawValue.prefix(1))) + "\(layer)" }
        var order: (Int, Int) { (StackSpec.Role.allCases.firstIndex(of: role) ?? 0, layer) }
    }

    /// What the axis calls a step: "3", "e3", "norm", "e embed".
    private func label(_ tap: TapFigures) -> String {
        if tap.layer != nil { return Place(tap).label }
        let point = tap.point == "final_norm" ? "norm" : tap.point
        return tap.role == .only ? point : tap.role.rawValue.prefix(1) + " " + point
    }

    // MARK: Predictions

    private var divergencePlot: String? {
        guard let logits = result.logits, logits.notFiniteCount == 0, !logits.isOfSequences else { return nil }
        let means = logits.meanByPosition
        guard means.contains(where: { $0.kl > 0 }) else { return nil }
        let plot = LinePlot(
            title: "KL divergence by position", places: means.map { "\($0.position)" },
            series: [
                LinePlot.Series(
                    name: "mean KL(A || B)", style: "isolated", values: means.map { $0.kl > 0 ? $0.kl : nil },
                    notes: means.map { "position \($0.position): \(report.figure($0.kl))" })
            ],
            placesTitle: "position in the sequence", valuesTitle: "nats", isLogarithmic: true)
        let kl = logits.kl
        return figure(
            "Predictions by position", plot.svg,
            "KL(A || B) in nats over \(Quantities.plural(kl.count, "position")): mean \(report.figure(kl.mean)), median "
                + "\(report.figure(kl.median)), p99 \(report.figure(kl.p99)), largest \(report.figure(kl.maximum)).")
    }

    // MARK: Weights

    private var weightPlot: String? {
        let weights = (result.weights ?? []).filter { ($0.figures?.sqnrDecibels).map { $0.isFinite } == true }
        let equal = (result.weights ?? []).count - weights.count
        guard !weights.isEmpty else { return nil }
        func series(_ name: String, _ style: String, _ matches: (WeightFigures) -> Bool) -> LinePlot.Series {
            LinePlot.Series(
                name: name, style: style, values: weights.map { matches($0) ? $0.figures?.sqnrDecibels : nil },
                isScattered: true,
                notes: weights.map {
                    "\($0.name): \(report.decibels($0.figures?.sqnrDecibels ?? 0)) dB, \($0.testStorage.label)"
                })
        }
        let plot = LinePlot(
            title: "Signal to noise of every weight", places: weights.indices.map { "\($0 + 1)" },
            series: [
                series("explained", "isolated") { $0.differenceClass != .unexplained },
                series("unexplained", "wrong") { $0.differenceClass == .unexplained },
            ],
            placesTitle: "tensor, in the order of the forward pass", valuesTitle: "SQNR, dB", beginsAtZero: false)
        return figure(
            "Weights", plot.svg,
            "Signal to quantization noise of each tensor that differs; 6 dB are a bit. "
                + (equal > 0 ? "\(Quantities.plural(equal, "tensor")) \(equal == 1 ? "is" : "are") equal. " : "")
                + "Names are in the table below.")
    }
}

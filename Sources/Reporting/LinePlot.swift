#if canImport(Glibc)
    import Glibc
#endif

/// A plot of some series over the same places, as inline SVG whose colours the page's style sets.
struct LinePlot {
    struct Series {
        var name: String
        /// The style class that gives it its colour.
        var style: String
        /// A value for each place; nil where there is none. On a logarithmic axis zero has no place either.
        var values: [Double?]
        /// Marks alone, without a line.
        var isScattered = false
        /// What a mark says when pointed at.
        var notes: [String] = []
    }

    var title: String
    /// What each place is called; few of them are shown where there are many.
    var places: [String]
    var series: [Series]
    var placesTitle: String
    var valuesTitle: String
    var isLogarithmic = false
    /// Whether a plain axis begins at zero.
    var beginsAtZero = true
    /// A place to mark: where it starts.
    var marked: Int?

    private static let size = (width: 560.0, height: 300.0)
    private static let inset = (left: 74.0, right: 14.0, top: 14.0, bottom: 46.0)

    /// The figure with its legend; nil where nothing can be drawn.
    var svg: String? {
        guard
            let axis = Axis(
                series.flatMap { $0.values.compactMap { $0 } }, isLogarithmic: isLogarithmic, beginsAtZero: beginsAtZero
            )
        else { return nil }
        var parts = grid(axis)
        if let marked {
            parts.append(
                "<line class=\"marked\" x1=\"\(text(x(marked)))\" x2=\"\(text(x(marked)))\" y1=\"\(text(Self.inset.top))\""
                    + " y2=\"\(text(bottom))\"/>")
        }
        for one in series { parts += draw(one, axis) }
        return """
            <svg viewBox="0 0 560 300" role="img" aria-label="\(HTMLText.escaped(title))">
            \(parts.joined(separator: "\n"))
            </svg>
            <p class="legend">\(legend)</p>
            """
    }

    private var legend: String {
        series.filter { $0.values.contains { $0 != nil } }.map {
            "<span class=\"item\"><span class=\"key \($0.style)\"></span>\(HTMLText.escaped($0.name))</span>"
        }.joined(separator: "\n")
    }

    // MARK: Places

    private var bottom: Double { Self.size.height - Self.inset.bottom }

    private func x(_ place: Int) -> Double {
        let width = Self.size.width - Self.inset.left - Self.inset.right
        // Half a step of air on both sides.
        return Self.inset.left + width * (Double(place) + 0.5) / Double(max(1, places.count))
    }

    /// Places whose names are shown: the ends, the marked one, and of the others as many at round steps as have room.
    private var labelledPlaces: [Int] {
        func collide(_ a: Int, _ b: Int) -> Bool {
            abs(x(a) - x(b)) < 5 * Double(places[a].count + places[b].count) + 8
        }
        var shown: [Int] = []
        func add(_ place: Int) { if !shown.contains(where: { collide($0, place) }) { shown.append(place) } }
        for place in [marked, 0, places.count - 1].compactMap({ $0 }) where places.indices.contains(place) {
            add(place)
        }
        for step in [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000] {
            let round = places.indices.filter { Int(places[$0]).map { $0 % step == 0 } ?? false }
            guard !zip(round, round.dropFirst()).contains(where: collide) else { continue }
            round.forEach(add)
            break
        }
        places.indices.filter { Int(places[$0]) == nil }.forEach(add)
        return shown.sorted()
    }

    private func y(_ value: Double, _ axis: Axis) -> Double {
        bottom - (bottom - Self.inset.top) * min(1, max(0, axis.share(of: value)))
    }

    private func text(_ value: Double) -> String { HTMLText.number(value) }

    // MARK: Drawing

    private func grid(_ axis: Axis) -> [String] {
        var parts: [String] = []
        for tick in axis.ticks {
            let place = y(tick.value, axis)
            parts.append(
                "<line class=\"grid\" x1=\"\(text(Self.inset.left))\" x2=\"\(text(Self.size.width - Self.inset.right))\""
                    + " y1=\"\(text(place))\" y2=\"\(text(place))\"/>")
            parts.append(
                "<text class=\"end\" x=\"\(text(Self.inset.left - 6))\" y=\"\(text(place + 4))\">"
                    + "\(HTMLText.escaped(tick.label))</text>")
        }
        for place in labelledPlaces {
            parts.append(
                "<text class=\"middle\" x=\"\(text(x(place)))\" y=\"\(text(bottom + 18))\">\(HTMLText.escaped(places[place]))</text>"
            )
        }
        let middle = (Self.inset.left + Self.size.width - Self.inset.right) / 2
        parts.append(
            "<text class=\"middle title\" x=\"\(text(middle))\" y=\"\(text(bottom + 38))\">\(HTMLText.escaped(placesTitle))</text>"
        )
        let height = (bottom + Self.inset.top) / 2
        parts.append(
            "<text class=\"middle title\" transform=\"translate(13 \(text(height))) rotate(-90)\">"
                + "\(HTMLText.escaped(valuesTitle))</text>")
        return parts
    }

    private func draw(_ one: Series, _ axis: Axis) -> [String] {
        var parts: [String] = []
        for run in one.isScattered ? [] : runs(one.values) where run.count > 1 {
            let points = run.map { "\(text(x($0))),\(text(y(one.values[$0]!, axis)))" }.joined(separator: " ")
            parts.append("<polyline class=\"line \(one.style)\" points=\"\(points)\"/>")
        }
        // Marks of long series would run into each other.
        guard one.isScattered || places.count <= 64 else { return parts }
        for (place, value) in one.values.enumerated() {
            guard let value, value > 0 || !isLogarithmic, value.isFinite else { continue }
            let note = place < one.notes.count ? one.notes[place] : "\(places[place]): \(Quantities.figure(value))"
            parts.append(
                "<circle class=\"mark \(one.style)\" cx=\"\(text(x(place)))\" cy=\"\(text(y(value, axis)))\" r=\"3\">"
                    + "<title>\(HTMLText.escaped(note))</title></circle>")
        }
        return parts
    }

    /// Stretches of neighbouring places that have a value.
    private func runs(_ values: [Double?]) -> [[Int]] {
        var runs: [[Int]] = [[]]
        for (place, value) in values.enumerated() {
            if let value, value.isFinite, value > 0 || !isLogarithmic {
                runs[runs.count - 1].append(place)
            } else if runs.last?.isEmpty == false {
                runs.append([])
            }
        }
        return runs.filter { !$0.isEmpty }
    }
}

/// A vertical axis: whole powers of ten, or round steps.
struct Axis {
    let ticks: [(value: Double, label: String)]
    private let range: ClosedRange<Double>
    private let isLogarithmic: Bool

    /// - Returns: nil where no value has a place on it.
    init?(_ values: [Double], isLogarithmic: Bool, beginsAtZero: Bool = true) {
        self.isLogarithmic = isLogarithmic
        let usable = values.filter { $0.isFinite && (!isLogarithmic || $0 > 0) }
        guard let least = usable.min(), let greatest = usable.max() else { return nil }
        if isLogarithmic {
            let low = floor(log10(least) + 1e-9)
            let high = max(low + 1, ceil(log10(greatest) - 1e-9))
            range = low...high
            let step = max(1, Int(((high - low) / 8).rounded(.up)))
            let factors = high - low <= 2 ? [1, 2, 5] : [1]
            ticks = stride(from: Int(low), through: Int(high), by: step).flatMap { exponent in
                factors.filter { exponent < Int(high) || $0 == 1 }.map {
                    (Double($0) * pow(10, Double(exponent)), "\($0)e\(exponent)")
                }
            }
        } else {
            let low = beginsAtZero ? min(0, least) : least
            let step = Self.roundStep(max((greatest - low) / 5, abs(greatest) * 1e-3))
            let high = max(low + step, (greatest / step).rounded(.up) * step)
            let first = (low / step).rounded(.down) * step
            range = first...high
            ticks = (0...Int(((high - first) / step).rounded())).map {
                (first + Double($0) * step, Quantities.figure(first + Double($0) * step))
            }
        }
    }

    /// 1, 2 or 5 times a power of ten, not below `step`.
    private static func roundStep(_ step: Double) -> Double {
        guard step > 0, step.isFinite else { return 1 }
        let power = pow(10, floor(log10(step)))
        return [1, 2, 5, 10].map { $0 * power }.first { $0 >= step * 0.999 } ?? 10 * power
    }

    /// Where a value lies between the ends, 0 to 1.
    func share(of value: Double) -> Double {
        let place = isLogarithmic ? log10(max(value, 1e-300)) : value
        return (place - range.lowerBound) / (range.upperBound - range.lowerBound)
    }
}

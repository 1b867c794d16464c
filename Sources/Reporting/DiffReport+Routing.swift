import AssayCheckpoints
import AssayComparison

extension DiffReport {
    /// Where tokens are worked on by other experts.
    func routingLines(_ width: Int?) -> [String] {
        let count = result.routing.first?.tokenCount ?? 0
        let title =
            "experts of \(Quantities.plural(count, "position")) in \(Quantities.plural(result.routing.count, "layer"))"
        let different = result.routing.filter { $0.accumulated.count + $0.isolated.count > 0 }
        guard !different.isEmpty else { return [title + ": the same in A and B"] }
        var table = TextTable([
            ("router", .left), ("others", .right), ("A's margin", .right), ("isolated", .right),
            ("A's margin", .right),
        ])
        for routing in different {
            table.add([routing.tap] + cells(routing.accumulated) + cells(routing.isolated))
        }
        return [title + ": others in B at some", table.text(width: width)]
    }

    private func cells(_ flips: RoutingFigures.Flips) -> [String] {
        [Quantities.count(flips.count), flips.count == 0 ? "-" : figure(flips.widestMargin)]
    }

    func json(_ routing: RoutingFigures) -> JSONValue {
        func json(_ flips: RoutingFigures.Flips) -> JSONValue {
            ["count": JSONValue(flips.count), "widestMargin": JSONValue(flips.widestMargin)]
        }
        return [
            "tap": .string(routing.tap), "positions": JSONValue(routing.tokenCount),
            "accumulated": json(routing.accumulated), "isolated": json(routing.isolated),
        ]
    }
}

import AssayModels

/// How far the two sides' routers agree in one layer.
public struct RoutingFigures: Sendable, Equatable {
    /// Tokens on which other experts work in the test.
    public struct Flips: Sendable, Equatable {
        public internal(set) var count = 0
        /// The widest margin of any of them in the reference: how far its choice was from another.
        public internal(set) var widestMargin = 0.0
    }

    /// "layers.3.router"
    public let tap: String
    /// Positions that are read.
    public internal(set) var tokenCount = 0
    /// On the test's own hidden states.
    public internal(set) var accumulated = Flips()
    /// On the reference's hidden states.
    public internal(set) var isolated = Flips()

    init(tap: String) { self.tap = tap }
}

/// The choices of experts while they are gathered.
///
/// A choice is no continuous function: where a token's experts differ, so does everything behind them, by far more than
/// rounding makes of sums. Such tokens of the reference in float64 must not pass for its noise floor.
final class RoutingLedger {
    private let choices: [String: (reference: ExpertChoice, test: ExpertChoice)]
    private var entries: [RoutingFigures]
    private let positions: [String: Int]
    /// Rows whose experts the reference chooses otherwise in float64, in the step that runs.
    private(set) var unsteadyRows = Set<Int>()

    init(_ reference: Model, _ test: Model) throws {
        let own = try reference.expertChoices()
        let others = Dictionary(
            uniqueKeysWithValues: try test.expertChoices().map { ($0.tap, $0.choice) })
        choices = Dictionary(
            uniqueKeysWithValues: own.compactMap { tap, choice in others[tap].map { (tap, (choice, $0)) }
            })
        entries = own.filter { [choices] in choices[$0.tap] != nil }.map { RoutingFigures(tap: $0.tap) }
        positions = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.tap, $0) })
    }

    var figures: [RoutingFigures] { entries }

    func holds(_ tap: String) -> Bool { positions[tap] != nil }

    func beginStep() { unsteadyRows = [] }

    /// Looks at logits of routers; other taps are none of its business.
    ///
    /// - Parameter segments: the rows that are looked at.
    func add(
        _ column: TapLedger.Column, _ tap: String, _ reference: LentNumbers, _ test: LentNumbers,
        segments: [Range<Int>], features: Int
    ) {
        guard let position = positions[tap], let choice = choices[tap], column != .storage else {
            return
        }
        for row in segments.joined() {
            let logits = reference.row(row, features)
            if column == .accumulated { entries[position].tokenCount += 1 }
            let experts = choice.reference.experts(logits)
            let other = column == .floor ? choice.reference : choice.test
            guard experts != other.experts(test.row(row, features)) else { continue }
            func add(to flips: inout RoutingFigures.Flips) {
                flips.count += 1
                flips.widestMargin = max(flips.widestMargin, choice.reference.margin(logits))
            }
            switch column {
            case .accumulated: add(to: &entries[position].accumulated)
            case .isolated: add(to: &entries[position].isolated)
            case .floor: unsteadyRows.insert(row)
            case .storage: break
            }
        }
    }
}

extension LentNumbers {
    /// A row in float64.
    fileprivate func row(_ index: Int, _ features: Int) -> [Double] {
        let range = index * features..<(index + 1) * features
        switch self {
        case .float32(let values): return values[range].map(Double.init)
        case .float64(let values): return Array(values[range])
        }
    }
}

extension RowSegments {
    /// The segments without some rows.
    func without(_ rows: Set<Int>) -> [Range<Int>] {
        guard !rows.isEmpty else { return segments }
        return segments.flatMap { segment in
            segment.split { rows.contains($0) }.map { $0.first!..<$0.last! + 1 }
        }
    }
}

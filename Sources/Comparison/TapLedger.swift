import AssayCheckpoints
import AssayModels

/// The figures of all taps while they are gathered.
final class TapLedger {
    /// What is held against the reference's own run.
    enum Column {
        /// The test on its own states.
        case accumulated
        /// The test on the reference's states.
        case isolated
        /// The reference in float64, on its states.
        case floor
        /// The reference with its weights rounded to the test's storage, on its states.
        case storage
    }

    private struct Entry {
        var figures: TapFigures
        var isolated = DifferenceFigures()
        var floor = DifferenceFigures()
        var storage = DifferenceFigures()
    }

    private let rows: RowComparison
    private var entries: [Entry]
    private let positions: NameMap<Int>
    /// What the floor is multiplied by, where it was measured in another profile.
    private let floorScale: Double
    private let columns: Set<Column>

    init(
        _ taps: [PlannedTap], columns: Set<Column>, rows: RowComparison, floorScale: Double
    ) {
        self.rows = rows
        self.columns = columns
        self.floorScale = floorScale
        entries = taps.map { Entry(figures: TapFigures($0)) }
        positions = NameMap(taps.enumerated().map { ($1.name, $0) })
    }

    func holds(_ tap: String) -> Bool { positions[tap] != nil }

    /// - Parameters:
    ///   - firstRow: the row with which both sets of numbers begin.
    ///   - offset: rows of sequences that came before those the segments count.
    func add(
        _ column: Column, _ tap: String, _ reference: LentNumbers, _ test: LentNumbers,
        segments: ArraySlice<Range<Int>>,
        firstRow: Int = 0, features: Int, offset: Int
    ) {
        guard let position = positions[tap] else { return }
        func add(to figures: inout DifferenceFigures) {
            rows.add(
                reference, test, segments: segments, firstRow: firstRow, columns: features, offset: offset, to: &figures
            )
        }
        switch column {
        case .accumulated: add(to: &entries[position].figures.accumulated)
        case .isolated: add(to: &entries[position].isolated)
        case .floor: add(to: &entries[position].floor)
        case .storage: add(to: &entries[position].storage)
        }
    }

    /// The taps, in order, with everything but their class.
    func taps(leastFloor: Double) -> [TapFigures] {
        entries.map { entry in
            var figures = entry.figures
            if columns.contains(.isolated) { figures.isolated = entry.isolated }
            if columns.contains(.floor) {
                let measured = entry.floor.relativeL2 * floorScale
                figures.noiseFloor = measured.isFinite ? max(measured, leastFloor) : leastFloor
            }
            if columns.contains(.storage) { figures.storageTerm = entry.storage.relativeL2 }
            return figures
        }
    }
}

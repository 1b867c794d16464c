#if canImport(Glibc)
    import Glibc
#endif

/// A map of positive values on a logarithmic scale, as inline SVG: the larger, the fuller the colour.
struct HeatMap {
    struct Cell {
        var value: Double
        /// What the cell says when pointed at.
        var note: String
        /// Whether it is framed.
        var isMarked: Bool
    }

    var title: String
    var rows: [String]
    var columns: [String]
    /// By row, then column; nil where there is nothing.
    var cells: [[Cell?]]

    private static let left = 112.0
    private static let width = 560.0
    private static let rowHeight = 24.0

    /// The figure with its legend; nil where it has no cells.
    var svg: String? {
        guard !rows.isEmpty, !columns.isEmpty else { return nil }
        let height = Self.rowHeight * Double(rows.count)
        return """
            <svg viewBox="0 0 560 \(HTMLText.number(height + 44))" role="img" aria-label="\(HTMLText.escaped(title))">
            \((rowParts + columnParts(height)).joined(separator: "\n"))
            </svg>
            <p class="legend">\(legend)</p>
            """
    }

    private var cellWidth: Double { (Self.width - Self.left - 8) / Double(columns.count) }

    private var rowParts: [String] {
        rows.indices.flatMap { row -> [String] in
            let y = Self.rowHeight * Double(row)
            let label =
                "<text class=\"end\" x=\"\(HTMLText.number(Self.left - 6))\" y=\"\(HTMLText.number(y + 16))\">"
                + "\(HTMLText.escaped(rows[row]))</text>"
            return [label]
                + columns.indices.compactMap { column in cells[row][column].map { draw($0, column, y) } }
        }
    }

    private func draw(_ cell: Cell, _ column: Int, _ y: Double) -> String {
        let x = Self.left + cellWidth * Double(column)
        let gap = min(1.5, cellWidth / 8)
        return "<rect class=\"cell\(cell.isMarked ? " framed" : "")\" x=\"\(HTMLText.number(x + gap))\""
            + " y=\"\(HTMLText.number(y + 1.5))\" width=\"\(HTMLText.number(cellWidth - 2 * gap))\""
            + " height=\"\(HTMLText.number(Self.rowHeight - 3))\""
            + " fill-opacity=\"\(Quantities.rounded(opacity(cell.value), digits: 2))\">"
            + "<title>\(HTMLText.escaped(cell.note))</title></rect>"
    }

    private func columnParts(_ height: Double) -> [String] {
        let longest = Double(columns.map(\.count).max() ?? 1)
        let shown = max(1, Int(((longest * 10 + 10) / cellWidth).rounded(.up)))
        let labels = stride(from: 0, to: columns.count, by: shown).map { column in
            "<text class=\"middle\" x=\"\(HTMLText.number(Self.left + cellWidth * (Double(column) + 0.5)))\""
                + " y=\"\(HTMLText.number(height + 17))\">\(HTMLText.escaped(columns[column]))</text>"
        }
        let middle = (Self.left + Self.width) / 2
        return labels + [
            "<text class=\"middle title\" x=\"\(HTMLText.number(middle))\" y=\"\(HTMLText.number(height + 38))\">layer</text>"
        ]
    }

    // MARK: Scale

    private var exponents: ClosedRange<Double>? {
        let logarithms = cells.joined().compactMap { $0?.value }.filter { $0 > 0 && $0.isFinite }.map { log10($0) }
        guard let least = logarithms.min(), let greatest = logarithms.max() else { return nil }
        // At least three powers of ten, so that small differences do not look large.
        return min(least.rounded(.down), greatest.rounded(.up) - 3)...greatest.rounded(.up)
    }

    private func opacity(_ value: Double) -> Double {
        guard value > 0, let exponents else { return 0 }
        guard value.isFinite else { return 1 }
        let share = (log10(value) - exponents.lowerBound) / (exponents.upperBound - exponents.lowerBound)
        return 0.08 + 0.92 * min(1, max(0, share))
    }

    private var legend: String {
        let hasNonFinite = cells.joined().contains { $0.map { !$0.value.isFinite } ?? false }
        guard let exponents else {
            return hasNonFinite
                ? "Full and framed: not finite. Everything else is equal." : "No tap of a layer adds anything."
        }
        let steps = stride(from: Int(exponents.lowerBound), through: Int(exponents.upperBound), by: 1).map { exponent in
            "<span class=\"item\"><span class=\"swatch\" style=\"opacity:\(Quantities.rounded(opacity(pow(10, Double(exponent))), digits: 2))\"></span>1e\(exponent)</span>"
        }
        return
            (["<span class=\"item\"><span class=\"swatch none\"></span>equal</span>"] + steps
            + ["<span class=\"item\"><span class=\"swatch none framed\"></span>unexplained</span>"]
            + (hasNonFinite ? ["<span class=\"item\"><span class=\"swatch framed\"></span>not finite</span>"] : []))
            .joined(separator: "\n")
    }
}

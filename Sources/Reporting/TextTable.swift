/// A table of text whose columns line up, in a given width.
public struct TextTable {
    public enum Alignment: Sendable { case left, right }

    private let headings: [String]
    private let alignments: [Alignment]
    private var rows: [[Cell]] = []

    /// A text and how many characters it has, which takes a walk over them.
    private struct Cell {
        let text: String
        let count: Int

        init(_ text: String) {
            self.text = text
            count = text.count
        }
    }

    /// - Parameter columns: headings and alignments; where room is short, the first column's cells get lines of their own.
    public init(_ columns: [(heading: String, alignment: Alignment)]) {
        headings = columns.map(\.heading)
        alignments = columns.map(\.alignment)
    }

    public mutating func add(_ cells: [String]) {
        precondition(cells.count == headings.count)
        rows.append(cells.map { Cell($0) })
    }

    public var isEmpty: Bool { rows.isEmpty }

    /// The lines, headings first; at most `width` columns where that is given. A first cell that does not fit beside its
    /// row stands above it: cut, names of one layer and another would look alike.
    public func lines(width: Int?) -> [String] {
        let rows = [headings.map { Cell($0) }] + rows
        var widths = headings.indices.map { column in rows.reduce(0) { max($0, $1[column].count) } }
        if let width {
            let total = widths.reduce(0, +) + 2 * (widths.count - 1)
            widths[0] = max(min(widths[0], 12), widths[0] - max(0, total - width))
        }
        return rows.flatMap { lines($0, widths, width) }
    }

    private func lines(_ cells: [Cell], _ widths: [Int], _ width: Int?) -> [String] {
        guard let width, cells[0].count > widths[0] else { return [line(cells, widths)] }
        return [Self.shortened(cells[0].text, to: width), line([Cell("")] + cells.dropFirst(), widths)]
    }

    private func line(_ cells: [Cell], _ widths: [Int]) -> String {
        var text = ""
        for (column, cell) in cells.enumerated() {
            if column > 0 { text += "  " }
            let width = widths[column]
            let shown = cell.count > width ? Self.shortened(cell.text, to: width) : cell.text
            let padding = String(repeating: " ", count: width - min(cell.count, width))
            text += alignments[column] == .left ? shown + padding : padding + shown
        }
        while text.utf8.last == UInt8(ascii: " ") { text.removeLast() }
        return text
    }

    /// Text cut in its middle, where names differ least, with a mark that it was cut.
    public static func shortened(_ text: String, to width: Int) -> String {
        guard text.count > width else { return text }
        guard width > 3 else { return String(text.prefix(width)) }
        let tail = (width - 1) * 2 / 3
        return text.prefix(width - 1 - tail) + "…" + text.suffix(tail)
    }
}

/// A table of text whose columns line up, in a given width.
public struct TextTable {
    public enum Alignment: Sendable { case left, right }

    private let alignments: [Alignment]
    /// Row after row, a cell for each column; the first row are the headings.
    private var cells: [Cell]

    /// A text and how many characters it has, which takes a walk over them.
    private struct Cell {
        let text: String
        let count: Int

        init(_ text: String) {
            self.text = text
            count = text.isPlain ? text.utf8.count : text.count
        }
    }

    /// - Parameter columns: headings and alignments; where room is short, the first column's cells get lines of their own.
    public init(_ columns: [(heading: String, alignment: Alignment)]) {
        cells = columns.map { Cell($0.heading) }
        alignments = columns.map(\.alignment)
    }

    public mutating func reserveCapacity(rows: Int) { cells.reserveCapacity(cells.count + rows * alignments.count) }

    public mutating func add(_ texts: [String]) {
        precondition(texts.count == alignments.count)
        for text in texts { cells.append(Cell(text)) }
    }

    public var isEmpty: Bool { cells.count == alignments.count }

    /// The lines, headings first; at most `width` columns where that is given. A first cell that does not fit beside its
    /// row stands above it: cut, names of one layer and another would look alike.
    public func text(width: Int?) -> String {
        let widths = columnWidths(in: width)
        // Bytes, as a table may have 100,000 rows and a string grows slowly by small pieces.
        var text: [UInt8] = []
        text.reserveCapacity(cells.count / widths.count * (widths.reduce(0, +) + 2 * widths.count))
        for start in stride(from: 0, to: cells.count, by: widths.count) {
            if start > 0 { text.append(UInt8(ascii: "\n")) }
            if let width, cells[start].count > widths[0] {
                text += Self.shortened(cells[start].text, to: width).utf8
                text.append(UInt8(ascii: "\n"))
                append(ArraySlice([Cell("")]) + cells[start + 1..<start + widths.count], widths, to: &text)
            } else {
                append(cells[start..<start + widths.count], widths, to: &text)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    private func columnWidths(in width: Int?) -> [Int] {
        var widths = alignments.map { _ in 0 }
        for (position, cell) in cells.enumerated() {
            let column = position % widths.count
            widths[column] = max(widths[column], cell.count)
        }
        if let width {
            let total = widths.reduce(0, +) + 2 * (widths.count - 1)
            widths[0] = max(min(widths[0], 12), widths[0] - max(0, total - width))
        }
        return widths
    }

    private func append(_ row: ArraySlice<Cell>, _ widths: [Int], to text: inout [UInt8]) {
        // Spaces wait until something stands behind them, so that no line ends in one.
        var spaces = 0
        for (column, cell) in row.enumerated() {
            let width = widths[column]
            let padding = width - min(cell.count, width)
            spaces += (column > 0 ? 2 : 0) + (alignments[column] == .right ? padding : 0)
            if cell.count > 0 {
                text += repeatElement(UInt8(ascii: " "), count: spaces)
                text += (cell.count > width ? Self.shortened(cell.text, to: width) : cell.text).utf8
                spaces = 0
            }
            spaces += alignments[column] == .left ? padding : 0
        }
    }

    /// Text cut in its middle, where names differ least, with a mark that it was cut.
    public static func shortened(_ text: String, to width: Int) -> String {
        guard text.count > width else { return text }
        guard width > 3 else { return String(text.prefix(width)) }
        let tail = (width - 1) * 2 / 3
        return text.prefix(width - 1 - tail) + "…" + text.suffix(tail)
    }
}

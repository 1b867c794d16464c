extension String {
    /// The text broken at spaces, so that lines fit a width where their words do.
    ///
    /// - Parameters:
    ///   - width: nil where nothing needs to fit.
    ///   - first: what the first line begins with.
    ///   - indent: what the other lines begin with.
    func wrapped(to width: Int?, first: String = "", indent: String = "") -> [String] {
        guard let width, first.count + count > width else { return [first + self] }
        var lines: [String] = []
        var line = first
        var isEmpty = true
        // Names may hold several spaces in a row.
        for word in split(separator: " ", omittingEmptySubsequences: false) {
            if !isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                (line, isEmpty) = (indent, true)
            }
            line += (isEmpty ? "" : " ") + word
            isEmpty = false
        }
        return lines + [line]
    }

    /// The text behind a label, continued in the same column: "  format      safetensors, 5.95 MB".
    func labelled(_ label: String, column: Int, to width: Int?) -> [String] {
        let padding = String(repeating: " ", count: max(1, column - 2 - label.count))
        return wrapped(to: width, first: "  " + label + padding, indent: String(repeating: " ", count: column))
    }
}

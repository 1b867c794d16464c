import AssayCheckpoints

/// Pieces of HTML and SVG in which everything that came from elsewhere is escaped.
enum HTMLText {
    /// Text that can stand between tags and in quoted attributes; control characters are shown, not passed on.
    static func escaped(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        // Scalar by scalar, as browsers read: a mark beside it makes another `Character` of "<".
        for scalar in text.escapedForDisplay.unicodeScalars {
            switch scalar {
            case "&": result += "&amp;".unicodeScalars
            case "<": result += "&lt;".unicodeScalars
            case ">": result += "&gt;".unicodeScalars
            case "\"": result += "&quot;".unicodeScalars
            case "'": result += "&#39;".unicodeScalars
            default: result.append(scalar)
            }
        }
        return String(result)
    }

    /// A coordinate: a tenth of a unit is enough.
    static func number(_ value: Double) -> String {
        guard value.isFinite else { return "0" }
        let tenths = Int((value * 10).rounded())
        return tenths % 10 == 0 ? "\(tenths / 10)" : Quantities.rounded(Double(tenths) / 10, digits: 1)
    }

    static func table(_ headings: [String], _ rows: [[String]], numeric: Set<Int> = []) -> String {
        func cells(_ tag: String, _ values: [String]) -> String {
            values.enumerated().map { index, value in
                "<\(tag)\(numeric.contains(index) ? " class=\"n\"" : "")>\(escaped(value))</\(tag)>"
            }.joined()
        }
        let body = rows.map { "<tr>\(cells("td", $0))</tr>" }.joined(separator: "\n")
        return
            "<div class=\"scroll\"><table><thead><tr>\(cells("th", headings))</tr></thead><tbody>\n\(body)\n</tbody></table></div>"
    }
}

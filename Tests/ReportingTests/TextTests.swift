import Testing

@testable import AssayReporting

@Suite struct TextLayout {
    @Test func aNameThatDoesNotFitBesideItsRowStandsAboveIt() {
        var table = TextTable([("tensor", .left), ("type", .left), ("bytes", .right)])
        table.add(["model.layers.17.mlp.gate.weight", "F32", "1.54 kB"])
        table.add(["norm", "F32", "12 B"])
        #expect(
            table.text(width: 32)
                == [
                    "tensor             type    bytes",
                    "model.layers.17.mlp.gate.weight",
                    "                   F32   1.54 kB",
                    "norm               F32      12 B",
                ].joined(separator: "\n"))
        #expect(table.text(width: nil).split(separator: "\n")[1] == "model.layers.17.mlp.gate.weight  F32   1.54 kB")
    }

    /// Marks that join what stands beside them make other characters of it, for Swift and not for browsers.
    @Test(arguments: ["\u{600}", "\u{110BD}", "\u{11A84}"]) func markupIsEscapedWhateverStandsBesideIt(_ mark: String) {
        for (text, escaped) in [("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("&", "&amp;"), ("'", "&#39;")] {
            for spelled in [mark + text, text + "\u{301}", mark + text + mark] {
                let html = HTMLText.escaped("w" + spelled)
                #expect(html.unicodeScalars.contains { "<>\"'".unicodeScalars.contains($0) } == false, "\(html)")
                #expect(html.utf8.elementsEqual("w\(spelled)".replacingScalar(text, with: escaped).utf8))
            }
        }
    }

    @Test func textIsBrokenAtSpacesOnlyWhereItMust() {
        #expect("a  b c".wrapped(to: 6) == ["a  b c"])
        #expect("a  b c".wrapped(to: nil, first: "> ") == ["> a  b c"])
        #expect("one two three".wrapped(to: 9, first: "- ", indent: "  ") == ["- one two", "  three"])
        #expect("eleventwelve".wrapped(to: 6, first: "- ") == ["- eleventwelve"])
        #expect("x, y, z".labelled("left", column: 8, to: 11) == ["  left  x,", "        y,", "        z"])
    }
}

extension String {
    fileprivate func replacingScalar(_ text: String, with other: String) -> String {
        unicodeScalars.map { String($0) == text ? other : String($0) }.reduce(into: "") {
            $0.unicodeScalars += $1.unicodeScalars
        }
    }
}

/// A pattern for tensor and tap names: `*` stands for any run of characters, `?` for one; everything else for itself.
///
/// Matching takes at most the product of both lengths, so no pattern can hang it.
public struct NamePattern: Sendable, Equatable, CustomStringConvertible {
    private let pattern: [Unicode.Scalar]

    public init(_ text: String) { self.init(Array(text.unicodeScalars)) }

    private init(_ pattern: [Unicode.Scalar]) { self.pattern = pattern }

    public var description: String {
        var text = ""
        text.unicodeScalars.append(contentsOf: pattern)
        return text
    }

    public func matches(_ name: String) -> Bool {
        let text = Array(name.unicodeScalars)
        var (position, index) = (0, 0)
        // Where to go back to when what follows the last star does not fit.
        var star: (pattern: Int, text: Int)?
        while index < text.count {
            if position < pattern.count, pattern[position] == "*" {
                star = (position, index)
                position += 1
            } else if position < pattern.count, pattern[position] == "?" || pattern[position] == text[index] {
                position += 1
                index += 1
            } else if let last = star {
                star = (last.pattern, last.text + 1)
                position = last.pattern + 1
                index = last.text + 1
            } else {
                return false
            }
        }
        return pattern[position...].allSatisfy { $0 == "*" }
    }
}

// MARK: Patterns that match nothing

extension NamePattern {
    /// Requires that each pattern matches a name: a pattern that matches none is a slip, and would do nothing in silence.
    ///
    /// - Parameters:
    ///   - option: what messages call the patterns: "--include".
    ///   - noun: what the names are names of: "tensor".
    /// - Throws: `UsageError` with the pattern and the names nearest to it.
    public static func requireMatches(
        _ patterns: [NamePattern], among names: [String], option: String, noun: String
    ) throws(UsageError) {
        for pattern in patterns where !names.contains(where: pattern.matches) {
            let near = pattern.nearest(among: names).map { "'\($0.escapedForDisplay)'" }.joined(separator: ", ")
            throw UsageError(
                "\(option): '\(pattern.description.escapedForDisplay)' matches no \(noun); "
                    + (near.isEmpty ? "there are none" : "the \(names.count) there are include \(near)"))
        }
    }

    /// At most three names: the first that hold as much of the pattern's beginning as any.
    private func nearest(among names: [String]) -> [String] {
        // The longer the beginning, the fewer names hold it: the longest that some name holds lies between these two.
        var (held, unheld) = (0, pattern.count + 1)
        while unheld - held > 1 {
            let middle = (held + unheld) / 2
            if names.contains(where: holding(middle).matches) { held = middle } else { unheld = middle }
        }
        return Array(names.lazy.filter(holding(held).matches).prefix(3))
    }

    /// The pattern of names that hold the first `count` characters of this one somewhere.
    private func holding(_ count: Int) -> NamePattern { NamePattern(["*"] + pattern.prefix(count) + ["*"]) }
}

/// A pattern for tensor and tap names: `*` stands for any run of characters, `?` for one; everything else for itself.
///
/// Matching takes at most the product of both lengths, so no pattern can hang it.
public struct NamePattern: Sendable, Equatable, CustomStringConvertible {
    private let pattern: [Unicode.Scalar]

    public init(_ text: String) { pattern = Array(text.unicodeScalars) }

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

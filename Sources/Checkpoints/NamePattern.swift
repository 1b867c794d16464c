/// A pattern for tensor and tap names: `*` stands for any run of characters, `?` for one; everything else for itself.
///
/// Matching takes at most the product of both lengths, so no pattern can hang it.
public struct NamePattern: Sendable, Equatable, CustomStringConvertible {
    private let pattern: [UInt8]

    public init(_ text: String) { self.init(Array(text.utf8)) }

    private init(_ pattern: [UInt8]) { self.pattern = pattern }

    public var description: String { String(decoding: pattern, as: UTF8.self) }

    /// What stands before the first star or question mark, and behind the last.
    var affixes: (prefix: [UInt8], suffix: [UInt8]) {
        func isLiteral(_ byte: UInt8) -> Bool { byte != Self.star && byte != Self.one }
        return (Array(pattern.prefix(while: isLiteral)), Array(pattern.reversed().prefix(while: isLiteral).reversed()))
    }

    private static let star = UInt8(ascii: "*")
    private static let one = UInt8(ascii: "?")

    public func matches(_ name: String) -> Bool {
        var name = name
        return name.withUTF8 { matches($0) }
    }

    private func matches(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        var (position, index) = (0, 0)
        // Where to go back to when what follows the last star does not fit.
        var star: (pattern: Int, text: Int)?
        while index < text.count {
            if position < pattern.count, pattern[position] == Self.star {
                star = (position, index)
                position += 1
            } else if position < pattern.count, pattern[position] == Self.one {
                position += 1
                index = Self.end(ofCharacterAt: index, in: text)
            } else if position < pattern.count, pattern[position] == text[index] {
                position += 1
                index += 1
            } else if let last = star {
                let next = Self.end(ofCharacterAt: last.text, in: text)
                star = (last.pattern, next)
                position = last.pattern + 1
                index = next
            } else {
                return false
            }
        }
        return pattern[position...].allSatisfy { $0 == Self.star }
    }

    /// A character takes up to four bytes, of which all but the first are continuations.
    private static func end(ofCharacterAt index: Int, in text: UnsafeBufferPointer<UInt8>) -> Int {
        var end = index + 1
        while end < text.count, text[end] & 0xC0 == 0x80 { end += 1 }
        return end
    }
}

/// Patterns of which a name needs to match one.
public struct NamePatterns: Sendable, ExpressibleByArrayLiteral {
    private let patterns: [NamePattern]
    private let index: AffixIndex

    public init(_ patterns: [NamePattern]) {
        self.patterns = patterns
        index = AffixIndex(patterns.lazy.map(\.affixes))
    }

    public init(arrayLiteral patterns: NamePattern...) { self.init(patterns) }

    public var isEmpty: Bool { patterns.isEmpty }

    /// The first that a name matches; nil where it matches none.
    public func first(matching name: String) -> NamePattern? { positions(matching: name).first.map { patterns[$0] } }

    private func positions(matching name: String) -> some Sequence<Int> & Collection {
        isEmpty ? [] : index.candidates(for: Array(name.utf8)).filter { patterns[$0].matches(name) }
    }
}

// MARK: Patterns that match nothing

extension NamePatterns {
    /// Requires that each pattern matches a name: a pattern that matches none is a slip, and would do nothing in silence.
    ///
    /// - Parameters:
    ///   - option: what messages call the patterns: "--include".
    ///   - noun: what the names are names of: "tensor".
    /// - Throws: `UsageError` with the pattern and the names nearest to it.
    public func requireMatches(among names: [String], option: String, noun: String) throws(UsageError) {
        guard !isEmpty else { return }
        var matched = Set<Int>()
        for name in names { matched.formUnion(positions(matching: name)) }
        guard let idle = patterns.indices.first(where: { !matched.contains($0) }) else { return }
        let near = patterns[idle].nearest(among: names).map { "'\($0.escapedForDisplay)'" }.joined(separator: ", ")
        throw UsageError(
            "\(option): '\(patterns[idle].description.escapedForDisplay)' matches no \(noun); "
                + (near.isEmpty ? "there are none" : "the \(names.count) there are include \(near)"))
    }
}

extension NamePattern {
    /// At most three names: the first that hold as much of the pattern's beginning as any.
    fileprivate func nearest(among names: [String]) -> [String] {
        // The longer the beginning, the fewer names hold it: the longest that some name holds lies between these two.
        var (held, unheld) = (0, pattern.count + 1)
        while unheld - held > 1 {
            let middle = (held + unheld) / 2
            if names.contains(where: holding(middle).matches) { held = middle } else { unheld = middle }
        }
        return Array(names.lazy.filter(holding(held).matches).prefix(3))
    }

    /// The pattern of names that hold the first `count` characters of this one somewhere.
    private func holding(_ count: Int) -> NamePattern { NamePattern([Self.star] + pattern.prefix(count) + [Self.star]) }
}

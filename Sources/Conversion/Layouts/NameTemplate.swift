/// A name in which each `*` stands for any run of characters: it is matched against names, and made into others.
///
/// Every `*` takes as little as it can, the first ones first, so that a name is taken apart in one way only.
struct NameTemplate: Sendable, Equatable, CustomStringConvertible {
    /// What stands around the stars.
    private let literals: [[UInt8]]

    init(_ text: String) {
        literals = text.utf8.split(separator: UInt8(ascii: "*"), omittingEmptySubsequences: false).map(Array.init)
    }

    var starCount: Int { literals.count - 1 }

    var description: String { filled(with: Array(repeating: "*", count: starCount)) }

    /// What the stars stand for in a name.
    ///
    /// - Returns: nil where the name is another.
    func match(_ name: String) -> [String]? {
        var rest = Array(name.utf8)[...]
        guard rest.starts(with: literals[0]) else { return nil }
        rest = rest.dropFirst(literals[0].count)
        guard starCount > 0 else { return rest.isEmpty ? [] : nil }
        var taken: [ArraySlice<UInt8>] = []
        for literal in literals[1..<starCount] {
            guard let place = Self.first(literal, in: rest) else { return nil }
            taken.append(rest[..<place])
            rest = rest[(place + literal.count)...]
        }
        let end = literals[starCount]
        guard rest.count >= end.count, rest.suffix(end.count).elementsEqual(end) else { return nil }
        taken.append(rest.dropLast(end.count))
        return taken.map { String(decoding: $0, as: UTF8.self) }
    }

    /// The name in which the stars stand for these texts.
    func filled(with texts: [String]) -> String {
        let bytes = literals.indices.flatMap { index in
            (index == 0 ? [] : Array(texts[index - 1].utf8)) + literals[index]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func first(_ literal: [UInt8], in bytes: ArraySlice<UInt8>) -> Int? {
        guard literal.count <= bytes.count else { return nil }
        return (bytes.startIndex...bytes.endIndex - literal.count).first { bytes[$0...].starts(with: literal) }
    }
}

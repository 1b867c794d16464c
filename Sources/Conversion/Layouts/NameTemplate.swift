/// A name in which each `*` stands for any run of characters, and each `{i}` for a number: it is matched against names, and
/// made into others.
///
/// Every `*` takes as little as it can, the first ones first, and every `{i}` all digits that are there, so that a name is
/// taken apart in one way only.
struct NameTemplate: Sendable, Equatable, CustomStringConvertible {
    /// What stands around the placeholders.
    private let literals: [[UInt8]]
    /// Which of them are numbers.
    private let isNumber: [Bool]

    private static let number = Array("{i}".utf8)

    init(_ text: String) {
        var literals: [[UInt8]] = [[]]
        var isNumber: [Bool] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.first {
            let begins = rest.starts(with: Self.number)
            if begins || byte == UInt8(ascii: "*") {
                literals.append([])
                isNumber.append(begins)
            } else {
                literals[literals.count - 1].append(byte)
            }
            rest = rest.dropFirst(begins ? Self.number.count : 1)
        }
        (self.literals, self.isNumber) = (literals, isNumber)
    }

    var starCount: Int { isNumber.count }

    var description: String { filled(with: isNumber.map { $0 ? "{i}" : "*" }) }

    /// What the placeholders stand for in a name.
    ///
    /// - Returns: nil where the name is another.
    func match(_ name: String) -> [String]? {
        var rest = Array(name.utf8)[...]
        guard rest.starts(with: literals[0]) else { return nil }
        rest = rest.dropFirst(literals[0].count)
        var taken: [ArraySlice<UInt8>] = []
        for (place, literal) in literals.dropFirst().enumerated() {
            guard let count = length(of: place, before: literal, in: rest) else { return nil }
            taken.append(rest.prefix(count))
            rest = rest.dropFirst(count + literal.count)
        }
        return rest.isEmpty ? taken.map { String(decoding: $0, as: UTF8.self) } : nil
    }

    /// How much of what is left a placeholder takes; nil where the text behind it does not follow.
    private func length(of placeholder: Int, before literal: [UInt8], in rest: ArraySlice<UInt8>) -> Int? {
        if isNumber[placeholder] {
            let digits = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }.count
            return digits > 0 && rest.dropFirst(digits).starts(with: literal) ? digits : nil
        }
        guard literal.count <= rest.count else { return nil }
        // The last takes all but the end.
        if placeholder == isNumber.count - 1 {
            return rest.suffix(literal.count).elementsEqual(literal) ? rest.count - literal.count : nil
        }
        return (0...rest.count - literal.count).first { rest.dropFirst($0).starts(with: literal) }
    }

    /// The name in which the placeholders stand for these texts.
    func filled(with texts: [String]) -> String {
        let bytes = literals.indices.flatMap { index in
            (index == 0 ? [] : Array(texts[index - 1].utf8)) + literals[index]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

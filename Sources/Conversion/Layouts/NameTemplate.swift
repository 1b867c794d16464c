/// A name in which each `*` stands for any run of characters, and each `{i}` for a number: it is matched against names, and
/// made into others.
///
/// Every `*` takes as little as it can, the first ones first, and every `{i}` all digits that are there, so that a name is
/// taken apart in one way only.
struct NameTemplate: Sendable, Equatable, CustomStringConvertible {
    /// What stands between two stars, or at an end: texts, with a number between each two.
    private typealias Stretch = [[UInt8]]

    private let stretches: [Stretch]

    private static let number = Array("{i}".utf8)

    init(_ text: String) {
        var stretches: [Stretch] = [[[]]]
        var rest = Array(text.utf8)[...]
        while let byte = rest.first {
            let isNumber = rest.starts(with: Self.number)
            let last = stretches.count - 1
            if isNumber {
                stretches[last].append([])
            } else if byte == UInt8(ascii: "*") {
                stretches.append([[]])
            } else {
                stretches[last][stretches[last].count - 1].append(byte)
            }
            rest = rest.dropFirst(isNumber ? Self.number.count : 1)
        }
        self.stretches = stretches
    }

    /// Of both kinds.
    var starCount: Int { stretches.reduce(0) { $0 + $1.count } - 1 }

    var description: String {
        stretches.map { $0.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "{i}") }.joined(separator: "*")
    }

    /// What stands before the first placeholder, and behind the last.
    var affixes: (prefix: [UInt8], suffix: [UInt8]) { (stretches[0][0], stretches.last!.last!) }

    /// What the placeholders stand for in a name.
    ///
    /// No star ever goes back: where a stretch stands further in front, it ends no further behind, so that its first place
    /// leaves most to those that follow. The last one must end with the name.
    ///
    /// - Returns: nil where the name is another.
    func match(_ name: String) -> [String]? {
        let name = Array(name.utf8)
        let runs = stretches.contains { $0.count > 1 } ? Self.digitRuns(name) : []
        var taken: [Range<Int>] = []
        var position = 0
        for (index, stretch) in stretches.enumerated() {
            let isLast = index == stretches.count - 1
            // Without numbers, the length tells where the last one stands.
            let first = isLast && stretch.count == 1 ? max(position, name.count - stretch[0].count) : position
            var start = index == 0 ? 0 : first
            var found = Self.place(stretch, at: start, in: name, runs)
            while found == nil || isLast && found!.end < name.count {
                guard index > 0, start < name.count else { return nil }
                start += 1
                found = Self.place(stretch, at: start, in: name, runs)
            }
            if index > 0 { taken.append(position..<start) }
            taken += found!.numbers
            position = found!.end
        }
        return taken.map { String(decoding: name[$0], as: UTF8.self) }
    }

    /// The numbers of a stretch that stands at a place, and where it ends; nil where it does not stand there.
    private static func place(
        _ stretch: Stretch, at start: Int, in name: [UInt8], _ runs: [Int]
    ) -> (numbers: [Range<Int>], end: Int)? {
        guard name[start...].starts(with: stretch[0]) else { return nil }
        var end = start + stretch[0].count
        var numbers: [Range<Int>] = []
        for literal in stretch.dropFirst() {
            guard end < name.count, runs[end] > end, name[runs[end]...].starts(with: literal) else { return nil }
            numbers.append(end..<runs[end])
            end = runs[end] + literal.count
        }
        return (numbers, end)
    }

    /// Of every byte where the digits end that begin there: at itself where it is none.
    private static func digitRuns(_ name: [UInt8]) -> [Int] {
        var runs = Array(name.indices)
        for index in name.indices.reversed() where (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(name[index]) {
            runs[index] = index + 1 < name.count ? runs[index + 1] : name.count
        }
        return runs
    }

    /// The name in which the placeholders stand for these texts.
    func filled(with texts: [String]) -> String {
        let bytes = zip([""] + texts, stretches.joined()).flatMap { Array($0.utf8) + $1 }
        return String(decoding: bytes, as: UTF8.self)
    }
}

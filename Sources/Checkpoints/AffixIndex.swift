/// Which of many patterns a name may match, by the texts that they begin and end with: each is filed under the longer of
/// both, so that a name meets few of them.
package struct AffixIndex: Sendable {
    /// The patterns that are filed under texts at one end, and how long those texts are.
    private struct Side {
        var positions: [ArraySlice<UInt8>: [Int]] = [:]
        var lengths: Set<Int> = []

        mutating func add(_ text: [UInt8], _ position: Int) {
            positions[text[...], default: []].append(position)
            lengths.insert(text.count)
        }

        func candidates(_ affix: (Int) -> ArraySlice<UInt8>, atMost count: Int) -> [Int] {
            lengths.filter { $0 <= count }.flatMap { positions[affix($0)] ?? [] }
        }
    }

    private var byPrefix = Side()
    private var bySuffix = Side()

    /// - Parameter affixes: of every pattern what each name begins and ends with that it matches.
    package init(_ affixes: some Sequence<(prefix: [UInt8], suffix: [UInt8])>) {
        for (position, (prefix, suffix)) in affixes.enumerated() {
            if prefix.count >= suffix.count {
                byPrefix.add(prefix, position)
            } else {
                bySuffix.add(suffix, position)
            }
        }
    }

    /// The positions of those that may match, ascending.
    package func candidates(for name: [UInt8]) -> [Int] {
        let begins = byPrefix.candidates({ name.prefix($0) }, atMost: name.count)
        let ends = bySuffix.candidates({ name.suffix($0) }, atMost: name.count)
        return (begins + ends).sorted()
    }
}

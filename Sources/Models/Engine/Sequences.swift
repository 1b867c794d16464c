/// A batch's tokens as the engine needs them.
struct Sequences: Sendable {
    struct Keys: Sendable {
        /// The first and one behind the last position that is read.
        var range: Range<Int>
        /// A byte for every position of the sequence, where some within `range` are not read.
        var mask: [UInt8]?
    }

    let count: Int
    let length: Int
    let keys: [Keys]

    /// The same with as many keys more before each.
    func preceded(by keyCount: Int) -> Sequences {
        Sequences(
            count: count, length: keyCount + length,
            keys: keys.map { Keys(range: 0..<keyCount + $0.range.upperBound, mask: nil) })
    }

    private init(count: Int, length: Int, keys: [Keys]) {
        (self.count, self.length, self.keys) = (count, length, keys)
    }

    init(_ tokens: TokenBatch) {
        count = tokens.batchCount
        length = tokens.length
        keys = (0..<tokens.batchCount).map { sequence in
            guard let mask = tokens.attentionMask?[sequence],
                let first = mask.firstIndex(of: 1), let last = mask.lastIndex(of: 1)
            else { return Keys(range: 0..<tokens.length, mask: nil) }
            let hasHoles = mask[first...last].contains(0)
            return Keys(range: first..<last + 1, mask: hasHoles ? mask.map { UInt8($0) } : nil)
        }
    }
}

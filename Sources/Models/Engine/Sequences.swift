import AssayCKernels

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
    /// Keys of each that are not stored: whole blocks of the first ones, which are all alike.
    private(set) var repeatedKeyCount = 0

    /// The same with as many keys more before each, all alike.
    func preceded(by keyCount: Int) -> Sequences {
        var result = Sequences(
            count: count, length: keyCount + length,
            keys: keys.map { Keys(range: 0..<keyCount + $0.range.upperBound, mask: nil) })
        result.repeatedKeyCount = Self.repeatedKeyCount(of: keyCount)
        return result
    }

    /// How many of some keys that are all alike need not be stored: all but a whole block, and what fills none.
    static func repeatedKeyCount(of keyCount: Int) -> Int { max(0, keyCount / blockLength - 1) * blockLength }

    /// Keys of a block of the kernels.
    private static let blockLength = Int(CK_KEY_BLOCK)

    /// Rows of keys and values of each.
    var storedLength: Int { length - repeatedKeyCount }

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

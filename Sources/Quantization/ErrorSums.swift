import AssayCKernels

/// How far a part of a weight is from its source: one row, or one block.
public struct ErrorPart: Sendable, Equatable {
    /// Sum of the squared weights.
    public var signal = 0.0
    /// Sum of the squared errors.
    public var noise = 0.0
    /// The largest absolute error of an element.
    public var maximum = 0.0
    public var saturatedCount = 0
    public var flooredCount = 0
    public var replacedCount = 0

    public init(signal: Double = 0, noise: Double = 0, maximum: Double = 0) {
        (self.signal, self.noise, self.maximum) = (signal, noise, maximum)
    }

    init(_ tally: ck_quantize_tally) {
        self.init(signal: tally.signal, noise: tally.noise, maximum: tally.maximum)
        (saturatedCount, flooredCount) = (Int(tally.saturated), Int(tally.floored))
    }

    static func + (a: ErrorPart, b: ErrorPart) -> ErrorPart {
        var sum = ErrorPart(
            signal: a.signal + b.signal, noise: a.noise + b.noise, maximum: max(a.maximum, b.maximum))
        sum.saturatedCount = a.saturatedCount + b.saturatedCount
        sum.flooredCount = a.flooredCount + b.flooredCount
        sum.replacedCount = a.replacedCount + b.replacedCount
        return sum
    }
}

/// The sum of the parts of a weight, the same to the bit however they were divided among pieces: a part is added to its
/// neighbour, the sum of two to that of the next two, and so on, by their positions in the whole.
public struct ErrorSums: Sendable, Equatable {
    /// The sum of `count` parts from `first` on; `count` is a power of two that divides `first`.
    private struct Node: Sendable, Equatable {
        var first: Int
        var count: Int
        var sum: ErrorPart
    }

    private var nodes: [Node] = []

    public init() {}

    /// Adds the part at `index`; those of one piece come in order.
    public mutating func append(_ part: ErrorPart, at index: Int) {
        push(Node(first: index, count: 1, sum: part))
    }

    /// Adds the parts of another piece.
    public mutating func append(_ other: ErrorSums) { nodes += other.nodes }

    /// The sum of all parts that were added.
    public var total: ErrorPart {
        var joined = ErrorSums()
        for node in nodes.sorted(by: { $0.first < $1.first }) { joined.push(node) }
        return joined.nodes.reduce(ErrorPart()) { $0 + $1.sum }
    }

    private mutating func push(_ node: Node) {
        var node = node
        while let last = nodes.last, last.count == node.count, last.first + last.count == node.first,
            last.first % (2 * last.count) == 0
        {
            nodes.removeLast()
            node = Node(first: last.first, count: 2 * last.count, sum: last.sum + node.sum)
        }
        nodes.append(node)
    }
}

/// What a stack of a model costs: multiplications and additions, and numbers that are kept for later tokens.
public struct StackCosts: Sendable, Equatable {
    public let role: StackSpec.Role
    /// Floating-point operations of one token's products with weights (a multiplication and an addition are two), of
    /// experts those that a token passes.
    public let weightOperations: Int
    /// Numbers of keys and values, or of what they are made of, that one token leaves for later ones; 0 where attention
    /// goes both ways.
    public let cachedNumbers: Int
    private let layers: [Layer]

    private struct Layer: Sendable, Equatable {
        var operationsPerKey: Int
        var cachedNumbers: Int
        var window: Int?
    }

    init(_ stack: StackSpec, _ table: TensorTable, isLast: Bool) {
        role = stack.role
        layers = (0..<stack.layerCount).map { layer in
            let attention = stack.blocks[layer].attention
            let distances = attention.sinusoidalDistances == nil ? 0 : attention.headDimension
            let width = attention.headDimension + attention.valueHeadDimension + distances
            // Of a memory it is what enters the layer.
            let kept =
                attention.latent.map { $0.keyValueRank + $0.sharedWidth }
                ?? attention.recurrence.map { _ in stack.hiddenSize }
            return Layer(
                operationsPerKey: 2 * attention.headCount * width,
                cachedNumbers: attention.isCausal ? kept ?? attention.keyWidth + attention.valueWidth : 0,
                window: attention.window ?? attention.recurrence.map { max($0.memoryLength, 1) })
        }
        cachedNumbers = layers.reduce(0) { $0 + $1.cachedNumbers }
        weightOperations = Self.whole(
            table.entries.reduce(0.0) { sum, entry in
                guard isLast && entry.slot.module.isBehindStacks || entry.slot.role == stack.role else { return sum }
                return sum + 2 * Self.multiplications(of: entry, stack)
            })
    }

    /// As a whole number: what does not fit is the greatest.
    private static func whole(_ value: Double) -> Int { value < 0x1p62 ? Int(value) : Int.max }

    /// Operations of a token's attention where it stands behind `length - 1` others.
    public func attentionOperations(length: Int) -> Int {
        Self.whole(layers.reduce(0.0) { $0 + Double($1.operationsPerKey) * Double(min($1.window ?? length, length)) })
    }

    /// Numbers that are kept of a text: of layers with a window no more than it spans.
    public func cachedNumbers(length: Int) -> Int {
        Self.whole(layers.reduce(0.0) { $0 + Double($1.cachedNumbers) * Double(min($1.window ?? length, length)) })
    }

    private static func multiplications(of entry: TensorTable.Entry, _ stack: StackSpec) -> Double {
        guard entry.orientation != nil, entry.presence != .optional else { return 0 }
        let count = Double(entry.shape.elementCount)
        guard let layer = entry.slot.layer, let experts = stack.blocks[layer].experts, entry.slot.module.isOfExperts
        else { return count }
        // Each of the chosen experts sees the token: of one expert's matrix its share, of a stack of them the chosen's.
        return count * Double(experts.chosenCount) / Double(experts.count)
    }
}

extension Model {
    /// The costs of every stack, in order; none where tensors are missing or misshapen.
    public var costs: [StackCosts] {
        guard report.isSound else { return [] }
        return spec.stacks.enumerated().map { StackCosts($1, table, isLast: $0 == spec.stacks.count - 1) }
    }
}

extension Module {
    /// Whether every expert has one of its own.
    var isOfExperts: Bool {
        switch self {
        case .expertGate, .expertInput, .expertOutput, .expertGateInput: true
        default: false
        }
    }
}

/// What a stack of a model costs: multiplications and additions, and numbers that are kept for later tokens.
public struct StackCosts: Sendable, Equatable {
    public let role: StackSpec.Role
    /// Floating-point operations of one token's products with weights (a multiplication and an addition are two), of
    /// experts those that a token passes.
    public let weightOperations: Int
    /// The same of what is done once a sequence: with the row that is pooled of it.
    public let sequenceOperations: Int
    /// Numbers of keys and values, or of what they are made of, that one token leaves for later ones; 0 where attention
    /// goes both ways.
    public let cachedNumbers: Int
    private let layers: [Layer]

    private struct Layer: Sendable, Equatable {
        var operationsPerKey: Int
        var cachedNumbers: Int
        var window: Int?
    }

    init(_ stack: StackSpec, _ table: TensorTable, head: HeadSpec?, isLast: Bool) {
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
        let own = table.entries.filter { isLast && $0.slot.module.isBehindStacks || $0.slot.role == stack.role }
        func operations(_ entries: [TensorTable.Entry]) -> Int {
            Self.whole(entries.reduce(0.0) { $0 + 2 * Self.multiplications(of: $1, stack) })
        }
        weightOperations = operations(own.filter { !$0.slot.module.isOfPooled(head) })
        sequenceOperations = operations(own.filter { $0.slot.module.isOfPooled(head) })
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

    /// Places of a convolution's window for every position.
    private static func windows(of module: Module, _ stack: StackSpec) -> Double {
        guard let features = stack.embedding.features, let index = FeatureSpec.modules.firstIndex(of: module) else {
            return 1
        }
        return Double(features.stages[index + 1].reduce(1, *)) / Double(features.positionCount)
    }

    private static func multiplications(of entry: TensorTable.Entry, _ stack: StackSpec) -> Double {
        guard entry.orientation != nil, entry.presence != .optional else { return 0 }
        let count = Double(entry.shape.elementCount) * windows(of: entry.slot.module, stack)
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
        return spec.stacks.enumerated().map {
            StackCosts($1, table, head: spec.head, isLast: $0 == spec.stacks.count - 1)
        }
    }
}

extension Module {
    /// Whether it works on a row that is pooled of a sequence.
    fileprivate func isOfPooled(_ head: HeadSpec?) -> Bool {
        [.pooler, .pooledProjection].contains(self) || self == .head && head?.isOfPooled == true
    }

    /// Whether every expert has one of its own.
    var isOfExperts: Bool {
        switch self {
        case .expertGate, .expertInput, .expertOutput, .expertGateInput: true
        default: false
        }
    }
}

/// What a model computes, as a value: which norms stand where, which positions, which attention, which feed-forward,
/// which head.
///
/// An architecture's file makes it from `config.json`. Everything else reads it: the forward pass, the table of
/// tensors, the counts of `inspect`. It knows no names of tensors and no formats.
///
/// The members of the last stack, for most models the only one, are the specification's own: `spec.layerCount`.
@dynamicMemberLookup
public struct TransformerSpec: Sendable, Equatable {
    /// `model_type` of the configuration: "gpt2".
    public var architecture: String
    /// In the order in which they run; what the last one gives goes on to the head.
    public private(set) var stacks: [StackSpec]
    /// What makes logits of the hidden states; nil for a bare body.
    public var head: HeadSpec?

    /// - Precondition: there is at least one stack, and no role is taken twice.
    public init(architecture: String, stacks: [StackSpec], head: HeadSpec? = nil) {
        precondition(!stacks.isEmpty && Set(stacks.map(\.role)).count == stacks.count)
        self.architecture = architecture
        self.stacks = stacks
        self.head = head
    }

    /// A model of one stack.
    public init(
        architecture: String, vocabularySize: Int, hiddenSize: Int, layerCount: Int, contextLength: Int,
        embedding: EmbeddingSpec, blocks: BlockPattern, finalNorm: NormSpec?, pooling: PoolingSpec? = nil,
        head: HeadSpec?
    ) {
        let stack = StackSpec(
            vocabularySize: vocabularySize, hiddenSize: hiddenSize, layerCount: layerCount,
            contextLength: contextLength, embedding: embedding, blocks: blocks, finalNorm: finalNorm, pooling: pooling)
        self.init(architecture: architecture, stacks: [stack], head: head)
    }

    public subscript<T>(dynamicMember member: WritableKeyPath<StackSpec, T>) -> T {
        get { stacks[stacks.count - 1][keyPath: member] }
        set { stacks[stacks.count - 1][keyPath: member] = newValue }
    }

    /// Logits of a row: one a token, unless the head says otherwise.
    public var logitCount: Int { head?.outputCount ?? stacks[stacks.count - 1].vocabularySize }

    /// Whether something is remembered between segments.
    public var hasMemory: Bool { stacks.contains { $0.blocks.kinds.contains { $0.attention.recurrence != nil } } }

    /// Whether logits of a position are of the token that follows.
    public var predictsTokens: Bool { head?.isOfPooled != true && self.blocks[0].attention.isCausal }

    /// Features of what leaves a stack for the next, or for the product of the head.
    func featureCount(finished stack: Int) -> Int {
        let hidden = stacks[stack].hiddenSize
        if head?.isOfPooled == true { return stacks[stack].pooling?.outputSize ?? hidden }
        return stack == stacks.count - 1 ? head?.inputSize ?? hidden : hidden
    }

    /// The stack with a role, where there is one.
    public subscript(role: StackSpec.Role) -> StackSpec? {
        get { stacks.first { $0.role == role } }
        set {
            guard let newValue, let index = stacks.firstIndex(where: { $0.role == role }) else { return }
            stacks[index] = newValue
        }
    }
}

/// Blocks one behind the other, with what makes their first input and the norm behind the last.
public struct StackSpec: Sendable, Equatable {
    /// What a stack is for, where a model has more than one; its taps and the slots of its weights bear the name.
    public enum Role: String, Sendable, CaseIterable {
        case only
        /// Its results are what the decoder's cross attention reads.
        case encoder, decoder
        /// Neither reads the other; what they make of their inputs is compared behind both.
        case text, vision
    }

    public var role = Role.only
    /// Tokens that there are; 0 where numbers are read instead.
    public var vocabularySize: Int
    public var hiddenSize: Int
    public var layerCount: Int
    /// The longest sequence that the model was made for; the number of learned positions where there are any.
    public var contextLength: Int
    public var embedding: EmbeddingSpec
    public var blocks: BlockPattern
    /// The norm behind the last block, where there is one.
    public var finalNorm: NormSpec?
    /// A row made of every sequence behind that norm; nil for none.
    public var pooling: PoolingSpec?

    /// The same where the input is cut into segments.
    func cut(into segments: TokenBatch.Segments?) -> StackSpec {
        guard let segments else { return self }
        var result = self
        for kind in blocks.kinds.indices {
            guard var recurrence = blocks.kinds[kind].attention.recurrence else { continue }
            if let length = segments.memoryLength { recurrence.memoryLength = length }
            recurrence.segmentLength = segments.length
            result.blocks.kinds[kind].attention.recurrence = recurrence
        }
        return result
    }

    /// Sets of weights of the layers.
    var weightSetCount: Int { blocks.weightSetCount(layerCount) }
    /// Layers behind the last, for tokens further ahead: their tensors may stand, and are not computed.
    public var aheadLayerCount = 0
}

/// The blocks of all layers: few kinds, in an order that repeats itself.
public struct BlockPattern: Sendable, Equatable {
    /// The different blocks.
    public var kinds: [BlockSpec]
    /// Layer i is of the kind `order[i % order.count]`.
    public var order: [Int]
    /// Which layers have their weights in common; nil where each has its own.
    public var sharing: WeightSharing?

    /// The same block in every layer.
    public init(_ block: BlockSpec) {
        kinds = [block]
        order = [0]
    }

    /// - Precondition: there is at least one of both, and every entry of `order` is a position in `kinds`.
    public init(kinds: [BlockSpec], order: [Int]) {
        precondition(!order.isEmpty && order.allSatisfy(kinds.indices.contains))
        self.kinds = kinds
        self.order = order
    }

    public subscript(layer: Int) -> BlockSpec { kinds[kind(of: layer)] }

    /// The position in `kinds` of a layer's block.
    func kind(of layer: Int) -> Int { order[layer % order.count] }

    /// The set of weights that a layer uses; slots of weights count sets, not layers.
    public func weightSet(of layer: Int) -> Int { sharing?.sets[layer] ?? layer }

    /// How many sets of weights that many layers have.
    func weightSetCount(_ layerCount: Int) -> Int { sharing?.setCount ?? layerCount }

    /// The block of a set of weights.
    func block(ofSet set: Int) -> BlockSpec { self[sharing.map { $0.sets.firstIndex(of: set) ?? 0 } ?? set] }
}

/// Layers that use the same weights.
public struct WeightSharing: Sendable, Equatable {
    /// The set of weights of every layer.
    public var sets: [Int]
    /// Sets that stand, whether a layer uses them or not.
    public var setCount: Int
    /// Sets that bear the name of one group.
    public var setsPerGroup: Int

    public init(sets: [Int], setCount: Int, setsPerGroup: Int) {
        self.sets = sets
        self.setCount = setCount
        self.setsPerGroup = setsPerGroup
    }
}

/// An attention sublayer and a feed-forward sublayer, with residual connections and norms.
public struct BlockSpec: Sendable, Equatable {
    /// The norms of one sublayer: `afterResidual(x + after(sublayer(before(x))))`.
    public struct Norms: Sendable, Equatable {
        public var before: NormSpec?
        public var after: NormSpec?
        public var afterResidual: NormSpec?

        public init(before: NormSpec? = nil, after: NormSpec? = nil, afterResidual: NormSpec? = nil) {
            self.before = before
            self.after = after
            self.afterResidual = afterResidual
        }

        /// One norm: before the sublayer, or behind its residual.
        public init(_ norm: NormSpec, isBefore: Bool) {
            self.init(before: isBefore ? norm : nil, afterResidual: isBefore ? nil : norm)
        }
    }

    /// A sublayer whose queries are the block's and whose keys and values are the encoder's.
    public struct Cross: Sendable, Equatable {
        public var norms: Norms
        /// Never causal, without window, rotation or a joined projection.
        public var attention: AttentionSpec
    }

    public enum Arrangement: String, Sendable {
        /// The feed-forward reads what the attention sublayer leaves.
        case sequential
        /// Both read what enters the block, and both results are added to it. A feed-forward without a norm before it of
        /// its own reads behind attention's. Norms behind residuals do not occur.
        case parallel
    }

    public enum Residual: String, Sendable {
        /// What enters the sublayer's norm.
        case entering
        /// What leaves it.
        case normed
    }

    public var arrangement = Arrangement.sequential
    /// What results are added to where sublayers follow one another.
    public var residual = Residual.entering
    public var attentionNorms: Norms
    public var attention: AttentionSpec
    /// Attention to what the encoder gave, between the two sublayers; nil for none.
    public var cross: Cross?
    public var feedForwardNorms: Norms
    public var feedForward: FeedForwardSpec
    /// Where there are several feed-forwards, and `feedForward` is each of them; nil for one.
    public var experts: ExpertsSpec?
    /// What a sublayer's result is multiplied by before it is added; nil for nothing.
    public var residualScale: Double?
}

/// A norm over the features, each row alone.
public struct NormSpec: Sendable, Equatable {
    public enum Kind: String, Sendable {
        /// `y = (x - mean) / sqrt(variance + epsilon) · weight + bias`, the variance biased.
        case layer
        /// `y = x / sqrt(mean(x²) + epsilon) · weight`
        case rootMeanSquare
    }

    public var kind = Kind.layer
    public var epsilon: Double
    /// What is added to the stored gain: 1 where gains are stored as distances from 1.
    public var gainOffset = 0.0
    public var hasGain: Bool
    public var hasBias: Bool

    /// - Parameter hasBias: nil for what the kind usually has.
    public init(
        _ kind: Kind = .layer, epsilon: Double, gainOffset: Double = 0, hasGain: Bool = true, hasBias: Bool? = nil
    ) {
        self.kind = kind
        self.epsilon = epsilon
        self.gainOffset = gainOffset
        self.hasGain = hasGain
        self.hasBias = hasBias ?? (kind == .layer)
    }
}

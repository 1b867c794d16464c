/// What `inspect` says about a model.
public struct ModelSummary: Sendable, Equatable {
    /// "gpt2"
    public var architecture: String
    /// Numbers in all weights, a tied head counted once.
    public var parameterCount: Int
    /// How the weights are stored: "int4-g32 and f32".
    public var storages: String
    public var layerCount: Int
    public var hiddenSize: Int
    public var headCount: Int
    public var headDimension: Int
    public var innerSize: Int
    public var activation: Activation
    /// Of the first layer that has experts: how many there are, how many work on a token, their inner size.
    public var experts: Experts?
    /// Of the last stack that reads tokens; 0 where none does.
    public var vocabularySize: Int
    /// Of that stack, else of the last.
    public var contextLength: Int
    public var hasHead: Bool
    public var isHeadTied: Bool
    public var hasPooler: Bool

    public struct Experts: Sendable, Equatable {
        public var count: Int
        public var chosenCount: Int
        public var innerSize: Int
    }

    /// What the model computes.
    public var spec: TransformerSpec
    /// What every stack costs.
    public var costs: [StackCosts]

    public init(_ model: Model) {
        let spec = model.spec
        self.spec = spec
        costs = model.costs
        architecture = spec.architecture
        parameterCount = model.table.parameterCount
        storages = model.checkpoint.storages
        layerCount = spec.layerCount
        hiddenSize = spec.hiddenSize
        headCount = spec.blocks[0].attention.headCount
        headDimension = spec.blocks[0].attention.headDimension
        innerSize = spec.blocks[0].feedForward.innerSize
        activation = spec.blocks[0].feedForward.activation
        experts = spec.blocks.kinds.first { $0.experts != nil }.flatMap { block in
            block.experts.map {
                Experts(count: $0.count, chosenCount: $0.chosenCount, innerSize: block.feedForward.innerSize)
            }
        }
        let reader = spec.stacks.last { $0.embedding.features == nil } ?? spec.stacks[spec.stacks.count - 1]
        vocabularySize = reader.vocabularySize
        contextLength = reader.contextLength
        hasHead = spec.head != nil
        isHeadTied = spec.head?.isTied ?? false
        hasPooler = spec.pooling?.layer != nil
    }
}

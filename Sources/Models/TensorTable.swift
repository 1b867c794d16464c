import AssayCheckpoints
import AssayPackings
import AssayTensors

/// Every tensor that a model has, by the word of its specification: name, shape, orientation, role.
///
/// It serves the check of a checkpoint, the forward pass, the choice of what to quantize, and the mapping of names.
public struct TensorTable: Sendable {
    public struct Entry: Sendable {
        public let slot: WeightSlot
        /// Names in the `hf` layout, the preferred one first.
        public let names: [String]
        /// As the `hf` layout stores it.
        public let shape: Shape
        /// Which dimension of a matrix belongs to the product's input; nil for what is no matrix of a product.
        public let orientation: WeightOrientation?
        public let role: TensorRole
        public let presence: Presence
        /// Whether a tensor that stands under another of the names too must hold the same values; otherwise it is a weight
        /// of its own, and not used.
        public let hasEqualNames: Bool

        public var name: String { names[0] }
        /// Whether schemes for linear weights apply. Embeddings, norms, biases and heads stay as they are.
        public var isQuantizable: Bool { role == .linear }
        /// Inputs of the product: columns or rows of the matrix.
        public var inputCount: Int? { orientation.map { shape.dimensions[$0 == .outputInput ? 1 : 0] } }
        public var outputCount: Int? { orientation.map { shape.dimensions[$0 == .outputInput ? 0 : 1] } }
    }

    public enum Presence: Sendable, Equatable {
        case required
        /// May be missing; the forward pass does without.
        case optional
        /// May be missing: another weight is used in its place, and must equal it where both stand.
        case tied(to: WeightSlot)
    }

    /// In the order of the forward pass.
    public let entries: [Entry]
    /// The prefix that the checkpoint's names have; empty for none.
    public let prefix: String
    /// Names of tensors that are no weights.
    public let buffers: [String]

    /// - Parameters:
    ///   - isPrefixed: whether the body's names bear the architecture's prefix.
    ///   - file: what messages call the configuration.
    /// - Throws: `StructureError` where a shape overflows.
    init(
        _ spec: TransformerSpec, _ naming: Naming, isPrefixed: Bool, file: String
    ) throws(StructureError) {
        var builder = TableBuilder(naming: naming, isPrefixed: isPrefixed, file: file)
        try builder.addModel(spec)
        entries = builder.entries
        prefix = isPrefixed ? naming.prefix : ""
        let buffers = naming.buffers.flatMap { pattern in
            let name = (isPrefixed ? naming.prefix : "") + pattern
            return pattern.contains("{i}") ? (0..<spec.layerCount).map { Naming.fill(name, layer: $0) } : [name]
        }
        let weights = NameSet(builder.entries.flatMap(\.names))
        self.buffers = (buffers + naming.uncomputed).filter { !weights.contains($0) }
    }

    /// Numbers in all weights, tied ones once.
    public var parameterCount: Int {
        entries.reduce(into: 0) { sum, entry in
            guard entry.presence == .required else { return }
            sum = sum.addingReportingOverflow(entry.shape.elementCount).partialValue
        }
    }
}

/// Lists the weights of a specification.
private struct TableBuilder {
    let naming: Naming
    let isPrefixed: Bool
    let file: String
    var entries: [TensorTable.Entry] = []

    mutating func addModel(_ spec: TransformerSpec) throws(StructureError) {
        try addEmbeddings(spec)
        for set in 0..<spec.blocks.weightSetCount(spec.layerCount) {
            try addBlock(spec.blocks.block(ofSet: set), spec.hiddenSize, set)
        }
        if let norm = spec.finalNorm { try addNorm(.finalNorm, norm, spec.hiddenSize) }
        if spec.poolerActivation != nil { try addLinear(.pooler, from: spec.hiddenSize, to: spec.hiddenSize) }
        if let head = spec.head { try addHead(head, spec) }
        // The second head of BERT's pretraining: known by name, not computed.
        try add(WeightSlot(.nextSentence), [2, spec.hiddenSize], .head, .outputInput, .optional)
        try add(WeightSlot(.nextSentence, .bias), [2], .head, nil, .optional)
    }

    private mutating func addEmbeddings(_ spec: TransformerSpec) throws(StructureError) {
        let (embedding, hidden) = (spec.embedding, spec.hiddenSize)
        let width = embedding.projection?.inputSize ?? hidden
        try add(WeightSlot(.tokenEmbedding), [spec.vocabularySize, width], .embedding)
        if let positions = embedding.positions {
            try add(WeightSlot(.positionEmbedding), [spec.contextLength + positions.offset, width], .position)
        }
        if embedding.tokenTypeCount > 0 {
            try add(WeightSlot(.tokenTypeEmbedding), [embedding.tokenTypeCount, width], .embedding)
        }
        let isNormNarrow = embedding.projection?.isBehindNorm == true
        if let norm = embedding.norm { try addNorm(.embeddingNorm, norm, isNormNarrow ? width : hidden) }
        if let projection = embedding.projection {
            try addLinear(.embeddingProjection, from: width, to: hidden, bias: projection.hasBias)
        }
        guard let distances = embedding.distances else { return }
        try add(WeightSlot(.distanceEmbedding), [2 * distances.span, hidden], .position)
        if let norm = distances.norm { try addNorm(.distanceNorm, norm, hidden) }
    }

    private mutating func addBlock(_ block: BlockSpec, _ hidden: Int, _ layer: Int) throws(StructureError) {
        if let norm = block.attentionNorms.before { try addNorm(.attentionNorm, norm, hidden, layer) }
        try addAttention(block.attention, hidden, layer)
        try addNorms(block.attentionNorms, .attentionPostNorm, .attentionNorm, hidden, layer)
        if let norm = block.feedForwardNorms.before { try addNorm(.feedForwardNorm, norm, hidden, layer) }
        try addFeedForward(block.feedForward, hidden, layer)
        try addNorms(block.feedForwardNorms, .feedForwardPostNorm, .feedForwardNorm, hidden, layer)
    }

    private mutating func addFeedForward(
        _ spec: FeedForwardSpec, _ hidden: Int, _ layer: Int
    ) throws(StructureError) {
        let inner = spec.innerSize
        func add(_ module: Module, from inputs: Int, to outputs: Int) throws(StructureError) {
            try addLinear(module, from: inputs, to: outputs, layer, bias: spec.hasBias)
        }
        switch spec.gating {
        case .none: try add(.feedForwardInput, from: hidden, to: inner)
        case .separate:
            try add(.feedForwardGate, from: hidden, to: inner)
            try add(.feedForwardInput, from: hidden, to: inner)
        case .joined: try add(.feedForwardGateInput, from: hidden, to: 2 * inner)
        }
        try add(.feedForwardOutput, from: inner, to: hidden)
    }

    private mutating func addAttention(
        _ attention: AttentionSpec, _ hidden: Int, _ layer: Int
    ) throws(StructureError) {
        let (queries, keys) = (attention.queryWidth, attention.keyValueWidth)
        let hasBias = attention.hasInputBias
        if attention.projection != .separate {
            try addLinear(.queryKeyValue, from: hidden, to: queries + 2 * keys, layer, bias: hasBias)
        } else {
            try addLinear(.query, from: hidden, to: queries, layer, bias: hasBias)
            try addLinear(.key, from: hidden, to: keys, layer, bias: hasBias)
            try addLinear(.value, from: hidden, to: keys, layer, bias: hasBias)
        }
        if let headNorm = attention.headNorm {
            try addHeadNorm(.queryNorm, headNorm, attention.headCount, attention.headDimension, layer)
            try addHeadNorm(.keyNorm, headNorm, attention.keyValueHeadCount, attention.headDimension, layer)
        }
        if let disentangled = attention.disentangled, !disentangled.sharesProjections {
            if disentangled.hasDistanceKeys { try addLinear(.distanceKey, from: hidden, to: keys, layer) }
            if disentangled.hasDistanceQueries { try addLinear(.distanceQuery, from: hidden, to: queries, layer) }
        }
        if attention.hasSinks { try add(WeightSlot(.attentionSinks, layer: layer), [attention.headCount], .bias) }
        try addLinear(.attentionOutput, from: queries, to: hidden, layer, bias: attention.hasOutputBias)
    }

    private mutating func addHeadNorm(
        _ module: Module, _ headNorm: AttentionSpec.HeadNorm, _ heads: Int, _ width: Int, _ layer: Int
    ) throws(StructureError) {
        switch headNorm.gains {
        case .shared: try addNorm(module, headNorm.norm, [width], layer)
        case .ofEveryHead: try addNorm(module, headNorm.norm, [heads, width], layer)
        case .ofAllHeads: try addNorm(module, headNorm.norm, [heads * width], layer)
        }
    }

    /// The norms behind a sublayer.
    private mutating func addNorms(
        _ norms: BlockSpec.Norms, _ after: Module, _ afterResidual: Module, _ hidden: Int, _ layer: Int
    ) throws(StructureError) {
        if let norm = norms.after { try addNorm(after, norm, hidden, layer) }
        if let norm = norms.afterResidual { try addNorm(afterResidual, norm, hidden, layer) }
    }

    private mutating func addHead(_ head: HeadSpec, _ spec: TransformerSpec) throws(StructureError) {
        let width = head.transform?.outputSize ?? spec.hiddenSize
        if let transform = head.transform {
            try addLinear(.headTransform, from: spec.hiddenSize, to: width, role: .head, bias: transform.hasBias)
            if let norm = transform.norm { try addNorm(.headNorm, norm, width) }
        }
        let outputs = head.outputCount ?? spec.vocabularySize
        try add(
            WeightSlot(.head), [outputs, width], .head, .outputInput,
            head.isTied ? .tied(to: WeightSlot(.tokenEmbedding)) : .required)
        if head.hasBias {
            try add(WeightSlot(.head, .bias), [outputs], .bias, hasEqualNames: head.isTied)
        }
    }

    private mutating func addNorm(
        _ module: Module, _ norm: NormSpec, _ size: Int, _ layer: Int? = nil
    ) throws(StructureError) {
        try addNorm(module, norm, [size], layer)
    }

    private mutating func addNorm(
        _ module: Module, _ norm: NormSpec, _ dimensions: [Int], _ layer: Int? = nil
    ) throws(StructureError) {
        try add(WeightSlot(module, layer: layer), dimensions, .norm)
        if norm.hasBias { try add(WeightSlot(module, layer: layer, .bias), dimensions, .norm) }
    }

    private mutating func addLinear(
        _ module: Module, from inputs: Int, to outputs: Int, _ layer: Int? = nil, role: TensorRole = .linear,
        bias: Bool = true
    ) throws(StructureError) {
        let orientation = naming.linearOrientation
        try add(
            WeightSlot(module, layer: layer), orientation == .outputInput ? [outputs, inputs] : [inputs, outputs], role,
            orientation)
        if bias { try add(WeightSlot(module, layer: layer, .bias), [outputs], .bias) }
    }

    private mutating func add(
        _ slot: WeightSlot, _ dimensions: [Int], _ role: TensorRole, _ orientation: WeightOrientation? = nil,
        _ presence: TensorTable.Presence = .required, hasEqualNames: Bool = true
    ) throws(StructureError) {
        let names = naming.names(of: slot, prefixed: isPrefixed)
        // An architecture that does not name an optional module has none.
        if names.isEmpty, presence == .optional { return }
        guard let shape = Shape(dimensions), !names.isEmpty else {
            throw StructureError(
                "\(file): \(slot.module.rawValue): expected a weight that can exist, found shape \(dimensions)")
        }
        entries.append(
            TensorTable.Entry(
                slot: slot, names: names, shape: shape, orientation: orientation, role: role, presence: presence,
                hasEqualNames: hasEqualNames))
    }
}

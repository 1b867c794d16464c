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
        buffers = naming.buffers.flatMap { pattern in
            let name = (isPrefixed ? naming.prefix : "") + pattern
            return pattern.contains("{i}") ? (0..<spec.layerCount).map { Naming.fill(name, layer: $0) } : [name]
        }
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
        for layer in 0..<spec.layerCount { try addBlock(spec, layer) }
        if spec.finalNorm != nil { try addNorm(.finalNorm, spec.hiddenSize) }
        if spec.poolerActivation != nil { try addLinear(.pooler, from: spec.hiddenSize, to: spec.hiddenSize) }
        if let head = spec.head { try addHead(head, spec) }
        // The second head of BERT's pretraining: known by name, not computed.
        try add(WeightSlot(.nextSentence), [2, spec.hiddenSize], .head, .outputInput, .optional)
        try add(WeightSlot(.nextSentence, .bias), [2], .head, nil, .optional)
    }

    private mutating func addEmbeddings(_ spec: TransformerSpec) throws(StructureError) {
        let embedding = spec.embedding
        try add(WeightSlot(.tokenEmbedding), [spec.vocabularySize, spec.hiddenSize], .embedding)
        try add(WeightSlot(.positionEmbedding), [spec.contextLength, spec.hiddenSize], .position)
        if embedding.tokenTypeCount > 0 {
            try add(WeightSlot(.tokenTypeEmbedding), [embedding.tokenTypeCount, spec.hiddenSize], .embedding)
        }
        if embedding.norm != nil { try addNorm(.embeddingNorm, spec.hiddenSize) }
    }

    private mutating func addBlock(_ spec: TransformerSpec, _ layer: Int) throws(StructureError) {
        let attention = spec.block.attention
        let isNormFirst = spec.block.normPlacement == .beforeSublayer
        let hidden = spec.hiddenSize
        let heads = attention.headCount * attention.headDimension
        if isNormFirst { try addNorm(.attentionNorm, hidden, layer) }
        if attention.hasFusedProjection {
            try addLinear(.queryKeyValue, from: hidden, to: 3 * heads, layer)
        } else {
            for module in [Module.query, .key, .value] { try addLinear(module, from: hidden, to: heads, layer) }
        }
        try addLinear(.attentionOutput, from: heads, to: hidden, layer)
        try addNorm(isNormFirst ? .feedForwardNorm : .attentionNorm, hidden, layer)
        try addLinear(.feedForwardInput, from: hidden, to: spec.block.feedForward.innerSize, layer)
        try addLinear(.feedForwardOutput, from: spec.block.feedForward.innerSize, to: hidden, layer)
        if !isNormFirst { try addNorm(.feedForwardNorm, hidden, layer) }
    }

    private mutating func addHead(_ head: HeadSpec, _ spec: TransformerSpec) throws(StructureError) {
        if head.transform != nil {
            try addLinear(.headTransform, from: spec.hiddenSize, to: spec.hiddenSize, role: .head)
            try addNorm(.headNorm, spec.hiddenSize)
        }
        try add(
            WeightSlot(.head), [spec.vocabularySize, spec.hiddenSize], .head, .outputInput,
            head.isTied ? .tied(to: WeightSlot(.tokenEmbedding)) : .required)
        if head.hasBias {
            try add(WeightSlot(.head, .bias), [spec.vocabularySize], .bias, hasEqualNames: head.isTied)
        }
    }

    private mutating func addNorm(_ module: Module, _ size: Int, _ layer: Int? = nil) throws(StructureError) {
        try add(WeightSlot(module, layer: layer), [size], .norm)
        try add(WeightSlot(module, layer: layer, .bias), [size], .norm)
    }

    private mutating func addLinear(
        _ module: Module, from inputs: Int, to outputs: Int, _ layer: Int? = nil, role: TensorRole = .linear
    ) throws(StructureError) {
        let orientation = naming.linearOrientation
        try add(
            WeightSlot(module, layer: layer), orientation == .outputInput ? [outputs, inputs] : [inputs, outputs], role,
            orientation)
        try add(WeightSlot(module, layer: layer, .bias), [outputs], .bias)
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

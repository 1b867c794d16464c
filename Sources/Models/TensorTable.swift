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
        /// Dimensions of 1 that the shape has before those of the weight.
        public let leadingAxes: Int
        /// Whether a tensor that stands under another of the names too must hold the same values; otherwise it is a weight
        /// of its own, and not used.
        public let hasEqualNames: Bool

        public var name: String { names[0] }
        /// Whether schemes for linear weights apply. Embeddings, norms, biases and heads stay as they are.
        public var isQuantizable: Bool { role == .linear }
        /// Inputs of the product: columns or rows of the matrix, or of each matrix of a stack; what is in a convolution's
        /// window.
        public var inputCount: Int? {
            if FeatureSpec.modules.contains(slot.module) { return orientation.map { _ in shape.rowElementCount } }
            return orientation.map { shape.dimensions.suffix(2)[side: $0 == .outputInput ? 1 : 0] }
        }
        public var outputCount: Int? {
            if FeatureSpec.modules.contains(slot.module) { return orientation.map { _ in shape.rowCount } }
            return orientation.map { shape.dimensions.suffix(2)[side: $0 == .outputInput ? 0 : 1] }
        }
        /// Inputs of the product: columns or rows of the matrix, or of each matrix of a stack.
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
    /// What the names of layers begin with that are not computed.
    let aheadLayers: [String]
    private let positions: [WeightSlot: Int]
    private let namedPositions: NameMap<Int>

    /// The entry of a slot.
    public subscript(slot: WeightSlot) -> Entry? { positions[slot].map { entries[$0] } }

    /// The entry whose weight may bear a name.
    public func entry(named name: String) -> Entry? { namedPositions[name].map { entries[$0] } }

    /// - Parameters:
    ///   - isPrefixed: whether the body's names bear the architecture's prefix.
    ///   - file: what messages call the configuration.
    /// - Throws: `StructureError` where a shape overflows, or weights of several shapes are tied.
    init(
        _ spec: TransformerSpec, _ naming: Naming, isPrefixed: Bool, file: String
    ) throws(StructureError) {
        var builder = TableBuilder(naming: naming, isPrefixed: isPrefixed, file: file)
        try builder.addModel(spec)
        entries = builder.entries
        positions = Dictionary(entries.enumerated().map { ($1.slot, $0) }) { first, _ in first }
        namedPositions = NameMap(
            entries.enumerated().reversed().flatMap { position, entry in entry.names.map { ($0, position) } })
        prefix = isPrefixed ? naming.prefix : ""
        let buffers = naming.buffers.flatMap { pattern in
            let name = (isPrefixed ? naming.prefix : "") + pattern
            guard pattern.contains("{i}") else { return [name] }
            return (0..<spec.stacks.map(\.layerCount).max()!).map { Naming.fill(name, layer: $0) }
        }
        let weights = NameSet(builder.entries.flatMap(\.names))
        self.buffers = (buffers + naming.uncomputed).filter { !weights.contains($0) }
        aheadLayers = (0..<spec.aheadLayerCount).map {
            "\(isPrefixed ? naming.prefix : "")layers.\(spec.layerCount + $0)."
        }
        try checkTies(file)
    }

    private func checkTies(_ file: String) throws(StructureError) {
        for entry in entries {
            guard case .tied(let other) = entry.presence, self[other]?.shape != entry.shape else { continue }
            let expected =
                self[other].map { "the shape \($0.shape) of what it is tied to" } ?? "a table that it could be tied to"
            throw StructureError("\(file): \(entry.name): expected \(expected), found \(entry.shape)")
        }
    }

    /// The slot whose tensor is used: a tied weight is read where it is tied to.
    func source(of slot: WeightSlot) -> WeightSlot {
        guard case .tied(let other) = self[slot]?.presence else { return slot }
        return source(of: other)
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
    /// Of the stack whose weights are being listed.
    private var role = StackSpec.Role.only

    init(naming: Naming, isPrefixed: Bool, file: String) {
        self.naming = naming
        self.isPrefixed = isPrefixed
        self.file = file
    }

    mutating func addModel(_ spec: TransformerSpec) throws(StructureError) {
        for stack in spec.stacks {
            try addEmbeddings(stack, sharedWith: role)
            for set in 0..<stack.weightSetCount {
                try addBlock(stack.blocks.block(ofSet: set), stack.hiddenSize, set)
            }
            if let norm = stack.finalNorm { try addNorm(.finalNorm, norm, stack.hiddenSize) }
            if let pooling = stack.pooling { try addPooling(pooling, stack.hiddenSize) }
        }
        if let head = spec.head { try addHead(head, spec) }
        // What the head would read of the hidden states: a bare body has it too, and nothing that uses it.
        if spec.head == nil, let projection = spec.embedding.projection {
            try add(
                WeightSlot(.headProjection), [projection.inputSize, spec.hiddenSize], .head, .outputInput, .optional)
        }
        // The second head of BERT's pretraining: known by name, not computed.
        try add(WeightSlot(.nextSentence), [2, spec.hiddenSize], .head, .outputInput, .optional)
        try add(WeightSlot(.nextSentence, .bias), [2], .head, nil, .optional)
    }

    private mutating func addEmbeddings(
        _ spec: StackSpec, sharedWith before: StackSpec.Role
    ) throws(StructureError) {
        role = spec.role
        let (embedding, hidden) = (spec.embedding, spec.hiddenSize)
        let projection = embedding.projection
        let width = projection?.inputSize ?? hidden
        let summedWidth = projection?.place == .ofTokens ? hidden : width
        if let features = embedding.features {
            try addFeatures(features, hidden)
        } else if let bins = embedding.bins {
            try addBins(bins, hidden)
        } else {
            try add(
                WeightSlot(.tokenEmbedding), [spec.vocabularySize, width], .embedding, nil,
                embedding.isShared ? .tied(to: WeightSlot(.tokenEmbedding, in: before)) : .required)
        }
        if let projection {
            try addLinear(
                .embeddingProjection, from: width, to: hidden, role: .embedding, bias: projection.hasBias)
        }
        if let positions = embedding.positions {
            try add(WeightSlot(.positionEmbedding), [spec.contextLength + positions.offset, summedWidth], .position)
        }
        if embedding.tokenTypeCount > 0 {
            try add(WeightSlot(.tokenTypeEmbedding), [embedding.tokenTypeCount, summedWidth], .embedding)
        }
        if let norm = embedding.norm {
            try addNorm(.embeddingNorm, norm, projection?.place == .behindNorm ? width : hidden)
        }
        try addDistances(embedding, hidden)
        for attention in spec.blocks.kinds.map(\.attention) {
            guard let bias = attention.relativeBias else { continue }
            try add(WeightSlot(.relativeBias), [bias.bucketCount, attention.headCount], .position)
            break
        }
        if let attention = spec.blocks.kinds.first?.attention, attention.sinusoidalDistances?.sharesBiases == true {
            for module in [Module.sharedContentBias, .sharedDistanceBias] {
                try add(WeightSlot(module), [attention.headCount, attention.headDimension], .position)
            }
        }
    }

    private mutating func addBins(_ bins: VocabularyBins, _ hidden: Int) throws(StructureError) {
        for bin in 0..<bins.count {
            let width = bins.widths[bin]
            try add(WeightSlot(.tokenEmbedding, bin: bin), [bins.tokens(of: bin).count, width], .embedding)
            try addLinear(
                WeightSlot(.embeddingProjection, bin: bin), from: width, to: hidden, role: .embedding, bias: false)
        }
    }

    private mutating func addFeatures(_ features: FeatureSpec, _ hidden: Int) throws(StructureError) {
        var channels = features.channelCount
        for (module, convolution) in zip(FeatureSpec.modules, features.convolutions) {
            let outputs = convolution.outputCount
            try add(WeightSlot(module), [outputs, channels] + convolution.kernel, .embedding, .outputInput)
            if convolution.hasBias { try add(WeightSlot(module, .bias), [outputs], .bias) }
            channels = outputs
        }
        if features.hasClassVector { try add(WeightSlot(.classVector), [hidden], .embedding) }
    }

    private mutating func addPooling(_ pooling: PoolingSpec, _ hidden: Int) throws(StructureError) {
        var width = hidden
        if let norm = pooling.norm { try addNorm(.pooledNorm, norm, width) }
        if let layer = pooling.layer {
            try addLinear(.pooler, from: width, to: layer.outputSize ?? hidden)
            width = layer.outputSize ?? hidden
        }
        guard let projection = pooling.projection else { return }
        try addLinear(.pooledProjection, from: width, to: projection.outputSize, bias: false)
    }

    private mutating func addDistances(_ embedding: EmbeddingSpec, _ hidden: Int) throws(StructureError) {
        guard let distances = embedding.distances else { return }
        try add(WeightSlot(.distanceEmbedding), [2 * distances.span, hidden], .position)
        if let norm = distances.norm { try addNorm(.distanceNorm, norm, hidden) }
    }

    private mutating func addBlock(_ block: BlockSpec, _ hidden: Int, _ layer: Int) throws(StructureError) {
        if let norm = block.attentionNorms.before { try addNorm(.attentionNorm, norm, hidden, layer) }
        try addAttention(block.attention, hidden, layer)
        try addNorms(block.attentionNorms, .attentionPostNorm, .attentionNorm, hidden, layer)
        if let cross = block.cross { try addCross(cross, hidden, layer) }
        if let norm = block.feedForwardNorms.before { try addNorm(.feedForwardNorm, norm, hidden, layer) }
        if let experts = block.experts {
            try addExperts(experts, block.feedForward, hidden, layer)
        } else {
            try addFeedForward(block.feedForward, FeedForwardSlots(layer: layer), hidden)
        }
        try addNorms(block.feedForwardNorms, .feedForwardPostNorm, .feedForwardNorm, hidden, layer)
    }

    /// - Parameter stack: how many lie in one tensor; nil for each alone.
    private mutating func addFeedForward(
        _ spec: FeedForwardSpec, _ slots: FeedForwardSlots, _ hidden: Int, stack: Int? = nil
    ) throws(StructureError) {
        let inner = spec.innerSize
        func add(_ slot: WeightSlot, from inputs: Int, to outputs: Int) throws(StructureError) {
            try addLinear(slot, from: inputs, to: outputs, bias: spec.hasBias, stack: stack)
        }
        switch spec.gating {
        case .none: try add(slots.input, from: hidden, to: inner)
        case .separate:
            try add(slots.gate, from: hidden, to: inner)
            try add(slots.input, from: hidden, to: inner)
        case .joined, .alternating: try add(slots.gateInput, from: hidden, to: 2 * inner)
        }
        try add(slots.output, from: inner, to: hidden)
    }

    private mutating func addExperts(
        _ experts: ExpertsSpec, _ expert: FeedForwardSpec, _ hidden: Int, _ layer: Int
    ) throws(StructureError) {
        try addLinear(
            .router, from: hidden, to: experts.count, layer, role: .router, bias: experts.hasRouterBias)
        if experts.hasCorrection { try add(WeightSlot(.routerCorrection, layer: layer), [experts.count], .bias) }
        if experts.isStacked {
            try addFeedForward(expert, FeedForwardSlots(layer: layer, expert: nil), hidden, stack: experts.count)
        } else {
            for number in 0..<experts.count {
                try addFeedForward(expert, FeedForwardSlots(layer: layer, expert: number), hidden)
            }
        }
        if let shared = experts.shared {
            try addFeedForward(shared, FeedForwardSlots(sharedOf: layer), hidden)
        }
    }

    private mutating func addAttention(
        _ attention: AttentionSpec, _ hidden: Int, _ layer: Int
    ) throws(StructureError) {
        let (queries, keys) = (attention.queryWidth, attention.keyWidth)
        let hasBias = attention.hasInputBias
        if let latent = attention.latent {
            try addLatent(latent, attention, hidden, layer)
        } else if attention.projection != .separate {
            try addLinear(.queryKeyValue, from: hidden, to: queries + 2 * keys, layer, bias: hasBias)
        } else {
            try addLinear(.query, from: hidden, to: queries, layer, bias: hasBias)
            try addLinear(.key, from: hidden, to: keys, layer, bias: hasBias && attention.hasKeyBias)
            try addLinear(.value, from: hidden, to: attention.valueWidth, layer, bias: hasBias)
        }
        if let headNorm = attention.headNorm {
            try addHeadNorm(.queryNorm, headNorm, attention.headCount, attention.headDimension, layer)
            try addHeadNorm(.keyNorm, headNorm, attention.keyValueHeadCount, attention.headDimension, layer)
        }
        if let disentangled = attention.disentangled, !disentangled.sharesProjections {
            if disentangled.hasDistanceKeys { try addLinear(.distanceKey, from: hidden, to: attention.keyWidth, layer) }
            if disentangled.hasDistanceQueries {
                try addLinear(.distanceQuery, from: hidden, to: attention.queryWidth, layer)
            }
        }
        if let distances = attention.sinusoidalDistances { try addDistances(distances, attention, hidden, layer) }
        if attention.hasSinks { try add(WeightSlot(.attentionSinks, layer: layer), [attention.headCount], .bias) }
        try addLinear(.attentionOutput, from: attention.outputWidth, to: hidden, layer, bias: attention.hasOutputBias)
    }

    private mutating func addDistances(
        _ distances: SinusoidalDistances, _ attention: AttentionSpec, _ hidden: Int, _ layer: Int
    ) throws(StructureError) {
        try addLinear(.distanceKey, from: hidden, to: attention.queryWidth, layer, bias: false)
        for (module, shared) in [(Module.contentBias, Module.sharedContentBias), (.distanceBias, .sharedDistanceBias)] {
            try add(
                WeightSlot(module, layer: layer), [attention.headCount, attention.headDimension], .position, nil,
                distances.sharesBiases ? .tied(to: WeightSlot(shared, in: role)) : .required)
        }
    }

    private mutating func addLatent(
        _ latent: LatentSpec, _ attention: AttentionSpec, _ hidden: Int, _ layer: Int
    ) throws(StructureError) {
        let hasBias = attention.hasInputBias
        if let rank = latent.queryRank {
            try addLinear(.queryDown, from: hidden, to: rank, layer, bias: hasBias)
            try addNorm(.queryLatentNorm, latent.norm, rank, layer)
            try addLinear(.queryUp, from: rank, to: attention.queryWidth, layer, bias: false)
        } else {
            try addLinear(.query, from: hidden, to: attention.queryWidth, layer, bias: false)
        }
        let rank = latent.keyValueRank
        try addLinear(.keyValueDown, from: hidden, to: rank + latent.sharedWidth, layer, bias: hasBias)
        try addNorm(.keyValueLatentNorm, latent.norm, rank, layer)
        let own = attention.keyWidth - attention.keyValueHeadCount * latent.sharedWidth
        try addLinear(.keyValueUp, from: rank, to: own + attention.valueWidth, layer, bias: false)
    }

    private mutating func addCross(
        _ cross: BlockSpec.Cross, _ hidden: Int, _ layer: Int
    ) throws(StructureError) {
        let (attention, hasBias) = (cross.attention, cross.attention.hasInputBias)
        if let norm = cross.norms.before { try addNorm(.crossNorm, norm, hidden, layer) }
        if attention.projection == .separate {
            try addLinear(.crossQuery, from: hidden, to: attention.queryWidth, layer, bias: hasBias)
            try addLinear(
                .crossKey, from: hidden, to: attention.keyWidth, layer, bias: hasBias && attention.hasKeyBias)
            try addLinear(.crossValue, from: hidden, to: attention.valueWidth, layer, bias: hasBias)
        } else {
            let outputs = attention.queryWidth + 2 * attention.keyWidth
            try addLinear(.crossQueryKeyValue, from: hidden, to: outputs, layer, bias: hasBias)
        }
        try addLinear(.crossOutput, from: attention.queryWidth, to: hidden, layer, bias: attention.hasOutputBias)
        if let norm = cross.norms.afterResidual { try addNorm(.crossNorm, norm, hidden, layer) }
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
        if head.comparesStacks { return try add(WeightSlot(.logitScale), [], .head) }
        if let transform = head.transform {
            let width = transform.outputSize ?? spec.hiddenSize
            try addLinear(.headTransform, from: spec.hiddenSize, to: width, role: .head, bias: transform.hasBias)
            if let norm = transform.norm { try addNorm(.headNorm, norm, width) }
        }
        if let adaptive = head.adaptive { return try addSoftmax(adaptive, head, spec) }
        let width = head.inputSize ?? spec.hiddenSize
        let outputs = spec.logitCount
        if head.width != nil {
            try addLinear(.headProjection, from: spec.hiddenSize, to: width, role: .head, bias: false)
        }
        try add(
            WeightSlot(.head), [outputs, width], .head, .outputInput,
            head.isTied ? .tied(to: WeightSlot(.tokenEmbedding, in: role)) : .required)
        if head.hasBiasRow { try add(WeightSlot(.headBiasRow), [1, spec.vocabularySize], .bias) }
        if head.hasBias {
            try add(WeightSlot(.head, .bias), [outputs], .bias, hasEqualNames: head.isTied)
        }
    }

    private mutating func addSoftmax(
        _ softmax: AdaptiveSoftmax, _ head: HeadSpec, _ spec: TransformerSpec
    ) throws(StructureError) {
        let bins = softmax.bins
        func embedding(_ module: Module, _ bin: Int?) -> TensorTable.Presence {
            .tied(to: WeightSlot(module, in: role, bin: bin))
        }
        func addTable(_ outputs: Int, _ width: Int, bin: Int?) throws(StructureError) {
            let slot = WeightSlot(.head, bin: bin)
            try add(
                slot, [outputs, width], .head, .outputInput, head.isTied ? embedding(.tokenEmbedding, bin) : .required)
            try add(slot.bias, [outputs], .bias)
        }
        if softmax.hasOneTable { try addTable(bins.tokenCount, bins.widths[0], bin: nil) }
        for bin in 0..<bins.count {
            let width = bins.widths[bin]
            if !softmax.hasOneTable { try addTable(bins.tokens(of: bin).count, width, bin: bin) }
            guard let isTied = softmax.tiedProjections?[bin] else { continue }
            try add(
                WeightSlot(.headProjection, bin: bin), [spec.hiddenSize, width], .head, .inputOutput,
                isTied ? embedding(.embeddingProjection, softmax.hasOneTable ? nil : bin) : .required)
        }
        guard bins.count > 1 else { return }
        try add(WeightSlot(.headClusters), [bins.count - 1, bins.widths[0]], .head, .outputInput)
        try add(WeightSlot(.headClusters, .bias), [bins.count - 1], .bias)
    }

    private mutating func addNorm(
        _ module: Module, _ norm: NormSpec, _ size: Int, _ layer: Int? = nil
    ) throws(StructureError) {
        try addNorm(module, norm, [size], layer)
    }

    private mutating func addNorm(
        _ module: Module, _ norm: NormSpec, _ dimensions: [Int], _ layer: Int? = nil
    ) throws(StructureError) {
        if norm.hasGain { try add(WeightSlot(module, layer: layer), dimensions, .norm) }
        if norm.hasBias { try add(WeightSlot(module, layer: layer, .bias), dimensions, .norm) }
    }

    private mutating func addLinear(
        _ module: Module, from inputs: Int, to outputs: Int, _ layer: Int? = nil, role: TensorRole = .linear,
        bias: Bool = true
    ) throws(StructureError) {
        try addLinear(WeightSlot(module, layer: layer), from: inputs, to: outputs, role: role, bias: bias)
    }

    /// - Parameter stack: how many matrices lie in one tensor; nil for one alone.
    private mutating func addLinear(
        _ slot: WeightSlot, from inputs: Int, to outputs: Int, role: TensorRole = .linear, bias: Bool = true,
        stack: Int? = nil
    ) throws(StructureError) {
        let orientation = naming.orientation(of: slot)
        let first = stack.map { [$0] } ?? []
        try add(
            slot, first + (orientation == .outputInput ? [outputs, inputs] : [inputs, outputs]), role, orientation)
        if bias { try add(slot.bias, first + [outputs], .bias) }
    }

    private mutating func add(
        _ slot: WeightSlot, _ dimensions: [Int], _ role: TensorRole, _ orientation: WeightOrientation? = nil,
        _ presence: TensorTable.Presence = .required, hasEqualNames: Bool = true
    ) throws(StructureError) {
        let slot = slot.of(self.role)
        let names = naming.names(of: slot, prefixed: isPrefixed)
        // An architecture that does not name an optional module has none.
        if names.isEmpty, presence == .optional { return }
        let leadingAxes = naming.leadingAxes(of: slot)
        guard let shape = Shape([Int](repeating: 1, count: leadingAxes) + dimensions), !names.isEmpty else {
            throw StructureError(
                "\(file): \(slot.module.rawValue): expected a weight that can exist, found shape \(dimensions)")
        }
        entries.append(
            TensorTable.Entry(
                slot: slot, names: names, shape: shape, orientation: orientation, role: role, presence: presence,
                leadingAxes: leadingAxes, hasEqualNames: hasEqualNames))
    }
}

extension ArraySlice<Int> {
    /// An element counted from the first.
    fileprivate subscript(side position: Int) -> Int { self[startIndex + position] }
}

/// The weights of one feed-forward.
struct FeedForwardSlots {
    let gate: WeightSlot
    let input: WeightSlot
    let gateInput: WeightSlot
    let output: WeightSlot

    /// Of a layer's only one.
    init(layer: Int) {
        gate = WeightSlot(.feedForwardGate, layer: layer)
        input = WeightSlot(.feedForwardInput, layer: layer)
        gateInput = WeightSlot(.feedForwardGateInput, layer: layer)
        output = WeightSlot(.feedForwardOutput, layer: layer)
    }

    /// Of one expert, or of all in one tensor.
    init(layer: Int, expert: Int?) {
        gate = WeightSlot(.expertGate, layer: layer, expert: expert)
        input = WeightSlot(.expertInput, layer: layer, expert: expert)
        gateInput = WeightSlot(.expertGateInput, layer: layer, expert: expert)
        output = WeightSlot(.expertOutput, layer: layer, expert: expert)
    }

    /// Of the one that every token passes beside the experts.
    init(sharedOf layer: Int) {
        gate = WeightSlot(.sharedGate, layer: layer)
        input = WeightSlot(.sharedInput, layer: layer)
        gateInput = gate
        output = WeightSlot(.sharedOutput, layer: layer)
    }
}

/// The taps of a model over some input, in the order of the forward pass. The page `formats/taps.md` explains them.
struct TapPlan {
    let spec: TransformerSpec
    /// Sequences, stack by stack.
    let batchCounts: [Int]
    /// Positions of a sequence, stack by stack.
    let lengths: [Int]

    init(_ spec: TransformerSpec, batchCounts: [Int], lengths: [Int]) {
        self.spec = spec
        self.batchCounts = batchCounts
        self.lengths = lengths
    }

    var taps: [PlannedTap] { spec.steps.flatMap(taps) }

    func taps(of step: ForwardStep) -> [PlannedTap] {
        switch step {
        case .embed(let stack): return [tap(.embed, stack, spec.stacks[stack].hiddenSize)]
        case .block(let stack, let layer):
            return blockTaps(spec.stacks[stack], layer).map {
                tap($0.point, stack, $0.width, layer: layer, rows: $0.isOfEarlier ? stack - 1 : stack)
            }
        case .finish(let stack): return finishTaps(stack)
        case .logits:
            guard let head = spec.head, let point = spec.outputPoint else { return [] }
            let last = spec.stacks.count - 1
            let count = head.comparesStacks ? batchCounts[last - 1] : spec.logitCount
            return [head.isOfPooled ? row(point, last, count) : tap(point, last, count)]
        }
    }

    private func finishTaps(_ stack: Int) -> [PlannedTap] {
        let hidden = spec.stacks[stack].hiddenSize
        let norm = spec.stacks[stack].finalNorm == nil ? [] : [tap(.finalNorm, stack, hidden)]
        guard let pooling = spec.stacks[stack].pooling else { return norm }
        let embeddings = pooling.projection.map { [row(.embeddings, stack, $0.outputSize)] } ?? []
        return norm + [row(.pooler, stack, pooling.layer?.outputSize ?? hidden)] + embeddings
    }

    private typealias BlockTap = (point: TapPoint, width: Int, isOfEarlier: Bool)

    private func blockTaps(_ stack: StackSpec, _ layer: Int) -> [BlockTap] {
        let (block, hidden) = (stack.blocks[layer], stack.hiddenSize)
        let attention = block.attention
        var taps: [BlockTap] = []
        func add(_ point: TapPoint, _ width: Int, isOfEarlier: Bool = false) {
            taps.append((point, width, isOfEarlier))
        }
        func norm(_ norm: NormSpec?, _ point: TapPoint) { if norm != nil { add(point, hidden) } }
        norm(block.attentionNorms.before, .attentionNorm)
        if let rank = attention.latent?.queryRank { add(.queryLatent, rank) }
        if let rank = attention.latent?.keyValueRank { add(.keyValueLatent, rank) }
        let (q, k) = (attention.queryWidth, attention.keyWidth)
        add(.query, q)
        add(.key, k)
        add(.value, attention.valueWidth)
        if attention.headNorm != nil {
            add(.queryNorm, q)
            add(.keyNorm, k)
        }
        add(.attentionOutput, hidden)
        norm(block.attentionNorms.after, .attentionPostNorm)
        norm(block.attentionNorms.afterResidual, .attentionNorm)
        if let cross = block.cross {
            norm(cross.norms.before, .crossNorm)
            add(.crossQuery, cross.attention.queryWidth)
            add(.crossKey, cross.attention.keyWidth, isOfEarlier: true)
            add(.crossValue, cross.attention.valueWidth, isOfEarlier: true)
            add(.crossOutput, hidden)
            norm(cross.norms.afterResidual, .crossNorm)
        }
        norm(block.feedForwardNorms.before, .feedForwardNorm)
        // What enters the last projection of experts is of other tokens for each.
        if let experts = block.experts {
            add(.router, experts.count)
        } else {
            add(.activation, block.feedForward.innerSize)
        }
        add(.feedForwardOutput, hidden)
        norm(block.feedForwardNorms.after, .feedForwardPostNorm)
        norm(block.feedForwardNorms.afterResidual, .feedForwardNorm)
        add(.out, hidden)
        return taps
    }

    private func tap(
        _ point: TapPoint, _ stack: Int, _ features: Int, layer: Int? = nil, rows: Int? = nil
    ) -> PlannedTap {
        let rows = rows ?? stack
        return PlannedTap(
            name: point.name(spec.stacks[stack].role, layer: layer),
            shape: [batchCounts[rows], lengths[rows], features],
            rows: .positions(stack: rows))
    }

    /// A tap of a row a sequence.
    private func row(_ point: TapPoint, _ stack: Int, _ features: Int) -> PlannedTap {
        PlannedTap(
            name: point.name(spec.stacks[stack].role, layer: nil), shape: [batchCounts[stack], features],
            rows: .sequences(stack: stack))
    }
}

extension Model {
    /// The taps of a forward pass, in its order, whatever the tokens.
    public var tapNames: [String] {
        TapPlan(spec, batchCounts: spec.stacks.map { _ in 1 }, lengths: spec.stacks.map { _ in 1 }).taps.map(\.name)
    }
}

extension TransformerSpec {
    /// What the head gives.
    var outputPoint: TapPoint? { head.map { $0.adaptive == nil ? .logits : .logProbabilities } }

    /// The name of the tap of what the head gives: "logits", or "logprobs" where those are log probabilities; nil for a
    /// bare body.
    public var outputTap: String? { outputPoint?.rawValue }

    /// The steps of a forward pass, in order.
    public var steps: [ForwardStep] {
        stacks.enumerated().flatMap { index, stack in
            [.embed(stack: index)] + (0..<stack.layerCount).map { .block(stack: index, layer: $0) }
                + [.finish(stack: index)]
        } + (head == nil ? [] : [.logits])
    }
}

/// The names of taps, in the order of a block with its norms before the sublayers.
enum TapPoint: String, CaseIterable {
    case embed
    case attentionNorm = "attn_norm"
    case queryLatent = "q_latent"
    case keyValueLatent = "kv_latent"
    case query = "q"
    case key = "k"
    case value = "v"
    case queryNorm = "q_norm"
    case keyNorm = "k_norm"
    case attentionOutput = "attn_out"
    case attentionPostNorm = "attn_post_norm"
    case crossNorm = "cross_attn_norm"
    case crossQuery = "cross_q"
    case crossKey = "cross_k"
    case crossValue = "cross_v"
    case crossOutput = "cross_attn_out"
    case feedForwardNorm = "mlp_norm"
    case router
    case activation = "mlp_act"
    case feedForwardOutput = "mlp_out"
    case feedForwardPostNorm = "mlp_post_norm"
    case out
    case finalNorm = "final_norm"
    case pooler
    case embeddings = "embeds"
    case logits
    case logProbabilities = "logprobs"

    /// Whether every block has one of its own.
    var isOfBlocks: Bool {
        switch self {
        case .embed, .finalNorm, .pooler, .embeddings, .logits, .logProbabilities: false
        default: true
        }
    }

    /// "layers.3.mlp_act", "encoder.final_norm"; logits belong to the whole model.
    func name(_ role: StackSpec.Role, layer: Int?) -> String {
        let point = layer.map { "layers.\($0).\(rawValue)" } ?? rawValue
        return role == .only || isOfModel ? point : role.rawValue + "." + point
    }

    /// Whether it belongs to the whole model.
    private var isOfModel: Bool { self == .logits || self == .logProbabilities }

    /// Whether it has a row a sequence rather than a position.
    var isOfSequences: Bool { self == .pooler || self == .embeddings }
}

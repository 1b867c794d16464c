/// The taps of a model over tokens of some shape, in the order of the forward pass. The page `formats/taps.md` explains them.
struct TapPlan {
    let spec: TransformerSpec
    let batchCount: Int
    let length: Int

    init(_ spec: TransformerSpec, batchCount: Int, length: Int) {
        self.spec = spec
        self.batchCount = batchCount
        self.length = length
    }

    init(_ spec: TransformerSpec, _ tokens: TokenBatch) {
        self.init(spec, batchCount: tokens.batchCount, length: tokens.length)
    }

    var taps: [PlannedTap] {
        taps(of: .embed) + (0..<spec.layerCount).flatMap { taps(of: .block($0)) } + taps(of: .finish)
            + taps(of: .logits)
    }

    func taps(of step: ForwardStep) -> [PlannedTap] {
        switch step {
        case .embed: [tap(.embed, spec.hiddenSize)]
        case .block(let layer): blockTaps(spec.blocks[layer]).map { tap($0.point, $0.width, layer: layer) }
        case .finish:
            (spec.finalNorm == nil ? [] : [tap(.finalNorm, spec.hiddenSize)])
                + (spec.poolerActivation == nil
                    ? [] : [PlannedTap(name: TapPoint.pooler.rawValue, shape: [batchCount, spec.hiddenSize])])
        case .logits: spec.head.map { [tap(.logits, $0.outputCount ?? spec.vocabularySize)] } ?? []
        }
    }

    private func blockTaps(_ block: BlockSpec) -> [(point: TapPoint, width: Int)] {
        let (attention, hidden) = (block.attention, spec.hiddenSize)
        var taps: [(point: TapPoint, width: Int)] = []
        func norm(_ norm: NormSpec?, _ point: TapPoint) { if norm != nil { taps.append((point, hidden)) } }
        norm(block.attentionNorms.before, .attentionNorm)
        let (q, kv) = (attention.queryWidth, attention.keyValueWidth)
        taps += [(.query, q), (.key, kv), (.value, kv)]
        if attention.headNorm != nil { taps += [(.queryNorm, q), (.keyNorm, kv)] }
        taps.append((.attentionOutput, hidden))
        norm(block.attentionNorms.after, .attentionPostNorm)
        norm(block.attentionNorms.afterResidual, .attentionNorm)
        norm(block.feedForwardNorms.before, .feedForwardNorm)
        taps += [(.activation, block.feedForward.innerSize), (.feedForwardOutput, hidden)]
        norm(block.feedForwardNorms.after, .feedForwardPostNorm)
        norm(block.feedForwardNorms.afterResidual, .feedForwardNorm)
        taps.append((.out, hidden))
        return taps
    }

    func tap(_ point: TapPoint, _ features: Int, layer: Int? = nil) -> PlannedTap {
        PlannedTap(name: point.name(layer: layer), shape: [batchCount, length, features])
    }
}

extension Model {
    /// The taps of a forward pass, in its order, whatever the tokens.
    public var tapNames: [String] { TapPlan(spec, batchCount: 1, length: 1).taps.map(\.name) }
}

/// The names of taps.
enum TapPoint: String {
    case embed
    case attentionNorm = "attn_norm"
    case query = "q"
    case key = "k"
    case value = "v"
    case queryNorm = "q_norm"
    case keyNorm = "k_norm"
    case attentionOutput = "attn_out"
    case attentionPostNorm = "attn_post_norm"
    case feedForwardNorm = "mlp_norm"
    case activation = "mlp_act"
    case feedForwardOutput = "mlp_out"
    case feedForwardPostNorm = "mlp_post_norm"
    case out
    case finalNorm = "final_norm"
    case pooler
    case logits

    func name(layer: Int?) -> String { layer.map { "layers.\($0).\(rawValue)" } ?? rawValue }
}

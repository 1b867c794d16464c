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
        case .block(let layer): blockTaps.map { tap($0, width(of: $0), layer: layer) }
        case .finish:
            (spec.finalNorm == nil ? [] : [tap(.finalNorm, spec.hiddenSize)])
                + (spec.poolerActivation == nil
                    ? [] : [PlannedTap(name: TapPoint.pooler.rawValue, shape: [batchCount, spec.hiddenSize])])
        case .logits: spec.head == nil ? [] : [tap(.logits, spec.vocabularySize)]
        }
    }

    private var blockTaps: [TapPoint] {
        switch spec.block.normPlacement {
        case .beforeSublayer:
            [
                .attentionNorm, .query, .key, .value, .attentionOutput, .feedForwardNorm, .activation,
                .feedForwardOutput, .out,
            ]
        case .afterResidual:
            [
                .query, .key, .value, .attentionOutput, .attentionNorm, .activation, .feedForwardOutput,
                .feedForwardNorm, .out,
            ]
        }
    }

    private func width(of point: TapPoint) -> Int {
        switch point {
        case .query, .key, .value: spec.block.attention.headCount * spec.block.attention.headDimension
        case .activation: spec.block.feedForward.innerSize
        default: spec.hiddenSize
        }
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
    case attentionOutput = "attn_out"
    case feedForwardNorm = "mlp_norm"
    case activation = "mlp_act"
    case feedForwardOutput = "mlp_out"
    case out
    case finalNorm = "final_norm"
    case pooler
    case logits

    func name(layer: Int?) -> String { layer.map { "layers.\($0).\(rawValue)" } ?? rawValue }
}

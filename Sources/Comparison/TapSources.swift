import AssayModels

/// What stands behind taps.
enum TapSources {
    /// The slots whose weights a tap is the direct result of, and which slice of a joined matrix.
    static func feeding(_ tap: TapFigures, _ spec: TransformerSpec) -> [(slot: WeightSlot, slice: Int?)] {
        func both(_ module: Module, _ slice: Int? = nil) -> [(slot: WeightSlot, slice: Int?)] {
            [WeightSlot.Part.weight, .bias].map { (spec.shared(WeightSlot(module, layer: tap.layer, $0)), slice) }
        }
        let isJoined = tap.layer.map { spec.blocks[$0].attention.projection != .separate } ?? false
        switch tap.point {
        case "embed":
            return [
                Module.tokenEmbedding, .positionEmbedding, .tokenTypeEmbedding, .embeddingNorm, .embeddingProjection,
            ].flatMap { both($0) }
        case "attn_norm": return both(.attentionNorm)
        case "q": return isJoined ? both(.queryKeyValue, 0) : both(.query)
        case "k": return isJoined ? both(.queryKeyValue, 1) : both(.key)
        case "v": return isJoined ? both(.queryKeyValue, 2) : both(.value)
        case "q_norm": return both(.queryNorm)
        case "k_norm": return both(.keyNorm)
        case "attn_out":
            return [Module.attentionOutput, .attentionSinks, .distanceKey, .distanceQuery].flatMap { both($0) }
        case "mlp_norm": return both(.feedForwardNorm)
        case "attn_post_norm": return both(.attentionPostNorm)
        case "mlp_post_norm": return both(.feedForwardPostNorm)
        case "mlp_act": return [Module.feedForwardGate, .feedForwardGateInput, .feedForwardInput].flatMap { both($0) }
        case "mlp_out": return both(.feedForwardOutput)
        case "final_norm": return both(.finalNorm)
        case "pooler": return both(.pooler)
        case "logits":
            return [Module.headTransform, .headNorm, .head].flatMap { both($0) }
                + (spec.head?.isTied == true ? both(.tokenEmbedding) : [])
        default: return []
        }
    }
}

import AssayModels

/// What stands behind taps.
enum TapSources {
    /// The slots whose weights a tap is the direct result of, and which slice of a joined matrix.
    static func feeding(_ tap: TapFigures, _ spec: TransformerSpec) -> [(slot: WeightSlot, slice: Int?)] {
        func both(_ module: Module, _ slice: Int? = nil) -> [(slot: WeightSlot, slice: Int?)] {
            [WeightSlot.Part.weight, .bias].map {
                (spec.shared(WeightSlot(module, in: tap.role, layer: tap.layer, $0).standing), slice)
            }
        }
        let block = tap.layer.flatMap { spec[tap.role]?.blocks[$0] }
        let isJoined = block.map { $0.attention.projection != .separate } ?? false
        let isCrossJoined = block?.cross.map { $0.attention.projection != .separate } ?? false
        switch tap.point {
        case "embed":
            return [
                Module.convolution, .secondConvolution, .classVector, .tokenEmbedding, .embeddingProjection,
                .positionEmbedding, .tokenTypeEmbedding, .embeddingNorm,
            ].flatMap { both($0) }
        case "attn_norm": return both(.attentionNorm)
        case "q_latent": return both(.queryDown) + both(.queryLatentNorm)
        case "kv_latent": return both(.keyValueDown) + both(.keyValueLatentNorm)
        case "q": return isJoined ? both(.queryKeyValue, 0) : both(.query) + both(.queryUp)
        case "k": return isJoined ? both(.queryKeyValue, 1) : both(.key) + both(.keyValueDown) + both(.keyValueUp)
        case "v": return isJoined ? both(.queryKeyValue, 2) : both(.value) + both(.keyValueUp)
        case "q_norm": return both(.queryNorm)
        case "k_norm": return both(.keyNorm)
        case "attn_out":
            return [
                Module.attentionOutput, .attentionSinks, .distanceKey, .distanceQuery, .contentBias, .distanceBias,
            ].flatMap { both($0) }
        case "cross_attn_norm": return both(.crossNorm)
        case "cross_q": return isCrossJoined ? both(.crossQueryKeyValue, 0) : both(.crossQuery)
        case "cross_k": return isCrossJoined ? both(.crossQueryKeyValue, 1) : both(.crossKey)
        case "cross_v": return isCrossJoined ? both(.crossQueryKeyValue, 2) : both(.crossValue)
        case "cross_attn_out": return both(.crossOutput)
        case "mlp_norm": return both(.feedForwardNorm)
        case "attn_post_norm": return both(.attentionPostNorm)
        case "mlp_post_norm": return both(.feedForwardPostNorm)
        case "mlp_act": return [Module.feedForwardGate, .feedForwardGateInput, .feedForwardInput].flatMap { both($0) }
        case "router": return both(.router)
        case "mlp_out": return both(.feedForwardOutput) + experts(tap, spec)
        case "final_norm": return both(.finalNorm)
        case "pooler": return both(.pooledNorm) + both(.pooler)
        case "embeds": return both(.pooledProjection)
        case "logits", "logprobs":
            return [Module.headTransform, .headNorm, .headProjection, .head, .headClusters, .logitScale].flatMap {
                both($0)
            } + bins(spec)
                + (spec.head?.isTied == true
                    ? spec.stacks.map { (WeightSlot(.tokenEmbedding, in: $0.role), nil) } : [])
        default: return []
        }
    }

    /// The weights of the bins of an adaptive softmax.
    private static func bins(_ spec: TransformerSpec) -> [(slot: WeightSlot, slice: Int?)] {
        (0..<(spec.head?.adaptive?.bins.count ?? 0)).flatMap { bin in
            [Module.head, .headProjection].flatMap { module in
                [WeightSlot(module, bin: bin), WeightSlot(module, bin: bin, .bias)].map { ($0, nil) }
            }
        }
    }

    /// The weights of all experts, and what chooses among them.
    private static func experts(_ tap: TapFigures, _ spec: TransformerSpec) -> [(slot: WeightSlot, slice: Int?)] {
        guard let layer = tap.layer, let experts = spec[tap.role]?.blocks[layer].experts else { return [] }
        let numbers: [Int?] = experts.isStacked ? [nil] : (0..<experts.count).map { $0 }
        let own = [Module.expertGate, .expertInput, .expertGateInput, .expertOutput].flatMap { module in
            numbers.map { WeightSlot(module, in: tap.role, layer: layer, expert: $0) }
        }
        let others = [Module.routerCorrection, .sharedGate, .sharedInput, .sharedOutput].map {
            WeightSlot($0, in: tap.role, layer: layer)
        }
        return (own + others).flatMap {
            [($0, nil), (WeightSlot($0.module, in: tap.role, layer: layer, expert: $0.expert, .bias), nil)]
        }
    }
}

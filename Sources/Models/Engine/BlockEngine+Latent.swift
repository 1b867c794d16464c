/// Queries, keys and values made of latent vectors.
extension BlockEngine {
    /// - Source: `DeepseekV3Attention` of transformers 5.
    func projections(
        _ latent: LatentSpec, _ attention: AttentionSpec, _ layer: Int, _ inputs: [Matrix<S>], _ observe: TapObserver?
    ) throws -> Projections {
        let hasBias = attention.hasInputBias
        func project(_ inputs: [Matrix<S>], _ module: Module, bias: Bool = false) throws -> [Matrix<S>] {
            try linear(inputs, WeightSlot(module, layer: layer), bias: bias)
        }
        func normed(_ latents: [Matrix<S>], _ module: Module, _ point: TapPoint) throws -> [Matrix<S>] {
            let result = try normalize(latents, WeightSlot(module, layer: layer), latent.norm)
            try show(result, point, layer, observe)
            return result
        }
        var queries = inputs
        if latent.queryRank != nil {
            queries = try normed(project(inputs, .queryDown, bias: hasBias), .queryLatentNorm, .queryLatent)
        }
        let q = try project(queries, latent.queryRank == nil ? .query : .queryUp)
        let rank = latent.keyValueRank
        let down = try linear(
            inputs, WeightSlot(.keyValueDown, layer: layer), slices: [[0..<rank], [rank..<rank + latent.sharedWidth]],
            bias: hasBias)
        let latents = try normed(down[0], .keyValueLatentNorm, .keyValueLatent)
        let up = try linear(
            latents, WeightSlot(.keyValueUp, layer: layer), slices: latent.upSlices(attention), bias: false)
        let k = try zip(up[0], down[1]).map { try keys(own: $0, shared: $1, attention) }
        return (q, k, up[1])
    }

    /// Every head's own features, and behind them those that all have in common.
    private func keys(own: Matrix<S>, shared: Matrix<S>, _ attention: AttentionSpec) throws -> Matrix<S> {
        let width = own.columnCount / attention.keyValueHeadCount
        let result = try Matrix<S>(rowCount: own.rowCount, columnCount: attention.keyWidth)
        forEachRows(of: result) { rows in
            for row in rows {
                for head in 0..<attention.keyValueHeadCount {
                    let key = result.row(row) + head * attention.headDimension
                    key.update(from: own.row(row) + head * width, count: width)
                    (key + width).update(from: shared.row(row), count: shared.columnCount)
                }
            }
        }
        return result
    }
}

extension LatentSpec {
    /// The outputs of the matrix up that are keys, and those that are values: by turns, head by head.
    fileprivate func upSlices(_ attention: AttentionSpec) -> [[Range<Int>]] {
        let (keys, values) = (attention.headDimension - sharedWidth, attention.valueHeadDimension)
        let starts = (0..<attention.keyValueHeadCount).map { $0 * (keys + values) }
        return [starts.map { $0..<$0 + keys }, starts.map { $0 + keys..<$0 + keys + values }]
    }
}

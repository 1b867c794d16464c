import AssayTensors

/// A row made of every sequence.
extension BlockEngine {
    /// [sequences, features] of each of some states, [batch · time, hidden].
    func pooled(
        _ states: [Matrix<S>], _ pooling: PoolingSpec, _ observe: TapObserver?
    ) throws -> [Matrix<S>] {
        var result = try rows(of: states, at: pooling.position)
        if let norm = pooling.norm { result = try normalize(result, WeightSlot(.pooledNorm), norm) }
        if let layer = pooling.layer {
            result = try linear(result, WeightSlot(.pooler))
            try apply(layer.activation, result)
        }
        try show(result, .pooler, nil, observe)
        guard let projection = pooling.projection else { return result }
        result = try linear(result, WeightSlot(.pooledProjection), bias: false)
        if projection.isNormalized { result = try unitLength(result) }
        try show(result, .embeddings, nil, observe)
        return result
    }

    /// The row of one position of every sequence.
    private func rows(of states: [Matrix<S>], at position: PoolingSpec.Position) throws -> [Matrix<S>] {
        let places = (0..<sequences.count).map { $0 * sequences.length + self.place(position, inSequence: $0) }
        return try states.map { state in
            let result = try Matrix<S>(rowCount: places.count, columnCount: state.columnCount)
            for (row, place) in places.enumerated() {
                result.row(row).update(from: state.row(place), count: state.columnCount)
            }
            return result
        }
    }

    private func place(_ position: PoolingSpec.Position, inSequence sequence: Int) -> Int {
        switch position {
        case .first: return 0
        case .greatestToken:
            let ids = tokens.inputIDs[sequence]
            return ids.indices.first { ids[$0] == ids.max() } ?? 0
        case .firstToken(let token): return tokens.inputIDs[sequence].firstIndex(of: token) ?? 0
        }
    }

    /// Some rows' products with the rows of the stack before, times e to the power of the stored scale.
    func similarities(_ features: [HiddenState], _ rows: Range<Int>) throws -> [HiddenState] {
        let scale = PortableMath.exponential(try vector(WeightSlot(.logitScale)).widened[0])
        return try features.map { features in
            guard let others = features.earlier else { preconditionFailure("nothing was pooled before") }
            let result = try products(matrix(features, rows: rows), matrix(others))
            return try state(scaled([result], by: scale)[0])
        }
    }

    /// Rows over their Euclidean lengths: over the root of their mean square, and that of how many features they have.
    private func unitLength(_ values: [Matrix<S>]) throws -> [Matrix<S>] {
        let normed = try normalize(
            values, WeightSlot(.pooledProjection), NormSpec(.rootMeanSquare, epsilon: 0, hasGain: false))
        return scaled(normed, by: 1 / Double(values[0].columnCount).squareRoot())
    }
}

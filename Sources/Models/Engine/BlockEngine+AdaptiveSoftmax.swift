import AssayTensors

/// Log probabilities by way of bins of the vocabulary.
extension BlockEngine {
    /// - Parameter inputs: [rows, hidden] each.
    /// - Returns: [rows, vocabulary] each.
    func logProbabilities(_ inputs: [Matrix<S>], _ softmax: AdaptiveSoftmax) throws -> [Matrix<S>] {
        let bins = softmax.bins
        let results = try inputs.map { try Matrix<S>(rowCount: $0.rowCount, columnCount: bins.tokenCount) }
        var first: [Matrix<S>] = []
        for bin in 0..<bins.count {
            let tokens = bins.tokens(of: bin)
            let scores = try scores(of: bin, inputs, softmax)
            for index in inputs.indices {
                takeLogSoftmax(of: scores[index])
                let own = scores[index]
                forEachRows(of: own) { rows in
                    for row in rows {
                        (results[index].row(row) + tokens.lowerBound).update(from: own.row(row), count: tokens.count)
                    }
                }
                guard bin > 0 else { continue }
                addCluster(
                    column: bins.tokens(of: 0).count + softmax.entry(of: bin), of: first[index], to: results[index],
                    tokens)
            }
            if bin == 0 { first = scores }
        }
        return results
    }

    /// The scores of a bin's tokens; behind those of the first one, the clusters'.
    private func scores(of bin: Int, _ inputs: [Matrix<S>], _ softmax: AdaptiveSoftmax) throws -> [Matrix<S>] {
        let features =
            softmax.tiedProjections == nil
            ? inputs : try linear(inputs, WeightSlot(.headProjection, bin: bin), bias: false)
        let scores =
            softmax.hasOneTable
            ? try linear(features, WeightSlot(.head), slices: [[softmax.bins.tokens(of: bin)]])[0]
            : try linear(features, WeightSlot(.head, bin: bin))
        guard bin == 0, softmax.bins.count > 1 else { return scores }
        return try zip(scores, linear(features, WeightSlot(.headClusters))).map(joined)
    }

    /// The columns of one behind those of the other.
    private func joined(_ a: Matrix<S>, _ b: Matrix<S>) throws -> Matrix<S> {
        let result = try Matrix<S>(rowCount: a.rowCount, columnCount: a.columnCount + b.columnCount)
        for row in 0..<a.rowCount {
            result.row(row).update(from: a.row(row), count: a.columnCount)
            (result.row(row) + a.columnCount).update(from: b.row(row), count: b.columnCount)
        }
        return result
    }

    /// `x - max - log(sum(exp(x - max)))` of every row, in place. The sum is the inverse of the greatest probability.
    private func takeLogSoftmax(of matrix: Matrix<S>) {
        let count = matrix.columnCount
        forEachRows(of: matrix) { rows in
            withUnsafeTemporaryAllocation(of: S.self, capacity: count) { probabilities in
                withUnsafeTemporaryAllocation(of: Double.self, capacity: count) { values in
                    for row in rows {
                        let scores = matrix.row(row)
                        S.softmax(kernels, scores, probabilities.baseAddress!, 1, count)
                        let greatest = (0..<count).reduce(0) { S.double(scores[$1]) > S.double(scores[$0]) ? $1 : $0 }
                        let maximum = S.double(scores[greatest])
                        let logarithm = -PortableMath.logarithm(S.double(probabilities[greatest]))
                        for index in 0..<count {
                            values[index] = own(S.double(scores[index]) - maximum) - own(logarithm)
                        }
                        S.take(kernels, values.baseAddress!, scores, count)
                    }
                }
            }
            roundRows(of: matrix, rows)
        }
    }

    /// A number as the profile's operations give it.
    private func own(_ value: Double) -> Double { weightPrecision == .float32 ? Double(Float(value)) : value }

    /// A column of one matrix added to some columns of another, row by row.
    private func addCluster(column: Int, of first: Matrix<S>, to result: Matrix<S>, _ tokens: Range<Int>) {
        forEachRows(of: result) { rows in
            withUnsafeTemporaryAllocation(of: S.self, capacity: tokens.count) { terms in
                for row in rows {
                    terms.update(repeating: first.row(row)[column])
                    let own = result.row(row) + tokens.lowerBound
                    S.add(kernels, terms.baseAddress!, own, own, tokens.count)
                    if roundsToFloat32 { S.roundToFloat32(kernels, own, tokens.count) }
                }
            }
        }
    }
}

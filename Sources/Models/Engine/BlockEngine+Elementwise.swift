import AssayCheckpoints
import AssayTensors

/// Norms, activations, sums and embeddings: every row alone.
extension BlockEngine {
    /// Layer normalization: `y = (x - mean) / sqrt(variance + epsilon) · weight + bias`.
    func normalize(_ inputs: [Matrix<S>], _ slot: WeightSlot, _ norm: NormSpec) throws -> [Matrix<S>] {
        let weight = try vector(slot)
        let bias = try vector(WeightSlot(slot.module, layer: slot.layer, .bias))
        return try inputs.map { input in
            let result = try Matrix<S>(rowCount: input.rowCount, columnCount: input.columnCount)
            forEachRows(of: result) { rows in
                normalize(input, weight, bias, norm, result, rows)
                roundRows(of: result, rows)
            }
            return result
        }
    }

    private func normalize(
        _ input: Matrix<S>, _ weight: BorrowedVector, _ bias: BorrowedVector, _ norm: NormSpec, _ result: Matrix<S>,
        _ rows: Range<Int>
    ) {
        let first = rows.lowerBound
        // The kernel takes gain and bias in float32; wider ones are applied afterwards.
        if weight.doubles != nil || bias.doubles != nil {
            S.layerNorm(
                kernels, input.row(first), nil, nil, norm.epsilon, result.row(first), rows.count, input.columnCount)
            for row in rows { applyWide(weight, bias, to: result.row(row), input.columnCount) }
            return
        }
        weight.floats.withUnsafeBufferPointer { weight in
            bias.floats.withUnsafeBufferPointer { bias in
                S.layerNorm(
                    kernels, input.row(first), weight.baseAddress, bias.baseAddress, norm.epsilon, result.row(first),
                    rows.count, input.columnCount)
            }
        }
    }

    private func applyWide(
        _ weight: BorrowedVector, _ bias: BorrowedVector, to row: UnsafeMutablePointer<S>, _ count: Int
    ) {
        withWide(weight) { S.multiply(kernels, row, $0, row, count) }
        withWide(bias) { S.add(kernels, row, $0, row, count) }
    }

    /// The values in the engine's type, which is float64 where any vector is wide.
    private func withWide(_ vector: BorrowedVector, _ body: (UnsafePointer<S>) -> Void) {
        if let doubles = vector.doubles {
            doubles.withUnsafeBufferPointer { body(UnsafeRawPointer($0.baseAddress!).assumingMemoryBound(to: S.self)) }
        } else {
            let count = vector.floats.count
            withUnsafeTemporaryAllocation(of: S.self, capacity: count) { values in
                vector.floats.withUnsafeBufferPointer { S.widen(kernels, $0.baseAddress!, values.baseAddress!, count) }
                body(UnsafePointer(values.baseAddress!))
            }
        }
    }

    /// An activation in place.
    func apply(_ activation: Activation, _ matrices: [Matrix<S>]) throws {
        for matrix in matrices {
            forEachRows(of: matrix) { rows in
                S.apply(kernels, activation, matrix.row(rows.lowerBound), rows.count * matrix.columnCount)
                roundRows(of: matrix, rows)
            }
        }
    }

    /// Residual connections: a + b, pair by pair, into the second.
    func sum(_ a: [Matrix<S>], _ b: [Matrix<S>]) throws -> [Matrix<S>] {
        zip(a, b).map { a, b in add(a, to: b) }
    }

    private func add(_ a: Matrix<S>, to b: Matrix<S>) -> Matrix<S> {
        forEachRows(of: b) { rows in
            let first = rows.lowerBound
            S.add(kernels, a.row(first), b.row(first), b.row(first), rows.count * b.columnCount)
            roundRows(of: b, rows)
        }
        return b
    }

    /// The sum of a row for every token, its kind and its position, in the order of the library that owns the model:
    /// tokens and kinds first.
    func embeddings() throws -> Matrix<S> {
        var result = try gather(WeightSlot(.tokenEmbedding), tokens.inputIDs.flatMap { $0 })
        if spec.embedding.tokenTypeCount > 0 {
            let kinds = tokens.tokenTypeIDs?.flatMap { $0 } ?? [Int](repeating: 0, count: rowCount)
            result = add(try gather(WeightSlot(.tokenTypeEmbedding), kinds), to: result)
        }
        let positions = tokens.positionIDs?.flatMap { $0 } ?? (0..<rowCount).map { $0 % sequences.length }
        return add(try gather(WeightSlot(.positionEmbedding), positions), to: result)
    }

    /// Rows of a table; equal ones are read once, in ascending order, which suits every format.
    private func gather(_ slot: WeightSlot, _ ids: [Int]) throws -> Matrix<S> {
        let table = try borrow(slot)
        let result = try Matrix<S>(rowCount: ids.count, columnCount: spec.hiddenSize)
        let order = ids.indices.sorted { (ids[$0], $0) < (ids[$1], $1) }
        let ranges = Parallel.ranges(order.count, parts: 4 * threads)
        try Parallel.forEach(ranges.count, threads: threads) { part in
            var last: Int?
            for place in order[ranges[part]] {
                if let last, ids[last] == ids[place] {
                    result.row(place).update(from: result.row(last), count: result.columnCount)
                } else {
                    try read(table, row: ids[place], into: result.row(place))
                }
                last = place
            }
        }
        return result
    }

    private func read(_ table: BorrowedWeight, row: Int, into result: UnsafeMutablePointer<S>) throws {
        let count = spec.hiddenSize
        if table.isWide {
            try table.read(
                rows: row..<row + 1,
                into: UnsafeMutableRawBufferPointer(start: result, count: count * table.elementByteCount))
            return
        }
        try withUnsafeTemporaryAllocation(of: Float.self, capacity: count) { values in
            try table.tensor.read(rows: row..<row + 1, into: values)
            S.widen(kernels, values.baseAddress!, result, count)
        }
    }
}

import AssayCheckpoints
import AssayTensors

/// Norms, activations, sums and embeddings: every row alone.
extension BlockEngine {
    /// A norm over the features, or over each of `groupCount` equal parts of them with one gain.
    func normalize(
        _ inputs: [Matrix<S>], _ slot: WeightSlot, _ norm: NormSpec, groupCount: Int = 1
    ) throws -> [Matrix<S>] {
        let weight = try vector(slot, offset: norm.gainOffset)
        let bias = norm.hasBias ? try vector(WeightSlot(slot.module, layer: slot.layer, .bias)) : nil
        return try inputs.map { input in
            let result = try Matrix<S>(rowCount: input.rowCount, columnCount: input.columnCount)
            forEachRows(of: result) { rows in
                normalize(
                    input.row(rows.lowerBound), weight, bias, norm, result.row(rows.lowerBound),
                    rows.count * groupCount, input.columnCount / groupCount)
                roundRows(of: result, rows)
            }
            return result
        }
    }

    private func normalize(
        _ input: UnsafePointer<S>, _ weight: BorrowedVector, _ bias: BorrowedVector?, _ norm: NormSpec,
        _ result: UnsafeMutablePointer<S>, _ rows: Int, _ columns: Int
    ) {
        func run(_ weight: UnsafePointer<Float>?, _ bias: UnsafePointer<Float>?) {
            switch norm.kind {
            case .layer: S.layerNorm(kernels, input, weight, bias, norm.epsilon, result, rows, columns)
            case .rootMeanSquare: S.rootMeanSquareNorm(kernels, input, weight, norm.epsilon, result, rows, columns)
            }
        }
        // The kernel takes gain and bias in float32; wider ones are applied afterwards.
        if weight.doubles != nil || bias?.doubles != nil {
            run(nil, nil)
            for row in 0..<rows { applyWide(weight, bias, to: result + row * columns, columns) }
            return
        }
        weight.floats.withUnsafeBufferPointer { weight in
            guard let bias else { return run(weight.baseAddress, nil) }
            bias.floats.withUnsafeBufferPointer { run(weight.baseAddress, $0.baseAddress) }
        }
    }

    private func applyWide(
        _ weight: BorrowedVector, _ bias: BorrowedVector?, to row: UnsafeMutablePointer<S>, _ count: Int
    ) {
        withWide(weight) { S.multiply(kernels, row, $0, row, count) }
        guard let bias else { return }
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

    /// The products of elements, pair by pair, into the second.
    func multiply(_ a: [Matrix<S>], _ b: [Matrix<S>]) -> [Matrix<S>] {
        zip(a, b).map { a, b in
            forEachRows(of: b) { rows in
                let first = rows.lowerBound
                S.multiply(kernels, a.row(first), b.row(first), b.row(first), rows.count * b.columnCount)
                roundRows(of: b, rows)
            }
            return b
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
        if let scale = spec.embedding.scale { multiply(result, by: scale) }
        if spec.embedding.tokenTypeCount > 0 {
            let kinds = tokens.tokenTypeIDs?.flatMap { $0 } ?? [Int](repeating: 0, count: rowCount)
            result = add(try gather(WeightSlot(.tokenTypeEmbedding), kinds), to: result)
        }
        guard spec.embedding.hasLearnedPositions else { return result }
        let positions = tokens.positionIDs?.flatMap { $0 } ?? (0..<rowCount).map { $0 % sequences.length }
        return add(try gather(WeightSlot(.positionEmbedding), positions), to: result)
    }

    private func multiply(_ matrix: Matrix<S>, by factor: Double) {
        forEachRows(of: matrix) { rows in
            S.scale(kernels, matrix.row(rows.lowerBound), factor, rows.count * matrix.columnCount)
            roundRows(of: matrix, rows)
        }
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

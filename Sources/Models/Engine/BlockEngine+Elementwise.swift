import AssayCheckpoints
import AssayTensors

/// Norms, activations, sums and embeddings: every row alone.
extension BlockEngine {
    /// A norm over the features, or over each of `groupCount` equal parts of them with one gain.
    func normalize(
        _ inputs: [Matrix<S>], _ slot: WeightSlot, _ norm: NormSpec, groupCount: Int = 1
    ) throws -> [Matrix<S>] {
        let weight = norm.hasGain ? try vector(slot, offset: norm.gainOffset) : nil
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

    /// The norm of queries or keys.
    func normalize(
        _ inputs: [Matrix<S>], _ slot: WeightSlot, _ spec: AttentionSpec.HeadNorm, headCount: Int
    ) throws -> [Matrix<S>] {
        switch spec.gains {
        case .shared: return try normalize(inputs, slot, spec.norm, groupCount: headCount)
        case .ofAllHeads: return try normalize(inputs, slot, spec.norm)
        case .ofEveryHead:
            let weight = spec.norm.hasGain ? try vector(slot, offset: spec.norm.gainOffset) : nil
            let bias = spec.norm.hasBias ? try vector(WeightSlot(slot.module, layer: slot.layer, .bias)) : nil
            return try inputs.map { input in
                let result = try Matrix<S>(rowCount: input.rowCount, columnCount: input.columnCount)
                let columns = input.columnCount
                forEachRows(of: result) { rows in
                    let first = result.row(rows.lowerBound)
                    normalize(
                        input.row(rows.lowerBound), spec.norm, nil, nil, first, rows.count * headCount,
                        columns / headCount)
                    for row in 0..<rows.count { applyWide(weight, bias, to: first + row * columns, columns) }
                    roundRows(of: result, rows)
                }
                return result
            }
        }
    }

    private func normalize(
        _ input: UnsafePointer<S>, _ norm: NormSpec, _ weight: UnsafePointer<Float>?, _ bias: UnsafePointer<Float>?,
        _ result: UnsafeMutablePointer<S>, _ rows: Int, _ columns: Int
    ) {
        switch norm.kind {
        case .layer: S.layerNorm(kernels, input, weight, bias, norm.epsilon, result, rows, columns)
        case .rootMeanSquare: S.rootMeanSquareNorm(kernels, input, weight, norm.epsilon, result, rows, columns)
        }
    }

    private func normalize(
        _ input: UnsafePointer<S>, _ weight: BorrowedVector?, _ bias: BorrowedVector?, _ norm: NormSpec,
        _ result: UnsafeMutablePointer<S>, _ rows: Int, _ columns: Int
    ) {
        func run(_ weight: UnsafePointer<Float>?, _ bias: UnsafePointer<Float>?) {
            normalize(input, norm, weight, bias, result, rows, columns)
        }
        // The kernel takes gain and bias in float32; wider ones are applied afterwards. So is the bias of a
        // root-mean-square norm, which the kernel does not know.
        if weight?.doubles != nil || bias?.doubles != nil {
            run(nil, nil)
            for row in 0..<rows { applyWide(weight, bias, to: result + row * columns, columns) }
            return
        }
        withFloats(weight) { weight in withFloats(bias) { run(weight, $0) } }
    }

    private func applyWide(
        _ weight: BorrowedVector?, _ bias: BorrowedVector?, to row: UnsafeMutablePointer<S>, _ count: Int
    ) {
        if let weight { withWide(weight) { S.multiply(kernels, row, $0, row, count) } }
        if let bias { withWide(bias) { S.add(kernels, row, $0, row, count) } }
    }

    private func withFloats(_ vector: BorrowedVector?, _ body: (UnsafePointer<Float>?) -> Void) {
        guard let vector else { return body(nil) }
        vector.floats.withUnsafeBufferPointer { body($0.baseAddress) }
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

    /// Numbers outside a range become its nearest end, in place.
    func clamp(_ matrices: [Matrix<S>], _ range: ClosedRange<Double>) {
        for matrix in matrices {
            forEachRows(of: matrix) { rows in
                S.clamp(
                    kernels, matrix.row(rows.lowerBound), range.lowerBound, range.upperBound,
                    rows.count * matrix.columnCount)
            }
        }
    }

    /// A number added to every element, in place.
    func add(_ number: Double, to matrices: [Matrix<S>]) -> [Matrix<S>] {
        guard number != 0 else { return matrices }
        for matrix in matrices {
            let row = [Float](repeating: Float(number), count: matrix.columnCount)
            forEachRows(of: matrix) { rows in
                S.addRow(kernels, matrix.row(rows.lowerBound), row, rows.count, matrix.columnCount)
                roundRows(of: matrix, rows)
            }
        }
        return matrices
    }

    /// Every other column, from the first or the second on.
    func everyOther(_ matrix: Matrix<S>, from first: Int) throws -> Matrix<S> {
        let result = try Matrix<S>(rowCount: matrix.rowCount, columnCount: matrix.columnCount / 2)
        forEachRows(of: result) { rows in
            for row in rows {
                let (from, to) = (matrix.row(row) + first, result.row(row))
                for column in 0..<result.columnCount { to[column] = from[2 * column] }
            }
        }
        return result
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

    /// The same row added to every row, in place.
    func add(row: BorrowedVector, to values: [Matrix<S>]) {
        for matrix in values {
            forEachRows(of: matrix) { rows in
                for index in rows {
                    let result = matrix.row(index)
                    withWide(row) { S.add(kernels, result, $0, result, matrix.columnCount) }
                }
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

    /// Through the projection of the embeddings, where it stands in a place.
    func projected(_ values: [Matrix<S>], _ place: EmbeddingProjection.Place) throws -> [Matrix<S>] {
        guard let projection = spec.embedding.projection, projection.place == place else { return values }
        return try linear(values, WeightSlot(.embeddingProjection), bias: projection.hasBias)
    }

    /// A row for every token, or for every part of the numbers.
    private func vectorsOfInputs() throws -> Matrix<S> {
        if let features = spec.embedding.features { return try vectors(of: features) }
        let ids = tokens.inputIDs.flatMap { $0 }
        return try spec.embedding.bins.map { try gather(ids, $0) } ?? gather(WeightSlot(.tokenEmbedding), ids)
    }

    /// The sum of a row for every token, its kind and its position, in the order of the library that owns the model:
    /// tokens and kinds first.
    func embeddings() throws -> Matrix<S> {
        var result = try vectorsOfInputs()
        result = try projected([result], .ofTokens)[0]
        if let scale = spec.embedding.scale { multiply(result, by: scale) }
        if spec.embedding.tokenTypeCount > 0 {
            let kinds = tokens.tokenTypeIDs?.flatMap { $0 } ?? [Int](repeating: 0, count: rowCount)
            result = add(try gather(WeightSlot(.tokenTypeEmbedding), kinds), to: result)
        }
        if let sinusoids = spec.embedding.sinusoids {
            let places = tokens.positionIDs?.flatMap { $0 } ?? (0..<rowCount).map { $0 % sequences.length }
            return add(try vectors(of: places, sinusoids), to: result)
        }
        guard let positions = spec.embedding.positions else { return result }
        return add(try gather(WeightSlot(.positionEmbedding), positions.rows(of: tokens)), to: result)
    }

    /// Rows of the tables of bins, each through its bin's projection.
    private func gather(_ ids: [Int], _ bins: VocabularyBins) throws -> Matrix<S> {
        let result = try Matrix<S>(rowCount: ids.count, columnCount: spec.hiddenSize)
        for bin in 0..<bins.count {
            let tokens = bins.tokens(of: bin)
            let places = ids.indices.filter { tokens.contains(ids[$0]) }
            guard !places.isEmpty else { continue }
            let rows = try gather(WeightSlot(.tokenEmbedding, bin: bin), places.map { ids[$0] - tokens.lowerBound })
            let projected = try linear([rows], WeightSlot(.embeddingProjection, bin: bin), bias: false)[0]
            for (row, place) in places.enumerated() {
                result.row(place).update(from: projected.row(row), count: spec.hiddenSize)
            }
        }
        return result
    }

    /// Numbers of float32, as tables of them are stored.
    private func vectors(of places: [Int], _ sinusoids: SinusoidalPositions) throws -> Matrix<S> {
        let vectors = SinusoidalVectors(sinusoids, width: spec.hiddenSize, kernels)
        let result = try Matrix<S>(rowCount: places.count, columnCount: spec.hiddenSize)
        for (row, place) in places.enumerated() {
            let values = vectors.vector(at: place).map { Double(Float($0)) }
            S.take(kernels, values, result.row(row), spec.hiddenSize)
        }
        return result
    }

    /// The values themselves times a factor, where there is one.
    func scaled(_ values: [Matrix<S>], by factor: Double?) -> [Matrix<S>] {
        if let factor { for matrix in values { multiply(matrix, by: factor) } }
        return values
    }

    /// `cap · tanh(z / cap)` in place, where there is a cap.
    func softCapped(_ values: [Matrix<S>], at cap: Double?) throws -> [Matrix<S>] {
        guard let cap else { return values }
        for matrix in values { multiply(matrix, by: 1 / cap) }
        try apply(.tanh, values)
        return scaled(values, by: cap)
    }

    private func multiply(_ matrix: Matrix<S>, by factor: Double) {
        forEachRows(of: matrix) { rows in
            S.scale(kernels, matrix.row(rows.lowerBound), factor, rows.count * matrix.columnCount)
            roundRows(of: matrix, rows)
        }
    }

    /// Zeros where nothing is read.
    func clearPadding(of matrix: Matrix<S>) {
        guard let mask = tokens.attentionMask else { return }
        for (row, isRead) in mask.joined().enumerated() where isRead == 0 {
            matrix.row(row).update(repeating: S.zero, count: matrix.columnCount)
        }
    }

    /// Rows of a table; equal ones are read once, in ascending order, which suits every format.
    func gather(_ slot: WeightSlot, _ ids: [Int]) throws -> Matrix<S> {
        let table = try borrow(slot)
        // What comes from outside was checked; a specification may have been edited.
        precondition(ids.allSatisfy((0..<table.tensor.shape.rowCount).contains), "rows of a table")
        let result = try Matrix<S>(rowCount: ids.count, columnCount: table.tensor.shape.rowElementCount)
        if table.isReadWhole {
            let values = try vector(slot).widened
            for (place, id) in ids.enumerated() {
                let count = result.columnCount
                S.take(kernels, Array(values[id * count..<(id + 1) * count]), result.row(place), count)
            }
            return result
        }
        try table.tensor.requireIntact()
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
        let count = table.tensor.shape.rowElementCount
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

extension LearnedPositions {
    /// Rows before that of a given position 0: where padding is told from tokens, positions that are given are rows;
    /// otherwise places.
    var offsetOfGiven: Int { if case .placesOfTokens = counting { 0 } else { offset } }

    /// The rows of the table for every token, sequence by sequence.
    func rows(of tokens: TokenBatch) -> [Int] {
        if let given = tokens.positionIDs {
            return given.flatMap { $0.map { $0 + offsetOfGiven } }
        }
        return (0..<tokens.batchCount).flatMap { rows(of: tokens, sequence: $0) }
    }

    /// The rows of one sequence, whatever positions are given.
    func rows(of tokens: TokenBatch, sequence: Int) -> [Int] {
        let places = 0..<tokens.length
        switch counting {
        case .places: return places.map { $0 + offset }
        case .readPlaces: return counted(places.map { tokens.isRead(sequence: sequence, position: $0) })
        case .placesOfTokens(let padding): return counted(tokens.inputIDs[sequence].map { $0 != padding })
        }
    }

    private func counted(_ isCounted: [Bool]) -> [Int] {
        var count = 0
        return isCounted.map { isCounted in
            if isCounted { count += 1 }
            return offset - 1 + (isCounted ? count : 0)
        }
    }
}

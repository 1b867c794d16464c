import AssayTensors

/// What the scores of distances of one layer are made of.
struct DistanceScores<S: Scalar>: Sendable {
    /// For every head, the vectors of distances as keys, packed for a product; nil where queries do not meet them.
    var keys: [Matrix<S>]?
    /// The same as queries, which keys meet.
    var queries: [Matrix<S>]?
    var scale: Double
    /// Features of a head.
    var width: Int
    /// Rows of the table.
    var rowCount: Int
    /// The row of distance d at d + length - 1.
    var rows: [Int]
}

/// Disentangled attention.
extension BlockEngine {
    /// - Returns: nil where distances have no vectors.
    func distanceScores(_ spec: AttentionSpec, _ layer: Int) throws -> DistanceScores<S>? {
        guard let disentangled = spec.disentangled, let embedding = self.spec.embedding.distances else { return nil }
        let slot = WeightSlot(.distanceEmbedding)
        var table = [try gather(slot, Array(0..<2 * embedding.span))]
        if let norm = embedding.norm { table = try normalize(table, WeightSlot(.distanceNorm), norm) }
        func packed(_ own: Module, _ shared: Module) throws -> [Matrix<S>] {
            let module = disentangled.sharesProjections ? shared : own
            let bias = disentangled.sharesProjections ? spec.hasInputBias : true
            let projected = try linear(table, WeightSlot(module, layer: layer), bias: bias)[0]
            return try (0..<spec.headCount).map { try pack(projected, head: $0, width: spec.headDimension) }
        }
        let length = sequences.length
        return DistanceScores(
            keys: disentangled.hasDistanceKeys ? try packed(.distanceKey, .key) : nil,
            queries: disentangled.hasDistanceQueries ? try packed(.distanceQuery, .query) : nil,
            scale: spec.scale(layer: layer), width: spec.headDimension, rowCount: 2 * embedding.span,
            rows: (1 - length..<length).map(embedding.row(ofDistance:)))
    }

    /// Scores of some queries of one head of one sequence with all keys, scaled: [rows, length].
    func scores(
        _ scores: DistanceScores<S>, _ q: Matrix<S>, _ k: Matrix<S>, sequence: Int, head: Int, _ rows: Range<Int>
    ) throws -> Matrix<S> {
        let length = sequences.length
        let result = try Matrix<S>(rowCount: rows.count, columnCount: length)
        let first = sequence * length
        result.pointer.update(repeating: S.zero, count: rows.count * length)
        if let keys = scores.keys {
            let met = try product(q, first + rows.lowerBound..<first + rows.upperBound, head, keys[head], scores)
            for (row, i) in rows.enumerated() {
                let (from, to) = (met.row(row), result.row(row))
                for j in 0..<length { to[j] = from[scores.rows[i - j + length - 1]] }
            }
        }
        if let queries = scores.queries {
            let met = try product(k, first..<first + length, head, queries[head], scores)
            let more = try Matrix<S>(rowCount: 1, columnCount: length)
            for (row, i) in rows.enumerated() {
                for j in 0..<length { more.pointer[j] = met.row(j)[scores.rows[i - j + length - 1]] }
                S.add(kernels, result.row(row), more.pointer, result.row(row), length)
            }
        }
        return result
    }

    /// Some rows' features of a head with all vectors of distances, scaled: [rows, distances].
    private func product(
        _ matrix: Matrix<S>, _ rows: Range<Int>, _ head: Int, _ packed: Matrix<S>, _ scores: DistanceScores<S>
    ) throws -> Matrix<S> {
        let width = scores.width
        let features = try Matrix<S>(rowCount: rows.count, columnCount: width)
        for (index, row) in rows.enumerated() {
            features.row(index).update(from: matrix.row(row) + head * width, count: width)
        }
        let result = try Matrix<S>(rowCount: rows.count, columnCount: scores.rowCount)
        let panels = (scores.rowCount + S.panelWidth(kernels) - 1) / S.panelWidth(kernels)
        S.product(
            kernels, features.pointer, packed.pointer, result.pointer, scores.rowCount, rows.count, width,
            scores.rowCount, 0..<panels)
        S.scale(kernels, result.pointer, scores.scale, rows.count * scores.rowCount)
        return result
    }

    /// A head's features of every row, as a matrix whose outputs are the rows.
    private func pack(_ matrix: Matrix<S>, head: Int, width: Int) throws -> Matrix<S> {
        let outputs = matrix.rowCount
        let packed = try Matrix<S>(rowCount: 1, columnCount: S.packedCount(kernels, width, outputs))
        S.pack(
            kernels, own: matrix.pointer + head * width, MatrixStrides(input: 1, output: matrix.columnCount), width,
            outputs, 0..<(outputs + S.panelWidth(kernels) - 1) / S.panelWidth(kernels), packed.pointer)
        return packed
    }
}

extension Scalar {
    /// Packs numbers of the engine's own type.
    fileprivate static func pack(
        _ k: KernelTable, own w: UnsafePointer<Self>, _ strides: MatrixStrides, _ inputs: Int, _ outputs: Int,
        _ panels: Range<Int>, _ packed: UnsafeMutablePointer<Self>
    ) {
        let raw = UnsafeRawPointer(w)
        switch precision {
        case .float32:
            pack(k, raw.assumingMemoryBound(to: Float.self), strides, inputs, outputs, panels, packed)
        case .float64:
            pack(k, raw.assumingMemoryBound(to: Double.self), strides, inputs, outputs, panels, packed)
        }
    }
}

extension DistanceEmbedding {
    /// The row of the table for a distance.
    func row(ofDistance distance: Int) -> Int {
        min(max((buckets?.bucket(ofDistance: distance) ?? distance) + span, 0), 2 * span - 1)
    }
}

extension LogarithmicBuckets {
    /// Every operation's result is one of float32, as in the library, so that a distance has one bucket under any profile.
    func bucket(ofDistance distance: Int) -> Int {
        guard distance.magnitude > middle.magnitude else { return distance }
        func logarithm(_ value: Float) -> Float { Float(PortableMath.logarithm(Double(value))) }
        let share =
            logarithm(Float(distance.magnitude) / Float(middle)) / logarithm(Float(Double(greatest) / Double(middle)))
        let bucket = Int((share * Float(middle - 1)).rounded(.up)) + middle
        return distance < 0 ? -bucket : bucket
    }
}

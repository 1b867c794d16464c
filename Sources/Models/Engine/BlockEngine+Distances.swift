import AssayTensors

/// What the scores of distances of one layer are made of.
struct DistanceScores<S: Scalar>: Sendable {
    /// For every head, the vectors of distances as keys, packed for a product; nil where queries do not meet them.
    var keys: [Matrix<S>]?
    /// The same as queries, which keys meet.
    var queries: [Matrix<S>]?
    /// What meets them as keys where queries themselves do not.
    var meetingKeys: Matrix<S>?
    var scale: Double
    /// Features of a head.
    var width: Int
    /// Rows of the table.
    var rowCount: Int
    /// The row of distance d at d + length - 1, `length` being the queries'; nil where the row is the distance, from 0 to
    /// the last: a memory may be longer than any list of its distances should be.
    var rows: [Int]?
    /// Keys of a sequence.
    var keyCount: Int
}

/// Attention whose scores are of contents and of distances.
extension BlockEngine {
    /// - Returns: nil where distances have no vectors.
    func distanceScores(_ spec: AttentionSpec, _ layer: Int) throws -> DistanceScores<S>? {
        if let distances = spec.sinusoidalDistances { return try sinusoidalScores(distances, spec, layer) }
        guard let disentangled = spec.disentangled, let embedding = self.spec.embedding.distances else { return nil }
        let slot = WeightSlot(.distanceEmbedding)
        var table = [try gather(slot, Array(0..<2 * embedding.span))]
        if let norm = embedding.norm { table = try normalize(table, WeightSlot(.distanceNorm), norm) }
        func packed(_ own: Module, _ shared: Module) throws -> [Matrix<S>] {
            let module = disentangled.sharesProjections ? shared : own
            let bias = disentangled.sharesProjections ? spec.hasInputBias : true
            return try heads(of: linear(table, WeightSlot(module, layer: layer), bias: bias)[0], spec)
        }
        let length = sequences.length
        return DistanceScores(
            keys: disentangled.hasDistanceKeys ? try packed(.distanceKey, .key) : nil,
            queries: disentangled.hasDistanceQueries ? try packed(.distanceQuery, .query) : nil,
            scale: spec.scale(layer: layer), width: spec.headDimension, rowCount: 2 * embedding.span,
            rows: (1 - length..<length).map(embedding.row(ofDistance:)), keyCount: length)
    }

    /// The row of the table is the distance; what stands behind a query is seen by none.
    private func sinusoidalScores(
        _ distances: SinusoidalDistances, _ spec: AttentionSpec, _ layer: Int
    ) throws -> DistanceScores<S> {
        let length = sequences.length
        let keyCount = length + (spec.recurrence?.zeroCount ?? 0)
        let first = (0..<length).map { $0 - (spec.recurrence?.firstSeen(by: $0) ?? 0) }
        let greatest = min(first.max() ?? 0, distances.greatest ?? .max)
        let table = try linear(
            [vectors(ofDistances: 0...greatest, distances)], WeightSlot(.distanceKey, layer: layer), bias: false)
        return DistanceScores(
            keys: try heads(of: table[0], spec), scale: spec.scale(layer: layer), width: spec.headDimension,
            rowCount: greatest + 1, rows: nil, keyCount: keyCount)
    }

    /// Sines and cosines of distances; as of rotations, far ones by the library's rounding of angles.
    private func vectors(ofDistances distances: ClosedRange<Int>, _ spec: SinusoidalDistances) throws -> Matrix<S> {
        let result = try Matrix<S>(rowCount: distances.count, columnCount: self.spec.hiddenSize / 2 * 2)
        for first in stride(from: 0, to: distances.count, by: Self.distancesAtOnce) {
            let rows = first..<min(first + Self.distancesAtOnce, distances.count)
            try takeVectors(ofDistances: rows.map { distances.lowerBound + $0 }, spec, result, firstRow: first)
        }
        return result
    }

    /// Distances whose angles are in memory together.
    private static var distancesAtOnce: Int { 4096 }

    private func takeVectors(
        ofDistances distances: [Int], _ spec: SinusoidalDistances, _ result: Matrix<S>, firstRow: Int
    ) throws {
        let rotation = try Rotation<S>(
            RotarySpec(base: 10_000, dimension: self.spec.hiddenSize), positions: distances, kernels,
            isRounded: weightPrecision == .float32)
        let half = rotation.sines.columnCount
        for row in distances.indices {
            let (sines, cosines) = (rotation.sines.row(row), rotation.cosines.row(row))
            let own = result.row(firstRow + row)
            for pair in 0..<half {
                own[spec.isInterleaved ? 2 * pair : pair] = sines[pair]
                own[spec.isInterleaved ? 2 * pair + 1 : half + pair] = cosines[pair]
            }
        }
    }

    /// Vectors of distances, head by head, packed for a product.
    private func heads(of table: Matrix<S>, _ spec: AttentionSpec) throws -> [Matrix<S>] {
        let width = spec.headDimension
        return try (0..<spec.headCount).map { try packed(table, columns: $0 * width..<($0 + 1) * width) }
    }

    /// Scores of some queries of one head of one sequence with all keys, scaled: [rows, length].
    func scores(
        _ scores: DistanceScores<S>, _ q: Matrix<S>, _ k: Matrix<S>, sequence: Int, head: Int, _ rows: Range<Int>
    ) throws -> Matrix<S> {
        let keyCount = scores.keyCount
        let result = try Matrix<S>(rowCount: rows.count, columnCount: keyCount)
        result.pointer.update(repeating: S.zero, count: rows.count * keyCount)
        // The last key stands at the last query.
        let (listed, last, ahead) = (scores.rows, scores.rowCount - 1, keyCount - sequences.length)
        func row(_ i: Int, _ j: Int) -> Int {
            if let listed { return listed[i - j + keyCount - 1] }
            return min(max(i - j + ahead, 0), last)
        }
        if let keys = scores.keys {
            let first = sequence * sequences.length
            let met = try product(
                scores.meetingKeys ?? q, first + rows.lowerBound..<first + rows.upperBound, head, keys[head], scores)
            for (index, i) in rows.enumerated() {
                let (from, to) = (met.row(index), result.row(index))
                for j in 0..<keyCount { to[j] = from[row(i, j)] }
            }
        }
        if let queries = scores.queries {
            let first = sequence * keyCount
            let met = try product(k, first..<first + keyCount, head, queries[head], scores)
            let more = try Matrix<S>(rowCount: 1, columnCount: keyCount)
            for (index, i) in rows.enumerated() {
                for j in 0..<keyCount { more.pointer[j] = met.row(j)[row(i, j)] }
                S.add(kernels, result.row(index), more.pointer, result.row(index), keyCount)
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
        let result = try product(features, with: packed, outputCount: scores.rowCount)
        S.scale(kernels, result.pointer, scores.scale, rows.count * scores.rowCount)
        return result
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

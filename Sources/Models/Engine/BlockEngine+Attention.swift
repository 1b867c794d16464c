import AssayTensors

/// Scaled dot-product attention, every sequence and head alone.
extension BlockEngine {
    /// Keys are counted from the sequence's first position that is read, so padding before a sequence changes no bit of
    /// it. A row that may see no key (padding before a causal sequence, or farther from it than a window) sees all keys
    /// alike, as in transformers, whose mask swallows every score; a sink then takes all.
    func attend(
        _ q: Matrix<S>, _ k: Matrix<S>, _ v: Matrix<S>, _ spec: AttentionSpec, _ layer: Int, _ biases: ScoreBiases<S>
    ) throws -> Matrix<S> {
        let result = try Matrix<S>(rowCount: q.rowCount, columnCount: q.columnCount)
        let blocks = stride(from: 0, to: sequences.length, by: Self.queryRowCount).map {
            $0..<min($0 + Self.queryRowCount, sequences.length)
        }
        let scale = spec.scale(layer: layer)
        try Parallel.forEach(sequences.count * spec.headCount * blocks.count, threads: threads) { index in
            // The last query rows of a causal sequence see the most keys: they begin first.
            let rows = blocks[blocks.count - 1 - index % blocks.count]
            let head = index / blocks.count % spec.headCount
            let sequence = index / blocks.count / spec.headCount
            let keys = sequences.keys[sequence]
            let place = Place(sequence: sequence, head: head, keyHead: head / spec.groupSize, width: spec.headDimension)
            for stretch in stretches(of: rows, sequence, spec) {
                if let seen = stretch.seen {
                    let inputs = Inputs(
                        q: q, k: k, v: v, keys: keys, scale: scale, softCap: spec.softCap, biases: biases)
                    try attend(inputs, place, stretch.rows, result, seen)
                } else {
                    let all = Sequences.Keys(range: 0..<sequences.length, mask: nil)
                    let seen = 0..<(spec.hasSinks ? 0 : sequences.length)
                    try attend(
                        Inputs(q: q, k: k, v: v, keys: all, scale: 0), place, stretch.rows, result,
                        [Range<Int>](repeating: seen, count: stretch.rows.count))
                }
            }
        }
        forEachRows(of: result) { roundRows(of: result, $0) }
        return result
    }

    private static var queryRowCount: Int { 128 }

    /// The keys among which a row sees those that are read; nil where it sees none.
    private func sight(ofRow row: Int, _ sequence: Int, _ spec: AttentionSpec) -> Range<Int>? {
        let keys = sequences.keys[sequence]
        if spec.isPaddingBlind, !tokens.isRead(sequence: sequence, position: row) { return nil }
        var (begin, end) = (keys.range.lowerBound, keys.range.upperBound)
        if spec.isCausal { end = min(end, row + 1) }
        if let window = spec.window {
            begin = max(begin, row - window + 1)
            end = min(end, row + window)
        }
        guard begin < end, keys.mask?[begin..<end].contains(1) ?? true else { return nil }
        return begin..<end
    }

    /// Rows side by side that all see something, or nothing.
    private struct Stretch {
        var rows: Range<Int>
        /// The keys among which each row sees those that are read; nil where none sees any.
        var seen: [Range<Int>]?
    }

    private func stretches(of rows: Range<Int>, _ sequence: Int, _ spec: AttentionSpec) -> [Stretch] {
        var stretches: [Stretch] = []
        for row in rows {
            let sight = sight(ofRow: row, sequence, spec)
            if let last = stretches.indices.last, (stretches[last].seen == nil) == (sight == nil) {
                stretches[last].rows = stretches[last].rows.lowerBound..<row + 1
                if let sight { stretches[last].seen?.append(sight) }
            } else {
                stretches.append(Stretch(rows: row..<row + 1, seen: sight.map { [$0] }))
            }
        }
        return stretches
    }

    /// Whose rows and columns.
    private struct Place {
        var sequence: Int
        var head: Int
        var keyHead: Int
        var width: Int
    }

    private struct Inputs {
        var q: Matrix<S>
        var k: Matrix<S>
        var v: Matrix<S>
        var keys: Sequences.Keys
        var scale: Double
        var softCap: Double?
        var biases = ScoreBiases<S>()
    }

    /// Some rows of one head of one sequence, and the keys that each sees.
    private func attend(
        _ inputs: Inputs, _ place: Place, _ rows: Range<Int>, _ result: Matrix<S>, _ seen: [Range<Int>]
    ) throws {
        let (q, k, v) = (inputs.q, inputs.k, inputs.v)
        let (begins, ends) = (seen.map(\.lowerBound), seen.map(\.upperBound))
        let distances = try inputs.biases.distances.map {
            try scores($0, q, k, sequence: place.sequence, head: place.head, rows)
        }
        defer { withExtendedLifetime(distances) {} }
        let row = place.sequence * sequences.length
        let first = row + rows.lowerBound
        let (queryColumn, keyColumn) = (place.head * place.width, place.keyHead * place.width)
        withPointer(to: inputs.keys.mask) { mask in
            withPointer(to: begins) { begins in
                withPointer(to: ends) { ends in
                    S.attend(
                        kernels,
                        HeadRows(
                            q: q.row(first) + queryColumn, k: k.row(row) + keyColumn, v: v.row(row) + keyColumn,
                            out: result.row(first) + queryColumn, queryStride: q.columnCount,
                            keyStride: k.columnCount, rows: rows.count, width: place.width, scale: inputs.scale,
                            keyBegin: inputs.keys.range.lowerBound, begins: begins, ends: ends!, mask: mask,
                            bias: distances?.pointer
                                ?? inputs.biases.ofKeys?.row(
                                    place.sequence * inputs.biases.headCount + place.head),
                            biasStride: distances?.columnCount ?? 0,
                            softCap: inputs.softCap, sink: inputs.biases.sinks.map { $0.pointer + place.head }))
                }
            }
        }
    }

    private func withPointer<T>(to values: [T]?, _ body: (UnsafePointer<T>?) -> Void) {
        if let values { values.withUnsafeBufferPointer { body($0.baseAddress) } } else { body(nil) }
    }
}

/// What is added to scores, and what takes part in the softmax beside them.
struct ScoreBiases<S: Scalar>: Sendable {
    /// [sequences · heads, length]: what is added to the scores of a key.
    var ofKeys: Matrix<S>?
    var headCount = 0
    /// What scores of distances are made of.
    var distances: DistanceScores<S>?
    /// A score a head.
    var sinks: Matrix<S>?
}

extension BlockEngine {
    /// The biases of a layer's attention.
    func scoreBiases(_ spec: AttentionSpec, _ layer: Int) throws -> ScoreBiases<S> {
        var biases = ScoreBiases<S>(headCount: spec.headCount)
        if let linear = spec.linearBias { biases.ofKeys = try keyBiases(linear, spec, layer) }
        if spec.hasSinks {
            let sinks = try Matrix<S>(rowCount: 1, columnCount: spec.headCount)
            S.take(
                kernels, try vector(WeightSlot(.attentionSinks, layer: layer)).widened, sinks.pointer, spec.headCount)
            biases.sinks = sinks
        }
        return biases
    }

    /// Positions count from a sequence's first key that is read, and only those that are.
    private func keyBiases(_ linear: LinearBias, _ spec: AttentionSpec, _ layer: Int) throws -> Matrix<S> {
        let slopes = linear.slopes(headCount: spec.headCount)
        let result = try Matrix<S>(rowCount: sequences.count * spec.headCount, columnCount: sequences.length)
        let factor = linear.isScaled ? spec.scale(layer: layer) : 1
        for sequence in 0..<sequences.count {
            let places = LearnedPositions(counting: .readPlaces).rows(of: tokens, sequence: sequence)
            for (head, slope) in slopes.enumerated() {
                let biases = places.map { linear.rounded(slope * Double(max(0, $0))) * factor }
                S.take(kernels, biases, result.row(sequence * spec.headCount + head), biases.count)
            }
        }
        return result
    }
}

extension LinearBias {
    func slopes(headCount: Int) -> [Double] {
        var power = 1
        while power * 2 <= headCount { power *= 2 }
        let numbers = (1...power).map { Double($0) / Double(power) }
        let others = stride(from: 1, to: 2 * (headCount - power) + 1, by: 2).map { Double($0) / Double(2 * power) }
        return (numbers + others).map { rounded(PortableMath.exponential(-8 * $0 * 0.6931471805599453)) }
    }

    /// As it is, or to the nearest number of bfloat16, ties to even.
    func rounded(_ value: Double) -> Double {
        guard isRoundedToBFloat16 else { return value }
        let bits = Float(value).bitPattern
        return Double(Float(bitPattern: (bits &+ 0x7fff &+ (bits >> 16 & 1)) & 0xffff_0000))
    }
}

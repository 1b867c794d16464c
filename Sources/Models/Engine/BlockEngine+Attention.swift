import AssayTensors

/// Scaled dot-product attention, every sequence and head alone.
extension BlockEngine {
    /// Keys are counted from the sequence's first position that is read, so padding before a sequence changes no bit of
    /// it. What a row does that may see no key (padding before a causal sequence, or farther than a window from what is read)
    /// is the specification's to say; a sink then takes all.
    func attend(
        _ q: Matrix<S>, _ k: Matrix<S>, _ v: Matrix<S>, _ spec: AttentionSpec, _ layer: Int, _ biases: ScoreBiases<S>,
        keys keySequences: Sequences? = nil
    ) throws -> Matrix<S> {
        let result = try Matrix<S>(rowCount: q.rowCount, columnCount: spec.outputWidth)
        let scale = spec.scale(layer: layer)
        let keySequences = keySequences ?? sequences
        let length = keySequences.length
        let rowCount = biases.disentangled == nil ? Self.queryRowCount : Self.queryRowCount(keyCount: length)
        let blocks = stride(from: 0, to: sequences.length, by: rowCount).map {
            $0..<min($0 + rowCount, sequences.length)
        }
        try Parallel.forEach(sequences.count * spec.headCount * blocks.count, threads: threads) { index in
            // The last query rows of a causal sequence see the most keys: they begin first.
            let rows = blocks[blocks.count - 1 - index % blocks.count]
            let head = index / blocks.count % spec.headCount
            let sequence = index / blocks.count / spec.headCount
            let keys = keySequences.keys[sequence]
            let place = Place(
                sequence: sequence, head: head, keyHead: head / spec.groupSize, width: spec.headDimension,
                valueWidth: spec.valueHeadDimension, firstKey: sequence * keySequences.storedLength,
                repeatedKeyCount: keySequences.repeatedKeyCount)
            let seeing = rows.filter {
                keys.contain(readOneIn: spec.sight(of: $0, length))
                    && !(spec.isPaddingBlind && !tokens.isRead(sequence: sequence, position: $0))
            }
            for run in seeing.runs {
                let sights = run.map { spec.sight(of: $0, length).clamped(to: keys.range) }
                try attend(
                    Inputs(q: q, k: k, v: v, keys: keys, scale: scale, softCap: spec.softCap, biases: biases), place,
                    run, result, begins: spec.seesAllBefore ? nil : sights.map(\.lowerBound),
                    ends: sights.map(\.upperBound))
            }
            let blind = seeing.count == rows.count ? [] : rows.filter { !seeing.contains($0) }
            for run in spec.whenBlind == .keysMaskedOnce ? blind.map({ $0..<$0 + 1 }) : blind.runs {
                let all = keys.seenBlindly(by: run.lowerBound, spec, length: length)
                try attend(
                    Inputs(q: q, k: k, v: v, keys: all, scale: 0), place, run, result, begins: nil,
                    ends: [Int](repeating: spec.hasSinks ? 0 : length, count: run.count))
            }
        }
        forEachRows(of: result) { roundRows(of: result, $0) }
        return result
    }

    private static var queryRowCount: Int { 128 }

    /// The same where scores of distances lie in memory for every row and key: fewer rows where a memory makes many keys.
    private static func queryRowCount(keyCount: Int) -> Int {
        max(1, min(queryRowCount, (16 << 20) / (max(keyCount, 1) * MemoryLayout<S>.stride)))
    }

    /// Whose rows and columns.
    private struct Place {
        var sequence: Int
        var head: Int
        var keyHead: Int
        var width: Int
        var valueWidth: Int
        /// The row of the sequence's first key.
        var firstKey: Int
        var repeatedKeyCount: Int
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

    /// Some rows of one head of one sequence.
    private func attend(
        _ inputs: Inputs, _ place: Place, _ rows: Range<Int>, _ result: Matrix<S>, begins: [Int]?, ends: [Int]
    ) throws {
        let (q, k, v) = (inputs.q, inputs.k, inputs.v)
        let distances = try inputs.biases.disentangled.map {
            try scores($0, q, k, sequence: place.sequence, head: place.head, rows)
        }
        defer { withExtendedLifetime(distances) {} }
        let row = place.firstKey
        let first = place.sequence * sequences.length + rows.lowerBound
        let (queryColumn, keyColumn) = (place.head * place.width, place.keyHead * place.width)
        let (outColumn, valueColumn) = (place.head * place.valueWidth, place.keyHead * place.valueWidth)
        withPointer(to: inputs.keys.mask) { mask in
            withPointer(to: begins) { begins in
                withPointer(to: ends) { ends in
                    S.attend(
                        kernels,
                        HeadRows(
                            q: q.row(first) + queryColumn, k: k.row(row) + keyColumn, v: v.row(row) + valueColumn,
                            out: result.row(first) + outColumn, queryStride: q.columnCount,
                            keyStride: k.columnCount, valueStride: v.columnCount, outStride: result.columnCount,
                            rows: rows.count, width: place.width, valueWidth: place.valueWidth, scale: inputs.scale,
                            keyBegin: inputs.keys.range.lowerBound, begins: begins, ends: ends!, mask: mask,
                            bias: distances.map { UnsafePointer($0.pointer) }
                                ?? inputs.biases.of(place.sequence, place.head, firstRow: rows.lowerBound),
                            biasStride: distances?.columnCount ?? inputs.biases.rowStride, softCap: inputs.softCap,
                            sink: inputs.biases.sinks.map { $0.pointer + place.head },
                            repeatedKeyCount: place.repeatedKeyCount))
                }
            }
        }
    }

    private func withPointer<T>(to values: [T]?, _ body: (UnsafePointer<T>?) -> Void) {
        if let values { values.withUnsafeBufferPointer { body($0.baseAddress) } } else { body(nil) }
    }
}

extension AttentionSpec {
    /// Whether every position sees from the first key on.
    fileprivate var seesAllBefore: Bool { window == nil && recurrence == nil }

    /// The keys that a position may see, padded or not.
    fileprivate func sight(of position: Int, _ length: Int) -> Range<Int> {
        // Zeros that are remembered are keys too, the first ones.
        let place = position + (recurrence?.zeroCount ?? 0)
        let end = isCausal ? place + 1 : min(length, window.map { place + $0 } ?? length)
        let first = recurrence.map { $0.firstSeen(by: position) + $0.zeroCount } ?? 0
        return max(0, first, window.map { place - $0 + 1 } ?? 0)..<end
    }
}

extension Sequences.Keys {
    fileprivate func isRead(_ position: Int) -> Bool { range.contains(position) && mask?[position] != 0 }

    /// Whether a position within `sight` is read.
    fileprivate func contain(readOneIn sight: Range<Int>) -> Bool {
        let within = sight.clamped(to: range)
        return mask.map { $0[within].contains(1) } ?? !within.isEmpty
    }

    /// The keys that a position attends to alike that sees none.
    fileprivate func seenBlindly(by position: Int, _ spec: AttentionSpec, length: Int) -> Self {
        let sight = spec.sight(of: position, length)
        func isSeen(_ key: Int) -> Bool {
            switch spec.whenBlind {
            case .everything: true
            case .readKeys: isRead(key)
            case .keysMaskedOnce: sight.contains(key) != (isRead(key) && key <= position)
            }
        }
        return Self(range: 0..<length, mask: (0..<length).map { isSeen($0) ? 1 : 0 })
    }
}

extension [Int] {
    /// Ascending numbers as ranges without holes.
    fileprivate var runs: [Range<Int>] {
        reduce(into: []) { runs, number in
            if runs.last?.upperBound == number {
                runs[runs.count - 1] = runs[runs.count - 1].lowerBound..<number + 1
            } else {
                runs.append(number..<number + 1)
            }
        }
    }
}

/// What is added to scores, and what takes part in the softmax beside them.
struct ScoreBiases<S: Scalar>: Sendable {
    /// [sequences · heads, length]: what is added to the scores of a key.
    var ofKeys: Matrix<S>?
    var headCount = 0
    /// [heads, distances]: what is added for keys from the query count - 1 positions before the query to the key count - 1
    /// behind it.
    var ofDistances: Matrix<S>?
    /// The column of distance 0.
    var originOfDistances = 0
    /// What scores of distances are made of, each of its own.
    var disentangled: DistanceScores<S>?
    /// A score a head.
    var sinks: Matrix<S>?

    /// What is added to the scores of a row, from key 0 on.
    func of(_ sequence: Int, _ head: Int, firstRow: Int) -> UnsafePointer<S>? {
        if let ofKeys { return UnsafePointer(ofKeys.row(sequence * headCount + head)) }
        return ofDistances.map { UnsafePointer($0.row(head) + originOfDistances - firstRow) }
    }

    /// From a row's to the next's.
    var rowStride: Int { ofDistances == nil ? 0 : -1 }
}

extension BlockEngine {
    /// The biases of a layer's attention.
    ///
    /// - Parameter keys: those of another stack, whose places say nothing of where queries stand.
    func scoreBiases(_ spec: AttentionSpec, _ layer: Int, keys: Sequences? = nil) throws -> ScoreBiases<S> {
        var biases = ScoreBiases<S>(headCount: spec.headCount)
        if let linear = spec.linearBias, keys == nil { biases.ofKeys = try keyBiases(linear, spec, layer) }
        if let relative = spec.relativeBias {
            biases.ofDistances = try distanceBiases(relative, spec, keyCount: (keys ?? sequences).length)
            biases.originOfDistances = sequences.length - 1
        }
        if spec.hasSinks {
            let sinks = try Matrix<S>(rowCount: 1, columnCount: spec.headCount)
            S.take(
                kernels, try vector(WeightSlot(.attentionSinks, layer: layer)).widened, sinks.pointer, spec.headCount)
            biases.sinks = sinks
        }
        return biases
    }

    private func distanceBiases(
        _ relative: RelativeBias, _ spec: AttentionSpec, keyCount: Int
    ) throws -> Matrix<S> {
        let buckets = (1 - sequences.length..<keyCount).map(relative.bucket)
        let table = try vector(WeightSlot(.relativeBias)).widened
        let result = try Matrix<S>(rowCount: spec.headCount, columnCount: buckets.count)
        for head in 0..<spec.headCount {
            S.take(kernels, buckets.map { table[$0 * spec.headCount + head] }, result.row(head), buckets.count)
        }
        return result
    }

    /// Positions count from a sequence's first key that is read, and only those that are.
    private func keyBiases(_ linear: LinearBias, _ spec: AttentionSpec, _ layer: Int) throws -> Matrix<S> {
        let slopes = linear.slopes(headCount: spec.headCount)
        let result = try Matrix<S>(rowCount: sequences.count * spec.headCount, columnCount: sequences.length)
        let factor = linear.isScaled ? spec.scale(layer: layer) : 1
        for sequence in 0..<sequences.count {
            let places = LearnedPositions(counting: .readPlaces).rows(of: tokens, sequence: sequence)
            for (head, slope) in slopes.enumerated() {
                let biases = places.map { linear.bias(slope: slope, position: max(0, $0)) * factor }
                S.take(kernels, biases, result.row(sequence * spec.headCount + head), biases.count)
            }
        }
        roundRows(of: result, 0..<result.rowCount)
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

    /// What is added to the scores of the key at a position, before any scale.
    func bias(slope: Double, position: Int) -> Double { rounded(slope * rounded(Double(position))) }

    /// As it is, or to the nearest number of bfloat16, ties to even.
    private func rounded(_ value: Double) -> Double {
        guard isRoundedToBFloat16 else { return value }
        let bits = Float(value).bitPattern
        return Double(Float(bitPattern: (bits &+ 0x7fff &+ (bits >> 16 & 1)) & 0xffff_0000))
    }
}

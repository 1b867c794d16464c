import AssayTensors

/// Scaled dot-product attention, every sequence and head alone.
extension BlockEngine {
    /// Keys are counted from the sequence's first position that is read, so padding before a sequence changes no bit of
    /// it. A row that may see no key (padding before a causal sequence) sees all keys alike, as in transformers, whose
    /// mask swallows every score.
    func attend(
        _ q: Matrix<S>, _ k: Matrix<S>, _ v: Matrix<S>, _ spec: AttentionSpec, _ layer: Int
    ) throws -> Matrix<S> {
        let result = try Matrix<S>(rowCount: q.rowCount, columnCount: q.columnCount)
        let blocks = stride(from: 0, to: sequences.length, by: Self.queryRowCount).map {
            $0..<min($0 + Self.queryRowCount, sequences.length)
        }
        let scale = spec.scale(layer: layer)
        Parallel.forEach(sequences.count * spec.headCount * blocks.count, threads: threads) { index in
            // The last query rows of a causal sequence see the most keys: they begin first.
            let rows = blocks[blocks.count - 1 - index % blocks.count]
            let head = index / blocks.count % spec.headCount
            let keyHead = head / (spec.headCount / spec.keyValueHeadCount)
            let sequence = index / blocks.count / spec.headCount
            let keys = sequences.keys[sequence]
            let blind = spec.isCausal ? rows.clamped(to: 0..<keys.range.lowerBound) : rows.clamped(to: 0..<0)
            let seeing = rows.clamped(to: blind.upperBound..<rows.upperBound)
            func run(
                _ rows: Range<Int>, _ scale: Double, _ keys: Sequences.Keys, _ begins: [Int]?, _ ends: [Int]
            ) {
                let width = spec.headDimension
                attend(
                    q, k, v, result, row: sequence * sequences.length, rows, queryColumn: head * width,
                    keyColumn: keyHead * width, width: width, scale, keys, begins, ends)
            }
            if !blind.isEmpty {
                let all = Sequences.Keys(range: 0..<sequences.length, mask: nil)
                run(blind, 0, all, nil, [Int](repeating: sequences.length, count: blind.count))
            }
            if !seeing.isEmpty {
                let end = keys.range.upperBound
                let begins = spec.window.map { window in
                    seeing.map { min(max(keys.range.lowerBound, $0 - window + 1), end) }
                }
                run(seeing, scale, keys, begins, seeing.map { spec.isCausal ? min($0 + 1, end) : end })
            }
        }
        forEachRows(of: result) { roundRows(of: result, $0) }
        return result
    }

    private static var queryRowCount: Int { 128 }

    /// Some rows of one head of one sequence.
    private func attend(
        _ q: Matrix<S>, _ k: Matrix<S>, _ v: Matrix<S>, _ result: Matrix<S>, row: Int, _ rows: Range<Int>,
        queryColumn: Int, keyColumn: Int, width: Int, _ scale: Double, _ keys: Sequences.Keys, _ begins: [Int]?,
        _ ends: [Int]
    ) {
        let first = row + rows.lowerBound
        withPointer(to: keys.mask) { mask in
            withPointer(to: begins) { begins in
                withPointer(to: ends) { ends in
                    S.attend(
                        kernels,
                        HeadRows(
                            q: q.row(first) + queryColumn, k: k.row(row) + keyColumn, v: v.row(row) + keyColumn,
                            out: result.row(first) + queryColumn, queryStride: q.columnCount,
                            keyStride: k.columnCount, rows: rows.count, width: width, scale: scale,
                            keyBegin: keys.range.lowerBound, begins: begins, ends: ends!, mask: mask))
                }
            }
        }
    }

    private func withPointer<T>(to values: [T]?, _ body: (UnsafePointer<T>?) -> Void) {
        if let values { values.withUnsafeBufferPointer { body($0.baseAddress) } } else { body(nil) }
    }
}

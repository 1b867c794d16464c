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
            let sequence = index / blocks.count / spec.headCount
            let keys = sequences.keys[sequence]
            let blind = spec.isCausal ? rows.clamped(to: 0..<keys.range.lowerBound) : rows.clamped(to: 0..<0)
            let seeing = rows.clamped(to: blind.upperBound..<rows.upperBound)
            func run(_ rows: Range<Int>, _ scale: Double, _ keys: Sequences.Keys, _ ends: [Int]) {
                attend(
                    q, k, v, result, row: sequence * sequences.length, rows, column: head * spec.headDimension,
                    width: spec.headDimension, scale, keys, ends)
            }
            if !blind.isEmpty {
                let all = Sequences.Keys(range: 0..<sequences.length, mask: nil)
                run(blind, 0, all, [Int](repeating: sequences.length, count: blind.count))
            }
            if !seeing.isEmpty {
                let end = keys.range.upperBound
                run(seeing, scale, keys, seeing.map { spec.isCausal ? min($0 + 1, end) : end })
            }
        }
        forEachRows(of: result) { roundRows(of: result, $0) }
        return result
    }

    private static var queryRowCount: Int { 128 }

    /// Some rows of one head of one sequence.
    private func attend(
        _ q: Matrix<S>, _ k: Matrix<S>, _ v: Matrix<S>, _ result: Matrix<S>, row: Int, _ rows: Range<Int>, column: Int,
        width: Int, _ scale: Double, _ keys: Sequences.Keys, _ ends: [Int]
    ) {
        ends.withUnsafeBufferPointer { ends in
            func attend(_ mask: UnsafePointer<UInt8>?) {
                S.attend(
                    kernels,
                    HeadRows(
                        q: q.row(row + rows.lowerBound) + column, k: k.row(row) + column, v: v.row(row) + column,
                        out: result.row(row + rows.lowerBound) + column, stride: q.columnCount, rows: rows.count,
                        width: width, scale: scale, keyBegin: keys.range.lowerBound, ends: ends.baseAddress!, mask: mask
                    ))
            }
            if let mask = keys.mask { mask.withUnsafeBufferPointer { attend($0.baseAddress) } } else { attend(nil) }
        }
    }
}

import AssayCKernels
import AssayCheckpoints
import AssayModels
import AssayTensors

/// Compares rows of logits by what they predict, in float64 from the log-softmax, nothing clamped.
struct LogitsComparison {
    private let rows: RowComparison
    /// Those of the rows, where they are positions of tokens.
    private let tokens: TokenBatch?
    /// Rows of a sequence.
    private let length: Int
    private let isCausal: Bool

    /// - Parameters:
    ///   - tokens: those of the rows; nil where there are none.
    ///   - length: rows of a sequence.
    init(_ rows: RowComparison, tokens: TokenBatch?, length: Int, isCausal: Bool) {
        self.rows = rows
        self.tokens = tokens
        self.length = length
        self.isCausal = isCausal
    }

    /// Adds the positions of some segments.
    ///
    /// - Parameters:
    ///   - firstRow: the row with which both sets of logits begin.
    ///   - firstSequence: sequences before those of `tokens`.
    func add(
        _ reference: LentNumbers, _ test: LentNumbers, segments: ArraySlice<Range<Int>>, firstRow: Int, classes: Int,
        firstSequence: Int, to figures: inout LogitsFigures
    ) throws {
        let list = segments.flatMap { Array($0) }
        let results = ResultSlots<LogitsFigures.Position>(count: list.count)
        let reference = Numbers(value: reference)
        let test = Numbers(value: test)
        try Parallel.forEach(list.count, threads: rows.threads) { index in
            let elements = (list[index] - firstRow) * classes..<(list[index] - firstRow + 1) * classes
            var position = try compare(reference.value, test.value, elements, row: list[index])
            position.sequence += firstSequence
            results.set(index, position)
        }
        figures.positions += results.all
    }

    private struct Numbers: @unchecked Sendable {  // reason: lent for the time of the call, and only read
        let value: LentNumbers
    }

    private func compare(
        _ reference: LentNumbers, _ test: LentNumbers, _ elements: Range<Int>, row: Int
    ) throws -> LogitsFigures.Position {
        let count = elements.count
        let buffer = try ByteBuffer(byteCount: 4 * count * 8)
        defer { withExtendedLifetime(buffer) {} }
        let logP = buffer.bytes.bindMemory(to: Double.self).baseAddress!
        let logQ = logP + count
        let p = logQ + count
        let q = p + count
        let table = rows.kernels.table.pointee
        rows.withWide(reference, elements) { table.log_softmax_rows_f64($0, logP, 1, count) }
        rows.withWide(test, elements) { table.log_softmax_rows_f64($0, logQ, 1, count) }
        table.exp_f64(logP, p, count)
        table.exp_f64(logQ, q, count)
        var result = ck_logits_row()
        ck_compare_logits(logP, logQ, p, q, count, &result)
        let sequence = row / length
        let position = row % length
        let next = nextToken(sequence, position)
        return LogitsFigures.Position(
            sequence: sequence, position: position, kl: result.kl, margin: result.margin,
            referenceTop: result.reference_top, testTop: result.test_top, referenceNext: next.map { logP[$0] },
            testNext: next.map { logQ[$0] })
    }

    /// The token that a causal model predicts here.
    private func nextToken(_ sequence: Int, _ position: Int) -> Int? {
        guard isCausal, let tokens, position + 1 < length, tokens.isRead(sequence: sequence, position: position + 1)
        else {
            return nil
        }
        return tokens.inputIDs[sequence][position + 1]
    }
}

import AssayCheckpoints
import AssayPackings
import AssayTensors

/// Products with a weight matrix: `y = x W + b`, one matrix in memory at a time.
///
/// A matrix stored [out, in] is never whole in memory: each piece of work reads the rows of some outputs, packs them and
/// multiplies. One stored [in, out] is read whole first, as every output needs every row, and one of a stack, too, of which
/// it is a row.
extension BlockEngine {
    /// One product for every input.
    func linear(_ inputs: [Matrix<S>], _ slot: WeightSlot, bias: Bool = true) throws -> [Matrix<S>] {
        try linear(inputs, slot, slices: nil, bias: bias)[0]
    }

    /// The same with the outputs cut into slices, each of some ranges side by side: for every slice, one product for every
    /// input.
    func linear(
        _ inputs: [Matrix<S>], _ slot: WeightSlot, slices: [[Range<Int>]]?, bias: Bool = true
    ) throws -> [[Matrix<S>]] {
        let weight = try borrow(slot)
        let whole = weight.isReadWhole ? try weight.readWhole(threads: threads) : nil
        let bias = bias ? try vector(slot.bias) : nil
        return try (slices ?? [[0..<weight.outputCount]]).map { ranges in
            let width = ranges.reduce(0) { $0 + $1.count }
            let results = try inputs.map { try Matrix<S>(rowCount: $0.rowCount, columnCount: width) }
            let pieces = self.pieces(of: ranges, inputCount: weight.inputCount)
            try Parallel.forEach(pieces.count, threads: threads) { index in
                let piece = pieces[index]
                let packed = try pack(weight, piece.outputs, whole)
                for (input, result) in zip(inputs, results) {
                    S.product(
                        kernels, input.pointer, packed.pointer, result.pointer + piece.column, result.columnCount,
                        input.rowCount, input.columnCount, piece.outputs.count,
                        0..<(piece.outputs.count + panelWidth - 1) / panelWidth)
                }
            }
            for result in results { complete(result, bias, ranges) }
            return results
        }
    }

    /// Products of rows with rows, [rows of a, rows of b].
    func products(_ a: Matrix<S>, _ b: Matrix<S>) throws -> Matrix<S> {
        let result = try product(a, with: try packed(b, columns: 0..<b.columnCount), outputCount: b.rowCount)
        roundRows(of: result, 0..<result.rowCount)
        return result
    }

    /// Some columns of every row, packed for a product whose outputs are the rows.
    func packed(_ matrix: Matrix<S>, columns: Range<Int>) throws -> Matrix<S> {
        let outputs = matrix.rowCount
        let packed = try Matrix<S>(rowCount: 1, columnCount: S.packedCount(kernels, columns.count, outputs))
        S.pack(
            kernels, own: matrix.pointer + columns.lowerBound, MatrixStrides(input: 1, output: matrix.columnCount),
            columns.count, outputs, 0..<(outputs + panelWidth - 1) / panelWidth, packed.pointer)
        return packed
    }

    /// The product of some rows with what `packed` gave.
    func product(_ rows: Matrix<S>, with packed: Matrix<S>, outputCount: Int) throws -> Matrix<S> {
        let result = try Matrix<S>(rowCount: rows.rowCount, columnCount: outputCount)
        S.product(
            kernels, rows.pointer, packed.pointer, result.pointer, outputCount, rows.rowCount, rows.columnCount,
            outputCount, 0..<(outputCount + panelWidth - 1) / panelWidth)
        return result
    }

    private var panelWidth: Int { S.panelWidth(kernels) }

    /// Some outputs of a matrix, packed for the product.
    private func pack(_ weight: BorrowedWeight, _ outputs: Range<Int>, _ whole: ByteBuffer?) throws -> Matrix<S> {
        let inputs = weight.inputCount
        let packed = try Matrix<S>(rowCount: 1, columnCount: S.packedCount(kernels, inputs, outputs.count))
        let panels = 0..<(outputs.count + panelWidth - 1) / panelWidth
        let strides: MatrixStrides
        let buffer: ByteBuffer
        var start = 0
        if let whole {
            buffer = whole
            let isTurned = weight.orientation == .inputOutput
            strides =
                isTurned ? MatrixStrides(input: weight.outputCount, output: 1) : MatrixStrides(input: 1, output: inputs)
            start = outputs.lowerBound * strides.output
        } else {
            buffer = try ByteBuffer(byteCount: outputs.count * inputs * weight.elementByteCount)
            try weight.read(rows: outputs, into: buffer.bytes)
            strides = MatrixStrides(input: 1, output: inputs)
        }
        defer { withExtendedLifetime(buffer) {} }
        let base = buffer.bytes.baseAddress! + start * weight.elementByteCount
        if weight.isWide {
            S.pack(
                kernels, base.assumingMemoryBound(to: Double.self), strides, inputs, outputs.count, panels,
                packed.pointer)
        } else {
            S.pack(
                kernels, base.assumingMemoryBound(to: Float.self), strides, inputs, outputs.count, panels,
                packed.pointer)
        }
        return packed
    }

    /// Outputs that are read, packed and multiplied together, and the first column of the result that they become.
    private struct Piece {
        var outputs: Range<Int>
        var column: Int
    }

    /// Pieces of about `packedByteCount`, and enough of them for all threads.
    private func pieces(of ranges: [Range<Int>], inputCount: Int) -> [Piece] {
        let panelByteCount = max(1, panelWidth * inputCount * MemoryLayout<S>.stride)
        let fitting = max(1, Self.packedByteCount / panelByteCount)
        let panels = ranges.reduce(0) { $0 + ($1.count + panelWidth - 1) / panelWidth }
        let step = max(1, min(fitting, (panels + 2 * threads - 1) / (2 * threads))) * panelWidth
        var column = 0
        return ranges.flatMap { range in
            defer { column += range.count }
            return stride(from: range.lowerBound, to: range.upperBound, by: step).map {
                Piece(
                    outputs: $0..<min($0 + step, range.upperBound), column: column + $0 - range.lowerBound)
            }
        }
    }

    /// What stays in the cache while the rows go by.
    private static var packedByteCount: Int { 1 << 20 }

    /// Adds the bias and rounds, rows divided among threads.
    private func complete(_ result: Matrix<S>, _ bias: BorrowedVector?, _ outputs: [Range<Int>]) {
        guard bias != nil || roundsToFloat32 else { return }
        let bias = bias?.elements(outputs)
        forEachRows(of: result) { rows in
            if let bias { add(bias, to: result, rows) }
            roundRows(of: result, rows)
        }
    }

    private func add(_ bias: BorrowedVector, to result: Matrix<S>, _ rows: Range<Int>) {
        if let wide = bias.doubles {
            wide.withUnsafeBufferPointer { values in
                let values = UnsafeRawPointer(values.baseAddress!).assumingMemoryBound(to: S.self)
                for row in rows { S.add(kernels, result.row(row), values, result.row(row), result.columnCount) }
            }
        } else {
            bias.floats.withUnsafeBufferPointer { values in
                S.addRow(kernels, result.row(rows.lowerBound), values.baseAddress!, rows.count, result.columnCount)
            }
        }
    }

    // MARK: Weights

    /// The matrix of a slot.
    func borrow(_ slot: WeightSlot) throws -> BorrowedWeight {
        let slot = slot.of(role)
        let shared = model.spec.shared(slot)
        guard let tensor = model.tensor(slot), let entry = model.table[shared] ?? model.table[shared.ofAllExperts]
        else {
            preconditionFailure("the table was checked, but \(slot) is missing")
        }
        return BorrowedWeight(tensor, entry.orientation ?? .outputInput, precision: weightPrecision)
    }

    /// - Parameter offset: is added to every element.
    func vector(_ slot: WeightSlot, offset: Double = 0) throws -> BorrowedVector {
        let slot = slot.of(role)
        guard let tensor = model.tensor(slot) else {
            preconditionFailure("the table was checked, but \(slot) is missing")
        }
        return try BorrowedVector(tensor, precision: weightPrecision, offset: offset)
    }

    /// The type in which weights are taken: float32 under `ref32` and `fast32`, whatever is stored.
    var weightPrecision: Precision { roundsToFloat32 ? .float32 : S.precision }

    // MARK: Rows

    /// Divides rows among threads in pieces worth a thread's while.
    func forEachRows(of matrix: Matrix<S>, _ body: @Sendable (Range<Int>) -> Void) {
        let smallest = max(1, Self.rowElementCount / max(1, matrix.columnCount))
        let parts = max(1, min(4 * threads, matrix.rowCount / smallest))
        let ranges = Parallel.ranges(matrix.rowCount, parts: parts)
        Parallel.forEach(ranges.count, threads: threads) { body(ranges[$0]) }
    }

    private static var rowElementCount: Int { 1 << 15 }

    func roundRows(of matrix: Matrix<S>, _ rows: Range<Int>) {
        guard roundsToFloat32 else { return }
        S.roundToFloat32(kernels, matrix.row(rows.lowerBound), rows.count * matrix.columnCount)
    }
}

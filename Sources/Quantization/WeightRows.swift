import AssayCKernels
import AssayCheckpoints
import AssayPackings
import AssayTensors

/// A weight's rows along the input of its product, whatever way it is stored: one row an output channel, lent in
/// blocks of bounded memory.
struct WeightRows: Sendable {
    let tensor: any LogicalTensor
    let orientation: WeightOrientation
    /// Elements along the input that must be seen together; the whole row where nil.
    let groupSize: Int?
    /// What they are read for, as messages call it.
    var schemeName = "a scheme"
    /// Bytes of float32 values that one task reads.
    var blockByteCount = 1 << 20
    /// Bytes of float32 values of a stored [in, out] tensor that are turned at a time.
    var tileByteCount = 64 << 20

    var outputs: Int { tensor.shape.dimensions[orientation == .outputInput ? 0 : 1] }
    var inputs: Int { tensor.shape.dimensions[orientation == .outputInput ? 1 : 0] }

    /// Where an element is stored.
    func storedIndex(output: Int, input: Int) -> [Int] {
        orientation == .outputInput ? [output, input] : [input, output]
    }

    /// Some elements of some rows: `values` holds [outputs, inputs], float32.
    typealias Body =
        @Sendable (_ outputs: Range<Int>, _ inputs: Range<Int>, _ values: UnsafeMutablePointer<Float>) throws -> Void

    /// Lends every element of some rows once, whole groups at a time, a row's parts in ascending order; several blocks at
    /// once.
    ///
    /// - Parameter rows: all where they lie across the file's.
    /// - Throws: what `body` throws for the first failing block.
    func forEachBlock(of rows: Range<Int>, threads: Int, _ body: Body) throws {
        switch orientation {
        case .outputInput: try forEachStoredBlock(of: rows, threads: threads, body)
        case .inputOutput:
            precondition(rows == 0..<outputs)
            try forEachTurnedBlock(threads: threads, body)
        }
    }

    /// Reads stored rows.
    ///
    /// - Throws: `QuantizationError` where a number of float64 would become infinite: it is lost, whatever is allowed of
    ///   those that are infinite themselves.
    private func read(_ rows: Range<Int>, into values: UnsafeMutableBufferPointer<Float>) throws {
        try tensor.read(rows: rows, into: values)
        guard tensor.storage == .plain(.f64), let first = values.firstIndex(where: \.isInfinite) else { return }
        let buffer = try ByteBuffer(byteCount: values.count * MemoryLayout<Double>.stride)
        defer { withExtendedLifetime(buffer) {} }
        let stored = buffer.bytes.bindMemory(to: Double.self)
        try tensor.read(rows: rows, into: stored)
        guard let lost = (first..<stored.count).first(where: { stored[$0].isFinite && values[$0].isInfinite }) else {
            return
        }
        let width = tensor.shape.rowElementCount
        throw QuantizationError(
            tensor: tensor.name, index: [rows.lowerBound + lost / width, lost % width],
            problem: QuantizationError.beyondFloat32(stored[lost], scheme: schemeName))
    }

    private func forEachStoredBlock(of all: Range<Int>, threads: Int, _ body: Body) throws {
        let step = max(1, blockByteCount / (inputs * 4))
        try Parallel.forEach((all.count + step - 1) / step, threads: threads) { block in
            let first = all.lowerBound + block * step
            let rows = first..<min(first + step, all.upperBound)
            let buffer = try ByteBuffer(byteCount: rows.count * inputs * 4)
            defer { withExtendedLifetime(buffer) {} }
            let values = buffer.bytes.bindMemory(to: Float.self)
            try read(rows, into: values)
            try body(rows, 0..<inputs, values.baseAddress!)
        }
    }

    /// Groups need few rows of the file, so bands of them are turned; whole channels need all rows, so stripes of
    /// columns are, each with a pass over the file.
    private func forEachTurnedBlock(threads: Int, _ body: Body) throws {
        let depth = groupSize.map { max($0, tileByteCount / (outputs * 4) / $0 * $0) } ?? inputs
        let width = groupSize == nil ? max(16, tileByteCount / (inputs * 4)) : outputs
        let tile = try ByteBuffer(byteCount: min(depth, inputs) * min(width, outputs) * 4)
        defer { withExtendedLifetime(tile) {} }
        for first in stride(from: 0, to: inputs, by: depth) {
            for left in stride(from: 0, to: outputs, by: width) {
                let inputs = first..<min(first + depth, inputs)
                let outputs = left..<min(left + width, outputs)
                try turn(inputs, outputs, into: tile, threads: threads)
                try forEachPart(of: outputs, inputs, in: tile, threads: threads, body)
            }
        }
    }

    /// Reads stored rows and writes some of their columns as rows.
    private func turn(_ inputs: Range<Int>, _ outputs: Range<Int>, into tile: ByteBuffer, threads: Int) throws {
        let kernels = ck_quantize_at(DispatchLevel.current.kernelLevel).pointee
        let width = self.outputs
        let step = max(16, blockByteCount / (width * 4))
        try Parallel.forEach((inputs.count + step - 1) / step, threads: threads) { band in
            let rows = inputs.lowerBound + band * step..<min(inputs.lowerBound + (band + 1) * step, inputs.upperBound)
            let buffer = try ByteBuffer(byteCount: rows.count * width * 4)
            defer { withExtendedLifetime(buffer) {} }
            let values = buffer.bytes.bindMemory(to: Float.self)
            try read(rows, into: values)
            kernels.transpose(
                values.baseAddress! + outputs.lowerBound, width, rows.count, outputs.count,
                tile.bytes.baseAddress!.assumingMemoryBound(to: Float.self) + band * step, inputs.count)
        }
    }

    private func forEachPart(
        of outputs: Range<Int>, _ inputs: Range<Int>, in tile: ByteBuffer, threads: Int, _ body: Body
    ) throws {
        let step = max(1, blockByteCount / (inputs.count * 4))
        try Parallel.forEach((outputs.count + step - 1) / step, threads: threads) { block in
            let start = block * step
            let rows = outputs.lowerBound + start..<min(outputs.lowerBound + start + step, outputs.upperBound)
            let values = tile.bytes.baseAddress!.assumingMemoryBound(to: Float.self) + start * inputs.count
            try body(rows, inputs, values)
        }
    }
}

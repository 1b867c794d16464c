import AssayCKernels
import AssayCheckpoints
import AssayPackings
import AssayTensors
import Synchronization

/// The stored form of some rows of one quantized weight, and what was lost.
public struct QuantizedRows: Sendable {
    /// `weight_packed`, `weight_scale`, `weight_zero_point` where the scheme is asymmetric, and with the first rows
    /// `weight_shape`: which bytes of it, and those.
    public let outputs: [(range: Range<Int>, bytes: ByteBuffer)]
    /// By rows.
    public let errors: ErrorSums
}

/// Rounding to the nearest integer, with a search of each group's clipping point.
///
/// For every group, 32 ranges from the widest downwards are tried; each scale is first rounded to the type it is stored
/// in, then judged by the sum of squared errors (all weights counting alike: nothing is known of the inputs), and the
/// least takes it, the widest among equals. Integers and statistics are the same for any number of threads, dispatch
/// level and orientation.
struct RoundToNearest: Sendable {
    let name: String
    let rows: WeightRows
    let scheme: QuantizationScheme
    let scaleType: ck_scale_type
    let options: QuantizationOptions

    private var groupSize: Int { scheme.groupSize ?? rows.inputs }
    private var groupsPerRow: Int { rows.inputs / groupSize }

    /// How far the candidates lie apart, as a part of the range: down to half of it for 4 bits, where clipping pays,
    /// to seven eighths for 8.
    private var clipStep: Float {
        guard options.searchesClipping else { return 0 }
        return scheme.bits <= 4 ? 1.0 / 64 : 1.0 / 256
    }

    private var kernelScheme: ck_quantize_scheme {
        ck_quantize_scheme(
            bits: CInt(scheme.bits), is_symmetric: scheme.isSymmetric ? 1 : 0, group: groupSize, scale_type: scaleType,
            clip_step: clipStep)
    }

    /// Whether every group's scale is a finite, normal number of the stored type.
    func scalesFit() throws -> Bool {
        let misfit = Atomic<Bool>(false)
        let kernelScheme = kernelScheme
        try rows.forEachBlock(of: 0..<rows.outputs, threads: options.threads) { outputs, inputs, values in
            guard !misfit.load(ordering: .relaxed) else { return }
            var kernelScheme = kernelScheme
            if options.allowsNonFinite {
                ck_replace_not_finite(values, outputs.count * inputs.count, kernelScheme.group)
            }
            if ck_scales_fit(values, outputs.count * inputs.count, &kernelScheme) == 0 {
                misfit.store(true, ordering: .relaxed)
            }
        }
        return !misfit.load(ordering: .relaxed)
    }

    /// How many rows are stored together: those whose zero points share a word. Nil where all are needed at once.
    var rowUnit: Int? {
        guard rows.orientation == .outputInput else { return nil }
        return scheme.isSymmetric ? 1 : 32 >> min(scheme.bits.trailingZeroBitCount, 5)
    }

    /// - Parameters:
    ///   - some: rows, from a multiple of `rowUnit` on and as many, but for the last ones.
    ///   - infos: of `weight_packed`, `weight_scale`, `weight_zero_point` where asymmetric, `weight_shape`.
    /// - Throws: `QuantizationError` where an element is not finite, or none of float32, or a group has no scale.
    func quantized(_ some: Range<Int>, as infos: [TensorInfo]) throws -> QuantizedRows {
        let work = try Workspace(
            rows: some, groupsPerRow: groupsPerRow, rowByteCount: infos[0].byteCount / rows.outputs)
        let replaced = Atomic<Int>(0)
        try rows.forEachBlock(of: some, threads: options.threads) { outputs, inputs, values in
            let count = try quantize(outputs, inputs, values, into: work)
            replaced.add(count, ordering: .relaxed)
        }
        var errors = ErrorSums()
        for (row, tally) in zip(some, work.tallies) {
            var part = ErrorPart(tally)
            if row == some.lowerBound { part.replacedCount = replaced.load(ordering: .relaxed) }
            errors.append(part, at: row)
        }
        return QuantizedRows(outputs: try store(work, as: infos), errors: errors)
    }

    // MARK: - One block

    /// Everything that blocks write, each in places of its own.
    private struct Workspace: Sendable {
        let rows: Range<Int>
        let rowByteCount: Int
        let packed: ByteBuffer
        private let scaleBytes: ByteBuffer
        private let zeroBytes: ByteBuffer
        private let tallyBytes: ByteBuffer

        init(rows: Range<Int>, groupsPerRow: Int, rowByteCount: Int) throws {
            self.rows = rows
            self.rowByteCount = rowByteCount
            packed = try ByteBuffer(byteCount: rows.count * rowByteCount)
            scaleBytes = try ByteBuffer(byteCount: rows.count * groupsPerRow * MemoryLayout<Float>.stride)
            zeroBytes = try ByteBuffer(byteCount: rows.count * groupsPerRow)
            tallyBytes = try ByteBuffer(byteCount: rows.count * MemoryLayout<ck_quantize_tally>.stride)
            tallies.initialize(repeating: ck_quantize_tally())
        }

        var scales: UnsafeMutableBufferPointer<Float> { scaleBytes.bytes.assumingMemoryBound(to: Float.self) }
        var zeroPoints: UnsafeMutableBufferPointer<Int8> { zeroBytes.bytes.assumingMemoryBound(to: Int8.self) }
        var tallies: UnsafeMutableBufferPointer<ck_quantize_tally> {
            tallyBytes.bytes.assumingMemoryBound(to: ck_quantize_tally.self)
        }
    }

    /// - Returns: how many elements were replaced.
    private func quantize(
        _ outputs: Range<Int>, _ inputs: Range<Int>, _ values: UnsafeMutablePointer<Float>, into work: Workspace
    ) throws -> Int {
        let kernels = ck_quantize_at(DispatchLevel.current.kernelLevel).pointee
        let codes = try ByteBuffer(byteCount: inputs.count)
        defer { withExtendedLifetime((codes, work)) {} }
        let row = codes.bytes.bindMemory(to: Int8.self).baseAddress!
        var replaced = 0
        for output in outputs {
            let weights = values + (output - outputs.lowerBound) * inputs.count
            if options.allowsNonFinite { replaced += ck_replace_not_finite(weights, inputs.count, groupSize) }
            let position = output - work.rows.lowerBound
            let group = position * groupsPerRow + inputs.lowerBound / groupSize
            try quantizeRow(kernels, weights, inputs, output, row, group, work)
            let place = position * work.rowByteCount + inputs.lowerBound * scheme.bits / 8
            kernels.pack_row(
                row, inputs.count, CInt(scheme.bits),
                work.packed.bytes.baseAddress!.assumingMemoryBound(to: UInt8.self) + place)
        }
        return replaced
    }

    private func quantizeRow(
        _ kernels: ck_quantize, _ weights: UnsafePointer<Float>, _ inputs: Range<Int>, _ output: Int,
        _ codes: UnsafeMutablePointer<Int8>, _ group: Int, _ work: Workspace
    ) throws {
        var kernelScheme = kernelScheme
        var failed = 0
        let status = kernels.quantize_row(
            weights, inputs.count, &kernelScheme, codes, work.scales.baseAddress! + group,
            scheme.isSymmetric ? nil : work.zeroPoints.baseAddress! + group,
            work.tallies.baseAddress! + output - work.rows.lowerBound, &failed)
        guard status != CK_QUANTIZED else { return }
        throw QuantizationError(
            tensor: name, index: rows.storedIndex(output: output, input: inputs.lowerBound + failed),
            problem: problem(status, weights + failed))
    }

    /// - Parameter weights: from the element that is not finite on, or from the first of the group that has no scale.
    private func problem(_ status: ck_quantize_status, _ weights: UnsafePointer<Float>) -> String {
        guard status != CK_NOT_FINITE else {
            let value = weights[0]
            return "is \(value.isNaN ? "NaN" : value < 0 ? "-Inf" : "Inf"), which \(scheme.name) cannot hold"
        }
        let range = QuantizationError.range(of: UnsafeBufferPointer(start: weights, count: groupSize))
        return "begins a group of \(groupSize) whose range, \(range), is too wide for a scale in \(scaleType.name)"
    }

    // MARK: - Stored form

    private func store(_ work: Workspace, as infos: [TensorInfo]) throws -> [(range: Range<Int>, bytes: ByteBuffer)] {
        defer { withExtendedLifetime(work) {} }
        let first = work.rows.lowerBound * work.rowByteCount
        var outputs = [(first..<first + work.packed.bytes.count, work.packed)]
        for info in infos.dropFirst() {
            guard let range = range(of: info, work.rows) else { continue }
            let bytes = try ByteBuffer(byteCount: range.count)
            let start = bytes.bytes.baseAddress!
            switch info.elementType {
            case .i64:
                for (index, dimension) in [rows.outputs, rows.inputs].enumerated() {
                    bytes.bytes.storeBytes(of: Int64(dimension).littleEndian, toByteOffset: 8 * index, as: Int64.self)
                }
            case .i32:
                ck_zeros_pack(
                    work.zeroPoints.baseAddress, work.rows.count, groupsPerRow, CInt(scheme.bits),
                    start.assumingMemoryBound(to: UInt32.self))
            default: ck_scales_narrow(work.scales.baseAddress, work.scales.count, scaleType, start)
            }
            outputs.append((range, bytes))
        }
        return outputs
    }

    /// The bytes that some rows have in a stored tensor; nil of the shape, which comes with the first rows.
    private func range(of info: TensorInfo, _ some: Range<Int>) -> Range<Int>? {
        switch info.elementType {
        case .i64: return some.lowerBound == 0 ? 0..<info.byteCount : nil
        case .i32:
            let words = some.lowerBound * scheme.bits / 32..<(some.upperBound * scheme.bits + 31) / 32
            return words.lowerBound * groupsPerRow * 4..<words.upperBound * groupsPerRow * 4
        default:
            let rowByteCount = groupsPerRow * info.elementType.unitByteCount
            return some.lowerBound * rowByteCount..<some.upperBound * rowByteCount
        }
    }
}

import AssayCKernels
import AssayCheckpoints
import AssayPackings
import AssayTensors
import Synchronization

/// The stored form of one quantized weight, and what was lost.
public struct QuantizedWeight: Sendable {
    /// `weight_packed`, `weight_scale`, `weight_zero_point` where the scheme is asymmetric, `weight_shape`.
    public let outputs: [(info: TensorInfo, bytes: ByteBuffer)]
    public let statistics: WeightStatistics
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
        try rows.forEachBlock(threads: options.threads) { outputs, inputs, values in
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

    /// - Parameter infos: of `weight_packed`, `weight_scale`, `weight_zero_point` where asymmetric, `weight_shape`.
    /// - Throws: `QuantizationError` where an element is not finite or a group has no scale.
    func quantized(as infos: [TensorInfo]) throws -> QuantizedWeight {
        let work = try Workspace(rows: rows.outputs, groupsPerRow: groupsPerRow, packed: infos[0].byteCount)
        let replaced = Atomic<Int>(0)
        try rows.forEachBlock(threads: options.threads) { outputs, inputs, values in
            let count = try quantize(outputs, inputs, values, into: work)
            replaced.add(count, ordering: .relaxed)
        }
        let outputs = try store(work, as: infos)
        return QuantizedWeight(
            outputs: outputs,
            statistics: WeightStatistics(
                rows: UnsafeBufferPointer(work.tallies), elementCount: rows.outputs * rows.inputs,
                byteCount: outputs.dropLast().reduce(0) { $0 + $1.info.byteCount },
                replacedCount: replaced.load(ordering: .relaxed)))
    }

    // MARK: - One block

    /// Everything that blocks write, each in places of its own.
    private struct Workspace: Sendable {
        let packed: ByteBuffer
        private let scaleBytes: ByteBuffer
        private let zeroBytes: ByteBuffer
        private let tallyBytes: ByteBuffer

        init(rows: Int, groupsPerRow: Int, packed byteCount: Int) throws {
            packed = try ByteBuffer(byteCount: byteCount)
            scaleBytes = try ByteBuffer(byteCount: rows * groupsPerRow * MemoryLayout<Float>.stride)
            zeroBytes = try ByteBuffer(byteCount: rows * groupsPerRow)
            tallyBytes = try ByteBuffer(byteCount: rows * MemoryLayout<ck_quantize_tally>.stride)
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
        let rowByteCount = work.packed.bytes.count / rows.outputs
        var replaced = 0
        for output in outputs {
            let weights = values + (output - outputs.lowerBound) * inputs.count
            if options.allowsNonFinite { replaced += ck_replace_not_finite(weights, inputs.count, groupSize) }
            let group = output * groupsPerRow + inputs.lowerBound / groupSize
            try quantizeRow(kernels, weights, inputs, output, row, group, work)
            let place = output * rowByteCount + inputs.lowerBound * scheme.bits / 8
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
            scheme.isSymmetric ? nil : work.zeroPoints.baseAddress! + group, work.tallies.baseAddress! + output,
            &failed)
        guard status != CK_QUANTIZED else { return }
        let value = weights[failed]
        throw QuantizationError(
            tensor: name, index: rows.storedIndex(output: output, input: inputs.lowerBound + failed),
            problem: status == CK_NOT_FINITE
                ? "is \(value.isNaN ? "NaN" : value < 0 ? "-Inf" : "Inf"), which \(scheme.name) cannot hold"
                : "begins a group of \(groupSize) whose range is too wide for the type of its scale")
    }

    // MARK: - Stored form

    private func store(_ work: Workspace, as infos: [TensorInfo]) throws -> [(info: TensorInfo, bytes: ByteBuffer)] {
        defer { withExtendedLifetime(work) {} }
        var outputs = [(infos[0], work.packed)]
        for info in infos.dropFirst() {
            let bytes = try ByteBuffer(byteCount: info.byteCount)
            let start = bytes.bytes.baseAddress!
            switch info.elementType {
            case .i64:
                for (index, dimension) in [rows.outputs, rows.inputs].enumerated() {
                    bytes.bytes.storeBytes(of: Int64(dimension).littleEndian, toByteOffset: 8 * index, as: Int64.self)
                }
            case .i32:
                ck_zeros_pack(
                    work.zeroPoints.baseAddress, rows.outputs, groupsPerRow, CInt(scheme.bits),
                    start.assumingMemoryBound(to: UInt32.self))
            default: ck_scales_narrow(work.scales.baseAddress, work.scales.count, scaleType, start)
            }
            outputs.append((info, bytes))
        }
        return outputs
    }
}

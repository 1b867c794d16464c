import AssayCKernels
import AssayCheckpoints
import AssayPackings
import AssayTensors
import Synchronization

/// Values of weights in float64.
enum WideValues {
    /// Some rows. What is not stored in float64 is read in float32, which is exact for it.
    static func of(_ tensor: any LogicalTensor, rows: Range<Int>) throws -> ByteBuffer {
        let count = rows.count * tensor.shape.rowElementCount
        let result = try ByteBuffer(byteCount: count * 8)
        let wide = result.bytes.bindMemory(to: Double.self)
        if tensor.storage == .plain(.f64) {
            try tensor.read(rows: rows, into: wide)
            return result
        }
        let buffer = try ByteBuffer(byteCount: count * 4)
        defer { withExtendedLifetime(buffer) {} }
        let narrow = buffer.bytes.bindMemory(to: Float.self)
        try tensor.read(rows: rows, into: narrow)
        ck_math_at(DispatchLevel.current.kernelLevel).pointee.widen_f32_f64(
            narrow.baseAddress, wide.baseAddress, count)
        return result
    }

    /// All values of a matrix, [columns, rows].
    static func turned(_ tensor: any LogicalTensor) throws -> ByteBuffer {
        let rowCount = tensor.shape.rowCount
        let columnCount = tensor.shape.rowElementCount
        let whole = try of(tensor, rows: 0..<rowCount)
        defer { withExtendedLifetime(whole) {} }
        let result = try ByteBuffer(byteCount: whole.bytes.count)
        ck_transpose_f64(
            whole.bytes.bindMemory(to: Double.self).baseAddress, rowCount, columnCount,
            result.bytes.bindMemory(to: Double.self).baseAddress)
        return result
    }
}

/// The matrix that was turned last, so that reading it piece by piece turns it once.
final class TurnedMatrix: Sendable {
    private let last = Mutex<(name: String, values: ByteBuffer)?>(nil)

    func values(of tensor: any LogicalTensor) throws -> ByteBuffer {
        try last.withLock { last in
            if let last, last.name == tensor.name { return last.values }
            last = nil
            let values = try WideValues.turned(tensor)
            last = (tensor.name, values)
            return values
        }
    }
}

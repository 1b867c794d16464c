import AssayCKernels
import AssayCheckpoints
import AssayPackings
import AssayTensors
import Synchronization

/// Values of weights in float64.
enum WideValues {
    /// Some rows. What is not stored in float64 is read in float32, which is exact for it.
    static func of(_ tensor: any LogicalTensor, rows: Range<Int>) throws -> ByteBuffer {
        guard tensor.storage == .plain(.f64) else { return try widened(narrow(tensor, rows: rows)) }
        let result = try ByteBuffer(byteCount: rows.count * tensor.shape.rowElementCount * 8)
        try tensor.read(rows: rows, into: result.bytes.bindMemory(to: Double.self))
        return result
    }

    /// Some rows in float32.
    static func narrow(_ tensor: any LogicalTensor, rows: Range<Int>) throws -> ByteBuffer {
        let result = try ByteBuffer(byteCount: rows.count * tensor.shape.rowElementCount * 4)
        try tensor.read(rows: rows, into: result.bytes.bindMemory(to: Float.self))
        return result
    }

    /// Numbers of float32 in float64.
    static func widened(_ narrow: ByteBuffer) throws -> ByteBuffer {
        let result = try ByteBuffer(byteCount: narrow.bytes.count * 2)
        defer { withExtendedLifetime(narrow) {} }
        ck_math_at(DispatchLevel.current.kernelLevel).pointee.widen_f32_f64(
            narrow.bytes.bindMemory(to: Float.self).baseAddress, result.bytes.bindMemory(to: Double.self).baseAddress,
            narrow.bytes.count / 4)
        return result
    }

    /// Values that are held at a time beside a result.
    private static let blockElementCount = 1 << 20

    /// The first columns of a matrix, all where no number is given, as rows: [columns, rows].
    static func turned(_ tensor: any LogicalTensor, columns count: Int? = nil) throws -> ByteBuffer {
        let rowCount = tensor.shape.rowCount
        let columnCount = tensor.shape.rowElementCount
        let kept = min(count ?? columnCount, columnCount)
        let result = try ByteBuffer(byteCount: rowCount * kept * 8)
        let values = result.bytes.bindMemory(to: Double.self)
        let step = max(1, blockElementCount / max(1, columnCount))
        for begin in stride(from: 0, to: rowCount, by: step) {
            let rows = begin..<min(begin + step, rowCount)
            let block = try of(tensor, rows: rows)
            defer { withExtendedLifetime(block) {} }
            let turned = try ByteBuffer(byteCount: block.bytes.count)
            defer { withExtendedLifetime(turned) {} }
            ck_transpose_f64(
                block.bytes.bindMemory(to: Double.self).baseAddress, rows.count, columnCount,
                turned.bytes.bindMemory(to: Double.self).baseAddress)
            let columns = turned.bytes.bindMemory(to: Double.self)
            for column in 0..<kept {
                (values.baseAddress! + column * rowCount + begin).update(
                    from: columns.baseAddress! + column * rows.count, count: rows.count)
            }
        }
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

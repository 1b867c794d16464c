import AssayCheckpoints
import AssayTensors

/// Numbers that a step computes: [rows, columns], row-major, without gaps.
final class Matrix<S: Scalar>: @unchecked Sendable {  // reason: threads write to rows or columns of their own
    let rowCount: Int
    let columnCount: Int
    let buffer: ByteBuffer

    var pointer: UnsafeMutablePointer<S> {
        buffer.bytes.baseAddress!.assumingMemoryBound(to: S.self)
    }

    /// - Throws: `SystemError` where memory is short.
    init(rowCount: Int, columnCount: Int) throws {
        self.rowCount = rowCount
        self.columnCount = columnCount
        buffer = try ByteBuffer(byteCount: rowCount * columnCount * MemoryLayout<S>.stride)
        buffer.bytes.bindMemory(to: S.self)
    }

    func row(_ index: Int) -> UnsafeMutablePointer<S> { pointer + index * columnCount }
}

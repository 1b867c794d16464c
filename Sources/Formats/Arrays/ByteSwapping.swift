import AssayCKernels
import AssayTensors

extension UnsafeMutableRawBufferPointer {
    /// Turns the bytes of every number of `size` bytes (1, 2, 4 or 8) around, in place.
    func swapBytes(ofEach size: Int) {
        guard let base = baseAddress, size > 1 else { return }
        ck_chunks_at(DispatchLevel.current.kernelLevel).pointee.swap(
            base.assumingMemoryBound(to: UInt8.self), count / size, size)
    }
}

extension ElementType {
    /// Bytes that are turned around together where the byte order is another: the parts of a complex number one by one.
    var swapSize: Int { self == .c64 ? 4 : unitByteCount }
}

/// The byte order in which elements are stored.
enum StoredByteOrder: Sendable, Equatable {
    case little
    /// Big-endian, in units of so many bytes.
    case big(Int)

    /// - Parameter type: of the elements; single bytes have no order.
    init(isBigEndian: Bool, _ type: ElementType) {
        self = isBigEndian && type.swapSize > 1 ? .big(type.swapSize) : .little
    }

    /// Turns stored bytes into little-endian ones, in place.
    func makeLittle(_ buffer: UnsafeMutableRawBufferPointer) {
        if case .big(let size) = self { buffer.swapBytes(ofEach: size) }
    }
}

import AssayCSystem
import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// Memory for bytes, sized by what a file says: where the system has none left, an error instead of a crash (a Swift
/// array would abort the process).
public final class ByteBuffer: @unchecked Sendable {  // reason: a plain owner; users divide the bytes among threads
    public let bytes: UnsafeMutableRawBufferPointer
    private let allocation: UnsafeMutableRawPointer

    /// Cache lines, and the widest vector.
    private static let alignment = 64
    /// From so many bytes on, memory goes back to the system at once. Left to itself the library raises the limit to 32
    /// MB, and what lies in holes between others' memory comes back never: 670 MB of it, where 130 are in use.
    private static let returnsLargeBuffers: Void = csystem_return_freed_memory(8 << 20)

    /// - Throws: `SystemError` where memory is short.
    public init(byteCount: Int) throws {
        Self.returnsLargeBuffers
        // Not `posix_memalign`: that of glibc 2.36 does not find room in what a buffer of the same size has left, and every
        // piece of a tensor would take memory of its own: 560 MB of it for 1 GB.
        guard byteCount <= Int.max - Self.alignment, let allocation = malloc(byteCount + Self.alignment) else {
            throw SystemError(
                "reserve \(byteCount.inBytes) of memory", "memory", .noMemory,
                advice: "use fewer --threads or a smaller --memory")
        }
        self.allocation = allocation
        bytes = UnsafeMutableRawBufferPointer(
            start: allocation.alignedUp(toMultipleOf: Self.alignment), count: byteCount)
    }

    deinit { free(allocation) }

    public func prefix(_ count: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(rebasing: bytes[..<count])
    }

    public var readOnly: UnsafeRawBufferPointer { UnsafeRawBufferPointer(bytes) }
}

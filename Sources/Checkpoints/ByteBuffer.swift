import AssayCSystem
import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// Memory for bytes, sized by what a file says: where the system has none left, an error instead of a crash (a Swift
/// array would abort the process).
public final class ByteBuffer: @unchecked Sendable {  // reason: a plain owner; users divide the bytes among threads
    public let bytes: UnsafeMutableRawBufferPointer

    /// Cache lines, and the widest vector.
    private static let alignment = 64
    /// From so many bytes on, memory goes back to the system at once. Left to itself the library raises the limit to 32
    /// MB, and what lies in holes between others' memory comes back never: 670 MB of it, where 130 are in use.
    private static let returnsLargeBuffers: Void = csystem_return_freed_memory(8 << 20)

    /// - Throws: `SystemError` where memory is short.
    public init(byteCount: Int) throws {
        Self.returnsLargeBuffers
        var pointer: UnsafeMutableRawPointer?
        let result = posix_memalign(&pointer, Self.alignment, max(byteCount, 1))
        guard result == 0, let pointer else {
            throw SystemError(
                "reserve \(byteCount.inBytes) of memory", "memory", Errno(rawValue: result == 0 ? ENOMEM : result),
                advice: "use fewer --threads or a smaller --memory")
        }
        bytes = UnsafeMutableRawBufferPointer(start: pointer, count: byteCount)
    }

    deinit { free(bytes.baseAddress) }

    public func prefix(_ count: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(rebasing: bytes[..<count])
    }

    public var readOnly: UnsafeRawBufferPointer { UnsafeRawBufferPointer(bytes) }
}

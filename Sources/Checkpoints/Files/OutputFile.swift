import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// A file under construction: it lies beside its destination under a temporary name until it is published, and is
/// removed if it never is.
public final class OutputFile: Sendable {
    public let path: FilePath
    package let descriptor: CInt

    /// Creates the file `path`, which must not exist.
    public init(creating path: FilePath) throws {
        self.path = path
        descriptor = try SystemCall.create(path)
    }

    deinit { close(descriptor) }

    /// Writes bytes at an offset; safe from several threads for different ranges.
    public func write(at offset: Int, _ bytes: UnsafeRawBufferPointer) throws {
        try SystemCall.write(descriptor, at: offset, bytes, path)
    }

    public func write(at offset: Int, _ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try write(at: offset, $0) }
    }

    public func setLength(_ byteCount: Int) throws { try SystemCall.setLength(descriptor, byteCount, path) }

    /// Reserves space on the disk where the file system can, so that a full disk shows before the work.
    public func reserve(_ byteCount: Int) throws { try SystemCall.reserve(descriptor, byteCount, path) }

    public func synchronize() throws { try SystemCall.synchronize(descriptor, path) }
}

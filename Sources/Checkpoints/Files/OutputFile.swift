import Synchronization
import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// A file that is written to. Nearly always one under construction: it lies beside its destination under a temporary name
/// until it is published, and is removed if it never is.
public final class OutputFile: Sendable {
    public let path: FilePath
    package let descriptor: CInt
    private let cache: CacheAllowance?
    private let writtenByteCount = Atomic<Int>(0)

    /// Creates the file `path`, which must not exist.
    ///
    /// - Parameter cache: what it may fill of the page cache; nil where that does not matter.
    public init(creating path: FilePath, cache: CacheAllowance? = nil) throws {
        self.path = path
        self.cache = cache
        descriptor = try SystemCall.create(path)
    }

    /// Creates a file beside `path` that has no name, so that it is gone with the process, however that ends.
    public init(unnamedBeside path: FilePath) throws {
        self.path = path
        cache = nil
        descriptor = try SystemCall.createUnnamed(beside: path)
    }

    /// Opens a file that exists, to be changed where it lies.
    ///
    /// - Throws: `SystemError` where it cannot be written to.
    package init(changing path: FilePath) throws {
        self.path = path
        cache = nil
        descriptor = try SystemCall.openForWriting(path)
    }

    deinit { close(descriptor) }

    /// Bytes that are in it.
    package func byteCount() throws -> Int { try SystemCall.status(of: descriptor, path).byteCount }

    /// Fills `buffer` with what was written from `offset` on.
    package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
        let count = try SystemCall.read(descriptor, at: offset, into: buffer, path)
        guard count == buffer.count else {
            throw SystemError("read \(buffer.count.inBytes) back at byte \(offset)", path, .ioError)
        }
    }

    /// Writes bytes at an offset; safe from several threads for different ranges.
    public func write(at offset: Int, _ bytes: UnsafeRawBufferPointer) throws {
        try SystemCall.write(descriptor, at: offset, bytes, path)
        if let cache { spare(cache, bytes.count) }
    }

    /// Bytes written between two looks at the cache.
    private static let dropByteCount = 64 << 20

    private func spare(_ cache: CacheAllowance, _ byteCount: Int) {
        cache.pass(byteCount)
        let (before, after) = writtenByteCount.add(byteCount, ordering: .relaxed)
        guard cache.isExceeded, before / Self.dropByteCount != after / Self.dropByteCount else { return }
        SystemCall.dropFromCache(descriptor)
    }

    public func write(at offset: Int, _ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try write(at: offset, $0) }
    }

    public func setLength(_ byteCount: Int) throws { try SystemCall.setLength(descriptor, byteCount, path) }

    /// Makes the file this long, and reserves space on the disk where the file system can, so that a full disk shows
    /// before the work.
    public func makeRoom(_ byteCount: Int) throws {
        try SystemCall.reserve(descriptor, byteCount, path)
        try setLength(byteCount)
    }

    public func synchronize() throws {
        try SystemCall.synchronize(descriptor, path)
        if cache?.isExceeded ?? false { SystemCall.dropFromCache(descriptor) }
    }
}

import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// Bytes that are read at any offset, from any thread.
public protocol ByteSource: Sendable {
    var byteCount: Int { get }

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// - Throws: `CheckpointError` where they are damaged or not there, `SystemError` where they cannot be read.
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws
}

extension ByteSource {
    /// The bytes of a range.
    ///
    /// - Precondition: the range lies inside `0..<byteCount`; check it first.
    /// - Throws: as `read`.
    public func bytes(_ range: Range<Int>) throws -> [UInt8] {
        precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
        var bytes = [UInt8](repeating: 0, count: range.count)
        try bytes.withUnsafeMutableBytes { try read(at: range.lowerBound, into: $0) }
        return bytes
    }
}

/// A file opened for reading: a regular file, or one that lies inside another. It is only ever read by offset, so that it
/// serves all threads.
public final class InputFile: ByteSource {
    /// Of the regular file.
    public let path: FilePath
    public let byteCount: Int
    /// The open file of the system and the bytes of it that these are; nil where they are made of others (unpacked).
    package let place: (descriptor: CInt, range: Range<Int>)?
    private let source: any ByteSource
    /// Of the regular file, when it was opened.
    private let status: SystemCall.Status?

    /// - Parameter cache: what it may fill of the page cache; nil for a file that is read again and again.
    /// - Throws: `SystemError` where it cannot be opened; `CheckpointError` where it is no regular file.
    public init(_ path: FilePath, cache: CacheAllowance? = nil) throws {
        let file = try RegularFile(path, cache)
        self.path = path
        byteCount = file.byteCount
        place = (file.descriptor, 0..<file.byteCount)
        source = file
        status = file.status
    }

    /// A file inside the one at `path`.
    public init(_ path: FilePath, holding source: any ByteSource) {
        self.path = path
        byteCount = source.byteCount
        place = nil
        self.source = source
        status = nil
    }

    /// A file that lies whole inside another.
    package init(_ part: FileRange) {
        path = part.file.path
        byteCount = part.byteCount
        place = part.file.place.map { outer in
            (
                outer.descriptor,
                outer.range.lowerBound + part.range.lowerBound..<outer.range.lowerBound + part.range.upperBound
            )
        }
        source = part
        status = nil
    }

    /// What is wrong with a file is its own fault only where nobody changed it since it was opened.
    ///
    /// - Throws: `SystemError` where somebody did.
    package func requireUnchanged() throws {
        if let status { try SystemCall.requireUnchanged(path, since: status) }
    }

    public func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
        try source.read(at: offset, into: buffer)
    }

    /// The first bytes, fewer where the file is shorter.
    public func prefix(_ count: Int) throws -> [UInt8] {
        try bytes(0..<min(count, byteCount))
    }

    /// Streams the whole file through `body`, front to back, in pieces of at most `byteCount` bytes.
    public func forEachPiece(
        of pieceByteCount: Int = 1 << 20, _ body: (_ offset: Int, _ bytes: [UInt8]) throws -> Void
    ) throws {
        for start in stride(from: 0, to: byteCount, by: pieceByteCount) {
            try body(start, try bytes(start..<min(start + pieceByteCount, byteCount)))
        }
    }
}

/// A regular file of the system.
private final class RegularFile: ByteSource {
    let path: FilePath
    let byteCount: Int
    let descriptor: CInt
    let status: SystemCall.Status
    private let cache: CacheAllowance?

    init(_ path: FilePath, _ cache: CacheAllowance?) throws {
        self.path = path
        self.cache = cache
        descriptor = try SystemCall.openForReading(path)
        do {
            status = try SystemCall.status(of: descriptor, path)
            guard status.kind == .file else {
                throw CheckpointError(
                    path, .file, expected: "a regular file",
                    found: status.kind == .folder ? "a folder" : "a pipe, socket or device")
            }
        } catch {
            close(descriptor)
            throw error
        }
        byteCount = status.byteCount
        SystemCall.adviseSequential(descriptor)
    }

    deinit {
        if cache?.isExceeded ?? false { SystemCall.dropFromCache(descriptor) }
        close(descriptor)
    }

    /// - Throws: `SystemError` where the file became shorter than it was when opened, or cannot be read.
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
        let count = try SystemCall.read(descriptor, at: offset, into: buffer, path)
        guard count == buffer.count else {
            throw SystemError(
                "read \(buffer.count.inBytes) at byte \(offset)", path, .ioError,
                advice: "the file changed while it was being read (it was \(byteCount.inBytes) long when opened)")
        }
        guard let cache else { return }
        cache.pass(count)
        if cache.isExceeded { SystemCall.dropFromCache(descriptor, from: offset, count) }
    }
}

import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// A regular file opened for reading. It is only ever read by offset, so one descriptor serves all threads.
public final class InputFile: Sendable {
    public let path: FilePath
    public let byteCount: Int
    package let descriptor: CInt

    /// - Throws: `SystemError` where it cannot be opened; `CheckpointError` where it is no regular file.
    public init(_ path: FilePath) throws {
        self.path = path
        descriptor = try SystemCall.openForReading(path)
        let status: SystemCall.Status
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

    deinit { close(descriptor) }

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// - Throws: `SystemError` where the file became shorter than it was when opened, or cannot be read.
    public func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
        let count = try SystemCall.read(descriptor, at: offset, into: buffer, path)
        guard count == buffer.count else {
            throw SystemError(
                "read \(buffer.count) bytes at byte \(offset)", path, .ioError,
                advice: "the file changed while it was being read (it was \(byteCount) bytes long when opened)")
        }
    }

    /// The bytes of a range.
    ///
    /// - Precondition: the range lies inside the file; check it first.
    public func bytes(_ range: Range<Int>) throws -> [UInt8] {
        precondition(range.lowerBound >= 0 && range.upperBound <= byteCount)
        var bytes = [UInt8](repeating: 0, count: range.count)
        try bytes.withUnsafeMutableBytes { try read(at: range.lowerBound, into: $0) }
        return bytes
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

import AssayCheckpoints

/// Bytes that can be read at any offset: a part of a file, or a member of an archive.
protocol ByteSource: Sendable {
    var byteCount: Int { get }

    /// Fills `buffer` with the bytes from `offset` on.
    ///
    /// - Precondition: they lie inside `0..<byteCount`.
    /// - Throws: `CheckpointError` where the bytes are damaged, `SystemError` where they cannot be read.
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws
}

extension ByteSource {
    /// The bytes of a range.
    ///
    /// - Precondition: the range lies inside `0..<byteCount`.
    func bytes(_ range: Range<Int>) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: range.count)
        try bytes.withUnsafeMutableBytes { try read(at: range.lowerBound, into: $0) }
        return bytes
    }
}

/// A part of a file, where it lies.
struct FileRange: ByteSource {
    let file: InputFile
    let range: Range<Int>

    var byteCount: Int { range.count }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
        try file.read(at: range.lowerBound + offset, into: buffer)
    }
}

import AssayCheckpoints

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

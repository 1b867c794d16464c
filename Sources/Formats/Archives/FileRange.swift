import AssayCheckpoints

/// A part of a file, where it lies.
struct FileRange: ByteSource {
    let file: InputFile
    let range: Range<Int>

    var byteCount: Int { range.count }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
        try file.read(at: range.lowerBound + offset, into: buffer)
    }
}

/// A part of a file, where it lies.
package struct FileRange: ByteSource {
    package let file: InputFile
    package let range: Range<Int>

    /// - Precondition: the range lies inside the file; check it first.
    package init(file: InputFile, range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= file.byteCount)
        self.file = file
        self.range = range
    }

    package var byteCount: Int { range.count }

    package func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
        try file.read(at: range.lowerBound + offset, into: buffer)
    }
}

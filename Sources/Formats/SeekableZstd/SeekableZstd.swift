import AssayCheckpoints
import AssayTensors

/// A file of another format inside seekable zstd frames: `zstd -d` gives the file itself, and single tensors are read
/// without inflating the rest. The page is `formats/seekable-zstd.md`.
public enum SeekableZstd<Inner: CheckpointFormat>: CheckpointFormat {
    /// "safetensors.zst".
    public static var name: String { Inner.name + SeekableZstdFile.suffix }
    public static var fileExtensions: [String] { Inner.fileExtensions.map { $0 + SeekableZstdFile.suffix } }

    public static var metadataOwner: String { Inner.metadataOwner }

    public static var capabilities: FormatCapabilities {
        var capabilities = Inner.capabilities
        capabilities.compresses = true
        capabilities.needsPlainCopy = true
        return capabilities
    }

    public static func recognizes(_ file: InputFile) throws -> Bool {
        guard try SeekableZstdFile.isZstd(file), try SeekableZstdFile.hasSeekTable(file) else { return false }
        return try Inner.recognizes(SeekableZstdFile.inflating(file, checksHeaders: false))
    }

    public static func open(_ file: InputFile, _ options: ReadingOptions) throws -> any CheckpointReader {
        let inflated = try SeekableZstdFile.inflating(file, threads: options.threads)
        var options = options
        options.packedByteCount = file.byteCount
        return CompressedReader(try Inner.open(inflated, options), formatName: name, file)
    }

    public static func makeWriter(
        _ plan: WritePlan, _ output: OutputFile, _ options: WritingOptions
    ) throws -> any CheckpointWriter {
        let plain = try OutputFile(unnamedBeside: output.path)
        return SeekableZstdWriter(
            inner: try Inner.makeWriter(plan, plain, options), plain, output, threads: options.threads)
    }

    /// The reader of the file inside, under the name and length of the file outside.
    private struct CompressedReader: CheckpointReader {
        let contents: CheckpointContents
        let inner: any CheckpointReader

        init(_ inner: any CheckpointReader, formatName: String, _ file: InputFile) {
            self.inner = inner
            var contents = inner.contents
            contents.formatName = formatName
            contents.fileByteCount = file.byteCount
            self.contents = contents
        }

        func read(_ tensor: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
            try inner.read(tensor, range, into: buffer)
        }

        func granularity(of tensor: Int) -> Int { inner.granularity(of: tensor) }

        func contentCheck(of tensor: Int) -> (any ContentCheck)? { inner.contentCheck(of: tensor) }

        func requireIntact(_ tensor: Int) throws { try inner.requireIntact(tensor) }
    }
}

/// zstd files with a seek table, whatever is in them.
enum SeekableZstdFile {
    static let suffix = ".zst"
    /// What each frame holds, but for the last.
    static let frameContentByteCount = 1 << 20

    /// Whether a file begins with a frame, skippable or not.
    static func isZstd(_ file: InputFile) throws -> Bool {
        let head = try file.prefix(4)
        guard head.count == 4 else { return false }
        let magic = UInt32(littleEndian: head[0..<4])
        return magic == 0xFD2F_B528 || magic & 0xFFFF_FFF0 == 0x184D_2A50
    }

    static func hasSeekTable(_ file: InputFile) throws -> Bool {
        try SeekTable.isPresent(in: file, 0..<file.byteCount)
    }

    /// The file inside.
    ///
    /// - Parameter checksHeaders: of all frames; false where only some bytes are looked at before the file is opened.
    /// - Throws: `CheckpointError` where there is no seek table, or frames that it does not describe.
    static func inflating(_ file: InputFile, threads: Int = 1, checksHeaders: Bool = true) throws -> InputFile {
        InputFile(
            file.path,
            holding: try InflatedFrames(
                file, 0..<file.byteCount, checksHeaders: checksHeaders, inflater: FrameInflater(threads: threads)))
    }
}

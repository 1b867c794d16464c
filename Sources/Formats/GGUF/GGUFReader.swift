import AssayCheckpoints
import AssayTensors

/// Reads a GGUF file: the header when it is opened, data only when it is asked for.
struct GGUFReader: CheckpointReader {
    let contents: CheckpointContents
    private let file: InputFile
    private let header: GGUFHeader

    /// - Parameter headerByteCount: the most that a header may have.
    /// - Throws: `CheckpointError`; `StructureError` where the lists of the vocabulary disagree.
    init(_ file: InputFile, headerByteCount: Int = GGUF.maximumHeaderByteCount) throws {
        let header = try GGUFHeader(of: file, atMost: headerByteCount)
        try GGUFVocabulary.check(header, file.path)
        self.file = file
        self.header = header
        var contents = CheckpointContents(
            formatName: GGUF.name, tensors: header.tensors, metadata: header.metadata.pairs,
            fileByteCount: file.byteCount, warnings: header.warnings)
        let order = header.isBigEndian ? ", big-endian" : ""
        contents.details = [("version", "\(header.version)\(order)"), ("alignment", "\(header.alignment)")]
        contents.shownMetadata = header.metadata.shown
        contents.part = header.metadata.part
        if let count = header.metadata.tensorCount, count != header.tensors.count {
            throw CheckpointError(
                file.path, .part(GGUFMetadata.partKeys.tensorCount),
                expected: "\(header.tensors.count), as there are tensors",
                found: "\(count)")
        }
        contents.tellMetadataApart()
        self.contents = contents
    }

    func read(_ tensor: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        precondition(range.lowerBound >= 0 && range.upperBound <= contents.tensors[tensor].byteCount)
        try file.read(at: header.offsets[tensor] + range.lowerBound, into: buffer)
        if header.isBigEndian { Self.swap(buffer, contents.tensors[tensor].elementType) }
    }

    /// Turns every number of some whole elements around.
    private static func swap(_ buffer: UnsafeMutableRawBufferPointer, _ type: ElementType) {
        guard let halves = GGUFType.swappedHalves(in: type) else {
            return buffer.swapBytes(ofEach: type.swapSize)
        }
        for block in stride(from: 0, to: buffer.count, by: type.unitByteCount) {
            for half in halves { buffer.swapAt(block + half, block + half + 1) }
        }
    }
}

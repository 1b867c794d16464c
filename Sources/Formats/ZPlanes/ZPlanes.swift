import AssayCheckpoints
import AssayTensors

/// zplanes, our own container: byte planes of tensors, each plane a zstd frame. The bytes: `formats/zplanes.md`.
public enum ZPlanes: CheckpointFormat {
    public static let name = "zplanes"
    public static let fileExtensions = [".zplanes"]

    public static let capabilities = FormatCapabilities(
        elementTypes: Set(ElementType.allCases), holdsAliases: true, holdsMetadata: true, storesDigests: true,
        compresses: true)

    /// The version of the format that this code writes, and the newest that it reads.
    static let version: UInt32 = 1
    /// The largest chunk that is read: a reading thread holds two of them, and a small file may stand for them.
    static let maximumChunkByteCount = 8 << 20
    /// The largest index text that is read.
    static let maximumIndexByteCount = 256 << 20
    /// The largest kept header that is read: the largest that a safetensors file may have.
    static let maximumHeaderByteCount = 100_000_000
    /// Text may be larger than its frame by this factor, beyond `freeTextByteCount`: memory follows the bytes that are
    /// there.
    static let maximumTextRatio = 128
    static let freeTextByteCount = 1 << 20

    /// Bytes of a chunk as we write it: at least 1 MiB, whole units of any type.
    static func chunkByteCount(of type: ElementType) -> Int {
        guard type.isBlock else { return type.elementsPerUnit == 4 ? 3 << 19 : 1 << 20 }
        return ((1 << 20) / type.unitByteCount + 1) * type.unitByteCount
    }

    public static func recognizes(_ file: InputFile) throws -> Bool {
        if ZPlanesMark.head.begins(try file.prefix(ZPlanesMark.head.byteCount)) { return true }
        guard file.byteCount >= ZPlanesFooter.byteCount else { return false }
        return ZPlanesMark.footer.begins(try file.bytes(file.byteCount - ZPlanesFooter.byteCount..<file.byteCount))
    }

    public static func open(_ file: InputFile, _ options: ReadingOptions) throws -> any CheckpointReader {
        try ZPlanesReader(file, threads: options.threads)
    }

    public static func makeWriter(
        _ plan: WritePlan, _ output: OutputFile, _ options: WritingOptions
    ) throws -> any CheckpointWriter {
        try ZPlanesWriter(plan, output)
    }
}

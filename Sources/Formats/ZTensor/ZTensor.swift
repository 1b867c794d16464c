import AssayCheckpoints
import AssayTensors

/// zTensor version 2, the container of the pie project: aligned blobs and a manifest in CBOR. The page is
/// `formats/ztensor.md`.
public enum ZTensor: CheckpointFormat {
    public static let name = "ztensor"
    public static let fileExtensions = [".zt"]

    public static let capabilities = FormatCapabilities(
        elementTypes: ZTensorType.elementTypes, maximumRank: ZTensorManifest.maximumRank, holdsAliases: true,
        holdsMetadata: true, storesDigests: false, objection: { ZTensorManifest.objection($0) })

    static let denseLayout = "dense"

    public static func recognizes(_ file: InputFile) throws -> Bool { try ZTensorFile.hasMark(file) }

    public static func open(_ file: InputFile, _ options: ReadingOptions) throws -> any CheckpointReader {
        try ZTensorReader(file, threads: options.threads)
    }

    public static func makeWriter(
        _ plan: WritePlan, _ output: OutputFile, _ options: WritingOptions
    ) throws -> any CheckpointWriter {
        try ZTensorWriter(plan, output, threads: options.threads)
    }
}

import AssayCheckpoints
import AssayTensors

/// GGUF, the container of ggml and llama.cpp, versions 2 and 3. `formats/gguf.md` has the bytes and the rules.
public enum GGUF: CheckpointFormat {
    public static let name = "gguf"
    public static let fileExtensions = [".gguf"]
    public static let capabilities = FormatCapabilities(
        elementTypes: Set(GGUFType.elementTypes), maximumRank: maximumRank, holdsEmptyTensors: false,
        holdsAliases: false, holdsMetadata: true, storesDigests: false, numbersParts: true, objection: objection)

    static let magic = Array("GGUF".utf8)
    /// The version that is written; the one before differs in nothing that matters here.
    static let version: UInt32 = 3
    static let readVersions: ClosedRange<UInt32> = 2...3
    static let maximumRank = 4
    /// What the format allows. llama.cpp's buffer holds one byte less, so that is what is written.
    static let maximumNameByteCount = 64
    static let maximumKeyByteCount = 65_535
    /// Arrays inside arrays; nobody is known to write any.
    static let maximumNesting = 8
    /// The largest header that is read and written: several times what the largest vocabularies need.
    static let maximumHeaderByteCount = 100_000_000
    static let defaultAlignment = 32

    public static func recognizes(_ file: InputFile) throws -> Bool { try file.prefix(4) == magic }

    public static func open(_ file: InputFile, _ options: ReadingOptions) throws -> any CheckpointReader {
        try GGUFReader(file)
    }

    public static func makeWriter(
        _ plan: WritePlan, _ output: OutputFile, _ options: WritingOptions
    ) throws -> any CheckpointWriter {
        try GGUFLayout.makeWriter(plan, output)
    }

    public static func edit(
        _ edit: MetadataEdit, in member: JSONObject, beside texts: [String], isWritten: Bool
    ) throws(UsageError) -> ForeignEdit? {
        try GGUFMetadataEdit(edit, in: member, beside: texts, isWritten: isWritten)?.result
    }

    /// Whether a key ends as one that names a type for `edit`: "general.file_type:u32".
    static func namesType(_ key: String) -> Bool {
        key.utf8.lastIndex(of: UInt8(ascii: ":")).map {
            GGUFValueType(name: key[key.utf8.index(after: $0)...].lowercased()) != nil
        } ?? false
    }

    /// What the specification wants to stand in a file whose weights are in blocks of a type: which, and that their encoding
    /// is the one of version 2.
    public static func edits(quantizedTo type: ElementType) -> [MetadataEdit] {
        let version = MetadataEdit(key: quantizationVersionKey + ":u32", value: "2")
        guard let fileType = GGUFType.fileType(of: type) else { return [version] }
        return [MetadataEdit(key: fileTypeKey + ":u32", value: "\(fileType)"), version]
    }

    /// The same of entries that were right before blocks were dequantized, where there are any.
    public static func edits(dequantizedTo type: ElementType, in contents: CheckpointContents) -> [MetadataEdit] {
        let text = contents.metadata.first { $0.key == CheckpointContents.foreignKey }?.value
        let member = text.flatMap { JSONObject(foreign: $0) }?[name]?.object
        let edits = [
            MetadataEdit(key: fileTypeKey, value: GGUFType.fileType(of: type).map { "\($0)" }),
            MetadataEdit(key: quantizationVersionKey, value: nil),
        ]
        return edits.filter { member?[$0.key]?.object?["type"] == .string(GGUFValueType.u32.name) }
    }

    private static let fileTypeKey = "general.file_type"
    private static let quantizationVersionKey = "general.quantization_version"

    public static func header(of plan: WritePlan, fitting file: InputFile) throws -> [UInt8] {
        try GGUFLayout.header(of: plan, fitting: GGUFHeader(of: file), file.path)
    }

    @Sendable private static func objection(_ name: String) -> String? {
        if name.isEmpty { return "is empty" }
        let byteCount = name.utf8.count
        return byteCount < maximumNameByteCount
            ? nil : "has \(byteCount) bytes, llama.cpp reads at most \(maximumNameByteCount - 1)"
    }
}

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
    /// The largest alignment that is written: more than the pages of any system. Every tensor is padded to it.
    static let maximumAlignment = 1 << 16

    public static func recognizes(_ file: InputFile) throws -> Bool { try file.prefix(4) == magic }

    public static func open(_ file: InputFile, _ options: ReadingOptions) throws -> any CheckpointReader {
        // Packed, vocabularies become 3 to 6 times smaller; and a list of one number takes many times its bytes as text.
        try GGUFReader(file, headerByteCount: options.headerByteCount(atMost: maximumHeaderByteCount, ratio: 16))
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

    public static func namesType(_ key: String) -> Bool {
        key.utf8.lastIndex(of: UInt8(ascii: ":")).map {
            GGUFValueType(name: key[key.utf8.index(after: $0)...].lowercased()) != nil
        } ?? false
    }

    /// The specification wants to stand in a file whose weights are in blocks of a type: which, and that their encoding is
    /// the one of version 2. Elsewhere entries that were right before the change are corrected, where there are any.
    public static func edits(
        forWeightsOf type: ElementType, in contents: CheckpointContents, isWritten: Bool
    ) -> [MetadataEdit] {
        let values = [
            (key: fileTypeKey, value: GGUFType.fileType(of: type).map { "\($0)" }),
            (key: quantizationVersionKey, value: type.isBlock ? "2" : nil),
        ]
        if type.isBlock, isWritten {
            return values.filter { $0.value != nil }.map { MetadataEdit(key: $0.key + ":u32", value: $0.value) }
        }
        let text = contents.metadata.first { $0.key == CheckpointContents.foreignKey }?.value
        let member = text.flatMap { JSONObject(foreign: $0) }?[name]?.object
        return values.filter { member?[$0.key]?.object?["type"] == .string(GGUFValueType.u32.name) }
            .map { MetadataEdit(key: $0.key, value: $0.value) }
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
            ? nil : "has \(byteCount.inBytes), llama.cpp reads at most \(maximumNameByteCount - 1)"
    }
}

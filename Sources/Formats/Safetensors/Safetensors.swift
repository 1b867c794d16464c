import AssayCheckpoints
import AssayTensors
import SystemPackage

/// The safetensors format: 8 bytes of header length, a JSON header, the data. The page is `formats/safetensors.md`.
public enum Safetensors: CheckpointFormat {
    public static let name = "safetensors"
    public static let fileExtensions = [".safetensors"]

    public static let capabilities: FormatCapabilities = {
        var capabilities = FormatCapabilities(
            holdsAliases: true, holdsMetadata: true, storesDigests: false,
            objection: { $0 == SafetensorsHeader.metadataKey ? "is reserved for the metadata" : nil })
        capabilities.notesAliases = true
        return capabilities
    }()

    /// A header length that fits the file, followed by the brace that every header begins with.
    public static func recognizes(_ file: InputFile) throws -> Bool {
        let prefix = try file.prefix(9)
        guard prefix.count == 9, prefix[8] == UInt8(ascii: "{") else { return false }
        let length = SafetensorsHeader.length(prefix)
        return length <= UInt64(SafetensorsHeader.maximumByteCount) && length <= UInt64(file.byteCount - 8)
    }

    public static func open(_ file: InputFile, _ options: ReadingOptions) throws -> any CheckpointReader {
        try SafetensorsReader(file, options)
    }

    public static func makeWriter(
        _ plan: WritePlan, _ output: OutputFile, _ options: WritingOptions
    ) throws -> any CheckpointWriter {
        try SafetensorsLayout.makeWriter(plan, output)
    }

    public static func header(of plan: WritePlan, fitting file: InputFile) throws -> [UInt8] {
        let header = try SafetensorsHeader(of: file)
        let text = try SafetensorsLayout.text(keeping: header, plan)
        try requireRoom(text.count, in: header.bytes.count, file.path)
        return UInt64(text.count).littleEndianBytes + text
    }
}

import AssayCheckpoints
import AssayTensors

/// NumPy's `.npy`: one array, which takes the name of its file. The page is `formats/numpy.md`.
public enum NumPyArray: CheckpointFormat {
    public static let name = "npy"
    public static let fileExtensions = [".npy"]

    public static let capabilities = FormatCapabilities(
        elementTypes: NumPyHeader.elementTypes, fixedTensorCount: 1, holdsNames: false, holdsAliases: false,
        holdsMetadata: false, storesDigests: false)

    public static func recognizes(_ file: InputFile) throws -> Bool {
        try file.prefix(NumPyHeader.magic.count) == NumPyHeader.magic
    }

    public static func open(_ file: InputFile, _ options: ReadingOptions) throws -> any CheckpointReader {
        let name = options.fileName ?? file.path.lastComponent?.string ?? ""
        let header = try NumPyHeader(of: file, file.path, member: nil)
        let tensor = header.tensor(named: stem(of: name))
        return NumPyReader(
            CheckpointContents(formatName: Self.name, tensors: [tensor], fileByteCount: file.byteCount),
            [header.array(in: file)])
    }

    public static func makeWriter(
        _ plan: WritePlan, _ output: OutputFile, _ options: WritingOptions
    ) throws -> any CheckpointWriter {
        let header = NumPyHeader.bytes(for: plan.tensors[0])
        let (byteCount, overflow) = header.count.addingReportingOverflow(plan.tensors[0].byteCount)
        guard !overflow else { throw UsageError("the tensor is more than a file can hold") }
        return try FlatWriter(header: header, offsets: [header.count], byteCount: byteCount, output)
    }
}

/// NumPy's `.npz`: a zip archive of `.npy` files, each named for its array. The page is `formats/numpy.md`.
public enum NumPyArchive: CheckpointFormat {
    public static let name = "npz"
    public static let fileExtensions = [".npz"]

    public static let capabilities = FormatCapabilities(
        elementTypes: NumPyHeader.elementTypes, holdsAliases: false, holdsMetadata: false, storesDigests: false,
        objection: { name in
            if name.utf8.contains(0) { return "contains a NUL" }
            return name.utf8.count > maximumNameByteCount ? "is longer than \(maximumNameByteCount) bytes" : nil
        })

    /// What the 16 bits of a zip name's length leave.
    private static let maximumNameByteCount = 0xFFFF - NumPyArray.fileExtensions[0].utf8.count

    /// An archive with an array in it; an empty one only by its name.
    public static func recognizes(_ file: InputFile) throws -> Bool {
        try ZipArchive.holds(file) { arrayName($0) != nil } || isEmptyArchive(file)
    }

    private static func isEmptyArchive(_ file: InputFile) throws -> Bool {
        try file.byteCount == 22 && file.prefix(4) == [0x50, 0x4B, 0x05, 0x06]
            && file.path.lastComponent?.string.lowercased().hasSuffix(fileExtensions[0]) == true
    }

    /// The array that a member holds; nil where it holds something else.
    static func arrayName(_ member: String) -> String? {
        member.hasSuffix(NumPyArray.fileExtensions[0])
            ? String(member.dropLast(NumPyArray.fileExtensions[0].count)) : nil
    }

    public static func open(_ file: InputFile, _ options: ReadingOptions) throws -> any CheckpointReader {
        try NumPyReader(archive: ZipArchive(file))
    }

    public static func makeWriter(
        _ plan: WritePlan, _ output: OutputFile, _ options: WritingOptions
    ) throws -> any CheckpointWriter {
        try NumPyArchiveWriter(plan, output)
    }
}

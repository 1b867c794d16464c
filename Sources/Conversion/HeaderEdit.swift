import AssayCheckpoints
import AssayFormats
import SystemPackage

/// New metadata for a file that keeps its place and its data: only the header is written.
///
/// It is the one thing that writes to a file which exists, and is done only where that was asked for in so many words.
/// The old header lies beside the file until the new one is on the disk and was read again.
public struct HeaderEdit: Sendable {
    public let path: FilePath
    public let format: any CheckpointFormat.Type
    public let edits: [MetadataEdit]
    /// What the file begins with, as long as what it replaces.
    public let header: [UInt8]
    private let old: [UInt8]
    /// Of the file as it was.
    public let contents: CheckpointContents
    private let metadata: [(key: String, value: String)]
    private let reading: ReadingOptions

    /// Decides everything; writes nothing.
    ///
    /// - Throws: `UsageError` where the header has no room, or the source is not one file of a format that can do it.
    public init(_ source: Checkpoint, _ edits: [MetadataEdit], _ reading: ReadingOptions) throws {
        guard let path = source.files.first, source.files.count == 1 else {
            throw UsageError(
                "\(source.path.forDisplay): is in \(source.files.count) files; metadata is changed in place in one file,"
                    + " convert it to a new folder")
        }
        let format = FormatRegistry.format(named: source.contents.formatName)!
        metadata = try MetadataEditing.apply(edits, to: source.contents, for: format)
        let file = try InputFile(path)
        var plan = WritePlan(
            tensors: source.contents.tensors, metadata: metadata, originalHeader: source.contents.originalHeader,
            keepsOrder: true)
        plan.removedMetadata = NameSet(edits.filter { $0.value == nil }.map(\.key))
        header = try format.header(of: plan, fitting: file)
        old = try file.bytes(0..<min(header.count, file.byteCount))
        self.path = path
        self.format = format
        self.edits = edits
        self.reading = reading
        contents = source.contents
    }

    /// Where the old header is kept meanwhile.
    private var backup: FilePath {
        path.removingLastComponent().appending((path.lastComponent?.string ?? "") + ".old-header")
    }

    /// Writes the header, flushes it, and reads it again.
    ///
    /// - Throws: `SystemError`; the old header is then put back, or, where that fails too, left beside the file.
    public func run() throws {
        let target = try OutputFile(changing: path)
        try keepOldHeader()
        do {
            try target.write(at: 0, header)
            try target.synchronize()
            try requireSameContents()
        } catch {
            try target.write(at: 0, old)
            try target.synchronize()
            SystemCall.removeIfPresent(backup)
            throw error
        }
        SystemCall.removeIfPresent(backup)
        try SystemCall.synchronizeFolder(folder)
    }

    private var folder: FilePath {
        let folder = path.removingLastComponent()
        return folder.isEmpty ? "." : folder
    }

    private func keepOldHeader() throws {
        guard try SystemCall.status(backup, followingLinks: false) == nil else {
            throw UsageError(
                "\(backup.forDisplay): is the header of \(path.forDisplay) from before a change that was interrupted; put it"
                    + " back with 'dd if=\(backup.forDisplay) of=\(path.forDisplay) conv=notrunc', then remove it")
        }
        let file = try OutputFile(creating: backup)
        try file.write(at: 0, old)
        try file.synchronize()
        try SystemCall.synchronizeFolder(folder)
    }

    /// What was written must be there, and must be read as the same tensors with the new text.
    private func requireSameContents() throws {
        let file = try InputFile(path)
        let found = try format.open(file, reading).contents
        guard try file.bytes(0..<header.count) == header, found.tensors == contents.tensors,
            Self.texts(found.metadata) == Self.texts(metadata)
        else {
            throw SystemError(
                "read the new header back", path, .ioError, advice: "something else was found; the old one was put back"
            )
        }
    }

    /// What is not text is listed differently once it was written: with a place for every text.
    private static func texts(_ metadata: [(key: String, value: String)]) -> [[String]] {
        metadata.filter { $0.key != CheckpointContents.foreignKey }.map { [$0.key, $0.value] }
            .sorted { $0.lexicographicallyPrecedes($1) }
    }
}

import AssayCheckpoints
import AssayFormats
import SystemPackage

/// New metadata for a file that keeps its place and its data: only the header is written.
///
/// It is the one thing that writes to a file which exists, and is done only where that was asked for in so many words.
/// The old header lies beside the file until the new one is on the disk and was read again.
public struct HeaderEdit: Sendable {
    public let path: FilePath
    /// The file as it was named: another place where a link leads to it, beside which a certificate may lie too.
    public let givenPath: FilePath
    public let format: any CheckpointFormat.Type
    public let edits: [MetadataEdit]
    /// What the file begins with, as long as what it replaces.
    public let header: [UInt8]
    private let old: [UInt8]
    private let source: Checkpoint
    /// Of the file as it was.
    public var contents: CheckpointContents { source.contents }
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
        // What was opened here must be what `contents` speaks of.
        try source.whileUnchanged {}
        // A link stands for the file, beside which the old header and the certificate lie.
        givenPath = path
        self.path = try SystemCall.followed(path)
        self.format = format
        self.edits = edits
        self.reading = reading
        self.source = source
    }

    /// Where the old header is kept meanwhile.
    private var backup: FilePath { InterruptedEdit.backup(of: path) }

    /// Writes the header, flushes it, and reads it again.
    ///
    /// - Parameter renewed: makes what speaks of the new metadata, given as they were read again, in place of what speaks of
    ///   the old.
    /// - Throws: `SystemError`; everything is then as it was, or, where that fails too, the old header is left beside the
    ///   file.
    public func run(
        renewed: (_ metadata: [(key: String, value: String)]) throws -> [StagedOutput] = { _ in [] }
    ) throws {
        let target = try OutputFile(changing: path)
        let kept = try keepOldHeader()
        try Publication.run(in: path.folder) { publication in
            try publication.publish(kept)
            try requireUnchanged(target)
            publication.takeBack {
                try target.write(at: 0, old)
                try target.synchronize()
            }
            try target.write(at: 0, header)
            try target.synchronize()
            let outputs = try renewed(try readBack())
            // As long as the old header lies there, the file is not read.
            for output in outputs { try publication.setAside(output.destination) }
            try publication.setAside(backup)
            for output in outputs { try publication.publish(output) }
        }
    }

    /// Writes the old header beside the place where it is kept.
    private func keepOldHeader() throws -> StagedOutput {
        try InterruptedEdit.refuse(path)
        // Nobody may read it who may not read the file.
        let staged = try StagedOutput(
            backup, isFolder: false, overwrite: false, mode: SystemCall.status(path)?.mode)
        let output = try OutputFile(creating: staged.staging)
        try output.write(at: 0, old)
        try output.synchronize()
        return staged
    }

    /// The header must still be the one that the change was made for.
    private func requireUnchanged(_ target: OutputFile) throws {
        var found = [UInt8](repeating: 0, count: old.count)
        try found.withUnsafeMutableBytes { try target.read(at: 0, into: $0) }
        try source.whileUnchanged {}
        guard found == old else {
            throw SystemError("change its header", path, .ioError, advice: "somebody else changed it meanwhile")
        }
    }

    /// What was written must be there, and must be read as the same tensors with the new text.
    private func readBack() throws -> [(key: String, value: String)] {
        let file = try InputFile(path)
        if try file.bytes(0..<header.count) == header {
            let found = try format.open(file, reading).contents
            if found.tensors == contents.tensors, Self.texts(found.metadata) == Self.texts(metadata) {
                return found.metadata
            }
        }
        throw SystemError(
            "read the new header back", path, .ioError, advice: "something else was found; the old one was put back")
    }

    /// What is not text is listed differently once it was written: with a place for every text.
    private static func texts(_ metadata: [(key: String, value: String)]) -> [[ExactName]] {
        metadata.filter { $0.key != CheckpointContents.foreignKey }.map { [ExactName($0.key), ExactName($0.value)] }
            .sorted { $0.lexicographicallyPrecedes($1) }
    }
}

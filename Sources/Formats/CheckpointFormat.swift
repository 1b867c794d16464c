import AssayCheckpoints
import AssayTensors
import SystemPackage

/// A way for bytes to lie in a file. A format knows nothing about models.
///
/// Adding one: a folder here with a type of this protocol, a line in `FormatRegistry`, a page in `formats/`, a golden
/// file.
public protocol CheckpointFormat: Sendable {
    /// "safetensors": what `--to` takes and `inspect` shows.
    static var name: String { get }

    /// With the dot, the preferred one first: ".safetensors".
    static var fileExtensions: [String] { get }

    /// Of the files that are looked for in a model folder; `fileExtensions`, unless more can be read than is written.
    static var readExtensions: [String] { get }

    static var capabilities: FormatCapabilities { get }

    /// What the weights of a model folder are called, with the preferred extension: "model.safetensors".
    static var weightsFileName: String { get }
    /// Whether a file of a model folder is known by its name to hold something else than the weights.
    static func holdsNoWeights(_ fileName: String) -> Bool

    /// Whether a file is meant to be of this format, judged by its content. A damaged file is still recognised where its
    /// mark is there, so that the reader can say what is wrong with it.
    static func recognizes(_ file: InputFile) throws -> Bool

    /// Opens a file: reads and checks its header, no data.
    ///
    /// - Throws: `CheckpointError` where it is invalid.
    static func open(_ file: InputFile, _ options: ReadingOptions) throws -> any CheckpointReader

    /// Begins to write a file whose contents are known beforehand. `FormatCapabilities.check` was called.
    static func makeWriter(
        _ plan: WritePlan, _ output: OutputFile, _ options: WritingOptions
    ) throws -> any CheckpointWriter

    /// What a shard may call the tensor that the index of its checkpoint calls `name`, where not so; nil where the names
    /// are always the same.
    static func nameInShard(ofIndexed name: String) -> String?

    /// What two parts of one checkpoint say differently; nil where their metadata go together.
    static func conflict(
        between first: CheckpointContents, and other: CheckpointContents
    ) -> (key: String, first: String, other: String)?

    /// What is said of all shards where they have different values under a metadata key; nil where nothing can be.
    ///
    /// - Parameter values: at least one, in the order of the shards.
    static func joined(_ key: String, _ values: [String]) -> String?

    /// The member under `CheckpointContents.foreignKey` that holds this format's own metadata; its name, unless it contains
    /// another format's files.
    static var metadataOwner: String { get }

    /// Changes an entry of this format's own metadata that is not text.
    ///
    /// - Parameters:
    ///   - edit: as the user gave it.
    ///   - member: what stands under `metadataOwner` in the JSON under `CheckpointContents.foreignKey`.
    ///   - texts: the keys of the text beside it, in order.
    ///   - isWritten: whether the output is of this format, so that new entries make sense.
    /// - Returns: nil where the format has nothing to say of the entry.
    /// - Throws: `UsageError` where the value is not of the entry's type.
    static func edit(
        _ edit: MetadataEdit, in member: JSONObject, beside texts: [String], isWritten: Bool
    ) throws(UsageError) -> ForeignEdit?

    /// Whether a key ends as one that names the type of a new entry for `edit`: "general.file_type:u32".
    static func namesType(_ key: String) -> Bool

    /// Changes of this format's own metadata that keep it true where weights become of another element type.
    ///
    /// - Parameters:
    ///   - contents: of the source.
    ///   - isWritten: whether the output is of this format.
    static func edits(
        forWeightsOf type: ElementType, in contents: CheckpointContents, isWritten: Bool
    ) -> [MetadataEdit]

    /// What a file begins with, up to its first tensor, if it is to hold other metadata and everything else where it is.
    ///
    /// - Parameters:
    ///   - plan: the file's own tensors, in its order, and the new metadata.
    ///   - file: as it is.
    /// - Returns: as many bytes as there are now.
    /// - Throws: `UsageError` where they do not suffice, or the format has no such header.
    static func header(of plan: WritePlan, fitting file: InputFile) throws -> [UInt8]
}

extension CheckpointFormat {
    public static var readExtensions: [String] { fileExtensions }

    public static func nameInShard(ofIndexed name: String) -> String? { nil }

    public static func joined(_ key: String, _ values: [String]) -> String? { nil }

    public static func conflict(
        between first: CheckpointContents, and other: CheckpointContents
    ) -> (key: String, first: String, other: String)? { nil }

    public static var metadataOwner: String { name }

    public static func edit(
        _ edit: MetadataEdit, in member: JSONObject, beside texts: [String], isWritten: Bool
    ) throws(UsageError) -> ForeignEdit? { nil }

    public static func namesType(_ key: String) -> Bool { false }

    public static func edits(
        forWeightsOf type: ElementType, in contents: CheckpointContents, isWritten: Bool
    ) -> [MetadataEdit] { [] }

    public static func header(of plan: WritePlan, fitting file: InputFile) throws -> [UInt8] {
        throw UsageError(
            "\(file.path.forDisplay): the header of a \(name) file cannot be changed in place; convert it to a new file"
        )
    }

    /// - Throws: `UsageError` where a header does not fit the place that it has.
    static func requireRoom(_ byteCount: Int, in room: Int, _ path: FilePath) throws(UsageError) {
        guard byteCount <= room else {
            throw UsageError(
                "\(path.forDisplay): the header has room for \(room.inBytes), and would need \(byteCount); convert it to a new"
                    + " file, without --in-place")
        }
    }

    public static var weightsFileName: String { "model" + fileExtensions[0] }

    public static func holdsNoWeights(_ fileName: String) -> Bool { false }

    /// A file name without the format's extension; the name itself where it has none.
    public static func stem(of fileName: String) -> String {
        String(fileName.dropLast(fileName.fileExtension(among: fileExtensions)?.count ?? 0))
    }
}

/// What became of a format's own metadata by an edit.
public struct ForeignEdit {
    /// The entry's key, as the format has it.
    public var key: String
    /// What stands under the format's `metadataOwner`.
    public var member: JSONObject
    /// The value where the entry is text after all; text then has to be changed too.
    public var text: String?
}

extension StringProtocol {
    /// The first of some extensions, in lower case and with their dots, that a file name has in upper or lower case.
    func fileExtension(among extensions: [String]) -> String? {
        let name = lowercased()
        return extensions.first { name.hasSuffix($0) }
    }
}

/// What a format can hold; decides what is refused, by name.
public struct FormatCapabilities: Sendable {
    /// Element types that come back as they went in.
    public var elementTypes: Set<ElementType>
    /// The most dimensions of a tensor.
    public var maximumRank: Int
    /// Whether a tensor may have no elements.
    public var holdsEmptyTensors: Bool
    /// How many tensors every file holds; nil where any number will do.
    public var fixedTensorCount: Int?
    /// Whether a file holds the names of its tensors; where not, its only tensor has the file's name.
    public var holdsNames: Bool
    /// Whether two names can share stored bytes.
    public var holdsAliases: Bool
    /// Whether a second name is a note in the metadata, which only some of the format's readers understand.
    public var notesAliases = false
    /// Whether text metadata is kept.
    public var holdsMetadata: Bool
    /// Whether SHA-256 of every tensor is stored.
    public var storesDigests: Bool
    /// Whether each of several files says which it is, so that no index is needed.
    public var numbersParts: Bool
    /// Whether data is compressed unasked.
    public var compresses: Bool
    /// Whether data can be deflated on writing.
    public var deflates: Bool
    /// Whether writing takes room for a plain copy beside the compressed one.
    public var needsPlainCopy = false
    /// What is wrong with a tensor's name for this format, or nil: "contains a NUL".
    public var objection: @Sendable (_ name: String) -> String?

    public init(
        elementTypes: Set<ElementType> = Set(ElementType.scalars), maximumRank: Int = Shape.maximumRank,
        holdsEmptyTensors: Bool = true, fixedTensorCount: Int? = nil, holdsNames: Bool = true,
        holdsAliases: Bool, holdsMetadata: Bool, storesDigests: Bool, numbersParts: Bool = false,
        compresses: Bool = false, deflates: Bool = false,
        objection: @escaping @Sendable (String) -> String? = { _ in nil }
    ) {
        self.elementTypes = elementTypes
        self.maximumRank = maximumRank
        self.holdsEmptyTensors = holdsEmptyTensors
        self.fixedTensorCount = fixedTensorCount
        self.holdsNames = holdsNames
        self.holdsAliases = holdsAliases
        self.holdsMetadata = holdsMetadata
        self.storesDigests = storesDigests
        self.numbersParts = numbersParts
        self.compresses = compresses
        self.deflates = deflates
        self.objection = objection
    }

    /// Refuses what the format cannot hold, by name.
    ///
    /// - Parameter canChoose: whether the command has `--exclude` and `--dtype`.
    /// - Throws: `UsageError`.
    public func check(_ plan: WritePlan, formatName: String, canChoose: Bool = true) throws {
        if let count = fixedTensorCount, plan.tensors.count != count {
            throw UsageError(
                "\(formatName) holds exactly \(count) tensor, here are \(plan.tensors.count); choose with --include, or"
                    + " another format")
        }
        for tensor in plan.tensors {
            let name = tensor.name.escapedForDisplay
            if let objection = objection(tensor.name) {
                throw UsageError("tensor '\(name)': \(formatName) cannot hold this name: it \(objection)")
            }
            guard elementTypes.contains(tensor.elementType) else {
                throw UsageError(
                    "tensor '\(name)': \(formatName) cannot hold the element type \(tensor.elementType.name);"
                        + " \(canChoose ? advice(about: tensor.elementType) : Self.convertFirst)")
            }
            guard holdsEmptyTensors || tensor.shape.elementCount > 0 else {
                throw UsageError(
                    "tensor '\(name)': \(formatName) cannot hold a tensor without elements, \(tensor.shape);"
                        + " \(canChoose ? "leave it out with --exclude" : Self.convertFirst)")
            }
            guard holdsAliases || tensor.aliasOf == nil else {
                throw UsageError(
                    "tensor '\(name)': \(formatName) cannot hold a second name for the bytes of another tensor")
            }
            guard tensor.shape.rank <= maximumRank else {
                throw UsageError(
                    "tensor '\(name)': \(formatName) holds at most \(maximumRank) dimensions, this has"
                        + " \(tensor.shape.rank)")
            }
        }
    }

    /// What to do where the command can leave nothing out.
    private static let convertFirst = "choose another format, or let 'assay convert' leave it out before"

    /// What to do about a type that the format lacks.
    private func advice(about type: ElementType) -> String {
        let wider = [ElementType.f32, .f16, .bf16].filter {
            elementTypes.contains($0) && ElementConversion.refusal(from: type, to: $0) == nil
        }
        guard !wider.isEmpty else { return "leave it out with --exclude, or choose another format" }
        return "--dtype \(wider.map { $0.name.lowercased() }.joined(separator: ", ")) would do"
            + (type.isBlock ? ": it dequantizes" : "")
    }
}

/// How files are opened.
public struct ReadingOptions: Sendable {
    /// The program that reads the structure of HDF5 files in a process of its own: called as `PROGRAM hdf5-listing
    /// BEGIN COUNT` with the file as descriptor 3. Without it HDF5 files are refused.
    public var hdf5Helper: FilePath?
    /// Threads a reader may use for one request.
    public var threads: Int
    /// Whether an invalid file whose header can be read is opened all the same: to be shown, its `fault` in the contents.
    public var showsInvalid = false
    /// What may be filled of the page cache by files that are read once; nil where they are read again and again.
    public var cache: CacheAllowance?
    /// Bytes of the file that this one is unpacked from; nil where it lies there as it is. What is built of a header is
    /// bounded by them.
    public var packedByteCount: Int?
    /// The name that the file will have, where it is still under construction: what a tensor without a name is called.
    public var fileName: String?

    public init(hdf5Helper: FilePath? = nil, threads: Int = 1) {
        self.hdf5Helper = hdf5Helper
        self.threads = threads
    }

    /// The largest header that is read of a file that is unpacked: not every ratio is believed.
    ///
    /// - Parameter ratio: more than headers of real files have.
    func headerByteCount(atMost limit: Int, ratio: Int) -> Int {
        guard let packedByteCount else { return limit }
        return min(limit, ratio * min(packedByteCount, limit) + (4 << 20))
    }
}

/// How files are written.
public struct WritingOptions: Sendable {
    /// Where the format deflates: chunk and deflate at this level (1 to 12) instead of storing contiguously.
    public var deflateLevel: Int?
    /// Threads a writer may use for one request.
    public var threads: Int

    public init(deflateLevel: Int? = nil, threads: Int = 1) {
        self.deflateLevel = deflateLevel
        self.threads = threads
    }
}

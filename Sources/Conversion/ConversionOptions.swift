import AssayCheckpoints
import AssayFormats
import AssayTensors
import SystemPackage

/// What a user asks of a conversion.
public struct ConversionOptions: Sendable {
    public var destination: FilePath
    /// Whether it is a folder whatever its name says: given with a slash at its end.
    public var namesFolder = false
    /// The format's name; nil where the destination's extension tells it.
    public var formatName: String?
    /// Cuts the checkpoint into files of at most this many bytes of tensors.
    public var shardByteCount: Int?
    /// Only tensors that match one of these; all where empty.
    public var include: NamePatterns = []
    /// No tensors that match one of these.
    public var exclude: NamePatterns = []
    /// Changes of the metadata, done one after the other.
    public var metadataEdits: [MetadataEdit] = []
    public var writing = WritingOptions()
    public var reading = ReadingOptions()
    public var overwrite = false
    /// Whether what is finished is kept, should the run be interrupted.
    public var keepsProgress = false
    public var threads = 1
    /// What the buffers of a conversion may take in all.
    public var memoryByteCount = 400 << 20
    /// Whether the output is read again and compared before it is published.
    public var verifies = true
    /// Whether SHA-256 of both sides is taken; verification needs it.
    public var takesDigests = true

    public init(destination: FilePath) { self.destination = destination }

    /// The least piece that one thread works on: below it, the work goes into the handling of pieces.
    private static let leastPieceByteCount = 64 << 10

    /// What of the budget each thread's pieces may take: what is read, what is made, and what waits for its turn.
    private var pieceShares: Int { 4 * max(threads, 1) }

    /// Refuses what the format, or the number of threads, would leave without effect.
    ///
    /// - Throws: `UsageError`.
    func check(_ format: any CheckpointFormat.Type) throws(UsageError) {
        if writing.deflateLevel != nil, !format.capabilities.deflates {
            throw UsageError(
                "--deflate: \(format.name) is not deflated; only \(FormatRegistry.names { $0.capabilities.deflates }) is"
            )
        }
        let least = pieceShares * Self.leastPieceByteCount
        guard memoryByteCount >= least else {
            throw UsageError(
                "--memory: \(memoryByteCount) bytes are too few; the least for \(threads) threads is \(least)")
        }
    }

    /// The format that the destination's name calls for; nil where it tells none.
    ///
    /// - Throws: `UsageError` where it cannot be written.
    func formatByName() throws(UsageError) -> (any CheckpointFormat.Type)? {
        namesFolder ? nil : try FormatRegistry.format(forOutput: destination.settled())
    }

    /// Requires that every pattern of `--include` and `--exclude` matches a tensor.
    ///
    /// - Throws: `UsageError`.
    func requireMatches(among names: [String]) throws(UsageError) {
        try include.requireMatches(among: names, option: "--include", noun: "tensor")
        try exclude.requireMatches(among: names, option: "--exclude", noun: "tensor")
    }

    /// Keys that are taken away and not set again.
    var removedMetadata: NameSet {
        let kept = NameSet(metadataEdits.filter { $0.value != nil }.map(\.key))
        return NameSet(metadataEdits.filter { $0.value == nil && !kept.contains($0.key) }.map(\.key))
    }

    /// Bytes of the source that one thread works on at a time.
    var pieceByteCount: Int { min(4 << 20, max(Self.leastPieceByteCount, memoryByteCount / pieceShares)) }

    /// What of the budget a conversion of plain tensors will use, with what the process takes by itself.
    var expectedPeakByteCount: Int { (40 << 20) + 3 * threads * pieceByteCount }

    /// Why a tensor is left out, or nil: the named rule that every dropped tensor needs.
    func ruleDropping(_ name: String) -> String? {
        if !include.isEmpty, include.first(matching: name) == nil { return "not matched by --include" }
        return exclude.first(matching: name).map { "--exclude \($0)" }
    }
}

import AssayTensors

/// Everything a writer must know before the first byte: it lays the file out from this alone.
public struct WritePlan: Sendable {
    /// In the order in which the file is to hold them. An alias has no data of its own.
    public var tensors: [TensorInfo]
    public var metadata: [(key: String, value: String)]
    /// Keys that were taken away on purpose: a format that adds an entry unasked leaves these out.
    public var removedMetadata = NameSet()
    /// Set where the tensors are those of a file of another format, unchanged.
    public var originalHeader: OriginalHeader?
    /// Whether the file is to hold the tensors in this very order, where its format would choose another.
    public var keepsOrder: Bool
    /// Set where the checkpoint is written in several files of a format that numbers them.
    public var part: CheckpointPart?

    public init(
        tensors: [TensorInfo], metadata: [(key: String, value: String)], originalHeader: OriginalHeader? = nil,
        keepsOrder: Bool = false
    ) {
        self.tensors = tensors
        self.metadata = metadata
        self.originalHeader = originalHeader
        self.keepsOrder = keepsOrder
    }
}

extension WritePlan {
    /// Bytes of its tensors, those once that two names share.
    package var storedByteCount: Int { tensors.reduce(0) { $0 + ($1.aliasOf == nil ? $1.byteCount : 0) } }

    /// Of every tensor the one whose bytes it has: itself, or what an alias names.
    ///
    /// - Throws: `UsageError` where that is not written, or an alias itself.
    package func owners() throws -> [Int] {
        let positions = NameMap(tensors.enumerated().map { ($1.name, $0) })
        return try tensors.enumerated().map { index, tensor in
            guard let name = tensor.aliasOf else { return index }
            guard let target = positions[name], tensors[target].aliasOf == nil else {
                throw Self.missingTarget(of: tensor.name, name)
            }
            return target
        }
    }

    /// Why an alias is not written: what it names is not.
    package static func missingTarget(of alias: String, _ target: String) -> UsageError {
        UsageError(
            "tensor '\(alias.escapedForDisplay)': the tensor whose bytes it shares, '\(target.escapedForDisplay)', is not"
                + " written; leave out both or none")
    }
}

/// In which order a writer wants the pieces.
public enum PieceOrder: Sendable {
    /// Places are known beforehand: any piece at any time, from any thread.
    case any
    /// Places depend on what came before (compressed data): pieces are prepared on any thread and committed in the
    /// order of the plan, so that the file is the same for any number of threads.
    case planned
}

/// Writes one file of a format. The pipeline owns the file: it creates it beside the destination, hands it over, and
/// afterwards flushes, re-reads, compares and renames it.
public protocol CheckpointWriter: Sendable {
    var pieceOrder: PieceOrder { get }

    /// Every piece begins at a multiple of this many bytes and, but for a tensor's last, is a multiple of it long;
    /// 0 where any length will do.
    func granularity(of tensor: Int) -> Int

    /// Takes the bytes `range` of a tensor (position in the plan; never an alias).
    ///
    /// Safe to call from several threads at once. A writer whose order is `.planned` does its expensive work first and
    /// calls `inTurn` exactly once, with the part that must run in order.
    func write(
        _ tensor: Int, _ range: Range<Int>, _ bytes: UnsafeRawBufferPointer,
        inTurn: (_ commit: () throws -> Void) throws -> Void
    ) throws

    /// Completes the file after the last piece. `digests` are the SHA-256 of the bytes of every tensor of the plan
    /// (an alias has its target's).
    func finish(digests: [Digest]) throws

    /// What the file was made to begin with, where nothing in the format tells whether that is what lies there; nil where
    /// something does.
    var header: (byteCount: Int, digest: Digest)? { get }
}

extension CheckpointWriter {
    public var header: (byteCount: Int, digest: Digest)? { nil }

    /// Any length will do.
    public func granularity(of tensor: Int) -> Int { 0 }
}

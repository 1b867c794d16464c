import AssayCheckpoints

/// Places in a file that is to be written.
enum FilePlace {
    /// Where something can begin behind `byteCount` bytes that begin at `offset`: at the next multiple of `alignment`.
    ///
    /// - Throws: `UsageError` where no file is so long.
    static func padded(_ offset: Int, adding byteCount: Int, to alignment: Int = 1) throws -> Int {
        let (end, overflow) = offset.addingReportingOverflow(byteCount)
        let (room, isBeyond) = end.addingReportingOverflow(alignment - 1)
        guard !overflow, !isBeyond else { throw UsageError("the tensors are more than a file can hold") }
        return room / alignment * alignment
    }
}

/// Writes a file whose layout is known beforehand: a header, and the bytes of every tensor somewhere behind it.
struct FlatWriter: CheckpointWriter {
    let pieceOrder = PieceOrder.any
    private let output: OutputFile
    private let offsets: [Int?]
    let header: (byteCount: Int, digest: Digest)?

    /// - Parameters:
    ///   - header: what the file begins with.
    ///   - offsets: where each tensor of the plan begins in the file; nil for aliases.
    ///   - byteCount: of the whole file.
    /// - Throws: `SystemError` where the disk has no room.
    init(header: [UInt8], offsets: [Int?], byteCount: Int, _ output: OutputFile) throws {
        self.output = output
        self.offsets = offsets
        self.header = (header.count, header.withUnsafeBytes { Digest.of($0) })
        try output.makeRoom(byteCount)
        try output.write(at: 0, header)
    }

    func write(
        _ tensor: Int, _ range: Range<Int>, _ bytes: UnsafeRawBufferPointer,
        inTurn: (() throws -> Void) throws -> Void
    ) throws {
        try output.write(at: offsets[tensor]! + range.lowerBound, bytes)
    }

    func finish(digests: [Digest]) throws {}
}

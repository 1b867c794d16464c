import AssayCheckpoints

/// Writes a file whose layout is known beforehand: a header, and the bytes of every tensor somewhere behind it.
struct FlatWriter: CheckpointWriter {
    let pieceOrder = PieceOrder.any
    private let output: OutputFile
    private let offsets: [Int?]

    /// - Parameters:
    ///   - header: what the file begins with.
    ///   - offsets: where each tensor of the plan begins in the file; nil for aliases.
    ///   - byteCount: of the whole file.
    /// - Throws: `SystemError` where the disk has no room.
    init(header: [UInt8], offsets: [Int?], byteCount: Int, _ output: OutputFile) throws {
        self.output = output
        self.offsets = offsets
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

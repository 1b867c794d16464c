import AssayCZstd
import AssayCheckpoints
import AssayTensors
import Synchronization

/// Lets the writer of the inner format write a plain file without a name, in any order, and compresses that at the end:
/// its frames follow one another in the order of the file, which no format's tensors need to arrive in.
struct SeekableZstdWriter: CheckpointWriter {
    private let inner: any CheckpointWriter
    private let plain: OutputFile
    private let output: OutputFile
    private let threads: Int

    init(inner: any CheckpointWriter, _ plain: OutputFile, _ output: OutputFile, threads: Int) {
        self.inner = inner
        self.plain = plain
        self.output = output
        self.threads = threads
    }

    var pieceOrder: PieceOrder { inner.pieceOrder }

    func granularity(of tensor: Int) -> Int { inner.granularity(of: tensor) }

    func write(
        _ tensor: Int, _ range: Range<Int>, _ bytes: UnsafeRawBufferPointer,
        inTurn: (_ commit: () throws -> Void) throws -> Void
    ) throws {
        try inner.write(tensor, range, bytes, inTurn: inTurn)
    }

    func finish(digests: [Digest]) throws {
        try inner.finish(digests: digests)
        try compress()
    }

    // MARK: Compression

    /// Frames that are compressed before they are written, for every thread.
    private static let framesInHand = 4

    private func compress() throws {
        let byteCount = try plain.byteCount()
        let frames = stride(from: 0, to: byteCount, by: SeekableZstdFile.frameContentByteCount).map {
            $0..<min($0 + SeekableZstdFile.frameContentByteCount, byteCount)
        }
        let workers = WorkerPool<Worker> { try Worker() }
        let room = try (0..<Self.framesInHand * threads).map { _ in
            try ByteBuffer(byteCount: czstd_frame_bound(SeekableZstdFile.frameContentByteCount))
        }
        var table = SeekTable()
        for start in stride(from: 0, to: frames.count, by: room.count) {
            let batch = frames[start..<min(start + room.count, frames.count)]
            let lengths = ResultSlots<Int>(count: batch.count)
            try Parallel.forEach(batch.count, threads: threads) { step in
                let length = try workers.with { try $0.compress(frames[start + step], of: plain, into: room[step]) }
                lengths.set(step, length)
            }
            for (step, length) in lengths.all.enumerated() {
                try append(batch[start + step].count, room[step].prefix(length), &table)
            }
        }
        try output.write(at: table.frameByteCount, table.bytes)
    }

    /// Appends a frame; its last four bytes are the checksum that the table holds too.
    private func append(_ contentByteCount: Int, _ frame: UnsafeMutableRawBufferPointer, _ table: inout SeekTable)
        throws
    {
        try output.write(at: table.frameByteCount, UnsafeRawBufferPointer(frame))
        table.append(
            frameByteCount: frame.count, contentByteCount: contentByteCount,
            checksum: UInt32(littleEndian: [UInt8](frame.suffix(4))[...]))
    }

    /// What one thread needs for compressing.
    private final class Worker {
        private let context: OpaquePointer
        private let input: ByteBuffer

        init() throws {
            input = try ByteBuffer(byteCount: SeekableZstdFile.frameContentByteCount)
            context = try ZstdContext.compressing()
        }

        deinit { ZSTD_freeCCtx(context) }

        /// - Returns: the frame's length.
        func compress(_ range: Range<Int>, of file: OutputFile, into frame: ByteBuffer) throws -> Int {
            let content = input.prefix(range.count)
            try file.read(at: range.lowerBound, into: content)
            let length = czstd_compress(
                context, CZSTD_FAST, frame.bytes.baseAddress!.assumingMemoryBound(to: UInt8.self), frame.bytes.count,
                content.baseAddress!.assumingMemoryBound(to: UInt8.self), content.count)
            try ZstdContext.check(length, compressing: content.count)
            return length
        }
    }
}

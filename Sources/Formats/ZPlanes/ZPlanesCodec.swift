import AssayCheckpoints
import AssayTensors
import Synchronization

/// The coding of zplanes alone, memory to memory: chunks of elements to zstd frames and back, checksums included.
public struct ZPlanesCodec: Sendable {
    public let elementType: ElementType
    public let threads: Int
    private let pool = ChunkCodecPool()

    public init(elementType: ElementType, threads: Int) {
        self.elementType = elementType
        self.threads = threads
    }

    /// Compressed bytes: the frames of each chunk.
    public struct Compressed: Sendable {
        /// Bytes of the original.
        public let originalByteCount: Int
        fileprivate let chunks: [(record: ChunkRecord, frames: ByteBuffer)]

        /// Bytes of all frames.
        public var byteCount: Int { chunks.reduce(0) { $0 + $1.record.byteCount } }
    }

    /// Compresses whole elements.
    ///
    /// - Parameter memory: an earlier result that is no longer needed; its memory is used again, which saves the system
    ///   from finding new pages.
    /// - Throws: `SystemError` where memory is short.
    public func compress(_ bytes: UnsafeRawBufferPointer, reusing memory: consuming Compressed? = nil) throws
        -> Compressed
    {
        let old = memory?.chunks.map(\.frames) ?? []
        let step = ZPlanes.chunkByteCount(of: elementType)
        let count = (bytes.count + step - 1) / step
        let results = Mutex([(record: ChunkRecord, frames: ByteBuffer)?](repeating: nil, count: count))
        nonisolated(unsafe) let bytes = bytes  // reason: only read, and the caller keeps it
        try Parallel.forEach(count, threads: threads) { index in
            let start = index * step
            let chunk = UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + step, bytes.count)])
            let room = ChunkCodec.frameBound(ofChunk: chunk.count)
            let isEnough = index < old.count && old[index].bytes.count >= room
            let frames = isEnough ? old[index] : try ByteBuffer(byteCount: room)
            let record = try pool.with { try $0.encode(chunk, elementType, into: frames.bytes) }
            results.withLock { $0[index] = (record, frames) }
        }
        return Compressed(originalByteCount: bytes.count, chunks: results.withLock { $0.map { $0! } })
    }

    /// Restores what was compressed.
    ///
    /// - Parameter bytes: as long as the original.
    /// - Throws: `SystemError` where memory is short.
    public func decompress(_ compressed: Compressed, into bytes: UnsafeMutableRawBufferPointer) throws {
        precondition(bytes.count == compressed.originalByteCount)
        let step = ZPlanes.chunkByteCount(of: elementType)
        nonisolated(unsafe) let bytes = bytes  // reason: every thread writes a range of its own
        try Parallel.forEach(compressed.chunks.count, threads: threads) { index in
            let (record, frames) = compressed.chunks[index]
            let start = index * step
            let chunk = UnsafeMutableRawBufferPointer(rebasing: bytes[start..<min(start + step, bytes.count)])
            let frameBytes = UnsafeRawBufferPointer(frames.prefix(record.byteCount))
            try pool.with { try $0.decode(frameBytes, record, elementType, into: chunk) }
        }
    }
}

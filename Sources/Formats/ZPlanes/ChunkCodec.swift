import AssayCKernels
import AssayCZstd
import AssayCheckpoints
import AssayTensors

/// How a chunk lies in the file: its planes' frames follow one another.
struct ChunkRecord: Sendable, Equatable {
    var transform: PlaneTransform
    /// Set for `ranks` alone.
    var runs: PairRuns?
    var frameByteCounts: [Int]
    /// XXH64 of the frames. It vouches for every bit of them, which zstd's own checksums of contents do not.
    var check: UInt64

    /// The sum of what was checked to fit a file.
    var byteCount: Int { frameByteCounts.reduce(0, +) }
}

/// What is wrong with a chunk, and where in it.
struct ChunkFault: Error {
    /// Nil: the chunk as a whole.
    var plane: Int?
    /// Bytes of the chunk before the plane.
    var offset = 0
    var expected: String
    var found: String
}

/// Encodes and decodes chunks, one at a time: its memory and the contexts of libzstd are used again and again.
final class ChunkCodec: @unchecked Sendable {  // reason: the pool lends it to one thread at a time
    private let compression: OpaquePointer
    private let decompression: OpaquePointer
    private let kernels: UnsafePointer<ck_planes>
    private var planes = ScratchBuffer()
    private var whole = ScratchBuffer()
    private var input = ScratchBuffer()
    private var output = ScratchBuffer()

    init(_ level: DispatchLevel = .current) throws {
        compression = try ZstdContext.compressing()
        decompression = try ZstdContext.decompressing()
        kernels = ck_planes_at(level.kernelLevel)
    }

    deinit {
        ZSTD_freeCCtx(compression)
        ZSTD_freeDCtx(decompression)
    }

    // MARK: Encoding

    /// Encodes a chunk into `frames`, which has room for `frameBound` bytes.
    func encode(
        _ chunk: UnsafeRawBufferPointer, _ type: ElementType, into frames: UnsafeMutableRawBufferPointer
    ) throws -> ChunkRecord {
        let preferred = PlaneTransform.preferred(for: type)
        var record = try encode(chunk, type, preferred, into: frames)
        if record == nil { record = try encode(chunk, type, .rotatedBytes, into: frames) }
        if let record, preferred == .none || record.byteCount < czstd_stored_byte_count(chunk.count),
            chunk.count > 1 << 16
        {
            return record
        }
        return try smaller(of: record!, encodedIn: frames, chunk, type)
    }

    /// Small chunks, and those that planes did not make smaller, may be better off whole.
    private func smaller(
        of record: ChunkRecord, encodedIn frames: UnsafeMutableRawBufferPointer, _ chunk: UnsafeRawBufferPointer,
        _ type: ElementType
    ) throws -> ChunkRecord {
        guard record.transform != .none else { return record }
        let room = try self.whole.bytes(czstd_frame_bound(chunk.count))
        let whole = try encode(chunk, type, .none, into: room)!
        guard whole.byteCount < record.byteCount else { return record }
        frames.copyMemory(from: UnsafeRawBufferPointer(rebasing: room[..<whole.byteCount]))
        return whole
    }

    /// Room that the frames of a chunk fit into, whatever its transform.
    static func frameBound(ofChunk byteCount: Int) -> Int { czstd_frame_bound(byteCount) + 8 * 128 + byteCount / 128 }

    /// - Returns: nil where more pairs occur than there are ranks.
    private func encode(
        _ chunk: UnsafeRawBufferPointer, _ type: ElementType, _ transform: PlaneTransform,
        into frames: UnsafeMutableRawBufferPointer
    ) throws -> ChunkRecord? {
        let counts = transform.planeByteCounts(ofChunk: chunk.count, type)
        let space = transform == .none ? chunk : UnsafeRawBufferPointer(try planes.bytes(counts.reduce(0, +)))
        var record = ChunkRecord(transform: transform, runs: nil, frameByteCounts: [], check: 0)
        let width = type.componentByteCount
        let components = chunk.baseAddress!.assumingMemoryBound(to: UInt8.self)
        let out = UnsafeMutableRawPointer(mutating: space.baseAddress!).assumingMemoryBound(to: UInt8.self)
        switch transform {
        case .none: break
        case .bytes, .rotatedBytes:
            kernels.pointee.split_bytes(out, components, counts[0], CInt(width), transform == .rotatedBytes ? 1 : 0)
        case .ranks:
            guard let runs = PairRuns(of: components, count: counts[0], width: width, kernels) else { return nil }
            record.runs = runs
            var table = runs.table
            let rests = out + counts[0]
            let middle = rests + counts[1]
            kernels.pointee.split_pairs(
                out, rests, middle, width == 4 ? middle + counts[0] : middle, components, counts[0], CInt(width), &table
            )
        }
        try appendFrames(of: space, counts, type, into: frames, &record)
        return record
    }

    private func appendFrames(
        of planes: UnsafeRawBufferPointer, _ counts: [Int], _ type: ElementType,
        into frames: UnsafeMutableRawBufferPointer, _ record: inout ChunkRecord
    ) throws {
        var start = 0
        var written = 0
        for (index, count) in counts.enumerated() {
            let plane = UnsafeRawBufferPointer(rebasing: planes[start..<start + count])
            let frame = UnsafeMutableRawBufferPointer(rebasing: frames[written...])
            let isExponents = record.transform.isExponents(index, type)
            let length = try PlaneFrame.encode(plane, into: frame, isExponents: isExponents, compression)
            record.frameByteCounts.append(length)
            written += length
            start += count
        }
        record.check = czstd_xxh64(frames.baseAddress!, written)
    }

    // MARK: Decoding

    /// Decodes a chunk from its frames into exactly the bytes of `chunk`.
    ///
    /// - Precondition: `frames` is as long as the record says.
    func decode(
        _ frames: UnsafeRawBufferPointer, _ record: ChunkRecord, _ type: ElementType,
        into chunk: UnsafeMutableRawBufferPointer
    ) throws {
        let check = czstd_xxh64(frames.baseAddress!, frames.count)
        guard check == record.check else {
            throw ChunkFault(expected: "XXH64 \(record.check.hexadecimal)", found: check.hexadecimal)
        }
        let counts = record.transform.planeByteCounts(ofChunk: chunk.count, type)
        let space = record.transform == .none ? chunk : try planes.bytes(counts.reduce(0, +))
        var offset = 0
        var start = 0
        for (index, count) in counts.enumerated() {
            let length = record.frameByteCounts[index]
            let frame = UnsafeRawBufferPointer(rebasing: frames[offset..<offset + length])
            let plane = UnsafeMutableRawBufferPointer(rebasing: space[start..<start + count])
            do {
                try PlaneFrame.decode(frame, isVouchedFor: true, into: plane, decompression)
            } catch {
                throw ChunkFault(plane: index, offset: offset, expected: error.expected, found: error.found)
            }
            offset += length
            start += count
        }
        try join(space, counts, record, type, into: chunk)
    }

    private func join(
        _ planes: UnsafeMutableRawBufferPointer, _ counts: [Int], _ record: ChunkRecord, _ type: ElementType,
        into chunk: UnsafeMutableRawBufferPointer
    ) throws {
        let width = type.componentByteCount
        let first = UnsafePointer(planes.baseAddress!.assumingMemoryBound(to: UInt8.self))
        let out = chunk.baseAddress!.assumingMemoryBound(to: UInt8.self)
        switch record.transform {
        case .none: break
        case .bytes, .rotatedBytes:
            let pointers = (0..<width).map { Optional(first + $0 * counts[0]) }
            kernels.pointee.join_bytes(out, pointers, counts[0], CInt(width), record.transform == .rotatedBytes ? 1 : 0)
        case .ranks:
            var table = record.runs!.table
            let rests = first + counts[0]
            let middle = rests + counts[1]
            let low = width == 4 ? middle + counts[0] : middle
            guard kernels.pointee.join_pairs(out, first, rests, middle, low, counts[0], CInt(width), &table) != 0 else {
                throw ChunkFault(
                    plane: 0, offset: 0, expected: "ranks below \(table.count)", found: "a rank that stands for nothing"
                )
            }
        }
    }

    // MARK: Memory that is used again

    /// For the frames that are to be decoded, valid until the next call.
    func inputBytes(_ count: Int) throws -> UnsafeMutableRawBufferPointer { try input.bytes(count) }

    /// For the frames of chunks that are encoded, valid until the next call.
    func outputBytes(_ count: Int) throws -> UnsafeMutableRawBufferPointer { try output.bytes(count) }
}

/// The codecs of one reader or writer.
typealias ChunkCodecPool = WorkerPool<ChunkCodec>

extension ChunkCodecPool {
    convenience init(_ level: DispatchLevel = .current) { self.init { try ChunkCodec(level) } }
}

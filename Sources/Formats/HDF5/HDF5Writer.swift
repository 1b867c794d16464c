import AssayCDeflate
import AssayCKernels
import AssayCheckpoints
import AssayTensors
import SystemPackage

/// Writes a HDF5 file: structure through libhdf5, data by ourselves at the places that it reserved; deflated chunks
/// are compressed on any thread and handed to libhdf5 in the plan's order.
final class HDF5Writer: CheckpointWriter {
    private let output: OutputFile
    private let builder: HDF5FileBuilder
    private let deflateLevel: Int?
    private let compressors: WorkerPool<HDF5ChunkCompressor>

    init(_ plan: WritePlan, _ output: OutputFile, deflateLevel: Int?) throws {
        self.output = output
        self.deflateLevel = deflateLevel
        compressors = WorkerPool { try HDF5ChunkCompressor(level: deflateLevel ?? 1) }
        builder = try HDF5FileBuilder(plan, output, deflateLevel: deflateLevel)
        // Without chunks the structure is complete: the places are known.
        if deflateLevel == nil { try builder.close() }
    }

    var pieceOrder: PieceOrder { deflateLevel == nil ? .any : .planned }

    func granularity(of tensor: Int) -> Int {
        if case .chunks(let plan) = builder.places[tensor] { plan.chunkByteCount } else { 0 }
    }

    func write(
        _ tensor: Int, _ range: Range<Int>, _ bytes: UnsafeRawBufferPointer,
        inTurn: (_ commit: () throws -> Void) throws -> Void
    ) throws {
        precondition(range.count == bytes.count)
        switch builder.places[tensor] {
        case .nowhere: if pieceOrder == .planned { try inTurn {} }
        case .offset(let offset):
            try output.write(at: offset + range.lowerBound, bytes)
            if pieceOrder == .planned { try inTurn {} }
        case .chunks(let plan):
            let chunks = try compress(plan, range, bytes)
            try inTurn {
                for chunk in chunks { try builder.write(chunk, of: tensor) }
            }
        }
    }

    func finish(digests: [Digest]) throws { try builder.close() }

    private func compress(
        _ plan: HDF5ChunkPlan, _ range: Range<Int>, _ bytes: UnsafeRawBufferPointer
    ) throws -> [HDF5ChunkCompressor.Chunk] {
        let size = plan.chunkByteCount
        precondition(range.lowerBound % size == 0 && (range.count % size == 0 || range.upperBound == plan.byteCount))
        return try compressors.with { compressor in
            try stride(from: 0, to: bytes.count, by: size).map { start in
                let part = UnsafeRawBufferPointer(rebasing: bytes[start..<min(start + size, bytes.count)])
                return try compressor.chunk(part, plan, at: range.lowerBound + start)
            }
        }
    }
}

/// Shuffles and deflates chunks; one thread at a time.
final class HDF5ChunkCompressor {
    /// A chunk as it is stored.
    struct Chunk {
        var position: [Int]
        var bytes: [UInt8]
        /// 2 where deflate made it no smaller and was left out.
        var filterMask: UInt32
    }

    private let compressor: OpaquePointer
    private var padded = ScratchBuffer()
    private var shuffled = ScratchBuffer()

    init(level: Int) throws {
        guard let compressor = libdeflate_alloc_compressor(CInt(level)) else {
            throw SystemError("reserve a compressor", "memory", .noMemory)
        }
        self.compressor = compressor
    }

    deinit { libdeflate_free_compressor(compressor) }

    /// - Parameter bytes: a chunk's, or fewer where the tensor ends inside it: zeros fill it up.
    func chunk(_ bytes: UnsafeRawBufferPointer, _ plan: HDF5ChunkPlan, at offset: Int) throws -> Chunk {
        let size = plan.chunkByteCount
        let padded = try self.padded.bytes(size)
        padded.copyMemory(from: bytes)
        UnsafeMutableRawBufferPointer(rebasing: padded[bytes.count...]).initializeMemory(as: UInt8.self, repeating: 0)
        let shuffled = try self.shuffled.bytes(size)
        ck_chunks_at(DispatchLevel.current.kernelLevel).pointee.shuffle(
            shuffled.baseAddress!.assumingMemoryBound(to: UInt8.self),
            padded.baseAddress!.assumingMemoryBound(to: UInt8.self), size / plan.elementSize, plan.elementSize)
        // Only what is smaller than the chunk is of use.
        var made = 0
        let result = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            made = libdeflate_zlib_compress(compressor, shuffled.baseAddress, size, buffer.baseAddress, size - 1)
            count = made
        }
        let position = plan.position(ofByte: offset)
        return made > 0
            ? Chunk(position: position, bytes: result, filterMask: 0)
            : Chunk(position: position, bytes: Array(shuffled), filterMask: 2)
    }
}

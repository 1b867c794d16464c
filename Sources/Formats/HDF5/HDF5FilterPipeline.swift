import AssayCDeflate
import AssayCKernels
import AssayCheckpoints
import AssayTensors

/// The filters through which chunks went when they were written, in that order.
struct HDF5FilterPipeline: Sendable, Equatable {
    enum Filter: Sendable, Equatable {
        case deflate
        /// h5py's own.
        case lzf
        /// Of elements of so many bytes.
        case shuffle(Int)
        case fletcher32
    }

    let filters: [Filter]

    private static let checksumByteCount = 4

    /// - Parameter refuse: makes the error for what was found instead.
    /// - Throws: for filters that are not understood here, by number and name.
    init(
        _ stored: [HDF5Structure.Filter], elementSize: Int, refuse: (_ found: String) -> CheckpointError
    ) throws {
        var filters: [Filter] = []
        for filter in stored {
            switch filter.identifier {
            case 1: filters.append(.deflate)
            case 2:
                guard filter.parameters.first ?? elementSize == elementSize else {
                    throw refuse("a shuffle of \(filter.parameters[0])-byte elements over \(elementSize)-byte ones")
                }
                filters.append(.shuffle(elementSize))
            case 3: filters.append(.fletcher32)
            case 32000: filters.append(.lzf)
            default:
                let name = Self.names[filter.identifier] ?? (filter.name.isEmpty ? "no name" : filter.name)
                throw refuse(
                    "filter \(filter.identifier) (\(name.escapedForDisplay)), which is not available; rewrite the file"
                        + " where it is: 'h5repack -f GZIP=4 OLD NEW'")
            }
        }
        guard Set(stored.map(\.identifier)).count == stored.count else { throw refuse("one of them twice") }
        self.filters = filters
    }

    init(_ filters: [Filter]) { self.filters = filters }

    /// libhdf5's own, and of the registered ones those that h5py, PyTables and hdf5plugin write.
    private static let names = [
        4: "szip", 5: "nbit", 6: "scaleoffset", 305: "lzo", 307: "bzip2", 32001: "blosc", 32004: "lz4",
        32008: "bitshuffle", 32013: "zfp", 32015: "zstd", 32017: "sz", 32018: "fcidecomp", 32024: "sz3",
        32026: "blosc2",
    ]

    /// The filters that a chunk with this mask went through.
    private func active(_ mask: UInt32) -> [Filter] {
        filters.indices.filter { mask & (1 << UInt32($0)) == 0 }.map { filters[$0] }
    }

    enum StoredSize {
        case exactly(Int)
        case compressed
    }

    /// What a chunk of `byteCount` bytes takes up.
    func storedSize(of byteCount: Int, mask: UInt32) -> StoredSize {
        let active = active(mask)
        if active.contains(.deflate) || active.contains(.lzf) { return .compressed }
        return .exactly(byteCount + (active.contains(.fletcher32) ? Self.checksumByteCount : 0))
    }

    /// What is wrong with a stored chunk.
    struct Damage: Error {
        var expected: String, found: String
    }

    /// Undoes the filters.
    ///
    /// - Parameters:
    ///   - stored: the bytes as they lie in the file; overwritten.
    ///   - result: exactly the bytes of a chunk.
    ///   - worker: memory and a decompressor of this thread.
    func decode(
        _ stored: UnsafeMutableRawBufferPointer, mask: UInt32, into result: UnsafeMutableRawBufferPointer,
        _ worker: HDF5ChunkWorker
    ) throws {
        var steps = active(mask)
        var current = UnsafeRawBufferPointer(stored)
        var isInResult = false
        while let step = steps.popLast() {
            let isLast = !steps.contains { $0 != .fletcher32 }
            switch step {
            case .fletcher32: current = try Self.checked(current)
            case .deflate, .lzf:
                let size = result.count + (steps.contains(.fletcher32) ? Self.checksumByteCount : 0)
                let target = isLast && size == result.count ? result : try worker.inflated.bytes(size)
                if step == .lzf {
                    try LZF.decompress(current, into: target)
                } else {
                    try worker.inflate(current, into: target)
                }
                current = UnsafeRawBufferPointer(target)
                isInResult = isLast && size == result.count
            case .shuffle(let size):
                let target =
                    isLast && current.count == result.count ? result : try worker.unshuffled.bytes(current.count)
                Self.unshuffle(current, size, into: target)
                current = UnsafeRawBufferPointer(target)
                isInResult = isLast && current.count == result.count
            }
        }
        guard current.count == result.count else {
            throw Damage(expected: "\(result.count.inBytes)", found: "\(current.count)")
        }
        if !isInResult { result.copyMemory(from: current) }
    }

    /// The bytes before a checksum that fits them. Files of old libraries on little-endian machines have its halves'
    /// bytes exchanged; libhdf5 takes those too.
    private static func checked(_ bytes: UnsafeRawBufferPointer) throws -> UnsafeRawBufferPointer {
        guard bytes.count >= checksumByteCount else {
            throw Damage(expected: "a checksum", found: "\(bytes.count.inBytes)")
        }
        let data = UnsafeRawBufferPointer(rebasing: bytes.dropLast(checksumByteCount))
        let stored = bytes.loadUnaligned(fromByteOffset: data.count, as: UInt32.self).littleEndian
        let sum = ck_fletcher32(data.baseAddress?.assumingMemoryBound(to: UInt8.self), data.count)
        let exchanged = (sum & 0x00FF_00FF) << 8 | (sum & 0xFF00_FF00) >> 8
        guard stored == sum || stored == exchanged else {
            throw Damage(
                expected: "the checksum 0x\(String(sum, radix: 16))", found: "0x\(String(stored, radix: 16))")
        }
        return data
    }

    private static func unshuffle(
        _ bytes: UnsafeRawBufferPointer, _ size: Int, into result: UnsafeMutableRawBufferPointer
    ) {
        let count = bytes.count / size
        guard let from = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self),
            let to = result.baseAddress?.assumingMemoryBound(to: UInt8.self)
        else { return }
        ck_chunks_at(DispatchLevel.current.kernelLevel).pointee.unshuffle(to, from, count, size)
        let rest = bytes.count - count * size
        (to + count * size).update(from: from + count * size, count: rest)
    }
}

/// What one thread needs to decode chunks: a decompressor, and memory that grows to the largest chunk.
final class HDF5ChunkWorker {
    private let decompressor: OpaquePointer
    /// For a chunk as it is stored.
    var stored = ScratchBuffer()
    /// Between two filters.
    fileprivate var inflated = ScratchBuffer()
    fileprivate var unshuffled = ScratchBuffer()
    /// For a chunk with all filters undone.
    var chunk = ScratchBuffer()

    init() throws {
        guard let decompressor = libdeflate_alloc_decompressor() else {
            throw SystemError("reserve a decompressor", "memory", .noMemory)
        }
        self.decompressor = decompressor
    }

    deinit { libdeflate_free_decompressor(decompressor) }

    /// Inflates a zlib stream that must give exactly the bytes of `result`.
    func inflate(_ bytes: UnsafeRawBufferPointer, into result: UnsafeMutableRawBufferPointer) throws {
        var used = 0
        var made = 0
        let code = libdeflate_zlib_decompress_ex(
            decompressor, bytes.baseAddress, bytes.count, result.baseAddress, result.count, &used, &made)
        switch code {
        case LIBDEFLATE_SUCCESS where made == result.count: return
        case LIBDEFLATE_INSUFFICIENT_SPACE:
            throw HDF5FilterPipeline.Damage(expected: "a stream of \(result.count.inBytes)", found: "a longer one")
        case LIBDEFLATE_SUCCESS:
            throw HDF5FilterPipeline.Damage(expected: "a stream of \(result.count.inBytes)", found: "one of \(made)")
        default: throw HDF5FilterPipeline.Damage(expected: "a whole zlib stream", found: "damaged deflate data")
        }
    }
}

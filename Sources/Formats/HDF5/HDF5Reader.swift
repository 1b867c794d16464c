import AssayCKernels
import AssayCheckpoints
import AssayTensors

/// A HDF5 file whose structure is known and checked. Data is read, inflated and put in order here, on any number of
/// threads; libhdf5 has no part in it.
final class HDF5Reader: CheckpointReader {
    let contents: CheckpointContents
    private let file: InputFile
    /// One for every entry of `contents.tensors`; an alias has its target's.
    private let tensors: [HDF5Tensor]
    private let threads: Int
    /// The member of an archive that the file is. Only parts of it are data, so that it is compared with its checksum before
    /// the first of them is given.
    private let member: CheckedSource?
    private let cache = BufferCache<ChunkKey>()
    private let workers = WorkerPool<HDF5ChunkWorker> { try HDF5ChunkWorker() }

    init(
        _ file: InputFile, in member: CheckedSource?, _ contents: CheckpointContents, _ tensors: [HDF5Tensor],
        threads: Int
    ) {
        self.member = member
        self.file = file
        self.contents = contents
        self.tensors = tensors
        self.threads = threads
    }

    func granularity(of tensor: Int) -> Int {
        let tensor = tensors[tensor]
        guard case .chunks(let table) = tensor.storage else { return 0 }
        guard let bits = tensor.type.bitsInByte else { return table.bandByteCount }
        // Stored bytes are elements here; a band must hold whole units of the packed form.
        let unit = tensor.info.elementType.elementsPerUnit
        return table.bandByteCount % unit == 0 ? table.bandByteCount / 8 * bits : 0
    }

    func read(_ index: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        precondition(range.count == buffer.count)
        guard !range.isEmpty else { return }
        try member?.check()
        let tensor = tensors[index]
        if let bits = tensor.type.bitsInByte {
            return try readPacked(tensor, index, range, bits, into: buffer)
        }
        try readStored(tensor, index, range, into: buffer)
        if tensor.type.isBigEndian { buffer.swapBytes(ofEach: tensor.type.elementType.swapSize) }
    }

    // MARK: By layout

    /// Fills `buffer` with stored bytes, in the file's byte order.
    private func readStored(
        _ tensor: HDF5Tensor, _ index: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer
    ) throws {
        switch tensor.storage {
        case .inFile(let offset): try file.read(at: offset + range.lowerBound, into: buffer)
        case .inline(let bytes): bytes.withUnsafeBytes { buffer.copyMemory(from: .init(rebasing: $0[range])) }
        case .filled: Self.fill(buffer, with: tensor.fill, from: range.lowerBound)
        case .chunks(let table): try readChunks(tensor, table, index, range, into: buffer)
        }
    }

    /// Repeats an element; `offset` is the buffer's place in the tensor.
    private static func fill(_ buffer: UnsafeMutableRawBufferPointer, with element: [UInt8], from offset: Int) {
        guard element.contains(where: { $0 != 0 }) else {
            buffer.initializeMemory(as: UInt8.self, repeating: 0)
            return
        }
        var done = min(element.count, buffer.count)
        for index in 0..<done { buffer[index] = element[(offset + index) % element.count] }
        // What is there is doubled until all is there.
        while done < buffer.count {
            let count = min(done, buffer.count - done)
            (buffer.baseAddress! + done).copyMemory(from: buffer.baseAddress!, byteCount: count)
            done += count
        }
    }

    /// Bytes of packed elements: stored bytes hold one element each.
    private func readPacked(
        _ tensor: HDF5Tensor, _ index: Int, _ range: Range<Int>, _ bits: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws {
        let elements = range.lowerBound * 8 / bits..<range.upperBound * 8 / bits
        let stored = try ByteBuffer(byteCount: elements.count)
        defer { withExtendedLifetime(stored) {} }
        try readStored(tensor, index, elements, into: stored.bytes)
        let isClean = ck_pack_bits(
            buffer.baseAddress!.assumingMemoryBound(to: UInt8.self),
            stored.bytes.baseAddress!.assumingMemoryBound(to: UInt8.self), elements.count, CInt(bits))
        guard isClean != 0 else {
            throw CheckpointError(
                file.path, .tensor(tensor.info.name), expected: "\(bits) bits in every byte", found: "more")
        }
    }

    // MARK: Chunks

    private struct ChunkKey: Hashable {
        var tensor: Int, chunk: Int
    }

    /// A destination that several threads fill, each its own part.
    private struct Target: @unchecked Sendable {  // reason: the parts do not overlap
        let buffer: UnsafeMutableRawBufferPointer
    }

    private func readChunks(
        _ tensor: HDF5Tensor, _ table: HDF5ChunkTable, _ index: Int, _ range: Range<Int>,
        into buffer: UnsafeMutableRawBufferPointer
    ) throws {
        let size = table.elementSize
        guard range.lowerBound % size == 0, range.count % size == 0 else {
            preconditionFailure("ranges of chunked tensors hold whole elements")
        }
        let elements = range.lowerBound / size..<range.upperBound / size
        let needs = table.needs(of: elements)
        let target = Target(buffer: buffer)
        try Parallel.forEach(needs.count, threads: threads) { position in
            let need = needs[position]
            do {
                try self.readChunk(tensor, table, index, need, elements, into: target.buffer)
            } catch let damage as HDF5FilterPipeline.Damage {
                throw CheckpointError(
                    self.file.path, .tensor(tensor.info.name),
                    expected: "chunk \(table.position(of: need.index)) to hold \(damage.expected)", found: damage.found)
            }
        }
    }

    private func readChunk(
        _ tensor: HDF5Tensor, _ table: HDF5ChunkTable, _ index: Int, _ need: HDF5ChunkTable.Need,
        _ elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer
    ) throws {
        if let range = need.wholeRange {
            let start = (range.lowerBound - elements.lowerBound) * table.elementSize
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[start..<start + table.chunkByteCount])
            return try workers.with { try decode(tensor, table, need.index, into: part, $0) }
        }
        let key = ChunkKey(tensor: index, chunk: need.index)
        if need.isWhole, cache.bytes(key) == nil {
            return try workers.with { worker in
                let bytes = try worker.chunk.bytes(table.chunkByteCount)
                try decode(tensor, table, need.index, into: bytes, worker)
                table.scatter(UnsafeRawBufferPointer(bytes), need.index, elements, into: buffer)
            }
        }
        let chunk = try cache.bytes(key) {
            let bytes = try ByteBuffer(byteCount: table.chunkByteCount)
            try workers.with { try decode(tensor, table, need.index, into: bytes.bytes, $0) }
            return bytes
        }
        defer { withExtendedLifetime(chunk) {} }
        table.scatter(chunk.readOnly, need.index, elements, into: buffer)
    }

    private func decode(
        _ tensor: HDF5Tensor, _ table: HDF5ChunkTable, _ index: Int, into bytes: UnsafeMutableRawBufferPointer,
        _ worker: HDF5ChunkWorker
    ) throws {
        guard let place = table.places.isEmpty ? nil : table.places[index], place.offset >= 0 else {
            return Self.fill(bytes, with: tensor.fill, from: 0)
        }
        let stored = try worker.stored.bytes(place.byteCount)
        try file.read(at: place.offset, into: stored)
        try table.pipeline.decode(stored, mask: place.filterMask, into: bytes, worker)
    }
}

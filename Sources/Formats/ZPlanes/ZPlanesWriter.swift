import AssayCZstd
import AssayCheckpoints
import AssayTensors
import Synchronization
import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// Writes a zplanes file: chunks are encoded on any thread and committed in the order of the plan.
final class ZPlanesWriter: CheckpointWriter {
    let pieceOrder = PieceOrder.planned
    private let plan: WritePlan
    private let output: OutputFile
    private let chunkByteCounts: [Int]
    private let pool: ChunkCodecPool
    private let state: Mutex<State>

    /// What is in the file so far.
    private struct State {
        var end: Int
        /// Of every tensor of the plan: where it begins, and its chunks.
        var offsets: [Int]
        var records: [[ChunkRecord]]
        /// Complete tensors by their chunks' checks, for finding equal ones.
        var positionOfChecks: [[UInt64]: Int] = [:]
        /// Tensors that turned out to be equal to an earlier one.
        var equals: [Int: Int] = [:]
    }

    /// - Parameter chunkByteCount: of all tensors, where not the usual one: for tests.
    /// - Throws: `UsageError` where an alias lacks its target; `SystemError`.
    init(
        _ plan: WritePlan, _ output: OutputFile, chunkByteCount: Int? = nil, level: DispatchLevel = .current
    ) throws {
        let names = Set(plan.tensors.map(\.name))
        // Unlike elsewhere an alias may name another.
        if let alias = plan.tensors.first(where: { $0.aliasOf.map { !names.contains($0) } ?? false }) {
            throw WritePlan.missingTarget(of: alias.name, alias.aliasOf!)
        }
        self.plan = plan
        self.output = output
        chunkByteCounts = plan.tensors.map { chunkByteCount ?? ZPlanes.chunkByteCount(of: $0.elementType) }
        pool = ChunkCodecPool(level)
        let count = plan.tensors.count
        state = Mutex(
            State(
                end: ZPlanesMark.head.byteCount, offsets: Array(repeating: 0, count: count),
                records: Array(repeating: [], count: count)))
        try output.write(at: 0, ZPlanesMark.head.bytes(version: ZPlanes.version))
    }

    func granularity(of tensor: Int) -> Int { chunkByteCounts[tensor] }

    // MARK: Pieces

    func write(
        _ tensor: Int, _ range: Range<Int>, _ bytes: UnsafeRawBufferPointer,
        inTurn: (_ commit: () throws -> Void) throws -> Void
    ) throws {
        let size = chunkByteCounts[tensor]
        precondition(range.lowerBound.isMultiple(of: size) && range.count == bytes.count)
        let chunks = stride(from: 0, to: bytes.count, by: size).map { $0..<min($0 + size, bytes.count) }
        let isLast = range.upperBound == plan.tensors[tensor].byteCount
        try pool.with { codec in
            let frames = try codec.outputBytes(chunks.reduce(0) { $0 + ChunkCodec.frameBound(ofChunk: $1.count) })
            var records: [ChunkRecord] = []
            var end = 0
            for chunk in chunks {
                let record = try codec.encode(
                    UnsafeRawBufferPointer(rebasing: bytes[chunk]), plan.tensors[tensor].elementType,
                    into: UnsafeMutableRawBufferPointer(rebasing: frames[end...]))
                records.append(record)
                end += record.byteCount
            }
            let used = UnsafeRawBufferPointer(rebasing: frames[..<end])
            try inTurn { try commit(tensor, records, used, isLast: isLast) }
        }
    }

    private func commit(
        _ tensor: Int, _ records: [ChunkRecord], _ frames: UnsafeRawBufferPointer, isLast: Bool
    ) throws {
        try state.withLock { state in
            if state.records[tensor].isEmpty { state.offsets[tensor] = state.end }
            try output.write(at: state.end, frames)
            state.end += frames.count
            state.records[tensor] += records
            if isLast { try complete(tensor, &state) }
        }
    }

    // MARK: Equal tensors

    /// Takes a complete tensor back where an earlier one has the same frames: it is stored once.
    private func complete(_ tensor: Int, _ state: inout State) throws {
        let checks = state.records[tensor].map(\.check)
        guard let earlier = state.positionOfChecks[checks] else {
            state.positionOfChecks[checks] = tensor
            return
        }
        guard plan.tensors[earlier].elementType == plan.tensors[tensor].elementType,
            plan.tensors[earlier].shape == plan.tensors[tensor].shape,
            state.records[earlier] == state.records[tensor],
            try hasEqualBytes(state.offsets[earlier], state.offsets[tensor], state.end - state.offsets[tensor])
        else { return }
        state.end = state.offsets[tensor]
        state.records[tensor] = []
        state.equals[tensor] = earlier
    }

    private func hasEqualBytes(_ a: Int, _ b: Int, _ count: Int) throws -> Bool {
        let step = 1 << 20
        let pair = try ByteBuffer(byteCount: 2 * step)
        defer { withExtendedLifetime(pair) {} }
        for start in stride(from: 0, to: count, by: step) {
            let length = min(step, count - start)
            let first = UnsafeMutableRawBufferPointer(rebasing: pair.bytes[..<length])
            let second = UnsafeMutableRawBufferPointer(rebasing: pair.bytes[step..<step + length])
            guard try read(at: a + start, first), try read(at: b + start, second) else { return false }
            guard memcmp(first.baseAddress!, second.baseAddress!, length) == 0 else { return false }
        }
        return true
    }

    private func read(at offset: Int, _ buffer: UnsafeMutableRawBufferPointer) throws -> Bool {
        try SystemCall.read(output.descriptor, at: offset, into: buffer, output.path) == buffer.count
    }

    // MARK: The end

    func finish(digests: [Digest]) throws {
        try state.withLock { state in
            let header = try writeHeader(&state)
            let index = ZPlanesIndex(
                contentDigest: ContentDigest.of(plan.tensors, digests), metadata: plan.metadata, header: header,
                tensors: entries(state, digests))
            let text = Array(index.text.utf8)
            guard text.count <= ZPlanes.maximumIndexByteCount else {
                throw UsageError(
                    "\(output.path.forDisplay): zplanes holds at most \(ZPlanes.maximumIndexByteCount) bytes of index, these"
                        + " tensors need \(text.count); use --shard-size")
            }
            let frame = try TextFrame.encode(text)
            try output.write(at: state.end, frame)
            let footer = ZPlanesFooter(
                index: state.end..<state.end + frame.count, textByteCount: text.count,
                digest: frame.withUnsafeBytes { Digest.of($0) })
            try output.write(at: footer.index.upperBound, footer.bytes)
            // What was taken back may lie behind.
            try output.setLength(footer.index.upperBound + ZPlanesFooter.byteCount)
        }
    }

    private func writeHeader(_ state: inout State) throws -> ZPlanesIndex.KeptHeader? {
        guard let header = plan.originalHeader, header.bytes.count <= ZPlanes.maximumHeaderByteCount,
            !header.bytes.isEmpty
        else { return nil }
        let frame = try TextFrame.encode(header.bytes)
        let range = state.end..<state.end + frame.count
        try output.write(at: range.lowerBound, frame)
        state.end = range.upperBound
        return ZPlanesIndex.KeptHeader(formatName: header.formatName, range: range, textByteCount: header.bytes.count)
    }

    /// The index' tensors in the order of the plan, but none before those that it names.
    private func entries(_ state: State, _ digests: [Digest]) -> [ZPlanesIndex.Entry] {
        let names = NameMap(plan.tensors.enumerated().map { ($1.name, $0) })
        let named = plan.tensors.indices.map { aliased(by: $0, names) }
        let targets = named.map { state.equals[$0] ?? $0 }
        var order: [Int] = []
        var isPlaced = Array(repeating: false, count: plan.tensors.count)
        func place(where isWanted: (Int) -> Bool) {
            for tensor in plan.tensors.indices where !isPlaced[tensor] && isWanted(tensor) {
                order.append(tensor)
                isPlaced[tensor] = true
            }
        }
        place { tensor in [targets[tensor], named[tensor]].allSatisfy { $0 == tensor || isPlaced[$0] } }
        place { named[$0] == $0 }
        place { _ in true }
        var positions = Array(repeating: 0, count: plan.tensors.count)
        for (position, tensor) in order.enumerated() { positions[tensor] = position }
        return order.map { tensor in
            let storage: ZPlanesIndex.Storage =
                targets[tensor] == tensor
                ? .chunks(
                    ZPlanesIndex.ChunkList(
                        offset: state.records[tensor].isEmpty ? ZPlanesMark.head.byteCount : state.offsets[tensor],
                        chunkByteCount: chunkByteCounts[tensor], records: state.records[tensor])!)
                : .sameAs(positions[targets[tensor]])
            var info = plan.tensors[tensor]
            info.aliasOf = named[tensor] == tensor ? nil : plan.tensors[named[tensor]].name
            return ZPlanesIndex.Entry(info: info, digest: digests[tensor], storage: storage)
        }
    }

    /// The tensor that a chain of aliases ends at.
    private func aliased(by tensor: Int, _ positions: NameMap<Int>) -> Int {
        var target = tensor
        // As many steps as there are tensors end every chain that ends at all.
        for _ in plan.tensors.indices {
            guard let name = plan.tensors[target].aliasOf, let named = positions[name] else { break }
            target = named
        }
        return target
    }
}

import AssayCheckpoints
import AssayTensors
import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// Writes a zTensor file in canonical form: blobs in the order of the names at multiples of 64 KiB, each with its digest,
/// equal ones once. Equal tensors show only when they are there: then what lies behind moves up.
final class ZTensorWriter: CheckpointWriter {
    let pieceOrder = PieceOrder.any
    private let plan: WritePlan
    private let attributes: ZTensorAttributes.Restored
    private let output: OutputFile
    private let threads: Int
    /// The tensors in the order of their names' bytes.
    private let order: [Int]
    /// As `WritePlan.owners`.
    private let owners: [Int]
    private let layout: Layout
    /// Of every tensor's bytes as far as they came in order.
    private let digests: [Digested]

    private static let alignment = 1 << 16

    /// A digest under way: what came out of order is read again at the end.
    private final class Digested: Sendable {
        let state = Mutex((hasher: XXH3(), end: 0))

        func update(_ range: Range<Int>, _ bytes: UnsafeRawBufferPointer) {
            state.withLock { state in
                guard state.end == range.lowerBound else { return }
                state.hasher.update(bytes)
                state.end = range.upperBound
            }
        }
    }

    /// Where blobs lie: of every tensor, and where the last one ends.
    private struct Layout {
        var offsets: [Int]
        var end: Int
    }

    /// - Throws: `UsageError` where an alias lacks its target; `SystemError`.
    init(_ plan: WritePlan, _ output: OutputFile, threads: Int) throws {
        owners = try plan.owners()
        order = plan.tensors.indices.sorted {
            plan.tensors[$0].name.utf8.lexicographicallyPrecedes(plan.tensors[$1].name.utf8)
        }
        layout = try Self.layout(of: plan, order, owners)
        attributes = try ZTensorAttributes.restored(from: plan.metadata)
        digests = plan.tensors.map { _ in Digested() }
        self.plan = plan
        self.output = output
        self.threads = threads
        try output.makeRoom(layout.end)
        try output.write(at: 0, ZTensorFile.mark)
    }

    private static func layout(of plan: WritePlan, _ order: [Int], _ owners: [Int]) throws -> Layout {
        var end = ZTensorFile.mark.count
        var places: [Int: Int] = [:]
        for tensor in order where places[owners[tensor]] == nil {
            let start = try FilePlace.padded(end, adding: 0, to: alignment)
            places[owners[tensor]] = start
            end = try FilePlace.padded(start, adding: plan.tensors[tensor].byteCount)
        }
        return Layout(offsets: owners.map { places[$0] ?? 0 }, end: end)
    }

    func write(
        _ tensor: Int, _ range: Range<Int>, _ bytes: UnsafeRawBufferPointer,
        inTurn: (_ commit: () throws -> Void) throws -> Void
    ) throws {
        if plan.tensors[tensor].elementType == .bool { try requireBooleans(bytes, from: range.lowerBound, tensor) }
        try output.write(at: layout.offsets[tensor] + range.lowerBound, bytes)
        digests[tensor].update(range, bytes)
    }

    /// Other formats hold any byte as a boolean.
    private func requireBooleans(_ bytes: UnsafeRawBufferPointer, from offset: Int, _ tensor: Int) throws {
        guard let position = bytes.firstIndex(where: { $0 > 1 }) else { return }
        throw UsageError(
            "tensor '\(plan.tensors[tensor].name.escapedForDisplay)': zTensor holds booleans of 0 or 1, this has"
                + " \(bytes[position]) at element \(offset + position); choose another format")
    }

    // MARK: The end

    func finish(digests: [Digest]) throws {
        let hashes = try finishedHashes()
        let owners = try sharedOwners(hashes)
        let final = try Self.layout(of: plan, order, owners)
        try moveUp(to: final)
        let manifest = ZTensorManifest(
            attributes: attributes.root + aliases, objects: order.map { object($0, final, hashes) })
        let bytes = manifest.encoded
        guard bytes.count <= ZTensorFile.maximumManifestByteCount, (try? CBORDecoder.decode(bytes)) != nil else {
            throw UsageError(
                "\(output.path.forDisplay): zTensor holds a manifest of at most \(ZTensorFile.maximumManifestByteCount) bytes"
                    + " and \(CBORDecoder.maximumDepth) levels, this one would be larger")
        }
        let start = try FilePlace.padded(final.end, adding: 0, to: Self.alignment)
        try output.write(at: start, bytes)
        let footer = ZTensorFile.footerBytes(
            manifest: start..<start + bytes.count, hash: bytes.withUnsafeBytes { XXH3.hash(of: $0) })
        try output.write(at: start + bytes.count, footer)
        try output.setLength(start + bytes.count + footer.count)
    }

    private var aliases: [CBORValue.Entry] {
        let seconds = plan.tensors.compactMap { info in info.aliasOf.map { (name: info.name, target: $0) } }
        return ZTensorAttributes.entry(aliases: seconds).map { [$0] } ?? []
    }

    private func object(_ tensor: Int, _ layout: Layout, _ hashes: [UInt64]) -> ZTensorManifest.Object {
        let info = plan.tensors[tensor]
        let type = ZTensorType.of(info.elementType)!
        let part = ZTensorManifest.Part(
            name: "data", storage: type.storage, logical: type.logical,
            blob: layout.offsets[tensor]..<layout.offsets[tensor] + info.byteCount, shard: nil, encoding: nil,
            byteCount: info.byteCount, digest: ZTensorDigest.prefix + hashes[owners[tensor]].hexadecimal)
        return ZTensorManifest.Object(
            name: info.name, shape: info.shape.dimensions.map { UInt64($0) }, layout: ZTensor.denseLayout,
            attributes: attributes.byObject[info.name], parts: [part])
    }

    /// Streams bytes of the file that were written.
    private func forEachPiece(_ range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        let step = 1 << 20
        let buffer = try ByteBuffer(byteCount: min(step, max(range.count, 1)))
        defer { withExtendedLifetime(buffer) {} }
        for start in stride(from: range.lowerBound, to: range.upperBound, by: step) {
            let part = buffer.prefix(min(step, range.upperBound - start))
            try output.read(at: start, into: part)
            try body(UnsafeRawBufferPointer(part))
        }
    }

    /// The XXH3 of every tensor that is no alias; what did not come in order is read.
    private func finishedHashes() throws -> [UInt64] {
        let results = ResultSlots<UInt64>(count: plan.tensors.count)
        try Parallel.forEach(plan.tensors.count, threads: threads) { tensor in
            var (hasher, end) = digests[tensor].state.withLock { ($0.hasher, $0.end) }
            if owners[tensor] == tensor {
                let start = layout.offsets[tensor]
                try forEachPiece(start + end..<start + plan.tensors[tensor].byteCount) { hasher.update($0) }
                end = plan.tensors[tensor].byteCount
            }
            results.set(tensor, hasher.finalize())
        }
        return results.all
    }

    // MARK: Equal tensors

    private struct Content: Hashable {
        var hash: UInt64
        var byteCount: Int
    }

    /// The tensor whose bytes each has, where equal ones share the first one's.
    private func sharedOwners(_ hashes: [UInt64]) throws -> [Int] {
        var firsts: [Content: Int] = [:]
        var shared = owners
        for tensor in order where owners[tensor] == tensor {
            let byteCount = plan.tensors[tensor].byteCount
            let content = Content(hash: hashes[tensor], byteCount: byteCount)
            if let first = firsts[content] {
                // Equal hashes are not yet equal bytes.
                if try isEqual(layout.offsets[first], layout.offsets[tensor], byteCount) { shared[tensor] = first }
            } else {
                firsts[content] = tensor
            }
        }
        return owners.map { shared[$0] }
    }

    private func isEqual(_ a: Int, _ b: Int, _ byteCount: Int) throws -> Bool {
        let step = 1 << 20
        let other = try ByteBuffer(byteCount: min(step, max(byteCount, 1)))
        defer { withExtendedLifetime(other) {} }
        var isEqual = true
        var offset = b
        try forEachPiece(a..<a + byteCount) { bytes in
            guard isEqual else { return }
            let part = other.prefix(bytes.count)
            try output.read(at: offset, into: part)
            offset += bytes.count
            isEqual = memcmp(bytes.baseAddress!, part.baseAddress!, bytes.count) == 0
        }
        return isEqual
    }

    /// Moves blobs to where they lie without those that turned out to be there already. Every place is at or before the old
    /// one, and behind all that was moved, so that nothing is overwritten that is still wanted.
    private func moveUp(to final: Layout) throws {
        guard final.end != layout.end else { return }
        var end = ZTensorFile.mark.count
        for tensor in order {
            let (old, new) = (layout.offsets[tensor], final.offsets[tensor])
            guard new >= end else { continue }
            try output.write(at: end, [UInt8](repeating: 0, count: new - end))
            var target = new
            if old != new {
                try forEachPiece(old..<old + plan.tensors[tensor].byteCount) {
                    try output.write(at: target, $0)
                    target += $0.count
                }
            }
            end = new + plan.tensors[tensor].byteCount
        }
        try output.setLength(end)
    }
}

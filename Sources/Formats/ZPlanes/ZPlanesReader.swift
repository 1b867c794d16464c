import AssayCheckpoints
import AssayTensors
import Synchronization
import SystemPackage

/// An opened zplanes file. Chunks are decoded when they are read; the last one that was read in part is kept.
final class ZPlanesReader: CheckpointReader {
    let contents: CheckpointContents
    /// What the file says its content digest is.
    let contentDigest: Digest
    private let file: InputFile
    let index: ZPlanesIndex
    private let threads: Int
    private let pool: ChunkCodecPool
    private let kept = Mutex<KeptChunk?>(nil)

    private struct KeptChunk {
        var tensor: Int
        var chunk: Int
        var bytes: ByteBuffer
    }

    init(_ file: InputFile, threads: Int, level: DispatchLevel = .current) throws {
        try Self.checkHead(of: file)
        let footer = try ZPlanesFooter(of: file)
        let index = try Self.index(of: file, footer)
        try Self.checkExtents(index, footer, in: file)
        try Self.checkContentDigest(of: index, in: file)
        self.file = file
        self.index = index
        self.threads = threads
        self.pool = ChunkCodecPool(level)
        contentDigest = index.contentDigest
        contents = CheckpointContents(
            formatName: ZPlanes.name, tensors: index.tensors.map(\.info), metadata: index.metadata,
            storedDigests: index.tensors.map(\.digest), originalHeader: try Self.keptHeader(index, in: file),
            fileByteCount: file.byteCount)
    }

    // MARK: Opening

    private static func checkHead(of file: InputFile) throws {
        let head = try file.prefix(ZPlanesMark.head.byteCount)
        guard ZPlanesMark.head.begins(head) else {
            throw CheckpointError(file.path, .byte(0), expected: "the mark of a zplanes file", found: describe(head))
        }
        try ZPlanesMark.head.check(head, at: 0, in: file.path)
        guard file.byteCount >= ZPlanesMark.head.byteCount + ZPlanesFooter.byteCount else {
            throw CheckpointError(
                file.path, .part("footer"),
                expected: "\(ZPlanesFooter.byteCount) bytes of footer at the end of the file",
                found: try FrameWalk.describeEnd(of: file))
        }
    }

    /// What a file that does not begin with our mark looks like.
    private static func describe(_ head: [UInt8]) -> String {
        let kinds: [([UInt8], String)] = [
            ([0x28, 0xB5, 0x2F, 0xFD], "a zstd frame without the mark"), ([0x1F, 0x8B], "a gzip file"),
            ([0x27, 0xB5, 0x2F, 0xFD], "a frame of zstd 0.7"), ([0xFD, 0x37, 0x7A, 0x58, 0x5A], "an xz file"),
            ([0x50, 0x4B, 0x03, 0x04], "a zip file"), ([0x89, 0x48, 0x44, 0x46], "an HDF5 file"),
        ]
        if let kind = kinds.first(where: { head.starts(with: $0.0) }) { return kind.1 }
        return head.isEmpty ? "an empty file" : "the bytes \(Array(head.prefix(8)).spacedHexadecimal)"
    }

    private static func index(of file: InputFile, _ footer: ZPlanesFooter) throws -> ZPlanesIndex {
        let frame = try ByteBuffer(byteCount: footer.index.count)
        try file.read(at: footer.index.lowerBound, into: frame.bytes)
        let digest = Digest.of(frame.readOnly)
        guard digest == footer.digest else {
            throw CheckpointError(
                file.path, .part("index"), expected: "SHA-256 \(footer.digest), as the footer says", found: "\(digest)")
        }
        let text = try TextFrame.decode(
            frame.readOnly, textByteCount: footer.textByteCount, what: "index", in: file.path)
        defer { withExtendedLifetime((frame, text)) {} }
        return try ZPlanesIndexParser.parse(text.readOnly, dataEnd: footer.index.lowerBound, in: file.path)
    }

    /// Requires that nothing of the file is used twice, and that only skippable frames are not used at all.
    private static func checkExtents(_ index: ZPlanesIndex, _ footer: ZPlanesFooter, in file: InputFile) throws {
        var extents: [(range: Range<Int>, place: CheckpointError.Place)] = []
        for entry in index.tensors {
            guard case .chunks(let list) = entry.storage, !list.extent.isEmpty else { continue }
            extents.append((list.extent, .tensor(entry.info.name)))
        }
        if let header = index.header { extents.append((header.range, .part("header"))) }
        extents.sort { $0.range.lowerBound < $1.range.lowerBound }
        var end = ZPlanesMark.head.byteCount
        for (position, extent) in extents.enumerated() {
            guard extent.range.lowerBound >= end else {
                throw CheckpointError(
                    file.path, extent.place,
                    expected: "data that begins behind that of \(extents[position - 1].place), at byte \(end)",
                    found: "byte \(extent.range.lowerBound)")
            }
            try FrameWalk.requireSkippable(end..<extent.range.lowerBound, in: file)
            end = extent.range.upperBound
        }
        try FrameWalk.requireSkippable(end..<footer.index.lowerBound, in: file)
    }

    /// The digests of the tensors are compared when their bytes are read; only this one covers names, types and shapes.
    private static func checkContentDigest(of index: ZPlanesIndex, in file: InputFile) throws {
        let digest = ContentDigest.of(index.tensors.map(\.info), index.tensors.map(\.digest))
        guard digest == index.contentDigest else {
            throw CheckpointError(
                file.path, .part("index"),
                expected: "the content digest \(digest), which its tensors give", found: "\(index.contentDigest)")
        }
    }

    private static func keptHeader(_ index: ZPlanesIndex, in file: InputFile) throws -> OriginalHeader? {
        guard let header = index.header else { return nil }
        let text = try TextFrame.read(header.range, textByteCount: header.textByteCount, what: "header", of: file)
        defer { withExtendedLifetime(text) {} }
        return OriginalHeader(formatName: header.formatName, bytes: Array(text.bytes))
    }

    // MARK: Reading

    func granularity(of tensor: Int) -> Int { storage(of: tensor).chunks.chunkByteCount }

    func read(_ tensor: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        precondition(buffer.count == range.count && range.upperBound <= contents.tensors[tensor].byteCount)
        guard !range.isEmpty else { return }
        let size = granularity(of: tensor)
        let first = range.lowerBound / size
        let count = (range.upperBound - 1) / size - first + 1
        nonisolated(unsafe) let buffer = buffer  // reason: every chunk fills a part of its own
        try Parallel.forEach(count, threads: threads) { step in
            let whole = (first + step) * size..<min((first + step + 1) * size, contents.tensors[tensor].byteCount)
            let wanted = whole.clamped(to: range)
            let start = wanted.lowerBound - range.lowerBound
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[start..<start + wanted.count])
            if wanted == whole {
                try decode(tensor, first + step, into: part)
            } else {
                try copy(
                    tensor, first + step, from: wanted.lowerBound - whole.lowerBound, chunkByteCount: whole.count,
                    into: part)
            }
        }
    }

    /// The tensor that holds the bytes, and its chunks.
    private func storage(of tensor: Int) -> (position: Int, chunks: ZPlanesIndex.ChunkList) {
        switch index.tensors[tensor].storage {
        case .chunks(let list): (tensor, list)
        case .sameAs(let target): storage(of: target)
        }
    }

    /// Copies a part of a chunk, decoding it unless it was the last to be read in part.
    private func copy(
        _ tensor: Int, _ chunk: Int, from offset: Int, chunkByteCount: Int, into part: UnsafeMutableRawBufferPointer
    ) throws {
        let position = storage(of: tensor).position
        var found = kept.withLock { $0?.tensor == position && $0?.chunk == chunk ? $0?.bytes : nil }
        if found == nil {
            let bytes = try ByteBuffer(byteCount: chunkByteCount)
            try decode(tensor, chunk, into: bytes.bytes)
            kept.withLock { $0 = KeptChunk(tensor: position, chunk: chunk, bytes: bytes) }
            found = bytes
        }
        guard let found else { return }
        part.copyMemory(from: UnsafeRawBufferPointer(rebasing: found.readOnly[offset..<offset + part.count]))
        withExtendedLifetime(found) {}
    }

    private func decode(_ tensor: Int, _ chunk: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
        let (position, list) = storage(of: tensor)
        let range = list.range(of: chunk)
        let owner = index.tensors[position].info
        do {
            try pool.with { codec in
                let frames = try codec.inputBytes(range.count)
                try file.read(at: range.lowerBound, into: frames)
                try codec.decode(UnsafeRawBufferPointer(frames), list.records[chunk], owner.elementType, into: bytes)
            }
        } catch let fault as ChunkFault {
            let plane = fault.plane.map { ", plane \($0)" } ?? ""
            throw CheckpointError(
                file.path, .tensor(owner.name),
                expected: "\(fault.expected) in chunk \(chunk)\(plane) (byte \(range.lowerBound + fault.offset))",
                found: fault.found)
        }
    }
}

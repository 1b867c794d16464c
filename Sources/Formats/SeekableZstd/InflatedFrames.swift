import AssayCZstd
import AssayCheckpoints
import AssayTensors

/// What seekable zstd data holds, read at any offset: only the frames that are asked for are inflated, several of them on
/// several threads. Frames of which a part was asked for are kept a while.
final class InflatedFrames: ByteSource {
    let table: SeekTable
    private let file: InputFile
    private let start: Int
    private let rules: Rules
    private let place: CheckpointError.Place
    private let inflater: FrameInflater

    /// What frames must be.
    struct Rules: Sendable {
        var maximumContentByteCount = 64 << 20
        /// Whether all frames but the last hold equally much.
        var areEqual = false
        /// Whether every frame has a checksum of its own.
        var haveChecksums = false
    }

    var byteCount: Int { table.contentByteCount }

    /// Reads the seek table and the headers of all frames.
    ///
    /// - Parameters:
    ///   - range: of the data in the file.
    ///   - place: of the data, for errors; the seek table itself where the whole file is the data.
    ///   - checksHeaders: false where it is enough that a frame is checked when it is read.
    /// - Throws: `CheckpointError` where table, data and frames disagree.
    init(
        _ file: InputFile, _ range: Range<Int>, _ rules: Rules = Rules(),
        place: CheckpointError.Place = .part("seek table"), checksHeaders: Bool = true, inflater: FrameInflater
    ) throws {
        table = try SeekTable(
            of: file, range, maximumContentByteCount: rules.maximumContentByteCount, place: place)
        self.file = file
        start = range.lowerBound
        self.rules = rules
        self.place = place
        self.inflater = inflater
        if rules.areEqual { try requireEqualFrames() }
        guard checksHeaders else { return }
        let parts = Parallel.ranges(table.frameCount, parts: inflater.threads)
        try Parallel.forEach(parts.count, threads: inflater.threads) { part in
            for index in parts[part] { try self.checkHeader(of: index) }
        }
    }

    private func requireEqualFrames() throws {
        guard table.frameCount > 1 else { return }
        let size = table.content(0).count
        for index in 0..<table.frameCount {
            let found = table.content(index).count
            let isLast = index == table.frameCount - 1
            guard isLast ? found <= size : found == size else {
                throw fault(index, "\(size.inBytes) of content, as in the first frame", "\(found)")
            }
        }
    }

    /// The most that a frame's header takes.
    private static let headerByteCount = 18

    private func checkHeader(of index: Int) throws {
        let frame = table.frame(index)
        let header = try file.bytes(
            start + frame.lowerBound..<start + min(frame.upperBound, frame.lowerBound + Self.headerByteCount))
        let count = table.content(index).count
        var said: UInt64 = 0
        let found = czstd_check_header(header, header.count, count, &said)
        switch found {
        case CZSTD_SKIPPABLE where count == 0: try checkSkippable(index, header)
        case _ where count == 0: try checkEmpty(index)
        case CZSTD_FINE, CZSTD_NO_SIZE: return
        case CZSTD_NO_CHECKSUM where !rules.haveChecksums: return
        default:
            throw fault(
                index, ZstdFault(found, contentByteCount: count, frameByteCount: frame.count, said: said))
        }
    }

    /// Nothing may hide behind a skippable frame: plain decoders would read it.
    private func checkSkippable(_ index: Int, _ header: [UInt8]) throws {
        let byteCount = SeekTable.headerByteCount + Int(header.number(4, UInt32.self))
        guard byteCount == table.frame(index).count else {
            throw fault(index, "a skippable frame of \(table.frame(index).count.inBytes)", "one of \(byteCount)")
        }
    }

    /// A frame without content is never asked for, so that it is inflated now: plain decoders must find nothing in it
    /// either.
    private func checkEmpty(_ index: Int) throws {
        let byteCount = table.frame(index).count
        guard byteCount <= SeekTable.freeByteCount else {
            throw fault(index, "at most \(SeekTable.freeByteCount) bytes that hold nothing", "\(byteCount)")
        }
        try withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) {
            try inflate(index, into: UnsafeMutableRawBufferPointer(rebasing: $0[..<0]))
        }
    }

    private func fault(_ index: Int, _ expected: String, _ found: String) -> CheckpointError {
        CheckpointError(
            file.path, place, expected: "\(expected) in frame \(index) (byte \(start + table.frame(index).lowerBound))",
            found: found)
    }

    private func fault(_ index: Int, _ fault: ZstdFault) -> CheckpointError {
        self.fault(index, fault.expected, fault.found)
    }

    // MARK: Reading

    /// A destination that several threads fill, each its own part.
    private struct Target: @unchecked Sendable {  // reason: the parts do not overlap
        let buffer: UnsafeMutableRawBufferPointer
    }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
        guard !buffer.isEmpty else { return }
        let wanted = offset..<offset + buffer.count
        guard wanted.lowerBound >= 0, wanted.upperBound <= byteCount else {
            throw CheckpointError(
                file.path, place, expected: "at least \(wanted.upperBound.inBytes) of content", found: "\(byteCount)")
        }
        let frames = table.frame(holding: wanted.lowerBound)...table.frame(holding: wanted.upperBound - 1)
        let target = Target(buffer: buffer)
        try Parallel.forEach(frames.count, threads: inflater.threads) { step in
            let index = frames.lowerBound + step
            let content = self.table.content(index)
            let part = content.clamped(to: wanted)
            guard !part.isEmpty else { return }
            let place = UnsafeMutableRawBufferPointer(
                rebasing: target.buffer[part.lowerBound - offset..<part.upperBound - offset])
            if part == content {
                try self.inflate(index, into: place)
            } else {
                try self.copy(index, from: part.lowerBound - content.lowerBound, into: place)
            }
        }
    }

    private func copy(_ index: Int, from offset: Int, into part: UnsafeMutableRawBufferPointer) throws {
        let content = try inflater.cache.bytes(FrameInflater.Key(data: ObjectIdentifier(self), frame: index)) {
            let bytes = try ByteBuffer(byteCount: table.content(index).count)
            try inflate(index, into: bytes.bytes)
            return bytes
        }
        part.copyMemory(from: UnsafeRawBufferPointer(rebasing: content.readOnly[offset..<offset + part.count]))
        withExtendedLifetime(content) {}
    }

    private func inflate(_ index: Int, into bytes: UnsafeMutableRawBufferPointer) throws {
        let frame = table.frame(index)
        try inflater.workers.with { worker in
            let input = try worker.input.bytes(frame.count)
            try file.read(at: start + frame.lowerBound, into: input)
            var said: UInt64 = 0
            let found = czstd_inflate(
                worker.context, rules.haveChecksums ? 1 : 0, bytes.baseAddress!.assumingMemoryBound(to: UInt8.self),
                bytes.count, input.baseAddress!.assumingMemoryBound(to: UInt8.self), frame.count,
                table.checksums.map { Int64($0[index]) } ?? -1, &said)
            guard found == CZSTD_FINE else {
                throw fault(
                    index, ZstdFault(found, contentByteCount: bytes.count, frameByteCount: frame.count, said: said))
            }
        }
    }
}

/// What frames are inflated with, shared by all data of one file: contexts of libzstd, and the frames that are kept.
final class FrameInflater: Sendable {
    let threads: Int
    fileprivate let workers = WorkerPool<Worker> { try Worker() }
    fileprivate let cache = BufferCache<Key>()

    /// A frame of some data.
    struct Key: Hashable {
        var data: ObjectIdentifier
        var frame: Int
    }

    /// - Parameter threads: that one request may use.
    init(threads: Int) { self.threads = threads }

    /// What one thread needs.
    fileprivate final class Worker {
        let context: OpaquePointer
        var input = ScratchBuffer()

        init() throws { context = try ZstdContext.decompressing() }

        deinit { ZSTD_freeDCtx(context) }
    }
}

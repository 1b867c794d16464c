import AssayCDeflate
import AssayCheckpoints
import Synchronization
import SystemPackage

/// A deflated member of any size: inflated front to back by whoever reads, from the nearest place before the wanted
/// bytes at which a decoder stopped or left a copy of its state.
final class InflatingMember: ByteSource {
    private let stored: FileRange
    private let member: ZipMember
    private let isChecked: Bool
    private let path: FilePath
    private let places: Mutex<Places>

    private struct Places {
        /// Decoders that wait where they stopped, the latest used last.
        var waiting: [DeflateDecoder] = []
        /// Copies at ascending places, `spacing` bytes apart.
        var marks: [DeflateDecoder] = []
    }

    private static let maximumWaiting = 8
    /// A copy takes about 40 KB.
    private let spacing: Int

    /// - Parameter spacing: of the copies, where not the usual one: for tests.
    init(_ stored: FileRange, _ member: ZipMember, isChecked: Bool, _ path: FilePath, spacing: Int? = nil) {
        self.stored = stored
        self.member = member
        self.isChecked = isChecked
        self.path = path
        self.spacing = spacing ?? max(16 << 20, member.byteCount / 512)
        places = Mutex(Places())
    }

    var byteCount: Int { member.byteCount }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
        let decoder = try decoder(before: offset)
        if decoder.position < offset {
            let scratch = try ByteBuffer(byteCount: 256 << 10)
            defer { withExtendedLifetime(scratch) {} }
            while decoder.position < offset {
                try advance(decoder, into: scratch.prefix(min(scratch.bytes.count, offset - decoder.position)))
            }
        }
        try advance(decoder, into: buffer)
        places.withLock { places in
            places.waiting.append(decoder)
            if places.waiting.count > Self.maximumWaiting { places.waiting.removeFirst() }
        }
    }

    /// The decoder that has the shortest way to an offset; nobody else has it.
    private func decoder(before offset: Int) throws -> DeflateDecoder {
        try places.withLock { places in
            let mark = places.marks.last { $0.position <= offset }
            let nearest = places.waiting.indices.filter { places.waiting[$0].position <= offset }
                .max { places.waiting[$0].position < places.waiting[$1].position }
            if let nearest, places.waiting[nearest].position >= mark?.position ?? 0 {
                return places.waiting.remove(at: nearest)
            }
            return try mark?.copy() ?? DeflateDecoder(stored)
        }
    }

    /// Fills `buffer` with what follows, leaving copies of the decoder behind on new ground.
    private func advance(_ decoder: DeflateDecoder, into buffer: UnsafeMutableRawBufferPointer) throws {
        var done = 0
        while done < buffer.count {
            let stop = min(buffer.count, done + spacing - decoder.position % spacing)
            guard try decoder.fill(UnsafeMutableRawBufferPointer(rebasing: buffer[done..<stop])) else {
                throw member.inflationError(path)
            }
            done = stop
            if decoder.position % spacing == 0 { try mark(decoder) }
        }
        guard decoder.position == member.byteCount else { return }
        guard try decoder.isAtEnd() else { throw member.inflationError(path) }
        guard !isChecked || decoder.checksum == member.checksum else {
            throw member.checksumError(decoder.checksum, path)
        }
    }

    private func mark(_ decoder: DeflateDecoder) throws {
        try places.withLock { places in
            guard decoder.position > places.marks.last?.position ?? 0 else { return }
            places.marks.append(try decoder.copy())
        }
    }
}

/// A raw deflate stream that is decoded front to back, and its state, which can be copied.
final class DeflateDecoder: @unchecked Sendable {  // reason: used by one thread at a time, handed on through a lock
    private let stored: FileRange
    private let stream: OpaquePointer
    /// Bytes made so far, and their CRC-32.
    private(set) var position = 0
    private(set) var checksum: UInt32 = 0
    /// Stored bytes that the decoder took.
    private var used = 0
    private var hasEnded = false
    private var input: ArraySlice<UInt8> = []

    private static let inputByteCount = 64 << 10

    init(_ stored: FileRange) throws {
        guard let stream = cdeflate_open() else { throw SystemError("reserve a decompressor", "memory", .noMemory) }
        self.stored = stored
        self.stream = stream
    }

    private init(copying other: DeflateDecoder) throws {
        guard let stream = cdeflate_copy(other.stream) else {
            throw SystemError("reserve a decompressor", "memory", .noMemory)
        }
        self.stored = other.stored
        self.stream = stream
        (position, checksum, used, hasEnded) = (other.position, other.checksum, other.used, other.hasEnded)
    }

    deinit { cdeflate_close(stream) }

    /// A decoder at the same place. Its input is read again when it is needed.
    func copy() throws -> DeflateDecoder { try DeflateDecoder(copying: self) }

    /// - Returns: false where the data is damaged or ends before the buffer is full.
    func fill(_ buffer: UnsafeMutableRawBufferPointer) throws -> Bool {
        var done = 0
        while done < buffer.count {
            guard let made = try step(UnsafeMutableRawBufferPointer(rebasing: buffer[done...])) else { return false }
            done += made
        }
        checksum = PieceChecksums.checksum(of: UnsafeRawBufferPointer(buffer), after: checksum)
        position += buffer.count
        return true
    }

    /// Whether the stream and the stored bytes end here.
    func isAtEnd() throws -> Bool {
        var rest: UInt8 = 0
        let made = try withUnsafeMutableBytes(of: &rest) { rest in
            var made: Int? = 0
            while made == 0, !hasEnded { made = try step(rest) }
            return made
        }
        return made == 0 && hasEnded && used == stored.byteCount
    }

    /// - Returns: how many bytes were made; nil where nothing more can be.
    private func step(_ buffer: UnsafeMutableRawBufferPointer) throws -> Int? {
        if hasEnded { return nil }
        if input.isEmpty {
            // Where none are left, the decoder may still owe what it has taken in.
            input = try stored.bytes(used..<min(stored.byteCount, used + Self.inputByteCount))[...]
        }
        var (taken, made) = (0, 0)
        let code = input.withUnsafeBytes {
            cdeflate_inflate(stream, $0.baseAddress, $0.count, &taken, buffer.baseAddress, buffer.count, &made)
        }
        guard code >= 0, taken > 0 || made > 0 || code == 1 else { return nil }
        input = input.dropFirst(taken)
        used += taken
        hasEnded = code == 1
        return made
    }
}

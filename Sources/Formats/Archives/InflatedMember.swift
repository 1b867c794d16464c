import AssayCDeflate
import AssayCheckpoints
import SystemPackage

/// A deflated member that is small enough to be unpacked at once; what was unpacked last is kept.
final class InflatedMember: ByteSource {
    /// What one member, and all that are kept, may take of memory: a few times what the archive has, so that a small one that
    /// stands for much does not take much.
    static func maximumByteCount(inArchiveOf byteCount: Int) -> Int {
        min(max(8 * min(byteCount, 64 << 20), 16 << 20), 64 << 20)
    }

    /// Where formats have their headers: asked for alone, such bytes are unpacked alone, so that opening a file does not
    /// unpack all of it.
    private static let frontByteCount = 16 << 10

    private let stored: FileRange
    private let member: ZipMember
    private let isChecked: Bool
    private let path: FilePath
    private let cache: BufferCache<Int>
    private let key: Int

    init(
        _ stored: FileRange, _ member: ZipMember, isChecked: Bool, _ path: FilePath, _ cache: BufferCache<Int>, key: Int
    ) {
        self.stored = stored
        self.member = member
        self.isChecked = isChecked
        self.path = path
        self.cache = cache
        self.key = key
    }

    var byteCount: Int { member.byteCount }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
        if offset + buffer.count <= Self.frontByteCount, byteCount > Self.frontByteCount, cache.bytes(key) == nil {
            return try readFront(at: offset, into: buffer)
        }
        let whole = try cache.bytes(key) { try inflated() }
        defer { withExtendedLifetime(whole) {} }
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: whole.readOnly[offset..<offset + buffer.count]))
    }

    private func readFront(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
        let front = try ByteBuffer(byteCount: offset + buffer.count)
        defer { withExtendedLifetime(front) {} }
        guard try DeflateDecoder(stored).fill(front.bytes) else { throw member.inflationError(path) }
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: front.readOnly[offset...]))
    }

    private func inflated() throws -> ByteBuffer {
        guard let decompressor = libdeflate_alloc_decompressor() else {
            throw SystemError("reserve a decompressor", "memory", .noMemory)
        }
        defer { libdeflate_free_decompressor(decompressor) }
        let packed = try ByteBuffer(byteCount: stored.byteCount)
        defer { withExtendedLifetime(packed) {} }
        let input = packed.prefix(stored.byteCount)
        try stored.read(at: 0, into: input)
        let result = try ByteBuffer(byteCount: member.byteCount)
        var (used, made) = (0, 0)
        let code = libdeflate_deflate_decompress_ex(
            decompressor, input.baseAddress, input.count, result.bytes.baseAddress, member.byteCount, &used, &made)
        guard code == LIBDEFLATE_SUCCESS, used == input.count, made == member.byteCount else {
            throw member.inflationError(path)
        }
        guard isChecked else { return result }
        let checksum = PieceChecksums.checksum(of: UnsafeRawBufferPointer(result.prefix(member.byteCount)))
        guard checksum == member.checksum else { throw member.checksumError(checksum, path) }
        return result
    }
}

extension ZipMember {
    func inflationError(_ path: FilePath) -> CheckpointError {
        CheckpointError(
            path, place, expected: "deflated data of exactly \(byteCount.inBytes)", found: "damaged data")
    }
}

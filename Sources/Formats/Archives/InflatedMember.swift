import AssayCDeflate
import AssayCheckpoints
import SystemPackage

/// A deflated member that is small enough to be unpacked at once; what was unpacked last is kept.
final class InflatedMember: ByteSource {
    /// What one member may take of memory.
    static let maximumByteCount = 64 << 20

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

    /// A header in front of large data is decoded alone.
    private static let headByteCount = 16 << 10
    private static let largeByteCount = 1 << 20

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
        if offset + buffer.count <= Self.headByteCount, byteCount >= Self.largeByteCount, cache.bytes(key) == nil {
            let head = try head(offset + buffer.count)
            defer { withExtendedLifetime(head) {} }
            return buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: head.readOnly[offset...]))
        }
        let whole = try cache.bytes(key) { try inflated() }
        defer { withExtendedLifetime(whole) {} }
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: whole.readOnly[offset..<offset + buffer.count]))
    }

    private func head(_ count: Int) throws -> ByteBuffer {
        let result = try ByteBuffer(byteCount: count)
        guard try DeflateDecoder(stored).fill(result.prefix(count)) else { throw member.inflationError(path) }
        return result
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
            path, place, expected: "deflated data of exactly \(byteCount) bytes", found: "damaged data")
    }
}

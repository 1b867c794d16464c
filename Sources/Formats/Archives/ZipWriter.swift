import AssayCheckpoints
import AssayTensors
import Synchronization

/// Writes a zip archive of stored members whose sizes are known beforehand: bytes arrive in any order, headers and
/// directory are written at the end, when the checksums are known. The data of every member is aligned.
///
/// The file depends on the members alone: times are that of the format's first day.
final class ZipWriter: Sendable {
    /// Cache lines, the widest vectors, and what PyTorch and NumPy align to.
    static let alignment = 64

    private struct Member {
        var name: [UInt8]
        var byteCount: Int
        var headerOffset: Int
        /// The extra fields of the local header, which pad it so that the data is aligned.
        var extra: [UInt8]

        var dataOffset: Int { headerOffset + ZipArchive.headerByteCount + name.count + extra.count }
        var end: Int { dataOffset + byteCount }
        var isWide: Bool { byteCount >= 0xFFFF_FFFF }
    }

    private let members: [Member]
    private let output: OutputFile
    /// Of every member, as far as it was written.
    let checksums: Mutex<[PieceChecksums]>

    /// Reserves the space.
    ///
    /// - Throws: `UsageError` where the archive would be too large; `SystemError`.
    init(_ contents: [(name: String, byteCount: Int)], _ output: OutputFile) throws {
        members = try Self.layout(contents)
        self.output = output
        checksums = Mutex(Array(repeating: PieceChecksums(), count: contents.count))
        try output.makeRoom(directoryOffset)
    }

    /// Where the last member ends.
    private var directoryOffset: Int { members.last?.end ?? 0 }

    /// Writes bytes of a member; safe from several threads for different ranges.
    func write(_ member: Int, at offset: Int, _ bytes: UnsafeRawBufferPointer) throws {
        try output.write(at: members[member].dataOffset + offset, bytes)
        let checksum = PieceChecksums.checksum(of: bytes)
        checksums.withLock { $0[member].add(checksum, of: offset..<offset + bytes.count) }
    }

    func write(_ member: Int, at offset: Int = 0, _ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { try write(member, at: offset, $0) }
    }

    /// Completes the archive.
    ///
    /// - Precondition: all bytes of all members were written.
    func finish() throws {
        let pieces = checksums.withLock { $0 }
        var directory: [UInt8] = []
        for (member, pieces) in zip(members, pieces) {
            guard let checksum = pieces.joined(member.byteCount) else {
                preconditionFailure("every byte of a member is written once")
            }
            try output.write(at: member.headerOffset, Self.localHeader(of: member, checksum))
            directory += Self.entry(of: member, checksum)
        }
        let begin = directoryOffset
        try output.write(at: begin, directory + Self.end(members.count, begin..<begin + directory.count))
    }

    // MARK: Layout

    private static func layout(_ contents: [(name: String, byteCount: Int)]) throws -> [Member] {
        var end = 0
        return try contents.map { name, byteCount in
            var member = Member(name: Array(name.utf8), byteCount: byteCount, headerOffset: end, extra: [])
            if member.isWide { member.extra = wideField([byteCount, byteCount]) }
            member.extra += padding(from: member.dataOffset)
            end = try FilePlace.padded(member.dataOffset, adding: byteCount)
            return member
        }
    }

    /// An extra field that brings what follows it, now at `offset`, to an aligned place; its mark is the one that PyTorch
    /// pads with.
    private static func padding(from offset: Int) -> [UInt8] {
        let count = (alignment - (offset + 4) % alignment) % alignment
        return Array("FB".utf8) + UInt16(count).littleEndianBytes + Array(repeating: UInt8(ascii: "Z"), count: count)
    }

    private static func wideField(_ numbers: [Int]) -> [UInt8] {
        guard !numbers.isEmpty else { return [] }
        return UInt16(1).littleEndianBytes + UInt16(8 * numbers.count).littleEndianBytes
            + numbers.flatMap { UInt64($0).littleEndianBytes }
    }

    private static func narrow(_ number: Int) -> UInt32 { UInt32(clamping: number) }

    // MARK: Records

    /// What a local header and a directory entry have in common: version, flags, method, time, checksum, sizes and the
    /// length of the name.
    private static func common(_ member: Member, _ checksum: UInt32) -> [UInt8] {
        let version: UInt16 = 45
        let namesAreUTF8: UInt16 = 1 << 11
        let firstDay: UInt16 = 1 << 5 | 1
        return [version, namesAreUTF8, ZipMember.Method.stored.rawValue, 0, firstDay].flatMap(\.littleEndianBytes)
            + [checksum, narrow(member.byteCount), narrow(member.byteCount)].flatMap(\.littleEndianBytes)
            + UInt16(member.name.count).littleEndianBytes
    }

    private static func localHeader(of member: Member, _ checksum: UInt32) -> [UInt8] {
        Array("PK\u{3}\u{4}".utf8) + common(member, checksum) + UInt16(member.extra.count).littleEndianBytes
            + member.name + member.extra
    }

    private static func entry(of member: Member, _ checksum: UInt32) -> [UInt8] {
        let sizes = member.isWide ? [member.byteCount, member.byteCount] : []
        let extra = wideField(sizes + (member.headerOffset >= 0xFFFF_FFFF ? [member.headerOffset] : []))
        let unix: UInt16 = 3 << 8 | 45
        let readable: UInt32 = 0o100644 << 16
        return Array("PK\u{1}\u{2}".utf8) + unix.littleEndianBytes + common(member, checksum)
            + UInt16(extra.count).littleEndianBytes + [UInt16](repeating: 0, count: 3).flatMap(\.littleEndianBytes)
            + readable.littleEndianBytes + narrow(member.headerOffset).littleEndianBytes + member.name + extra
    }

    /// The records behind the directory: those of zip64 where numbers ask for them, and the end record.
    private static func end(_ count: Int, _ directory: Range<Int>) -> [UInt8] {
        var bytes: [UInt8] = []
        if count >= 0xFFFF || directory.upperBound >= 0xFFFF_FFFF {
            bytes += Array("PK\u{6}\u{6}".utf8) + UInt64(44).littleEndianBytes
            bytes += [UInt16(45), 45].flatMap(\.littleEndianBytes) + [UInt32(0), 0].flatMap(\.littleEndianBytes)
            bytes += [count, count, directory.count, directory.lowerBound].flatMap { UInt64($0).littleEndianBytes }
            bytes += Array("PK\u{6}\u{7}".utf8) + UInt32(0).littleEndianBytes
            bytes += UInt64(directory.upperBound).littleEndianBytes + UInt32(1).littleEndianBytes
        }
        bytes += Array("PK\u{5}\u{6}".utf8)
        bytes += [0, 0, UInt16(clamping: count), UInt16(clamping: count)].flatMap(\.littleEndianBytes)
        bytes += [narrow(directory.count), narrow(directory.lowerBound)].flatMap(\.littleEndianBytes)
        return bytes + UInt16(0).littleEndianBytes
    }
}

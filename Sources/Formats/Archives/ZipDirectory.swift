import AssayCheckpoints
import SystemPackage

/// A file inside a zip archive, as the central directory lists it.
struct ZipMember: Sendable, Equatable {
    enum Method: UInt16, Sendable {
        case stored = 0
        case deflated = 8
    }

    var name: String
    var method: Method
    /// CRC-32 of its bytes, as the archive says.
    var checksum: UInt32
    /// Bytes as they lie in the archive.
    var storedByteCount: Int
    /// Bytes unpacked.
    var byteCount: Int
    /// Where its local header begins.
    var headerOffset: Int

    var place: CheckpointError.Place { .member(name) }
}

extension CheckpointError.Place {
    /// A file inside a zip archive.
    static func member(_ name: String) -> Self { .part("member '\(name.escapedForDisplay)'") }
}

/// The central directory of a zip archive: every member alone is checked, nothing of the members is read.
struct ZipDirectory {
    static let entryByteCount = 46
    /// Deflate makes nothing smaller than by this factor.
    static let maximumRatio = 1032
    private static let signature: UInt32 = 0x0201_4B50
    /// Encrypted, strongly encrypted, and a directory of which parts are hidden for that.
    private static let encryptionFlags: UInt16 = 1 << 0 | 1 << 6 | 1 << 13
    private static let patchFlag: UInt16 = 1 << 5

    /// In the order of the directory, folders left out.
    private(set) var members: [ZipMember] = []
    /// Where it begins: all members lie before.
    let offset: Int
    private let path: FilePath

    /// - Throws: `CheckpointError` where it is damaged or asks for what is not supported.
    init(of file: InputFile) throws {
        let end = try ZipEnd(of: file)
        path = file.path
        offset = end.directory.lowerBound
        let bytes = try file.bytes(end.directory)
        var names = NameSet()
        var position = 0
        for _ in 0..<end.memberCount {
            guard let member = try member(bytes, &position) else { continue }
            guard names.insert(member.name) else {
                throw CheckpointError(path, member.place, expected: "each name once in the archive", found: "it twice")
            }
            members.append(member)
        }
        guard position == bytes.count else {
            throw refuse(position, "a directory of \(end.memberCount) members", "more bytes")
        }
    }

    private func refuse(_ position: Int, _ expected: String, _ found: String) -> CheckpointError {
        CheckpointError(path, .byte(offset + position), expected: expected, found: found)
    }

    /// The member whose entry begins at `position`, which moves on; nil for a folder.
    private func member(_ bytes: [UInt8], _ position: inout Int) throws -> ZipMember? {
        let begin = position
        guard bytes.count - begin >= Self.entryByteCount, bytes.number(begin, UInt32.self) == Self.signature else {
            throw refuse(
                begin, "an entry of the zip directory",
                "other bytes; the archive is cut off or damaged; download it again")
        }
        let lengths = (0..<3).map { Int(bytes.number(begin + 28 + 2 * $0, UInt16.self)) }
        let nameEnd = begin + Self.entryByteCount + lengths[0]
        let extraEnd = nameEnd + lengths[1]
        position = extraEnd + lengths[2]
        guard position <= bytes.count else { throw refuse(begin, "an entry inside the zip directory", "a longer one") }

        let name = try self.name(bytes[begin + Self.entryByteCount..<nameEnd], at: begin)
        let place = CheckpointError.Place.member(name)
        let flags = bytes.number(begin + 8, UInt16.self)
        guard flags & Self.encryptionFlags == 0 else {
            throw CheckpointError(path, place, expected: "data that is not encrypted", found: "an encrypted member")
        }
        guard flags & Self.patchFlag == 0 else {
            throw CheckpointError(path, place, expected: "whole data", found: "a patch to data of another archive")
        }
        let rawMethod = bytes.number(begin + 10, UInt16.self)
        guard let method = ZipMember.Method(rawValue: rawMethod) else {
            throw CheckpointError(
                path, place, expected: "a stored or deflated member (method 0 or 8)", found: "method \(rawMethod)")
        }
        let sizes = try self.sizes(bytes, begin, extra: bytes[nameEnd..<extraEnd], place)
        let member = ZipMember(
            name: name, method: method, checksum: bytes.number(begin + 16, UInt32.self), storedByteCount: sizes.stored,
            byteCount: sizes.whole, headerOffset: sizes.offset)
        try check(member)
        return name.hasSuffix("/") && member.byteCount == 0 ? nil : member
    }

    private func name(_ bytes: ArraySlice<UInt8>, at position: Int) throws -> String {
        guard let name = String(validating: bytes, as: UTF8.self), !name.isEmpty, !name.utf8.contains(0) else {
            throw refuse(position, "a member's name: UTF-8 that is not empty and holds no NUL", "other bytes")
        }
        return name
    }

    private typealias Sizes = (whole: Int, stored: Int, offset: Int)

    /// The sizes and the offset, from the zip64 field where the entry's own are full.
    private func sizes(
        _ bytes: [UInt8], _ begin: Int, extra: ArraySlice<UInt8>, _ place: CheckpointError.Place
    ) throws -> Sizes {
        var wide = Self.wideField(in: extra) ?? []
        func next(_ narrow: UInt32) throws -> Int {
            guard narrow == 0xFFFF_FFFF else { return Int(narrow) }
            guard wide.count >= 8, let number = Int(exactly: UInt64(littleEndian: wide.prefix(8))) else {
                throw CheckpointError(
                    path, place, expected: "sizes in a zip64 field, as the entry asks for", found: "none that fit")
            }
            wide = wide.dropFirst(8)
            return number
        }
        let whole = try next(bytes.number(begin + 24, UInt32.self))
        let stored = try next(bytes.number(begin + 20, UInt32.self))
        let offset = try next(bytes.number(begin + 42, UInt32.self))
        guard bytes.number(begin + 34, UInt16.self) == 0 || bytes.number(begin + 34, UInt16.self) == 0xFFFF else {
            throw CheckpointError(path, place, expected: "an archive in one file", found: "a part of one in several")
        }
        return (whole, stored, offset)
    }

    /// The zip64 field of an entry's extra fields; fields that end too early count as absent.
    private static func wideField(in extra: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        var rest = extra
        while rest.count >= 4 {
            let kind = UInt16(littleEndian: rest.prefix(2))
            let count = Int(UInt16(littleEndian: rest.dropFirst(2).prefix(2)))
            rest = rest.dropFirst(4)
            guard rest.count >= count else { return nil }
            if kind == 1 { return rest.prefix(count) }
            rest = rest.dropFirst(count)
        }
        return nil
    }

    private func check(_ member: ZipMember) throws {
        guard member.headerOffset <= offset, member.storedByteCount <= offset - member.headerOffset else {
            throw CheckpointError(
                path, member.place, expected: "data that ends before the directory at byte \(offset)",
                found: "\(member.storedByteCount.inBytes) from byte \(member.headerOffset) on")
        }
        switch member.method {
        case .stored where member.byteCount != member.storedByteCount:
            throw CheckpointError(
                path, member.place, expected: "\(member.byteCount.inBytes), as the member is stored whole",
                found: "\(member.storedByteCount)")
        case .deflated where member.byteCount / Self.maximumRatio > member.storedByteCount + 1:
            throw CheckpointError(
                path, member.place,
                expected:
                    "at most \(Self.maximumRatio) times \(member.storedByteCount.inBytes), which deflate can give",
                found: "a declared size of \(member.byteCount)")
        default: return
        }
    }
}

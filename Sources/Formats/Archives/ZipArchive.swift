import AssayCheckpoints
import SystemPackage

/// An opened zip archive whose members can be read where they lie. The page is `formats/zip.md`.
///
/// The directory alone says what is in it; local headers must agree, and no two members may share a byte.
struct ZipArchive: Sendable {
    let file: InputFile
    /// In the order of the directory.
    let members: [ZipMember]
    private let positions: NameMap<Int>
    /// Where each member's stored bytes begin.
    let dataOffsets: [Int]
    private let inflated: BufferCache<Int>
    private let maximumInflatedByteCount: Int

    static let headerByteCount = 30
    private static let signature: UInt32 = 0x0403_4B50

    /// - Throws: `CheckpointError` where the archive is damaged.
    init(_ file: InputFile) throws {
        let directory = try ZipDirectory(of: file)
        self.file = file
        maximumInflatedByteCount = InflatedMember.maximumByteCount(inArchiveOf: file.byteCount)
        inflated = BufferCache(limit: maximumInflatedByteCount)
        members = directory.members
        positions = NameMap(members.enumerated().map { ($1.name, $0) })
        dataOffsets = try Self.dataOffsets(of: members, end: directory.offset, in: file)
    }

    func position(of name: String) -> Int? { positions[name] }

    /// A member's bytes as they lie in the archive, deflated or not.
    func storedRange(of position: Int) -> FileRange {
        let begin = dataOffsets[position]
        return FileRange(file: file, range: begin..<begin + members[position].storedByteCount)
    }

    /// - Parameter isChecked: whether the member's CRC-32 is compared once all of its bytes were read.
    func source(of position: Int, isChecked: Bool) -> any ByteSource {
        let member = members[position]
        let stored = storedRange(of: position)
        switch member.method {
        case .stored:
            return isChecked ? CheckedSource(stored, member, file.path) : stored
        case .deflated where member.byteCount <= maximumInflatedByteCount:
            return InflatedMember(stored, member, isChecked: isChecked, file.path, inflated, key: position)
        case .deflated:
            return InflatingMember(stored, member, isChecked: isChecked, file.path)
        }
    }

    // MARK: Recognising

    /// Whether a file is a zip archive with a member whose name satisfies `isMark`; where its directory is damaged, the
    /// first member's name decides.
    static func holds(_ file: InputFile, _ isMark: (String) -> Bool) throws -> Bool {
        guard try file.prefix(4) == [0x50, 0x4B, 0x03, 0x04] else { return false }
        do {
            return try ZipDirectory(of: file).members.contains { isMark($0.name) }
        } catch is CheckpointError {
            return try isMark(firstName(in: file))
        }
    }

    private static func firstName(in file: InputFile) throws -> String {
        let prefix = try file.prefix(headerByteCount + 0xFFFF)
        guard prefix.count >= headerByteCount else { return "" }
        let count = Int(prefix.number(26, UInt16.self))
        return String(decoding: prefix.dropFirst(headerByteCount).prefix(count), as: UTF8.self)
    }

    // MARK: Local headers

    private static func dataOffsets(
        of members: [ZipMember], end: Int, in file: InputFile
    ) throws -> [Int] {
        var offsets = Array(repeating: 0, count: members.count)
        var used = 0
        var previous: ZipMember?
        for position in members.indices.sorted(by: { members[$0].headerOffset < members[$1].headerOffset }) {
            let member = members[position]
            guard member.headerOffset >= used else {
                throw CheckpointError(
                    file.path, member.place,
                    expected:
                        "data behind member '\(previous?.name.escapedForDisplay ?? "")', which ends at byte \(used)",
                    found: "an overlap from byte \(member.headerOffset) on")
            }
            let begin = try dataOffset(of: member, end: end, in: file)
            offsets[position] = begin
            used = begin + member.storedByteCount
            previous = member
        }
        return offsets
    }

    private static func dataOffset(of member: ZipMember, end: Int, in file: InputFile) throws -> Int {
        let name = Array(member.name.utf8)
        let begin = member.headerOffset
        guard end - begin >= headerByteCount + name.count else {
            throw CheckpointError(
                file.path, member.place, expected: "a local header at byte \(begin)", found: "the directory")
        }
        let header = try file.bytes(begin..<begin + headerByteCount + name.count)
        guard header.number(0, UInt32.self) == signature, Int(header.number(26, UInt16.self)) == name.count,
            Array(header[headerByteCount...]) == name, header.number(8, UInt16.self) == member.method.rawValue
        else {
            throw CheckpointError(
                file.path, member.place, expected: "a local header of this name and method at byte \(begin)",
                found: "other bytes; the archive is damaged")
        }
        let data = begin + header.count + Int(header.number(28, UInt16.self))
        guard data <= end, member.storedByteCount <= end - data else {
            throw CheckpointError(
                file.path, member.place, expected: "\(member.storedByteCount.inBytes) of data from byte \(data) on",
                found: "\(max(0, end - data)) before the directory")
        }
        return data
    }
}

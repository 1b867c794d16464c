import AssayCheckpoints
import SystemPackage

/// Where the central directory of a zip archive lies, as the records at the end of the file say.
struct ZipEnd {
    /// Larger directories are refused: 256 MiB name some millions of members.
    static let maximumDirectoryByteCount = 256 << 20

    var directory: Range<Int>
    var memberCount: Int

    private static let signature: UInt32 = 0x0605_4B50
    private static let byteCount = 22
    private static let locatorSignature: UInt32 = 0x0706_4B50
    private static let locatorByteCount = 20
    private static let wideSignature: UInt32 = 0x0606_4B50
    private static let wideByteCount = 56

    /// - Throws: `CheckpointError` where the file does not end as an archive.
    init(of file: InputFile) throws {
        let (position, record) = try Self.record(of: file)
        let narrow = Numbers(
            disk: Int(record.number(4, UInt16.self)), directoryDisk: Int(record.number(6, UInt16.self)),
            countHere: UInt64(record.number(8, UInt16.self)), count: UInt64(record.number(10, UInt16.self)),
            size: UInt64(record.number(12, UInt32.self)), offset: UInt64(record.number(16, UInt32.self)))
        var (numbers, end) = (narrow, position)
        if let wide = try Self.wideRecord(before: position, in: file) {
            numbers = wide.numbers
            end = wide.position
            guard narrow.agrees(with: numbers) else {
                throw CheckpointError(
                    file.path, .byte(position), expected: "an end record that agrees with the zip64 end record",
                    found: "other numbers")
            }
        } else if narrow.isSaturated {
            throw CheckpointError(
                file.path, .byte(position), expected: "a zip64 end record, as the end record asks for",
                found: "none; the archive is damaged")
        }
        try self.init(numbers, end: end, in: file)
    }

    private init(_ numbers: Numbers, end: Int, in file: InputFile) throws {
        guard numbers.disk == 0, numbers.directoryDisk == 0, numbers.countHere == numbers.count else {
            throw CheckpointError(
                file.path, .part("zip directory"), expected: "an archive in one file",
                found: "a part of one in several")
        }
        guard numbers.size <= UInt64(Self.maximumDirectoryByteCount) else {
            throw CheckpointError(
                file.path, .part("zip directory"), expected: "at most \(Self.maximumDirectoryByteCount) bytes",
                found: "\(numbers.size)")
        }
        let size = Int(numbers.size)
        guard size <= end, numbers.offset == UInt64(end - size) else {
            throw CheckpointError(
                file.path, .part("zip directory"),
                expected: "\(numbers.size.inBytes) that end at byte \(end), where the end record begins",
                found: "offset \(numbers.offset); bytes are missing or were put before the archive")
        }
        guard numbers.count <= UInt64(size / ZipDirectory.entryByteCount) else {
            throw CheckpointError(
                file.path, .part("zip directory"),
                expected: "at most \(size / ZipDirectory.entryByteCount) members in \(size.inBytes)",
                found: "\(numbers.count)")
        }
        directory = end - size..<end
        memberCount = Int(numbers.count)
    }

    private struct Numbers {
        var disk: Int, directoryDisk: Int
        var countHere: UInt64, count: UInt64
        var size: UInt64, offset: UInt64

        /// Whether a number is the mark for "too large, see the zip64 record".
        var isSaturated: Bool { count == 0xFFFF || size == 0xFFFF_FFFF || offset == 0xFFFF_FFFF }

        func agrees(with wide: Numbers) -> Bool {
            (disk == 0xFFFF || disk == wide.disk) && (directoryDisk == 0xFFFF || directoryDisk == wide.directoryDisk)
                && (countHere == 0xFFFF || countHere == wide.countHere) && (count == 0xFFFF || count == wide.count)
                && (size == 0xFFFF_FFFF || size == wide.size)
                && (offset == 0xFFFF_FFFF || offset == wide.offset)
        }
    }

    /// The end record: the last one, whose comment must reach exactly to the end of the file. Other programs take the
    /// last one too, whatever its comment, so that one before it would stand for another archive than theirs.
    private static func record(of file: InputFile) throws -> (position: Int, record: [UInt8]) {
        let start = max(0, file.byteCount - byteCount - 0xFFFF)
        let tail = try file.bytes(start..<file.byteCount)
        let last = stride(from: tail.count - byteCount, through: 0, by: -1).first {
            tail.number($0, UInt32.self) == signature
        }
        guard let last, last + byteCount + Int(tail.number(last + 20, UInt16.self)) == tail.count else {
            throw CheckpointError(
                file.path, .part("end"), expected: "the end record of a zip archive, and its comment to end the file",
                found:
                    "\(last == nil ? "none" : "one that ends elsewhere"); the file is cut off or something was added to"
                    + " it; download it again")
        }
        return (start + last, Array(tail[last..<last + byteCount]))
    }

    private static func wideRecord(
        before position: Int, in file: InputFile
    ) throws -> (position: Int, numbers: Numbers)? {
        guard position >= locatorByteCount else { return nil }
        let locator = try file.bytes(position - locatorByteCount..<position)
        guard locator.number(0, UInt32.self) == locatorSignature else { return nil }
        let limit = position - locatorByteCount - wideByteCount
        guard let offset = Int(exactly: locator.number(8, UInt64.self)), offset <= limit else {
            throw CheckpointError(
                file.path, .byte(position - locatorByteCount), expected: "a zip64 end record before its locator",
                found: "offset \(locator.number(8, UInt64.self))")
        }
        let record = try file.bytes(offset..<offset + wideByteCount)
        guard record.number(0, UInt32.self) == wideSignature,
            record.number(4, UInt64.self) == UInt64(position - locatorByteCount - offset - 12)
        else {
            throw CheckpointError(
                file.path, .byte(offset), expected: "a zip64 end record that ends at its locator", found: "other bytes")
        }
        let numbers = Numbers(
            disk: Int(record.number(16, UInt32.self)), directoryDisk: Int(record.number(20, UInt32.self)),
            countHere: record.number(24, UInt64.self), count: record.number(32, UInt64.self),
            size: record.number(40, UInt64.self), offset: record.number(48, UInt64.self))
        return (offset, numbers)
    }
}

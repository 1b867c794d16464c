/// Zip archives put together by hand, right or wrong.
public struct ZipBytes: Sendable {
    public struct Member: Sendable {
        public var name: [UInt8]
        public var data: [UInt8]
        /// What the records say of the data, where it is not the truth.
        public var method: UInt16 = 0
        public var flags: UInt16 = 0
        public var checksum: UInt32?
        public var byteCount: UInt32?
        public var localName: [UInt8]?
        public var headerOffset: UInt32?
        /// The directory's extra fields.
        public var extra: [UInt8] = []

        public init(_ name: String, _ data: [UInt8]) {
            self.name = Array(name.utf8)
            self.data = data
        }
    }

    public var members: [Member]
    public var prefix: [UInt8] = []
    public var comment: [UInt8] = []
    /// Changes of the end record: its disk, counts, size and offset.
    public var count: UInt16?
    public var disk: UInt16 = 0
    public var directoryOffset: UInt32?

    public init(_ members: [Member]) { self.members = members }

    public var bytes: [UInt8] {
        var bytes = prefix
        var directory: [UInt8] = []
        for member in members {
            let offset = member.headerOffset ?? UInt32(bytes.count)
            let localName = member.localName ?? member.name
            let common =
                Self.little([member.flags, member.method, 0, 33])
                + Self.little([member.checksum ?? Self.crc(member.data)])
                + Self.little([UInt32(member.data.count), member.byteCount ?? UInt32(member.data.count)])
            bytes += Array("PK\u{3}\u{4}".utf8) + Self.little([UInt16(20)]) + common
            bytes += Self.little([UInt16(localName.count), 0]) + localName + member.data
            directory += Array("PK\u{1}\u{2}".utf8) + Self.little([UInt16(20), 20]) + common
            directory += Self.little([UInt16(member.name.count), UInt16(member.extra.count), 0, 0, 0])
            directory += Self.little([UInt32(0), offset]) + member.name + member.extra
        }
        let begin = directoryOffset ?? UInt32(bytes.count)
        let count = count ?? UInt16(members.count)
        bytes += directory + Array("PK\u{5}\u{6}".utf8) + Self.little([disk, 0, count, count])
        return bytes + Self.little([UInt32(directory.count), begin]) + Self.little([UInt16(comment.count)]) + comment
    }

    private static func little<T: FixedWidthInteger>(_ numbers: [T]) -> [UInt8] {
        numbers.flatMap { number in
            (0..<MemoryLayout<T>.size).map { UInt8(truncatingIfNeeded: number >> T(8 * $0)) }
        }
    }

    /// CRC-32, bit by bit.
    public static func crc(_ bytes: [UInt8]) -> UInt32 {
        var value: UInt32 = 0xFFFF_FFFF
        for byte in bytes {
            value ^= UInt32(byte)
            for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
        }
        return ~value
    }
}

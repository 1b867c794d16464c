/// An archive of stored members.
struct StoredZip {
    private(set) var bytes: [UInt8] = []

    init(_ members: [(name: String, data: [UInt8])]) {
        var directory: [UInt8] = []
        for (name, data) in members {
            let sizes = Self.little(UInt32(data.count)) + Self.little(UInt32(data.count))
            let common =
                Self.little(UInt16(0)) + Self.little(UInt16(0)) + Self.little(UInt32(33)) + Self.crc(data) + sizes
            let lengths = Self.little(UInt16(name.utf8.count)) + Self.little(UInt16(0))
            directory +=
                Array("PK\u{1}\u{2}".utf8) + [20, 0, 20, 0] + common + lengths + [UInt8](repeating: 0, count: 10)
            directory += Self.little(UInt32(bytes.count)) + Array(name.utf8)
            bytes += Array("PK\u{3}\u{4}".utf8) + [20, 0] + common + lengths + Array(name.utf8) + data
        }
        let count = Self.little(UInt16(members.count))
        let end = Self.little(UInt32(directory.count)) + Self.little(UInt32(bytes.count)) + [0, 0]
        bytes += directory + Array("PK\u{5}\u{6}".utf8) + [0, 0, 0, 0] + count + count + end
    }

    private static func little<T: FixedWidthInteger>(_ number: T) -> [UInt8] {
        withUnsafeBytes(of: number.littleEndian) { Array($0) }
    }

    private static func crc(_ bytes: [UInt8]) -> [UInt8] {
        let value = bytes.reduce(0xFFFF_FFFF as UInt32) { value, byte in
            (0..<8).reduce(value ^ UInt32(byte)) { value, _ in value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
        }
        return little(~value)
    }
}

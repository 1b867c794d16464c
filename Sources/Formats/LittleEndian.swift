extension FixedWidthInteger {
    var littleEndianBytes: [UInt8] { withUnsafeBytes(of: littleEndian) { Array($0) } }

    /// - Precondition: as many bytes as the type has.
    init(littleEndian bytes: ArraySlice<UInt8>) {
        precondition(bytes.count == MemoryLayout<Self>.size)
        self = bytes.reversed().reduce(0) { $0 << 8 | Self($1) }
    }
}

extension UInt64 {
    /// The number of 1 to 8 bytes.
    init(_ bytes: ArraySlice<UInt8>, isBigEndian: Bool) {
        self = 0
        if isBigEndian {
            for byte in bytes { self = self << 8 | UInt64(byte) }
        } else {
            for byte in bytes.reversed() { self = self << 8 | UInt64(byte) }
        }
    }
}

extension [UInt8] {
    /// The little-endian number at an offset.
    ///
    /// - Precondition: its bytes are there.
    func number<T: FixedWidthInteger>(_ offset: Int, _ type: T.Type) -> T {
        T(littleEndian: self[offset..<offset + MemoryLayout<T>.size])
    }
}

import AssayCDeflate

/// The CRC-32 of bytes that arrive in pieces, in any order.
struct PieceChecksums: Sendable {
    private var pieces: [Int: (count: Int, checksum: UInt32)] = [:]
    /// Of all pieces.
    private(set) var byteCount = 0

    /// Adds the checksum of a piece. Pieces that were there already, cut as before, change nothing.
    mutating func add(_ checksum: UInt32, of range: Range<Int>) {
        guard !range.isEmpty else { return }
        byteCount += range.count - (pieces[range.lowerBound]?.count ?? 0)
        pieces[range.lowerBound] = (range.count, checksum)
    }

    /// The checksum of `0..<byteCount`, where the pieces are exactly these bytes, each once.
    func joined(_ byteCount: Int) -> UInt32? {
        guard self.byteCount == byteCount else { return nil }
        var (end, result) = (0, UInt32(0))
        while end < byteCount {
            guard let piece = pieces[end] else { return nil }
            result = cdeflate_crc32_join(result, piece.checksum, piece.count)
            end += piece.count
        }
        return result
    }

    static func checksum(of bytes: UnsafeRawBufferPointer, after checksum: UInt32 = 0) -> UInt32 {
        guard let base = bytes.baseAddress else { return checksum }
        return libdeflate_crc32(checksum, base, bytes.count)
    }
}

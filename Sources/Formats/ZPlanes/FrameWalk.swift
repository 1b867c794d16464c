import AssayCZstd
import AssayCheckpoints
import SystemPackage

/// Steps over zstd and skippable frames by their headers: what a file without an index still tells.
enum FrameWalk {
    /// More frames than are worth stepping over for a sentence.
    private static let maximumFrameCount = 1 << 12
    /// Where a footer that is not at the end is looked for.
    private static let tailByteCount = 1 << 16

    /// What stands where the footer should be, in words.
    static func describeEnd(of file: InputFile) throws -> String {
        if let footer = try offsetOfFooter(in: file) {
            let end = footer + ZPlanesFooter.byteCount
            return end < file.byteCount
                ? "\((file.byteCount - end).inBytes) behind the footer; cut the file to \(end.inBytes) to use it"
                : "the end of the file inside the footer, which begins at byte \(footer); download it again"
        }
        var offset = ZPlanesMark.head.byteCount
        for _ in 0..<maximumFrameCount {
            guard offset < file.byteCount else {
                return "the end of the file at byte \(offset), where a frame ends; download it again"
            }
            switch try step(at: offset, in: file) {
            case .frame(let end) where end <= file.byteCount: offset = end
            case .frame, .cut:
                return
                    "the end of the file inside the frame at byte \(offset): the rest of it and all behind it are missing;"
                    + " download it again"
            case .other: return "bytes at \(offset) that are no frame"
            }
        }
        return "other bytes"
    }

    /// The last footer that begins near the end of the file.
    private static func offsetOfFooter(in file: InputFile) throws -> Int? {
        let start = max(ZPlanesMark.head.byteCount, file.byteCount - tailByteCount)
        guard start < file.byteCount else { return nil }
        let tail = try file.bytes(start..<file.byteCount)
        let mark = ZPlanesMark.footer.bytes(version: 0)[..<16]
        let offset = tail.indices.last { tail[$0] == mark[0] && tail[$0...].starts(with: mark) }
        return offset.map { start + $0 }
    }

    enum Step: Equatable {
        /// A frame that ends at an offset, perhaps beyond the file.
        case frame(end: Int)
        /// The file ends inside the frame.
        case cut
        case other
    }

    /// The frame at an offset, by its headers.
    static func step(at offset: Int, in file: InputFile) throws -> Step {
        let start = try file.bytes(offset..<min(offset + 24, file.byteCount))
        guard start.count >= 8 else {
            let frame = UInt32(ZSTD_MAGICNUMBER).littleEndianBytes
            let isStart = frame.starts(with: start.prefix(4)) || start[0] & 0xF0 == 0x50
            return isStart ? .cut : .other
        }
        let magic = UInt32(littleEndian: start[0..<4])
        if magic & 0xFFFF_FFF0 == 0x184D_2A50 {
            return .frame(end: offset + 8 + Int(UInt32(littleEndian: start[4..<8])))
        }
        return magic == ZSTD_MAGICNUMBER ? try stepOverBlocks(at: offset, start, in: file) : .other
    }

    private static func stepOverBlocks(at offset: Int, _ start: [UInt8], in file: InputFile) throws -> Step {
        var header = ZSTD_frameHeader()
        let result = ZSTD_getFrameHeader(&header, start, start.count)
        guard result == 0 else { return ZSTD_isError(result) != 0 ? .other : .cut }
        var at = offset + Int(header.headerSize)
        while true {
            guard at + 3 <= file.byteCount else { return .cut }
            let bytes = try file.bytes(at..<at + 3)
            let block = Int(bytes[0]) | Int(bytes[1]) << 8 | Int(bytes[2]) << 16
            let isRepeated = block >> 1 & 3 == 1
            at += 3 + (isRepeated ? 1 : block >> 3)
            if block & 1 == 1 { return .frame(end: at + (header.checksumFlag != 0 ? 4 : 0)) }
        }
    }

    /// Requires that a gap between what the index names holds skippable frames and nothing else.
    static func requireSkippable(_ gap: Range<Int>, in file: InputFile) throws {
        var offset = gap.lowerBound
        while offset < gap.upperBound {
            let start = try file.bytes(offset..<min(offset + 8, gap.upperBound))
            guard start.count == 8, UInt32(littleEndian: start[0..<4]) & 0xFFFF_FFF0 == 0x184D_2A50 else {
                throw CheckpointError(
                    file.path, .byte(offset), expected: "a frame that the index names, or a skippable frame",
                    found: "\(gap.upperBound - offset) other bytes")
            }
            let length = Int(UInt32(littleEndian: start[4..<8]))
            guard length <= gap.upperBound - offset - 8 else {
                throw CheckpointError(
                    file.path, .byte(offset), expected: "a skippable frame that ends by byte \(gap.upperBound)",
                    found: "one of \(length.inBytes)")
            }
            offset += 8 + length
        }
    }
}

import AssayCheckpoints

/// The table at the end of seekable zstd data, which says of every frame how long it is and how much it holds: the zstd
/// project's seekable format, version 0.1.0. It lies in a skippable frame, so that plain decoders pass over it.
struct SeekTable: Sendable {
    /// Where each frame begins in the data, and where the last one ends.
    private(set) var frameOffsets = [0]
    /// Where each frame's content begins in the whole, and where the last one's ends.
    private(set) var contentOffsets = [0]
    /// Of each frame's content the lower half of XXH64, where the table has them.
    private(set) var checksums: [UInt32]?

    static let magic: UInt32 = 0x8F92_EAB1
    static let skippableMagic: UInt32 = 0x184D_2A5E
    private static let checksumFlag: UInt8 = 0x80
    private static let reservedBits: UInt8 = 0x7C
    /// Of the header of a skippable frame.
    static let headerByteCount = 8
    private static let footerByteCount = 9
    /// The most frames that are read: 4 TB in frames of 1 MiB.
    static let maximumFrameCount = 1 << 22
    /// A skippable frame without content.
    private static let leastFrameByteCount = 8
    /// By how much a frame may be longer than twice its content.
    static let freeByteCount = 1 << 16

    var frameCount: Int { frameOffsets.count - 1 }
    var frameByteCount: Int { frameOffsets[frameOffsets.count - 1] }
    var contentByteCount: Int { contentOffsets[contentOffsets.count - 1] }

    func frame(_ index: Int) -> Range<Int> { frameOffsets[index]..<frameOffsets[index + 1] }
    func content(_ index: Int) -> Range<Int> { contentOffsets[index]..<contentOffsets[index + 1] }

    /// The frame that holds a byte of the content.
    ///
    /// - Precondition: `offset` lies inside the content.
    func frame(holding offset: Int) -> Int {
        var (low, high) = (0, frameCount)
        while high - low > 1 {
            let middle = (low + high) / 2
            if contentOffsets[middle] <= offset { low = middle } else { high = middle }
        }
        return low
    }

    // MARK: Writing

    init(withChecksums: Bool = true) { checksums = withChecksums ? [] : nil }

    mutating func append(frameByteCount: Int, contentByteCount: Int, checksum: UInt32?) {
        frameOffsets.append(self.frameByteCount + frameByteCount)
        contentOffsets.append(self.contentByteCount + contentByteCount)
        if let checksum { checksums?.append(checksum) }
    }

    /// The skippable frame that holds the table.
    var bytes: [UInt8] {
        let entryByteCount = checksums == nil ? 8 : 12
        var words = [Self.skippableMagic, UInt32(frameCount * entryByteCount + Self.footerByteCount)]
        for index in 0..<frameCount {
            words += [UInt32(frame(index).count), UInt32(content(index).count)]
            if let checksums { words.append(checksums[index]) }
        }
        words.append(UInt32(frameCount))
        return words.flatMap(\.littleEndianBytes) + [checksums == nil ? 0 : Self.checksumFlag]
            + Self.magic.littleEndianBytes
    }

    // MARK: Reading

    /// Whether data ends as a seek table does.
    static func isPresent(in file: InputFile, _ range: Range<Int>) throws -> Bool {
        guard range.count >= headerByteCount + footerByteCount else { return false }
        return try UInt32(littleEndian: file.bytes(range.upperBound - 4..<range.upperBound)[...]) == magic
    }

    /// Reads the table at the end of a range of a file.
    ///
    /// - Parameter place: of the data in the file, for errors.
    /// - Throws: `CheckpointError` where there is none, or it contradicts itself or the length of the data.
    init(of file: InputFile, _ range: Range<Int>, maximumContentByteCount: Int, place: CheckpointError.Place) throws {
        func fault(_ expected: String, _ found: String) -> CheckpointError {
            CheckpointError(file.path, place, expected: expected, found: found)
        }
        guard try Self.isPresent(in: file, range) else {
            throw fault("zstd data that ends with a seek table", "none; unpack it with 'zstd -d'")
        }
        let (frameCount, entryByteCount) = try Self.footer(of: file, endingAt: range.upperBound, fault)
        let entries = try Self.entries(
            of: file, range, frameCount: frameCount, byteCount: frameCount * entryByteCount, fault)
        checksums = entryByteCount == 12 ? [] : nil
        try readEntries(file.bytes(entries), entryByteCount, maximumContentByteCount, fault)
        let dataByteCount = entries.lowerBound - Self.headerByteCount - range.lowerBound
        guard frameByteCount == dataByteCount else {
            throw fault(
                "a seek table whose frames fill the \(dataByteCount.inBytes) before it",
                "frames of \(frameByteCount.inBytes)")
        }
    }

    private static func footer(
        of file: InputFile, endingAt end: Int, _ fault: (String, String) -> CheckpointError
    ) throws -> (frameCount: Int, entryByteCount: Int) {
        let footer = try file.bytes(end - footerByteCount..<end)
        guard footer[4] & reservedBits == 0 else {
            throw fault("a seek table of version 0.1.0, whose reserved bits are 0", "a descriptor of \(footer[4])")
        }
        let frameCount = Int(UInt32(littleEndian: footer[0..<4]))
        guard frameCount <= maximumFrameCount else {
            throw fault("at most \(maximumFrameCount) frames", "a seek table of \(frameCount)")
        }
        return (frameCount, footer[4] & checksumFlag == 0 ? 8 : 12)
    }

    /// Where the entries lie, in a skippable frame that has just the length for them.
    private static func entries(
        of file: InputFile, _ range: Range<Int>, frameCount: Int, byteCount: Int,
        _ fault: (String, String) -> CheckpointError
    ) throws -> Range<Int> {
        let tableByteCount = byteCount + footerByteCount
        guard tableByteCount + headerByteCount <= range.count else {
            throw fault(
                "a seek table of \(frameCount) frames, \((tableByteCount + headerByteCount).inBytes) long",
                "data of \(range.count.inBytes)")
        }
        let start = range.upperBound - tableByteCount
        let header = try file.bytes(start - headerByteCount..<start)
        guard UInt32(littleEndian: header[0..<4]) == skippableMagic,
            UInt32(littleEndian: header[4..<8]) == UInt32(tableByteCount)
        else {
            throw fault(
                "the seek table of \(frameCount) frames to begin at byte \(start - headerByteCount) with a skippable frame"
                    + " of \(tableByteCount.inBytes)", "other bytes")
        }
        return start..<start + byteCount
    }

    private mutating func readEntries(
        _ bytes: [UInt8], _ entryByteCount: Int, _ maximumContentByteCount: Int,
        _ fault: (String, String) -> CheckpointError
    ) throws {
        for index in 0..<bytes.count / entryByteCount {
            let at = index * entryByteCount
            let length = Int(UInt32(littleEndian: bytes[at..<at + 4]))
            let content = Int(UInt32(littleEndian: bytes[at + 4..<at + 8]))
            guard content <= maximumContentByteCount else {
                throw fault(
                    "frames that hold at most \(maximumContentByteCount) bytes",
                    "\(content) in frame \(index); unpack it with 'zstd -d', or write it with smaller frames")
            }
            // A skippable frame is not read; another's length is what reading it takes.
            let longest = content == 0 ? Int(UInt32.max) + Self.headerByteCount : 2 * content + Self.freeByteCount
            guard length >= Self.leastFrameByteCount, length <= longest else {
                throw fault(
                    "frame \(index) to be from \(Self.leastFrameByteCount) to \(longest.inBytes) long", "\(length)")
            }
            append(
                frameByteCount: length, contentByteCount: content,
                checksum: entryByteCount == 12 ? UInt32(littleEndian: bytes[at + 8..<at + 12]) : nil)
        }
    }
}

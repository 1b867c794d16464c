import AssayCZstd
import AssayCheckpoints
import SystemPackage

/// The skippable frames of ours: one opens the file, one ends it.
enum ZPlanesMark: String {
    case head = "zplanes\0"
    case footer = "zpfooter"

    /// The skippable frame magic of both: 0x184D2A5A.
    static let magic: UInt32 = 0x184D_2A5A

    var byteCount: Int { self == .head ? 24 : ZPlanesFooter.byteCount }

    /// Magic, length of the rest, name, version, zero.
    func bytes(version: UInt32) -> [UInt8] {
        Self.magic.littleEndianBytes + UInt32(byteCount - 8).littleEndianBytes + Array(rawValue.utf8)
            + version.littleEndianBytes + UInt32(0).littleEndianBytes
    }

    /// Whether bytes begin with this mark, whatever its version.
    func begins(_ bytes: [UInt8]) -> Bool {
        bytes.count >= 24 && bytes.starts(with: self.bytes(version: 0)[..<16])
    }

    /// Checks the mark's version and its zero.
    func check(_ bytes: [UInt8], at offset: Int, in file: FilePath) throws {
        let version = UInt32(littleEndian: bytes[16..<20])
        guard version == ZPlanes.version else {
            throw CheckpointError(
                file, .byte(offset + 16), expected: "version \(ZPlanes.version) of zplanes",
                found: version > ZPlanes.version
                    ? "version \(version), made by a newer version of this program" : "version \(version)")
        }
        let reserved = UInt32(littleEndian: bytes[20..<24])
        guard reserved == 0 else {
            throw CheckpointError(file, .byte(offset + 20), expected: "four zero bytes", found: "\(reserved)")
        }
    }
}

/// The end of the file: where the index lies.
struct ZPlanesFooter: Equatable {
    /// Of the footer, all of it.
    static let byteCount = 88

    var index: Range<Int>
    /// Bytes of the index' text.
    var textByteCount: Int
    /// Of the index' frame.
    var digest: Digest

    var bytes: [UInt8] {
        var bytes = ZPlanesMark.footer.bytes(version: ZPlanes.version)
        for number in [index.lowerBound, index.count, textByteCount] { bytes += UInt64(number).littleEndianBytes }
        bytes += digest.bytes
        return bytes + czstd_xxh64(bytes, bytes.count).littleEndianBytes
    }

    init(index: Range<Int>, textByteCount: Int, digest: Digest) {
        self.index = index
        self.textByteCount = textByteCount
        self.digest = digest
    }

    /// Reads the footer of a file whose head was checked, and bounds what it says.
    init(of file: InputFile) throws {
        let start = file.byteCount - Self.byteCount
        let bytes = try file.bytes(start..<file.byteCount)
        guard ZPlanesMark.footer.begins(bytes) else {
            throw CheckpointError(
                file.path, .part("footer"), expected: "\(Self.byteCount) bytes of footer at the end of the file",
                found: try FrameWalk.describeEnd(of: file))
        }
        guard UInt64(littleEndian: bytes[80..<88]) == czstd_xxh64(bytes, 80) else {
            throw CheckpointError(
                file.path, .part("footer"), expected: "bytes that match its checksum", found: "others")
        }
        try ZPlanesMark.footer.check(bytes, at: start, in: file.path)
        let offset = UInt64(littleEndian: bytes[24..<32])
        let length = UInt64(littleEndian: bytes[32..<40])
        let (end, overflow) = offset.addingReportingOverflow(length)
        guard !overflow, end == UInt64(start), offset >= UInt64(ZPlanesMark.head.byteCount) else {
            throw CheckpointError(
                file.path, .part("footer"), expected: "an index that ends at byte \(start), where the footer begins",
                found: "\(length.inBytes) at byte \(offset)")
        }
        index = Int(offset)..<start
        textByteCount = try TextFrame.bound(
            UInt64(littleEndian: bytes[40..<48]), frameByteCount: index.count, limit: ZPlanes.maximumIndexByteCount,
            what: "index", in: file.path)
        digest = Digest(bytes: Array(bytes[48..<80]))
    }
}

/// Text in a zstd frame: the index, and a kept header.
enum TextFrame {
    /// The text's bytes, where they are within a limit and not out of proportion to the frame.
    static func bound(
        _ byteCount: UInt64, frameByteCount: Int, limit: Int, what: String, in file: FilePath
    ) throws -> Int {
        // A frame is part of the file, so the product cannot overflow for any file there can be.
        let proportion = ZPlanes.freeTextByteCount + ZPlanes.maximumTextRatio * min(frameByteCount, limit)
        let allowed = min(limit, proportion)
        guard byteCount <= UInt64(allowed) else {
            throw CheckpointError(
                file, .part(what), expected: "at most \(allowed.inBytes) of text in a frame of \(frameByteCount)",
                found: "\(byteCount)")
        }
        return Int(byteCount)
    }

    /// A frame for a text; stored where compression would exceed the proportion that readers accept.
    static func encode(_ text: [UInt8]) throws -> [UInt8] {
        var frame = [UInt8](repeating: 0, count: czstd_frame_bound(text.count))
        let context = try ZstdContext.compressing(advice: nil)
        defer { ZSTD_freeCCtx(context) }
        let effort = text.count < 16 << 20 ? CZSTD_SMALL : CZSTD_FAST
        var count = czstd_compress(context, effort, &frame, frame.count, text, text.count)
        try ZstdContext.check(count, compressing: text.count, advice: nil)
        if text.count > ZPlanes.freeTextByteCount + ZPlanes.maximumTextRatio * count {
            count = czstd_store(&frame, text, text.count)
        }
        return Array(frame[..<count])
    }

    /// The text of a frame of a file.
    static func read(_ range: Range<Int>, textByteCount: Int, what: String, of file: InputFile) throws -> ByteBuffer {
        let frame = try ByteBuffer(byteCount: range.count)
        defer { withExtendedLifetime(frame) {} }
        try file.read(at: range.lowerBound, into: frame.bytes)
        return try decode(frame.readOnly, textByteCount: textByteCount, what: what, in: file.path)
    }

    static func decode(
        _ frame: UnsafeRawBufferPointer, textByteCount: Int, what: String, in file: FilePath
    ) throws -> ByteBuffer {
        let text = try ByteBuffer(byteCount: textByteCount)
        let context = try ZstdContext.decompressing(advice: nil)
        defer { ZSTD_freeDCtx(context) }
        do {
            try PlaneFrame.decode(frame, isVouchedFor: false, into: text.bytes, context)
        } catch {
            throw CheckpointError(file, .part(what), expected: error.expected, found: error.found)
        }
        return text
    }
}

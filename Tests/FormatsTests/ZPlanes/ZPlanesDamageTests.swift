import AssayCZstd
import AssayCheckpoints
import AssayTensors
import AssayTestSupport
import Testing

@testable import AssayFormats

/// Frames and files by hand, so that every one of their bytes can be wrong.
enum Handmade {
    /// A frame as the specification of zstd has it, of stored blocks.
    struct Frame {
        /// Bits of the descriptor, and what follows it up to the first block.
        var descriptor: UInt8 = 0x24
        var fields: [UInt8]
        var blocks: [UInt8]
        var checksum: [UInt8]

        /// A frame of 200 bytes with a content size of one byte, as a single segment with a checksum.
        init(_ content: [UInt8]) {
            fields = [UInt8(content.count)]
            blocks = Self.block(content, isLast: true)
            checksum = Array(czstd_xxh64(content, content.count).littleEndianBytes[..<4])
        }

        static func block(_ content: [UInt8], isLast: Bool) -> [UInt8] {
            Array(UInt32(content.count << 3 | (isLast ? 1 : 0)).littleEndianBytes[..<3]) + content
        }

        var bytes: [UInt8] { [0x28, 0xB5, 0x2F, 0xFD, descriptor] + fields + blocks + checksum }
    }

    static let content = SeededBytes.random(200, seed: 1)
    static let digest = Base64.encode(content.withUnsafeBytes { Digest.of($0) }.bytes)
    static let frame = Frame(content)

    static func tensor(
        _ name: String = "t", type: String = "U8", shape: String = "[200]", chunkSize: Int = 1 << 20, offset: Int = 24,
        chunks: String
    ) -> String {
        "{\"name\":\"\(name)\",\"type\":\"\(type)\",\"shape\":\(shape),\"sha256\":\"\(digest)\","
            + "\"chunk_size\":\(chunkSize),\"offset\":\(offset),\"chunks\":\(chunks)}"
    }

    static func index(_ tensors: [String], version: String = "1", codec: String = "zstd", more: String = "") -> String {
        func text(_ digest: Digest) -> String {
            "{\"zplanes\":\(version),\"codec\":\"\(codec)\",\"content_digest\":\"\(digest)\""
                + "\(more),\"tensors\":[\(tensors.joined(separator: ","))]}"
        }
        let draft = text(Digest.of(""))
        // Where it is an index at all, its digest is right, so that what is wrong is what a test is about.
        let parsed = try? Array(draft.utf8).withUnsafeBytes {
            try ZPlanesIndexParser.parse($0, dataEnd: .max, in: "x.zplanes")
        }
        return parsed.map { text(ContentDigest.of($0.tensors.map(\.info), $0.tensors.map(\.digest))) } ?? draft
    }

    /// A file of these data and this index, the footer in order.
    static func file(_ data: [UInt8], _ index: String, textByteCount: Int? = nil) throws -> [UInt8] {
        let text = Array(index.utf8)
        var frame = [UInt8](repeating: 0, count: czstd_frame_bound(text.count))
        let count = czstd_store(&frame, text, text.count)
        return file(data, indexFrame: Array(frame[..<count]), textByteCount: textByteCount ?? text.count)
    }

    static func file(_ data: [UInt8], indexFrame frame: [UInt8], textByteCount: Int) -> [UInt8] {
        let start = 24 + data.count
        let footer = ZPlanesFooter(
            index: start..<start + frame.count, textByteCount: textByteCount,
            digest: frame.withUnsafeBytes { Digest.of($0) })
        return ZPlanesMark.head.bytes(version: 1) + data + frame + footer.bytes
    }

    /// A chunk in an index, of one frame or more.
    static func chunk(_ frames: [UInt8]..., transform: String = "none", runs: String = "") -> String {
        let check = czstd_xxh64(Array(frames.joined()), frames.reduce(0) { $0 + $1.count }).hexadecimal
        return "[\"\(transform)\",[\(frames.map { String($0.count) }.joined(separator: ","))],\"\(check)\"\(runs)]"
    }

    /// A file with one tensor whose one chunk is one frame.
    static func file(_ frame: [UInt8]) throws -> [UInt8] {
        try file(frame, index([tensor(chunks: "[\(chunk(frame))]")]))
    }

    static func file(frame change: (inout Frame) -> Void) throws -> [UInt8] {
        var frame = frame
        change(&frame)
        return try file(frame.bytes)
    }

    /// A file with this index over one good frame.
    static func file(tensors: [String]) throws -> [UInt8] { try file(frame.bytes, index(tensors)) }

    static let check = czstd_xxh64(frame.bytes, frame.bytes.count).hexadecimal

    /// The good frame's chunk in an index.
    static var chunk: String { chunk(frame.bytes) }

    static func skippable(_ magic: UInt32, length: UInt32, _ content: [UInt8]) -> [UInt8] {
        magic.littleEndianBytes + length.littleEndianBytes + content
    }
}

/// What a file must be, to be refused with a sentence; `x.zplanes: ` stands before every one.
struct ZPlanesRejection: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var sentence: String
    var bytes: @Sendable () throws -> [UInt8]
    /// One that is fine and can be compared with it.
    var twin: @Sendable () throws -> [UInt8]

    init(
        _ name: String, _ sentence: String, twin: @escaping @Sendable () throws -> [UInt8] = good,
        _ bytes: @escaping @Sendable () throws -> [UInt8]
    ) {
        testDescription = name
        self.sentence = sentence
        self.twin = twin
        self.bytes = bytes
    }
}

private let good: @Sendable () throws -> [UInt8] = { try Handmade.file(Handmade.frame.bytes) }

/// Frames lie at bytes 24 ..< 237 of the good file: header 24 ..< 30, block 30 ..< 233, checksum 233 ..< 237.
private let frameRejections: [ZPlanesRejection] = [
    .init("Z03 frame magic", "tensor 't': expected XXH64 ") { try flipped(24) },
    .init("Z03 frame header", "tensor 't': expected XXH64 ") { try flipped(29) },
    .init("Z03 unused bit of the frame header", "tensor 't': expected XXH64 ") { try flipped(28, bits: 0x10) },
    .init("Z03 block header", "tensor 't': expected XXH64 ") { try flipped(30) },
    .init("Z03 block", "tensor 't': expected XXH64 ") { try flipped(100) },
    .init("Z03 checksum", "tensor 't': expected XXH64 ") { try flipped(236) },
    .init(
        "Z03 check in the index",
        "tensor 't': expected XXH64 0123456789abcdef in chunk 0 (byte 24), found \(Handmade.check)"
    ) {
        try Handmade.file(tensors: [Handmade.tensor(chunks: "[[\"none\",[213],\"0123456789abcdef\"]]")])
    },
    .init("frame magic", "tensor 't': expected a zstd frame in chunk 0, plane 0 (byte 24), found something else") {
        var frame = Handmade.frame.bytes
        frame[0] ^= 1
        return try Handmade.file(frame)
    },
    .init(
        "unused bit of the frame header",
        "tensor 't': expected a zstd frame in chunk 0, plane 0 (byte 24), found something else"
    ) {
        try Handmade.file { $0.descriptor |= 0x10 }
    },
    .init(
        "Z04 no content size",
        "tensor 't': expected a frame that says its content size in chunk 0, plane 0 (byte 24), found one that does not"
    ) {
        try Handmade.file {
            $0.descriptor = 0x04
            $0.fields = [0x38]
        }
    },
    .init(
        "Z04 content size 2^62",
        "tensor 't': expected a frame of 200 bytes of content in chunk 0, plane 0 (byte 24), found one of 4611686018427387904"
    ) {
        try Handmade.file {
            $0.descriptor = 0xE4
            $0.fields = UInt64(1 << 62).littleEndianBytes
        }
    },
    .init(
        "Z04 less than real",
        "tensor 't': expected a frame of 200 bytes of content in chunk 0, plane 0 (byte 24), found one of 199"
    ) {
        try Handmade.file { $0.fields = [199] }
    },
    .init(
        "Z04 header and index agree, data are less",
        "tensor 't': expected blocks that can be decoded in chunk 0, plane 0 (byte 24), found damaged ones"
    ) {
        try Handmade.file { $0.blocks = Handmade.Frame.block(Array(Handmade.content[..<199]), isLast: true) }
    },
    .init(
        "Z04 header and index agree, data are more",
        "tensor 't': expected blocks that can be decoded in chunk 0, plane 0 (byte 24), found damaged ones"
    ) {
        try Handmade.file { $0.blocks = Handmade.Frame.block(Handmade.content + [0], isLast: true) }
    },
    .init(
        "Z06 window log 31",
        "tensor 't': expected a window of at most 134217728 bytes in chunk 0, plane 0 (byte 24), found one of 2147483648"
    ) {
        try Handmade.file {
            $0.descriptor = 0x44
            $0.fields = [21 << 3, 0, 0]
        }
    },
    .init(
        "Z06 window log 28",
        "tensor 't': expected a window of at most 134217728 bytes in chunk 0, plane 0 (byte 24), found one of 268435456"
    ) {
        try Handmade.file {
            $0.descriptor = 0x84
            $0.fields = [18 << 3, 200, 0, 0, 0]
        }
    },
    .init(
        "Z07 bomb that says so",
        "tensor 't': expected a frame of 200 bytes of content in chunk 0, plane 0 (byte 24), found one of 1073741824"
    ) {
        try Handmade.file {
            $0.descriptor = 0xA4
            $0.fields = UInt32(1 << 30).littleEndianBytes
            $0.blocks = bomb
        }
    },
    .init(
        "Z07 bomb in disguise",
        "tensor 't': expected blocks that can be decoded in chunk 0, plane 0 (byte 24), found damaged ones"
    ) {
        try Handmade.file { $0.blocks = bomb }
    },
    .init(
        "Z08 dictionary",
        "tensor 't': expected a frame without a dictionary in chunk 0, plane 0 (byte 24), found one that needs a dictionary"
    ) {
        try Handmade.file {
            $0.descriptor = 0x25
            $0.fields = [7, 200]
        }
    },
    .init(
        "no checksum", "tensor 't': expected a frame with a checksum in chunk 0, plane 0 (byte 24), found one without"
    ) {
        try Handmade.file {
            $0.descriptor = 0x20
            $0.checksum = []
        }
    },
    .init(
        "skippable frame as a plane",
        "tensor 't': expected a zstd frame in chunk 0, plane 0 (byte 24), found a skippable frame"
    ) {
        try Handmade.file(Handmade.skippable(0x184D_2A50, length: 4, [1, 2, 3, 4]))
    },
    .init(
        "two frames as one plane",
        "tensor 't': expected a frame 426 bytes long in chunk 0, plane 0 (byte 24), found one of another length"
    ) {
        try Handmade.file(Handmade.frame.bytes + Handmade.frame.bytes)
    },
    .init(
        "a rank that stands for nothing",
        "tensor 't': expected ranks below 2 in chunk 0, plane 0 (byte 24), found a rank that stands for nothing",
        twin: { try ranked([0, 1, 1, 1]) }, { try ranked([0, 1, 2, 1]) }),
]

/// Four BF16 of two pairs.
private func ranked(_ ranks: [UInt8]) throws -> [UInt8] {
    let ranks = Handmade.Frame(ranks).bytes
    let rests = Handmade.Frame([0, 0, 0, 0, 0, 0, 0]).bytes
    let chunks = "[\(Handmade.chunk(ranks, rests, transform: "ranks", runs: ",[0,1,120,1]"))]"
    return try Handmade.file(
        ranks + rests, Handmade.index([Handmade.tensor(type: "BF16", shape: "[4]", chunks: chunks)]))
}

/// 1 GB of zeros in 32 KB.
private let bomb: [UInt8] = (0..<8192).flatMap { index -> [UInt8] in
    Array(UInt32(1 << 20 | 1 << 1 | (index == 8191 ? 1 : 0)).littleEndianBytes[..<3]) + [0]
}

private func flipped(_ offset: Int, bits: UInt8 = 1) throws -> [UInt8] {
    var bytes = try good()
    bytes[offset] ^= bits
    return bytes
}

private let structureRejections: [ZPlanesRejection] = [
    .init("Z01 bad magic", "byte 0: expected the mark of a zplanes file, found the bytes 5b 2a 4d 18 10 00 00 00") {
        try flipped(0)
    },
    .init("Z01 zstd 0.7", "byte 0: expected the mark of a zplanes file, found a frame of zstd 0.7") {
        [0x27, 0xB5, 0x2F, 0xFD] + [UInt8](repeating: 0, count: 300)
    },
    .init("Z01 gzip", "byte 0: expected the mark of a zplanes file, found a gzip file") {
        [0x1F, 0x8B, 8, 0] + [UInt8](repeating: 0, count: 300)
    },
    .init(
        "Z01 zstd without the mark", "byte 0: expected the mark of a zplanes file, found a zstd frame without the mark"
    ) {
        Array(try good()[24...])
    },
    .init("empty", "byte 0: expected the mark of a zplanes file, found an empty file") { [] },
    .init(
        "Z02 by 1 byte",
        "footer: expected 88 bytes of footer at the end of the file, found the end of the file inside the footer, which begins at byte \(GoodFile.footer); download it again"
    ) {
        Array(try good().dropLast())
    },
    .init(
        "Z02 to 1 byte of the footer",
        "footer: expected 88 bytes of footer at the end of the file, found the end of the file inside the frame at byte \(GoodFile.footer): the rest of it and all behind it are missing; download it again"
    ) {
        Array(try good()[..<(GoodFile.footer + 1)])
    },
    .init(
        "Z02 inside the index",
        "footer: expected 88 bytes of footer at the end of the file, found the end of the file inside the frame at byte 237: the rest of it and all behind it are missing; download it again"
    ) {
        Array(try good()[..<300])
    },
    .init(
        "Z02 between frames",
        "footer: expected 88 bytes of footer at the end of the file, found the end of the file at byte 237, where a frame ends; download it again"
    ) {
        Array(try good()[..<237])
    },
    .init(
        "Z02 by half",
        "footer: expected 88 bytes of footer at the end of the file, found the end of the file inside the frame at byte 24: the rest of it and all behind it are missing; download it again"
    ) {
        Array(try good()[..<150])
    },
    .init(
        "Z02 to the mark",
        "footer: expected 88 bytes of footer at the end of the file, found the end of the file at byte 24, where a frame ends; download it again"
    ) {
        Array(try good()[..<24])
    },
    .init("Z03 index", "index: expected SHA-256 ") { try flipped(300) },
    .init("Z03 footer", "footer: expected bytes that match its checksum, found others") {
        var bytes = try good()
        bytes[bytes.count - 50] ^= 4
        return bytes
    },
    .init("Z03 mark's zero", "byte 20: expected four zero bytes, found 1") { try flipped(20) },
    .init(
        "Z09 skippable frame of 2^32-1",
        "byte 24: expected a skippable frame that ends by byte 36, found one of 4294967295 bytes"
    ) {
        let gap = Handmade.skippable(0x184D_2A57, length: .max, [0, 0, 0, 0])
        return try Handmade.file(
            gap + Handmade.frame.bytes, Handmade.index([Handmade.tensor(offset: 36, chunks: "[\(Handmade.chunk)]")]))
    },
    .init(
        "Z09 other bytes in a gap",
        "byte 24: expected a frame that the index names, or a skippable frame, found 9 other bytes"
    ) {
        try Handmade.file(
            [UInt8](repeating: 0x50, count: 9) + Handmade.frame.bytes,
            Handmade.index([Handmade.tensor(offset: 33, chunks: "[\(Handmade.chunk)]")]))
    },
    .init(
        "Z10 trailing garbage",
        "footer: expected 88 bytes of footer at the end of the file, found 3 bytes behind the footer; cut the file to \(GoodFile.footer + 88) bytes to use it"
    ) {
        try good() + [1, 2, 3]
    },
    .init(
        "Z10 trailing zeros",
        "footer: expected 88 bytes of footer at the end of the file, found 512 bytes behind the footer; cut the file to \(GoodFile.footer + 88) bytes to use it"
    ) {
        try good() + [UInt8](repeating: 0, count: 512)
    },
    .init(
        "Z10 a second footer",
        "footer: expected an index that ends at byte \(GoodFile.footer + 88), where the footer begins, found \(GoodFile.footer - 237) bytes at byte 237"
    ) {
        let bytes = try good()
        return bytes + bytes.suffix(88)
    },
    .init(
        "Z10 a second index",
        "byte 237: expected a frame that the index names, or a skippable frame, found \(GoodFile.footer - 237) other bytes"
    ) {
        let bytes = try good()
        let frame = bytes[237..<GoodFile.footer]
        let footer = ZPlanesFooter(
            index: GoodFile.footer..<GoodFile.footer + frame.count, textByteCount: GoodFile.text,
            digest: Array(frame).withUnsafeBytes { Digest.of($0) })
        return bytes[..<GoodFile.footer] + frame + footer.bytes
    },
    .init(
        "Z14 index of 4 GB",
        "index: expected at most \((1 << 20) + 128 * (GoodFile.footer - 237)) bytes of text in a frame of \(GoodFile.footer - 237), found 4294967296"
    ) {
        try Handmade.file(
            Handmade.frame.bytes, Handmade.index([Handmade.tensor(chunks: "[\(Handmade.chunk)]")]),
            textByteCount: 1 << 32)
    },
    .init("Z14 index that lies about its size", "index: expected a frame of 1000 bytes of content, found one of ") {
        try Handmade.file(
            Handmade.frame.bytes, Handmade.index([Handmade.tensor(chunks: "[\(Handmade.chunk)]")]), textByteCount: 1000)
    },
    .init("Z14 JSON 100 000 deep", "index: expected a string at byte 24 of its text, found '['") {
        let text = "{\"zplanes\":1,\"metadata\":" + String(repeating: "[", count: 100_000)
        return try Handmade.file(Handmade.frame.bytes, text.replacing("\"metadata\":", with: "\"codec\":   "))
    },
    .init(
        "Z15 version of the head",
        "byte 16: expected version 1 of zplanes, found version 3, made by a newer version of this program"
    ) {
        try flipped(16, bits: 2)
    },
    .init(
        "Z15 version of the index",
        "index: expected version 1, found version 2, made by a newer version of this program"
    ) {
        try Handmade.file(Handmade.frame.bytes, Handmade.index([], version: "2"))
    },
    .init("Z15 codec", "index: expected codec 'zstd', found 'brotli', made by a newer version of this program") {
        try Handmade.file(Handmade.frame.bytes, Handmade.index([], codec: "brotli"))
    },
    .init(
        "Z15 member", "index: expected members that are known, found 'bases', made by a newer version of this program"
    ) {
        try Handmade.file(Handmade.frame.bytes, Handmade.index([], more: ",\"bases\":[]"))
    },
]

/// The good file: where its footer begins, behind the index at byte 237; and the bytes of the index' text.
private enum GoodFile {
    static let text = Handmade.index([Handmade.tensor(chunks: "[\(Handmade.chunk)]")]).utf8.count
    static let footer = 237 + czstd_stored_byte_count(text)
}

private func index(_ name: String, _ sentence: String, _ tensors: String...) -> ZPlanesRejection {
    .init(name, sentence) { try Handmade.file(tensors: tensors) }
}

private let alias =
    "{\"name\":\"A\",\"type\":\"U8\",\"shape\":[200],\"sha256\":\"\(Handmade.digest)\",\"same_as\":\"B\"}"

/// The index of the good file with something else in it, its content digest as before.
private func changedIndex(_ name: String, _ part: String, _ other: String) -> ZPlanesRejection {
    .init(name, "index: expected the content digest ") {
        let index = Handmade.index([Handmade.tensor(chunks: "[\(Handmade.chunk)]")])
        #expect(index.contains(part))
        return try Handmade.file(Handmade.frame.bytes, index.replacing(part, with: other))
    }
}

private let indexRejections: [ZPlanesRejection] = [
    changedIndex("another type of the same width", "\"U8\"", "\"I8\""),
    changedIndex("another shape of as many elements", "[200]", "[2,100]"),
    changedIndex("another name", "\"t\"", "\"u\""),
    index(
        "Z11 duplicate name", "tensor 't': expected each name once, found it again",
        Handmade.tensor(chunks: "[\(Handmade.chunk)]"), Handmade.tensor(chunks: "[\(Handmade.chunk)]")),
    index(
        "Z11 overlapping chunks",
        "tensor 'u': expected data that begins behind that of tensor 't', at byte 237, found byte 24",
        Handmade.tensor(chunks: "[\(Handmade.chunk)]"), Handmade.tensor("u", chunks: "[\(Handmade.chunk)]")),
    index(
        "Z11 chunk inside the index",
        "tensor 't': expected data between byte 24 and the index at byte 237, found 213 bytes at byte 25",
        Handmade.tensor(offset: 25, chunks: "[\(Handmade.chunk)]")),
    index(
        "Z11 chunk beyond the end",
        "tensor 't': expected data between byte 24 and the index at byte 237, found 213 bytes at byte 4611686018427387904",
        Handmade.tensor(offset: 1 << 62, chunks: "[\(Handmade.chunk)]")),
    index(
        "Z11 chunk at a sum that overflows",
        "tensor 't': expected frames within the file, found sizes whose sum overflows",
        Handmade.tensor(offset: .max, chunks: "[\(Handmade.chunk)]")),
    index(
        "Z11 chunk inside the mark",
        "tensor 't': expected data between byte 24 and the index at byte 237, found 213 bytes at byte 23",
        Handmade.tensor(offset: 23, chunks: "[\(Handmade.chunk)]")),
    index(
        "Z11 same as itself", "tensor 'A': expected 'same_as' to name an earlier tensor, found 'A'",
        alias.replacing("\"B\"", with: "\"A\"")),
    index(
        "Z11 same as each other", "tensor 'A': expected 'same_as' to name an earlier tensor, found 'B'", alias,
        alias.replacing("\"A\"", with: "\"C\"").replacing("\"B\"", with: "\"A\"").replacing("\"C\"", with: "\"B\"")),
    index(
        "Z11 same as an alias",
        "tensor 'C': expected 'same_as' to name a tensor with chunks of its own, found 'A', which has none",
        Handmade.tensor("B", chunks: "[\(Handmade.chunk)]"), alias,
        alias.replacing("\"A\"", with: "\"C\"").replacing("\"B\"", with: "\"A\"")),
    index(
        "alias of nothing",
        "tensor 'A': expected 'alias_of' to name an earlier tensor of this type, shape and bytes, which is no alias,"
            + " found 'C'",
        Handmade.tensor("B", chunks: "[\(Handmade.chunk)]"),
        alias.replacing("\"same_as\"", with: "\"alias_of\":\"C\",\"same_as\"")),
    index(
        "alias of another shape",
        "tensor 'A': expected 'alias_of' to name an earlier tensor of this type, shape and bytes, which is no alias,"
            + " found 'B'",
        Handmade.tensor("B", chunks: "[\(Handmade.chunk)]"),
        alias.replacing("[200]", with: "[2,100]").replacing("\"same_as\"", with: "\"alias_of\":\"B\",\"same_as\"")),
    index(
        "alias of, and chunks", "tensor 'B': expected no 'alias_of' beside 'chunks', found both",
        Handmade.tensor("B", chunks: "[\(Handmade.chunk)]").replacing(
            "\"offset\"", with: "\"alias_of\":\"A\",\"offset\"")),
    index(
        "same as one of another size", "tensor 'A': expected as many bytes as 'B' has, 200, found 100",
        Handmade.tensor("B", chunks: "[\(Handmade.chunk)]"), alias.replacing("[200]", with: "[100]")),
    index(
        "same as, and chunks", "tensor 'A': expected no 'offset' beside 'same_as', found both",
        Handmade.tensor("B", chunks: "[\(Handmade.chunk)]"),
        alias.replacing("\"same_as\"", with: "\"offset\":24,\"same_as\"")),
    index(
        "Z12 too few chunks", "tensor 't': expected 2 chunks of 100 bytes for 200 bytes of data, found 1",
        Handmade.tensor(chunkSize: 100, chunks: "[\(Handmade.chunk)]")),
    index(
        "Z12 too many chunks", "tensor 't': expected 1 chunks of 1048576 bytes for 200 bytes of data, found 2",
        Handmade.tensor(chunks: "[\(Handmade.chunk),\(Handmade.chunk)]")),
    index(
        "Z12 planes missing", "tensor 't': expected 2 planes in chunk 0, found 1",
        Handmade.tensor(type: "I16", shape: "[100]", chunks: "[[\"bytes\",[213],\"0123456789abcdef\"]]")),
    index(
        "Z12 shape that overflows",
        "tensor 't': expected a shape of a size that fits, in whole bytes, found [9223372036854775807, 2]",
        Handmade.tensor(shape: "[9223372036854775807,2]", chunks: "[]")),
    index(
        "Z12 shape that overflows in bytes",
        "tensor 't': expected a shape of a size that fits, in whole bytes, found [4611686018427387904]",
        Handmade.tensor(type: "F32", shape: "[4611686018427387904]", chunks: "[]")),
    index(
        "half a byte", "tensor 't': expected a shape of a size that fits, in whole bytes, found [3]",
        Handmade.tensor(type: "F4", shape: "[3]", chunks: "[]")),
    index(
        "negative dimension", "tensor 't': expected a shape of a size that fits, in whole bytes, found [-1]",
        Handmade.tensor(shape: "[-1]", chunks: "[]")),
    index(
        "Z12 frame sizes whose sum overflows", "index: expected frames of 1 to 237 bytes, found 9223372036854775807",
        Handmade.tensor(chunks: "[[\"none\",[9223372036854775807],\"0123456789abcdef\"]]")),
    index(
        "Z12 frame of no bytes", "index: expected frames of 1 to 237 bytes, found 0",
        Handmade.tensor(chunks: "[[\"none\",[0],\"0123456789abcdef\"]]")),
    index(
        "chunk size beyond the cap",
        "tensor 't': expected a chunk size of at most 8388608 bytes, a multiple of 1, found 8388609",
        Handmade.tensor(chunkSize: 8_388_609, chunks: "[\(Handmade.chunk)]")),
    index(
        "chunk size of half an element",
        "tensor 't': expected a chunk size of at most 8388608 bytes, a multiple of 4, found 6",
        Handmade.tensor(type: "F32", shape: "[50]", chunkSize: 6, chunks: "[\(Handmade.chunk)]")),
    index(
        "Z15 transform",
        "index: expected one of the transforms 'none', 'bytes', 'rotated-bytes', 'ranks', found 'delta', made by a newer version of this program",
        Handmade.tensor(chunks: "[[\"delta\",[213],\"0123456789abcdef\"]]")),
    index(
        "Z15 element type",
        "index: expected an element type that is known, found 'F7', made by a newer version of this program",
        Handmade.tensor(type: "F7", chunks: "[\(Handmade.chunk)]")),
    index(
        "Z15 member of a tensor",
        "tensor 't': expected members that are known, found 'base', made by a newer version of this program",
        Handmade.tensor(chunks: "[\(Handmade.chunk)]").replacing("\"offset\"", with: "\"base\":1,\"offset\"")),
    index(
        "transform that the type lacks", "tensor 't': expected a transform for U8 in chunk 0, found 'bytes'",
        Handmade.tensor(chunks: "[[\"bytes\",[213],\"0123456789abcdef\"]]")),
    index(
        "ranks without a table",
        "index: expected a table of pairs for the transform 'ranks' and no other, found 'ranks' without one",
        Handmade.tensor(type: "BF16", shape: "[100]", chunks: "[[\"ranks\",[100,113],\"0123456789abcdef\"]]")),
    index(
        "table of 257 ranks", "index: expected runs of ascending pairs, 1 to 256 of the 512, found [0, 257]",
        Handmade.tensor(type: "BF16", shape: "[100]", chunks: "[[\"ranks\",[100,113],\"0123456789abcdef\",[0,257]]]")),
    index(
        "table with a pair beyond the last",
        "index: expected runs of ascending pairs, 1 to 256 of the 512, found [0, 1, 511, 2]",
        Handmade.tensor(
            type: "BF16", shape: "[100]", chunks: "[[\"ranks\",[100,113],\"0123456789abcdef\",[0,1,511,2]]]")),
    index(
        "table that descends", "index: expected runs of ascending pairs, 1 to 256 of the 512, found [5, 2, 6, 1]",
        Handmade.tensor(type: "BF16", shape: "[100]", chunks: "[[\"ranks\",[100,113],\"0123456789abcdef\",[5,2,6,1]]]")),
    index(
        "check that is none",
        "index: expected a check of 16 lower-case hexadecimal digits in every chunk, found '+123456789abcdef'",
        Handmade.tensor(chunks: "[[\"none\",[213],\"+123456789abcdef\"]]")),
    index(
        "chunk without a check", "index: expected a check of 16 lower-case hexadecimal digits in every chunk, found ''",
        Handmade.tensor(chunks: "[[\"none\",[213]]]")),
    index(
        "digest that is none", "index: expected a SHA-256 in base64, found '\(Handmade.digest.dropLast())'",
        Handmade.tensor(chunks: "[\(Handmade.chunk)]").replacing(
            Handmade.digest, with: String(Handmade.digest.dropLast()))),
    index(
        "member twice", "tensor 't': expected each member once, found 'offset' again",
        Handmade.tensor(chunks: "[\(Handmade.chunk)]").replacing("\"offset\"", with: "\"offset\":24,\"offset\"")),
    index(
        "member missing", "tensor 't': expected a member 'offset', found none",
        Handmade.tensor(chunks: "[\(Handmade.chunk)]").replacing("\"offset\":24,", with: "")),
]

/// The nearest neighbours that are fine: one for every group of refusals.
private let accepted: [ZPlanesRejection] =
    [
        .init("the good file", "", good),
        .init("window log 27", "") {
            try Handmade.file {
                $0.descriptor = 0x84
                $0.fields = [17 << 3, 200, 0, 0, 0]
            }
        },
        .init("content size of 8 bytes", "") {
            try Handmade.file {
                $0.descriptor = 0xE4
                $0.fields = UInt64(200).littleEndianBytes
            }
        },
        .init("dictionary number 0", "") {
            try Handmade.file {
                $0.descriptor = 0x25
                $0.fields = [0, 200]
            }
        },
        .init("two blocks", "") {
            try Handmade.file {
                $0.blocks =
                    Handmade.Frame.block(Array(Handmade.content[..<7]), isLast: false)
                    + Handmade.Frame.block(Array(Handmade.content[7...]), isLast: true)
            }
        },
        .init("largest chunk size", "") {
            try Handmade.file(tensors: [Handmade.tensor(chunkSize: 8 << 20, chunks: "[\(Handmade.chunk)]")])
        },
        .init("alias", "") {
            try Handmade.file(tensors: [
                Handmade.tensor("B", chunks: "[\(Handmade.chunk)]"), alias,
                alias.replacing("\"A\"", with: "\"C\"").replacing("\"B\"}", with: "\"B\",\"alias_of\":\"A\"}"),
            ])
        },
        .init("white space in the index", "") {
            try Handmade.file(tensors: [Handmade.tensor(chunks: "[ \(Handmade.chunk) ] ").replacing(",", with: ",\n\t")]
            )
        },
        .init("empty tensors anywhere", "") {
            try Handmade.file(tensors: [
                Handmade.tensor(chunks: "[\(Handmade.chunk)]"),
                Handmade.tensor("e", shape: "[0,9223372036854775807]", offset: 24, chunks: "[]")
                    .replacing(Handmade.digest, with: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"),
            ])
        },
    ]
    + (0..<16).map { magic in
        .init("unknown skippable frame 5\(String(magic, radix: 16))", "") {
            let gap = Handmade.skippable(0x184D_2A50 + UInt32(magic), length: 4, [0, 1, 2, 3])
            let index = Handmade.index([Handmade.tensor(offset: 36, chunks: "[\(Handmade.chunk)]")])
            return try Handmade.file(gap + Handmade.frame.bytes + gap, index)
        }
    }

@Suite struct ZPlanesDamageTests {
    private let folder = try! TemporaryFolder()

    /// Opens a file and reads all of it; what is wrong, or nil.
    private func refusal(_ bytes: [UInt8]) throws -> CheckpointError? {
        do {
            let reader = try ZPlanesReader(try folder.file(bytes), threads: 1)
            for (tensor, stored) in zip(reader.contents.tensors.indices, reader.contents.storedDigests!) {
                let digest = try reader.digest(of: tensor)
                guard digest == stored else {
                    return CheckpointError(
                        "x", .tensor(reader.contents.tensors[tensor].name), expected: "SHA-256 \(stored)",
                        found: "\(digest)")
                }
            }
            return nil
        } catch let error as CheckpointError {
            return error
        }
    }

    @Test(arguments: frameRejections + structureRejections + indexRejections)
    func damageIsRefusedInOneSentence(_ rejection: ZPlanesRejection) throws {
        let error = try #require(try refusal(try rejection.bytes()))
        let sentence = "\(folder.path.appending("x.zplanes")): \(rejection.sentence)"
        // A digest or a size that depends on the library's version ends the table's sentence early.
        if rejection.sentence.hasSuffix(" ") {
            #expect(error.description.hasPrefix(sentence), "\(error)")
        } else {
            #expect(error.description == sentence)
        }
        #expect(error.exitStatus == .invalidFile)
    }

    private static let moments: [(ZPlanesRejection, EveryCommand.Moment)] =
        frameRejections.map { ($0, .reading) } + (structureRejections + indexRejections).map { ($0, .opening) }

    @Test(arguments: moments)
    func everyCommandRefusesIt(_ rejection: ZPlanesRejection, _ moment: EveryCommand.Moment) throws {
        let twin = try folder.write("twin.zplanes", try rejection.twin())
        let path = try folder.write("x.zplanes", try rejection.bytes())
        // What has not the mark is no zplanes file to them.
        let words = rejection.sentence.contains("expected the mark") ? [] : [rejection.sentence]
        try EveryCommand.mustRefuse(path, words: words, twin: twin, at: moment)
    }

    @Test(arguments: accepted)
    func theNearestNeighbourIsAccepted(_ neighbour: ZPlanesRejection) throws {
        #expect(try refusal(try neighbour.bytes()) == nil)
        try EveryCommand.mustAccept(folder.write("x.zplanes", try neighbour.bytes()))
    }

    @Test func swappedChunksAreFoundByTheDigests() throws {
        let other = SeededBytes.random(200, seed: 2)
        let digest = Base64.encode(other.withUnsafeBytes { Digest.of($0) }.bytes)
        let frames = [Handmade.frame.bytes, Handmade.Frame(other).bytes]
        // Swapped in the file, in the index, or in both so that every chunk fits its check.
        for (inFile, inIndex, words) in [(false, false, nil), (true, false, "XXH64"), (true, true, "SHA-256")]
            as [(Bool, Bool, String?)]
        {
            let chunks = (inIndex ? frames.reversed() : frames).map { Handmade.chunk($0) }
            let tensors = [
                Handmade.tensor(chunks: "[\(chunks[0])]"),
                Handmade.tensor("u", offset: 237, chunks: "[\(chunks[1])]").replacing(Handmade.digest, with: digest),
            ]
            let data = inFile ? frames[1] + frames[0] : frames[0] + frames[1]
            let error = try refusal(try Handmade.file(data, Handmade.index(tensors)))
            #expect(error?.expected.prefix { $0 != " " }.description == words)
            #expect(error?.place == words.map { _ in .tensor("t") })
            let path = try folder.write("x.zplanes", try Handmade.file(data, Handmade.index(tensors))).string
            for command in [["verify", path], ["convert", path, folder.path.appending("x.safetensors").string]] {
                let outcome = try AssayTool.run(command)
                #expect(outcome.exitCode == (words == nil ? 0 : 3), "\(command): \(outcome.output)\(outcome.errors)")
            }
            #expect(folder.names.contains("x.safetensors") == (words == nil))
            SystemCall.removeIfPresent(folder.path.appending("x.safetensors"))
            SystemCall.removeIfPresent(folder.path.appending("x.safetensors.certificate.json"))
        }
    }

    /// An index whose text is far larger than its frame is refused before it is decoded.
    @Test func anIndexOutOfProportionIsRefused() throws {
        let text = [UInt8](repeating: 0x20, count: 200 << 20)
        var frame = [UInt8](repeating: 0, count: czstd_frame_bound(text.count))
        let count = czstd_repeat(&frame, text, text.count)
        let error = try refusal(Handmade.file([], indexFrame: Array(frame[..<count]), textByteCount: text.count))
        #expect(
            error?.description.hasSuffix(
                "index: expected at most \((1 << 20) + 128 * count) bytes of text in a frame of \(count), found \(text.count)"
            ) == true)
    }

    /// The largest chunk that is read, of a file that is otherwise small: two of them are in memory on every thread, and more
    /// where two files are compared.
    @Test func theLargestChunkTakesLittleMemory() throws {
        let folder = try TemporaryFolder()
        let count = ZPlanes.maximumChunkByteCount
        let zeros = SampleTensor("zeros", .f32, [count / 4], [UInt8](repeating: 0, count: count))
        try EveryCommand.mustAccept(folder.write("x.zplanes", zplanesBytes([zeros], chunkByteCount: count)))
    }

    /// A small file with every transform, several chunks, an alias, metadata and a kept header.
    private func variedFile() throws -> (bytes: [UInt8], tensors: [SampleTensor]) {
        let floats = SeededBytes.weights(300, seed: 2)
        let tensors = [
            SampleTensor("f32", .f32, [300], floats.rawBytes),
            SampleTensor("bf16", .bf16, [300], floats.map { UInt16($0.bitPattern >> 16) }.rawBytes),
            SampleTensor("i64", .i64, [100], (0..<100).map { Int64($0) }.rawBytes),
            SampleTensor("f16", .f16, [300], floats.map { Float16($0).bitPattern }.rawBytes),
            SampleTensor("u8", .u8, [100], SeededBytes.random(100, seed: 3)),
            SampleTensor("zero", .f32, [64], [UInt8](repeating: 0, count: 256)),
            SampleTensor("alias", .u8, [100], aliasOf: "u8", SeededBytes.random(100, seed: 3)),
        ]
        let header = OriginalHeader(formatName: "safetensors", bytes: Array("{\"a\":1}   ".utf8))
        return (try zplanesBytes(tensors, metadata: [("k", "v")], header: header, chunkByteCount: 512), tensors)
    }

    @Test func everyFlippedBitIsNoticed() throws {
        let bytes = try variedFile().bytes
        #expect(try refusal(bytes) == nil)
        for offset in bytes.indices {
            for bit in 0..<8 {
                var damaged = bytes
                damaged[offset] ^= 1 << bit
                #expect(try refusal(damaged) != nil, "bit \(bit) of byte \(offset)")
            }
        }
    }

    @Test func everyTruncationIsNoticed() throws {
        let bytes = try variedFile().bytes
        for count in bytes.indices { #expect(try refusal(Array(bytes[..<count])) != nil, "\(count) bytes") }
    }

    /// Any bytes under an index that is in order: errors, and nothing worse.
    @Test func randomDamageIsNeverWorseThanAnError() throws {
        let bytes = try variedFile().bytes
        var source = SeededBytes(state: 77)
        for _ in 0..<3000 {
            var damaged = bytes
            for _ in 0...source.next() % 20 {
                damaged[Int(source.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: source.next())
            }
            _ = try refusal(damaged)
        }
    }
}

import AssayCZstd
import AssayCheckpoints
import AssayTensors
import AssayTestSupport
import SystemPackage
import Testing

@testable import AssayFormats

/// Files of others, and what is in them.
@Suite struct SeekableZstdGoldens {
    static let folder = TestFiles.fixtures.appending("golden").appending("seekable-zstd")
    static let manifest = try! JSONValue(parsing: TestFiles.bytes(folder.appending("manifest.json"))).object!
    static let fileNames = manifest["files"]!.object!.members.map(\.key)
    static let plain = try! TestFiles.bytes(
        TestFiles.fixtures.appending("golden").appending("safetensors").appending("all-types.safetensors"))

    @Test(arguments: fileNames, [1, 3]) func isReadAsThePlainFile(_ name: String, _ threads: Int) throws {
        let digest = Self.plain.withUnsafeBytes { Digest.of($0) }
        #expect("\(digest)" == Self.manifest["plain"]?.string)
        let inner = try SeekableZstdFile.inflating(InputFile(Self.folder.appending(name)), threads: threads)
        #expect(try inner.bytes(0..<inner.byteCount) == Self.plain)
        var random = SeededRandom(seed: 5)
        for _ in 0..<100 {
            let start = random.next(below: Self.plain.count)
            let range = start..<start + random.next(below: Self.plain.count - start + 1)
            #expect(try inner.bytes(range) == Array(Self.plain[range]), "\(range)")
        }
    }

    @Test(arguments: fileNames) func holdsTheTensorsOfThePlainFile(_ name: String) throws {
        let checkpoint = try Checkpoint.open(Self.folder.appending(name))
        let plain = try Checkpoint.open(SafetensorsGoldens.folder.appending("all-types.safetensors"))
        #expect(checkpoint.contents.formatName == "safetensors.zst")
        #expect(checkpoint.contents.tensors == plain.contents.tensors)
        for index in plain.contents.tensors.indices {
            #expect(try checkpoint.reader.bytes(of: index) == plain.reader.bytes(of: index))
        }
    }
}

/// Writing, and reading back what was written.
@Suite struct SeekableZstdRoundTrips {
    /// Some frames: three whole ones and a rest, of numbers that hardly compress.
    private static let tensors = [
        SampleTensor("a", .u8, [2_500_000], SeededBytes.random(2_500_000, seed: 1)),
        SampleTensor("b", .f32, [1], SeededBytes.random(4, seed: 2)),
        SampleTensor("c", .f32, [300, 700], SeededBytes.weights(210_000, seed: 3).rawBytes),
    ]

    private static func written(threads: Int, _ format: any CheckpointFormat.Type) throws -> [UInt8] {
        let folder = try TemporaryFolder()
        let path = folder.path.appending("x")
        let output = try OutputFile(creating: path)
        let plan = WritePlan(tensors: tensors.map(\.info), metadata: [("key", "value")])
        let writer = try format.makeWriter(plan, output, WritingOptions(threads: threads))
        for (index, tensor) in tensors.enumerated().reversed() {
            try tensor.bytes.withUnsafeBytes { try writer.write(index, 0..<$0.count, $0) { try $0() } }
        }
        try writer.finish(digests: [])
        #expect(folder.names == ["x"])
        return try TestFiles.bytes(path)
    }

    @Test func plainDecodingGivesThePlainFile() throws {
        let plain = try Self.written(threads: 1, Safetensors.self)
        let compressed = try Self.written(threads: 1, SeekableZstd<Safetensors>.self)
        #expect(compressed.count < plain.count)
        // One call over all frames, as any decoder of zstd does it.
        var decoded = [UInt8](repeating: 0, count: plain.count + 1)
        let count = ZSTD_decompress(&decoded, decoded.count, compressed, compressed.count)
        #expect(count == plain.count && Array(decoded.dropLast()) == plain)
        #expect(try Self.written(threads: 3, SeekableZstd<Safetensors>.self) == compressed)
    }

    @Test(arguments: [1, 3]) func singleTensorsAreReadAlone(_ threads: Int) throws {
        var bytes = try Self.written(threads: 2, SeekableZstd<Safetensors>.self)
        // Damage in the second frame, which only 'a' reaches.
        let first = bytes.withUnsafeBytes { czstd_frame_length($0.baseAddress!, $0.count) }
        bytes[first + 5000] ^= 1
        let folder = try TemporaryFolder()
        let path = try folder.write("x.safetensors.zst", bytes)
        let reader = try Checkpoint.open(path, ReadingOptions(threads: threads)).reader
        let positions = reader.contents.indexByName()
        for tensor in Self.tensors where tensor.info.name != "a" {
            #expect(try reader.bytes(of: positions[tensor.info.name]!) == tensor.bytes)
        }
        let error = #expect(throws: CheckpointError.self) { try reader.bytes(of: positions["a"]!) }
        #expect(error?.description.contains("in frame 1") == true, "\(error?.description ?? "")")
    }

    @Test func tablesComeBack() throws {
        var table = SeekTable()
        for index in 1...5 {
            table.append(frameByteCount: 100 + index, contentByteCount: index, checksum: UInt32(index))
        }
        #expect(table.contentByteCount == 15 && table.frameByteCount == 515)
        #expect((0..<15).map { table.frame(holding: $0) } == [0, 1, 1, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4])
        let folder = try TemporaryFolder()
        let file = try folder.file([UInt8](repeating: 0, count: 515) + table.bytes)
        let read = try SeekTable(
            of: file, 0..<file.byteCount, maximumContentByteCount: 5, place: .part("seek table"))
        #expect(read.frameOffsets == table.frameOffsets && read.contentOffsets == table.contentOffsets)
        #expect(read.checksums == [1, 2, 3, 4, 5])
    }
}

/// Tables that contradict the frames, and damage anywhere: one sentence.
@Suite struct SeekableZstdDamage {
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var words: String
        var base = "checksums.safetensors.zst"
        var change: @Sendable (inout [UInt8]) -> Void
        var testDescription: String { name }
    }

    /// The table of `checksums`: 12 bytes a frame, and 9 bytes of footer.
    private static func entry(_ index: Int, in bytes: [UInt8]) -> Int {
        let count = Int(UInt32(littleEndian: bytes[bytes.count - 9..<bytes.count - 5]))
        return bytes.count - 9 - 12 * (count - index)
    }

    private static func change(_ bytes: inout [UInt8], at offset: Int, by difference: Int) {
        let value = UInt32(littleEndian: bytes[offset..<offset + 4])
        bytes.replaceSubrange(offset..<offset + 4, with: UInt32(Int(value) + difference).littleEndianBytes)
    }

    static let cases = [
        Case(name: "no table", words: "zstd data without a seek table") { $0.removeLast(4) },
        Case(name: "table cut off", words: "zstd data without a seek table") { $0.removeLast(40) },
        Case(name: "reserved bits", words: "whose reserved bits are 0") { $0[$0.count - 5] |= 4 },
        Case(name: "more frames than bytes", words: "found data of") { $0[$0.count - 8] = 200 },
        Case(name: "2^22 + 1 frames", words: "at most 4194304 frames") {
            $0.replaceSubrange($0.count - 9..<$0.count - 5, with: UInt32(4_194_305).littleEndianBytes)
        },
        Case(name: "one frame fewer", words: "to begin at byte") { $0[$0.count - 9] -= 1 },
        Case(name: "another skippable frame", words: "to begin at byte") { $0[Self.entry(0, in: $0) - 8] ^= 1 },
        Case(name: "a frame longer", words: "frames fill the") { Self.change(&$0, at: Self.entry(1, in: $0), by: 1) },
        Case(name: "frames swapped in length", words: "in frame 2") {
            Self.change(&$0, at: Self.entry(1, in: $0), by: 1)
            Self.change(&$0, at: Self.entry(2, in: $0), by: -1)
        },
        Case(name: "a frame holds more", words: "expected a frame of 513 bytes of content in frame 1") {
            Self.change(&$0, at: Self.entry(1, in: $0) + 4, by: 1)
        },
        Case(name: "a frame of 1 GB", words: "unpack it with 'zstd -d'") {
            Self.change(&$0, at: Self.entry(1, in: $0) + 4, by: 1 << 30)
        },
        Case(name: "a frame of no bytes", words: "frame 1 to be from 8 to") {
            Self.change(
                &$0, at: Self.entry(0, in: $0), by: Int(UInt32(littleEndian: $0[Self.entry(1, in: $0)...].prefix(4))))
            $0.replaceSubrange(Self.entry(1, in: $0)..<Self.entry(1, in: $0) + 4, with: [0, 0, 0, 0])
        },
        Case(name: "checksum in the table", words: "match the frame's checksum in frame 1") {
            $0[Self.entry(1, in: $0) + 8] ^= 1
        },
        Case(
            name: "checksum in the table alone", words: "match the frame's checksum in frame 1",
            base: "checksums-in-table.safetensors.zst"
        ) { $0[Self.entry(1, in: $0) + 8] ^= 1 },
        Case(name: "magic of a frame", words: "expected a zstd frame in frame 0") { $0[3] ^= 1 },
        Case(name: "block of a frame", words: "in frame 0") { $0[20] ^= 0x10 },
        Case(
            name: "a window of 2^31", words: "a window of at most 134217728 bytes in frame 0",
            base: "streamed.safetensors.zst"
        ) {
            $0[5] = 21 << 3
        },
        Case(name: "a dictionary", words: "without a dictionary in frame 0", base: "streamed.safetensors.zst") {
            $0[4] |= 1
        },
        Case(name: "streamed: content size in the table", words: "in frame 1", base: "streamed.safetensors.zst") {
            let at = $0.count - 9 - 8 * (Int($0[$0.count - 9]) - 1) + 4
            Self.change(&$0, at: at, by: 1)
        },
    ]

    @Test(arguments: cases) func isOneSentence(_ damage: Case) throws {
        var bytes = try TestFiles.bytes(SeekableZstdGoldens.folder.appending(damage.base))
        damage.change(&bytes)
        let folder = try TemporaryFolder()
        let path = try folder.write("x.safetensors.zst", bytes)
        let error = #expect(throws: CheckpointError.self) { try Self.readAll(path) }
        #expect(error?.description.contains(damage.words) == true, "\(error?.description ?? "")")
        #expect(error?.description.contains("x.safetensors.zst") == true)
        let twin = SeekableZstdGoldens.folder.appending(damage.base)
        try EveryCommand.mustRefuse(path, words: [damage.words], twin: twin, at: .reading)
        try EveryCommand.mustAccept(twin)
    }

    /// A frame of one stored block that does not say how much it holds.
    private static func frame(_ content: [UInt8]) -> [UInt8] {
        let block = UInt32(content.count) << 3 | 1
        return [0x28, 0xB5, 0x2F, 0xFD, 0, 0] + block.littleEndianBytes.prefix(3) + content
    }

    private static func skippable(_ content: [UInt8]) -> [UInt8] {
        [0x50, 0x2A, 0x4D, 0x18] + UInt32(content.count).littleEndianBytes + content
    }

    /// One that says it holds nothing: a single segment of 0 bytes.
    private static let declaredEmpty: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x20, 0, 1, 0, 0]

    static let calledEmpty: [(frame: [UInt8], words: String?)] = [
        (declaredEmpty, nil), (frame([]), nil), (skippable([1, 2, 3]), nil), (skippable([]), nil),
        (frame([1, 2, 3]), "blocks that can be decoded in frame 0"),
        (skippable([1]) + frame([1, 2, 3]), "a skippable frame of 21 bytes in frame 0"),
        (declaredEmpty + frame([1]), "a frame 19 bytes long in frame 0"),
        (frame([]) + [0], "a frame 10 bytes long in frame 0"),
        ([0x28, 0xB5, 0x2F, 0xFD, 0x20, 0, 1, 0, 1], "blocks that can be decoded in frame 0"),
        (declaredEmpty + Array(repeating: 0, count: 1 << 16), "at most 65536 bytes that hold nothing in frame 0"),
    ]

    /// What the table calls empty is never asked for, and must be empty for plain decoders too.
    @Test(arguments: calledEmpty) func whatTheTableCallsEmptyIs(_ empty: [UInt8], _ words: String?) throws {
        let content = SafetensorsBytes.file(SafetensorsBytes.entry(), data: SafetensorsBytes.zeros(8))
        let frame = Self.frame(content)
        var table = SeekTable(withChecksums: false)
        table.append(frameByteCount: empty.count, contentByteCount: 0, checksum: nil)
        table.append(frameByteCount: frame.count, contentByteCount: content.count, checksum: nil)
        let folder = try TemporaryFolder()
        let path = try folder.write("x.safetensors.zst", empty + frame + table.bytes)
        guard let words else { return try Self.readAll(path) }
        let error = #expect(throws: CheckpointError.self) { try Self.readAll(path) }
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "none")")
    }

    /// A few hundred bytes that stand for a header of millions of numbers.
    @Test(arguments: [(3 << 20, true), (6 << 20, false)])
    func aHeaderIsBoundedByWhatIsStored(_ count: Int, _ isRead: Bool) throws {
        var header = GGUFBuilder()
        header.entries = [
            GGUFBuilder.entry("a", 9, UInt32(1).littleEndianBytes + UInt64(count).littleEndianBytes)
        ]
        let start = header.bytes
        // A window of 128 KiB, a stored block, and blocks of one byte that is repeated.
        var frame: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0, 0x38]
        frame += UInt32(start.count << 3).littleEndianBytes.prefix(3) + start
        for block in 0..<count >> 17 {
            let isLast = block == count >> 17 - 1
            frame += UInt32(1 << 20 | 1 << 1 | (isLast ? 1 : 0)).littleEndianBytes.prefix(3) + [0xFF]
        }
        var table = SeekTable(withChecksums: false)
        table.append(frameByteCount: frame.count, contentByteCount: start.count + count, checksum: nil)
        let folder = try TemporaryFolder()
        let path = try folder.write("x.gguf.zst", frame + table.bytes)
        guard !isRead else {
            #expect(try Checkpoint.open(path).contents.formatName == "gguf.zst")
            return
        }
        let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(path) }
        #expect(error?.description.contains("a header of at most 4") == true, "\(error?.description ?? "none")")
    }

    @Test func whatHoldsNoCheckpointIsNamed() throws {
        let folder = try TemporaryFolder()
        let content = Array("<!DOCTYPE html><p>not found".utf8)
        var frame = [UInt8](repeating: 0, count: 100)
        let count = czstd_store(&frame, content, content.count)
        var table = SeekTable(withChecksums: false)
        table.append(frameByteCount: count, contentByteCount: content.count, checksum: nil)
        let path = try folder.write("x.zst", frame[..<count] + table.bytes)
        let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(path) }
        #expect(error?.found.contains("zstd data that holds an HTML page") == true)
    }

    /// Random changes and cuts: an error of ours or the right bytes, never a crash.
    @Test func randomChangesNeverPass() throws {
        let folder = try TemporaryFolder()
        let seed: UInt64 = 41
        print("randomChangesNeverPass: seed \(seed)")
        var random = SeededRandom(seed: seed)
        for number in 0..<1500 {
            var bytes = try TestFiles.bytes(
                SeekableZstdGoldens.folder.appending(
                    SeekableZstdGoldens.fileNames[number % SeekableZstdGoldens.fileNames.count]))
            if number % 5 == 0 {
                bytes.removeLast(random.next(below: bytes.count))
            } else {
                for _ in 0...random.next(below: 3) {
                    bytes[random.next(below: bytes.count)] = UInt8(random.next(below: 256))
                }
            }
            let path = try folder.write("x.safetensors.zst", bytes)
            do {
                try Self.readAll(path)
            } catch is CheckpointError {
            }
        }
    }

    private static func readAll(_ path: FilePath) throws {
        let checkpoint = try Checkpoint.open(path)
        for index in checkpoint.contents.tensors.indices { _ = try checkpoint.reader.bytes(of: index) }
    }
}

import AssayCDeflate
import AssayCheckpoints
import AssayTensors
import AssayTestSupport
import SystemPackage
import Testing

@testable import AssayFormats

@Suite struct ZipArchives {
    typealias Member = ZipBytes.Member

    private static let members = [Member("a", [1, 2, 3]), Member("größe/b", [4, 5])]

    private func open(_ bytes: [UInt8]) throws -> ZipArchive {
        let folder = try TemporaryFolder()
        return try ZipArchive(InputFile(folder.write("x.zip", bytes)))
    }

    @Test func storedMembersAreReadWhereTheyLie() throws {
        var zip = ZipBytes(Self.members)
        zip.comment = Array("PK\u{5}\u{6} in a comment".utf8)
        let archive = try open(zip.bytes)
        #expect(archive.members.map(\.name) == ["a", "größe/b"])
        #expect(try archive.source(of: 0, isChecked: true).bytes(0..<3) == [1, 2, 3])
        #expect(try archive.source(of: 1, isChecked: true).bytes(1..<2) == [5])
        #expect(archive.position(of: "größe/b") == 1)
    }

    @Test func folderEntriesAreNoMembers() throws {
        #expect(try open(ZipBytes([Member("x/", []), Member("x/a", [1])]).bytes).members.map(\.name) == ["x/a"])
    }

    @Test func aChecksumIsComparedOnceAllWasReadAndOnlyWhereAsked() throws {
        var zip = ZipBytes([Member("a", Array(0..<100))])
        zip.members[0].checksum = 1
        let archive = try open(zip.bytes)
        #expect(try archive.source(of: 0, isChecked: false).bytes(0..<100).count == 100)
        let source = archive.source(of: 0, isChecked: true)
        #expect(try source.bytes(50..<100).count == 50)
        let error = #expect(throws: CheckpointError.self) { try source.bytes(0..<50) }
        #expect(error?.description.contains("CRC-32") == true)
    }

    /// Where the pieces that are read do not make up the whole, it is compared before the first is given: columns, or a part.
    @Test(arguments: [([(2, 1), (3, 2)], true), ([(3, 1)], false)] as [([(Int, Int)], Bool)])
    func whatIsNotReadWholeIsComparedFirst(_ axes: [(Int, Int)], _ isRest: Bool) throws {
        var zip = ZipBytes([Member("a", Array(0..<24))])
        func read() throws -> UInt8 {
            let array = StridedArray(
                try open(zip.bytes).source(of: 0, isChecked: true), isRest: isRest, offset: 0, elementByteCount: 4,
                axes: axes.map { StridedArray.Axis(count: $0, stride: $1) })
            let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 4, alignment: 4)
            defer { bytes.deallocate() }
            try array.read(4..<8, into: bytes)
            return bytes[0]
        }
        #expect(try read() == (axes.count == 1 ? 4 : 8))
        zip.members[0].checksum = 1
        let error = #expect(throws: CheckpointError.self) { try read() }
        #expect(error?.description.contains("CRC-32") == true)
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var words: String
        var change: @Sendable (inout ZipBytes) -> Void
        var testDescription: String { words }
    }

    static let damaged: [Case] = [
        Case(words: "each name once") { $0.members[1] = Member("a", [9]) },
        Case(words: "an overlap") { $0.members[1].headerOffset = 2 },
        Case(words: "an overlap") { $0.members[1].headerOffset = 0 },
        Case(words: "local header of this name") { $0.members[1].localName = Array("größe/c".utf8) },
        Case(words: "not encrypted") { $0.members[0].flags = 1 },
        Case(words: "not encrypted") { $0.members[0].flags = 1 << 6 },
        Case(words: "not encrypted") { $0.members[0].flags = 1 << 13 },
        Case(words: "a patch") { $0.members[0].flags = 1 << 5 },
        Case(words: "method 12") { $0.members[0].method = 12 },
        Case(words: "method 99") { $0.members[0].method = 99 },
        Case(words: "stored whole") { $0.members[0].byteCount = 4 },
        Case(words: "which deflate can give") {
            $0.members[0].method = 8
            $0.members[0].byteCount = 0x7000_0000
        },
        Case(words: "sizes in a zip64 field") { $0.members[0].headerOffset = 0xFFFF_FFFF },
        Case(words: "sizes in a zip64 field") {
            $0.members[0].headerOffset = 0xFFFF_FFFF
            $0.members[0].extra = [1, 0, 8, 0] + Array(repeating: 0xFF, count: 8)
        },
        Case(words: "UTF-8") { $0.members[0].name = [0xFF] },
        Case(words: "no NUL") { $0.members[0].name = [0x61, 0] },
        Case(words: "not empty") { $0.members[0].name = [] },
        Case(words: "in one file") { $0.disk = 1 },
        Case(words: "members in") { $0.count = 1000 },
        Case(words: "a directory of 1 members") { $0.count = 1 },
        Case(words: "zip64 end record") { $0.count = 0xFFFF },
        Case(words: "put before the archive") { $0.directoryOffset = 7 },
        Case(words: "before the directory") { $0.members[1].headerOffset = 0x7FFF_0000 },
        // Other programs take the last end record, whatever its comment.
        Case(words: "one that ends elsewhere") {
            $0.comment = Array(ZipBytes(Self.members).bytes.dropLast(2) + [7, 0])
        },
        Case(words: "one that ends elsewhere") {
            $0.comment = Array("PK\u{5}\u{6} in a comment, and more of it".utf8)
        },
    ]

    @Test(arguments: damaged) func damageIsRefused(_ damage: Case) throws {
        var zip = ZipBytes(Self.members)
        _ = try open(zip.bytes)
        damage.change(&zip)
        let bytes = zip.bytes
        let error = #expect(throws: CheckpointError.self) { try open(bytes) }
        #expect(error?.description.contains(damage.words) == true, "\(error?.description ?? "none")")
    }

    @Test func bothEndRecordsSpeakOfOneFile() throws {
        var bytes = try TestFiles.bytes(TestFiles.fixtures.appending("golden/pytorch/zip-views.pt"))
        _ = try open(bytes)
        // The number of its part, behind the signature of the narrow record.
        bytes[bytes.count - 22 + 4] = 1
        let damaged = bytes
        let error = #expect(throws: CheckpointError.self) { try open(damaged) }
        #expect(error?.description.contains("agrees with the zip64 end record") == true)
    }

    @Test func everyCutIsRefused() throws {
        let bytes = ZipBytes(Self.members).bytes
        for count in bytes.indices {
            #expect(throws: CheckpointError.self) { try open(Array(bytes[..<count])) }
        }
        #expect(throws: CheckpointError.self) { try open(bytes + [0]) }
    }

    // MARK: Deflate

    /// A deflated member as the decoders see it: stored blocks, one of them empty at the end.
    private func deflated(_ data: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        for start in stride(from: 0, to: data.count, by: 0xFFFF) {
            let block = data[start..<min(start + 0xFFFF, data.count)]
            let count = UInt16(block.count)
            bytes += [0] + count.littleEndianBytes + (~count).littleEndianBytes + block
        }
        return bytes + [3, 0]
    }

    /// Five arrays of 50 MB, all 0, in 250 kB: what of them is in memory at a time is a matter of the budget. They are
    /// inflated by 400 MB a second, and twice where both sides are read.
    @Test func aSmallArchiveOfLargeMembersTakesLittleMemory() throws {
        let info = TensorInfo(name: "a", elementType: .f32, shape: Shape([50_000_000 / 4])!)!
        let data = NumPyHeader.bytes(for: info) + [UInt8](repeating: 0, count: info.byteCount)
        let member = ZipBytes.Member.deflated("a.npy", data)
        let members = ["a.npy", "b.npy", "c.npy", "d.npy", "e.npy"].map { name in
            var copy = member
            copy.name = Array(name.utf8)
            return copy
        }
        let folder = try TemporaryFolder()
        try EveryCommand.mustAccept(folder.write("x.npz", ZipBytes(members).bytes), byteCount: 200_000_000, seconds: 6)
    }

    @Test func piecewiseDecodingGivesAnyRangeInAnyOrder() throws {
        var random = SeededRandom(seed: 3)
        let data = random.bytes(500_000)
        let packed = deflated(data)
        let folder = try TemporaryFolder()
        let file = try InputFile(folder.write("x", packed))
        let member = ZipMember(
            name: "x", method: .deflated, checksum: ZipBytes.crc(data), storedByteCount: packed.count,
            byteCount: data.count, headerOffset: 0)
        let stored = FileRange(file: file, range: 0..<packed.count)
        let source = InflatingMember(stored, member, isChecked: true, file.path, spacing: 10_000)
        for _ in 0..<200 {
            let start = Int.random(in: 0..<data.count, using: &random)
            let range = start..<min(data.count, start + Int.random(in: 1...60_000, using: &random))
            #expect(try source.bytes(range) == Array(data[range]))
        }
        #expect(try source.bytes(0..<data.count) == data)
        var wrong = member
        wrong.checksum ^= 1
        let damaged = InflatingMember(stored, wrong, isChecked: true, file.path)
        #expect(throws: CheckpointError.self) { try damaged.bytes(0..<data.count) }
        for byteCount in [data.count - 1, data.count + 1] {
            wrong = member
            wrong.byteCount = byteCount
            let other = InflatingMember(stored, wrong, isChecked: false, file.path)
            #expect(throws: CheckpointError.self) { try other.bytes(0..<byteCount) }
        }
    }

    /// The last bits that are stored may stand for a thousand bytes, which do not all fit where they are asked for.
    @Test(arguments: Array(stride(from: 10_001, through: 10_400, by: 21)))
    func whatTheDecoderOwesAfterTheLastStoredByteIsGiven(_ byteCount: Int) throws {
        let data = [UInt8](repeating: 0, count: byteCount)
        let packed = ZipBytes.Member.deflated("x", data)
        let folder = try TemporaryFolder()
        let file = try InputFile(folder.write("x", packed.data))
        let member = ZipMember(
            name: "x", method: .deflated, checksum: packed.checksum!, storedByteCount: packed.data.count,
            byteCount: byteCount, headerOffset: 0)
        let stored = FileRange(file: file, range: 0..<packed.data.count)
        let source = InflatingMember(stored, member, isChecked: true, file.path, spacing: 10_000)
        #expect(try source.bytes(0..<byteCount) == data)
        #expect(try source.bytes(10_000..<byteCount) == Array(data[10_000...]))
    }

    /// A header in front is read without what is behind it.
    @Test func theHeadOfALargeMemberIsDecodedAlone() throws {
        var random = SeededRandom(seed: 7)
        let data = random.bytes(2 << 20)
        var packed = deflated(data)
        let cut = packed.count / 2
        packed[cut..<cut + 4096] = packed[..<4096]
        var zip = ZipBytes([Member("a", packed), Member("b", deflated(data))])
        for index in [0, 1] {
            zip.members[index].method = 8
            zip.members[index].byteCount = UInt32(data.count)
            zip.members[index].checksum = ZipBytes.crc(data)
        }
        let folder = try TemporaryFolder()
        let archive = try ZipArchive(InputFile(folder.write("x.zip", zip.bytes)))
        for index in [0, 1] {
            let source = archive.source(of: index, isChecked: true)
            #expect(try source.bytes(0..<100) == Array(data[..<100]))
            #expect(try source.bytes(10_000..<16_384) == Array(data[10_000..<16_384]))
        }
        #expect(throws: CheckpointError.self) {
            try archive.source(of: 0, isChecked: true).bytes(0..<data.count)
        }
        #expect(try archive.source(of: 1, isChecked: true).bytes(0..<data.count) == data)
        // What was unpacked meanwhile serves the head too.
        #expect(try archive.source(of: 1, isChecked: true).bytes(50..<60) == Array(data[50..<60]))
    }

    // MARK: Writing

    @Test func whatIsWrittenIsAlignedAndReadBack() throws {
        var random = SeededRandom(seed: 5)
        let contents = (0..<40).map {
            (name: "größe/\($0)", data: random.bytes(Int.random(in: 0...300, using: &random)))
        }
        let folder = try TemporaryFolder()
        let path = folder.path.appending("x.zip")
        let output = try OutputFile(creating: path)
        let writer = try ZipWriter(contents.map { ($0.name, $0.data.count) }, output)
        for (index, content) in contents.enumerated() {
            let middle = content.data.count / 3
            try writer.write(index, at: middle, Array(content.data[middle...]))
            if middle > 0 { try writer.write(index, Array(content.data[..<middle])) }
        }
        try writer.finish()
        let archive = try ZipArchive(InputFile(path))
        let bytes = try TestFiles.bytes(path)
        for (index, content) in contents.enumerated() {
            #expect(archive.members[index].name == content.name)
            #expect(archive.members[index].checksum == ZipBytes.crc(content.data))
            #expect(try archive.source(of: index, isChecked: true).bytes(0..<content.data.count) == content.data)
            let begin = archive.dataOffsets[index]
            #expect(begin % 64 == 0)
            #expect(Array(bytes[begin..<begin + content.data.count]) == content.data)
        }
    }

    @Test func moreMembersThanOldArchivesHoldAndOffsetsBeyondFourGigabytes() throws {
        let folder = try TemporaryFolder()
        let many = folder.path.appending("many.zip")
        var writer = try ZipWriter((0..<70_000).map { ("\($0)", 0) }, OutputFile(creating: many))
        try writer.finish()
        #expect(try ZipArchive(InputFile(many)).members.count == 70_000)

        // A member of 4 GiB that is a hole in the file, and one behind it.
        let large = folder.path.appending("large.zip")
        let output = try OutputFile(creating: large)
        writer = try ZipWriter([("large", 1 << 32), ("small", 3)], output)
        try writer.write(1, [7, 8, 9])
        writer.checksums.withLock { $0[0].add(0, of: 0..<1 << 32) }
        try writer.finish()
        let archive = try ZipArchive(InputFile(large))
        #expect(archive.members.map(\.byteCount) == [1 << 32, 3])
        #expect(try archive.source(of: 1, isChecked: true).bytes(0..<3) == [7, 8, 9])
        #expect(try archive.source(of: 0, isChecked: false).bytes(1 << 32 - 1..<1 << 32) == [0])
    }
}

@Suite struct PieceChecksumTests {
    @Test func piecesInAnyOrderGiveTheChecksumOfTheWhole() {
        var random = SeededRandom(seed: 1)
        for count in [0, 1, 2, 100, 5000] {
            let data = random.bytes(count)
            var pieces: [Range<Int>] = []
            var start = 0
            while start < count {
                let end = min(count, start + Int.random(in: 1...700, using: &random))
                pieces.append(start..<end)
                start = end
            }
            var checksums = PieceChecksums()
            for range in pieces.shuffled(using: &random) {
                #expect(checksums.joined(count) == nil)
                data.withUnsafeBytes { bytes in
                    let part = UnsafeRawBufferPointer(rebasing: bytes[range])
                    checksums.add(PieceChecksums.checksum(of: part), of: range)
                }
            }
            #expect(checksums.joined(count) == ZipBytes.crc(data))
        }
    }
}

extension ZipBytes.Member {
    /// A member that libdeflate made small.
    static func deflated(_ name: String, _ data: [UInt8]) -> ZipBytes.Member {
        let compressor = libdeflate_alloc_compressor(1)
        defer { libdeflate_free_compressor(compressor) }
        var packed = [UInt8](repeating: 0, count: libdeflate_deflate_compress_bound(compressor, data.count))
        packed.removeLast(
            packed.count - libdeflate_deflate_compress(compressor, data, data.count, &packed, packed.count))
        var member = ZipBytes.Member(name, packed)
        member.method = 8
        member.byteCount = UInt32(data.count)
        member.checksum = data.withUnsafeBytes { PieceChecksums.checksum(of: $0) }
        return member
    }
}

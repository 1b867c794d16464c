import AssayCZstd
import AssayCheckpoints
import AssayTensors
import AssayTestSupport
import Glibc
import SystemPackage
import Testing

@testable import AssayFormats

@Suite struct ZPlanesRoundTripTests {
    private let folder = try! TemporaryFolder()

    private func expectRoundTrip(
        _ tensors: [SampleTensor], metadata: [(key: String, value: String)] = [], chunkByteCount: Int? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let written = try zplanesBytes(tensors, metadata: metadata, chunkByteCount: chunkByteCount)
        let reader = try ZPlanesReader(try folder.file(written), threads: 2)
        #expect(reader.contents.tensors.map(\.name) == tensors.map(\.info.name), sourceLocation: sourceLocation)
        #expect(reader.contents.storedDigests == tensors.map(\.digest), sourceLocation: sourceLocation)
        #expect(
            reader.contentDigest == ContentDigest.of(tensors.map(\.info), tensors.map(\.digest)),
            sourceLocation: sourceLocation)
        #expect(reader.contents.metadata.map(\.key) == metadata.map(\.key), sourceLocation: sourceLocation)
        #expect(reader.contents.metadata.map(\.value) == metadata.map(\.value), sourceLocation: sourceLocation)
        for (index, tensor) in tensors.enumerated() {
            let info = reader.contents.tensors[index]
            #expect(info.elementType == tensor.info.elementType, sourceLocation: sourceLocation)
            #expect(info.shape == tensor.info.shape, sourceLocation: sourceLocation)
            #expect(
                try reader.bytes(of: index) == tensor.bytes, "\(tensor.info.name)", sourceLocation: sourceLocation)
        }
    }

    @Test(arguments: ElementType.allCases)
    func everyTypeComesBack(_ type: ElementType) throws {
        // Sizes around the group of 256 that is packed together, and around the borders of chunks.
        let units = [0, 1, 2, 3, 7, 8, 9, 255, 256, 257, 511, 512, 513, 768, 1000, 4096, 4097]
        let tensors = units.flatMap { count in
            [0, 1, 2].map { kind in
                let size = count * type.unitByteCount
                let bytes =
                    switch kind {
                    case 0: SeededBytes.random(size, seed: UInt64(count))
                    case 1: [UInt8](repeating: 0x7F, count: size)
                    default:
                        Array(SeededBytes.weights(count, seed: 3).rawBytes.prefix(size))
                            + [UInt8](repeating: 0, count: max(0, size - 4 * count))
                    }
                return SampleTensor("\(count)/\(kind)", type, [count * type.elementsPerUnit], bytes)
            }
        }
        try expectRoundTrip(tensors)
        try expectRoundTrip(tensors, chunkByteCount: 512 * 3 * type.unitByteCount)
        try expectRoundTrip(tensors, chunkByteCount: type.unitByteCount * 7)
    }

    @Test func shapesComeBack() throws {
        try expectRoundTrip([
            SampleTensor("scalar", .f32, [], [1, 2, 3, 4]), SampleTensor("empty", .bf16, [3, 0, 5], []),
            SampleTensor("one", .u8, [1, 1, 1], [9]),
            SampleTensor("rank 64", .i16, Array(repeating: 1, count: 64), [1, 2]),
            SampleTensor("f4", .f4, [3, 2], [1, 2, 3]), SampleTensor("", .bool, [2], [0, 1]),
            SampleTensor("ä/\"\\\n\u{1}…", .i8, [1], [5]),
        ])
        try expectRoundTrip([])
    }

    @Test func chunksOfTheUsualSizeComeBack() throws {
        let weights = SeededBytes.weights(700_000, seed: 1)
        let halves = weights.map { UInt16($0.bitPattern >> 16) }
        try expectRoundTrip([
            SampleTensor("f32", .f32, [700, 1000], weights.rawBytes),
            SampleTensor("bf16", .bf16, [700_000], halves.rawBytes),
            SampleTensor("noise", .bf16, [700_000], SeededBytes.random(1_400_000, seed: 5)),
            SampleTensor("f6", .f6e3m2, [2_400_000], SeededBytes.random(1_800_000, seed: 6)),
            SampleTensor("zeros", .f64, [400_000], Array(repeating: 0, count: 3_200_000)),
        ])
    }

    /// Patterns that a float has and arithmetic would lose; and more pairs than ranks.
    @Test func everyPatternComesBack() throws {
        let all = (0...UInt16.max).map { $0 }
        let nans = (0..<5000).map { UInt16(0x7F81 + $0 % 0x7F) | UInt16($0 % 2) << 15 }
        let sparse = (0..<5000).map { UInt16(($0 % 250) * 256 + $0 % 64) }
        let outlier = [0x0001] + [UInt16](repeating: 0x3F80, count: 3000) + [0x7F80, 0xFF80]
        let tensors = [all, nans, sparse, outlier].enumerated().flatMap { index, patterns in
            [
                SampleTensor("bf16 \(index)", .bf16, [patterns.count], patterns.rawBytes),
                SampleTensor(
                    "f32 \(index)", .f32, [patterns.count], patterns.map { UInt32($0) << 16 | 0xABCD }.rawBytes),
            ]
        }
        try expectRoundTrip(tensors)
        let transforms = try records(of: zplanesBytes(tensors)).map { $0[0].transform }
        #expect(transforms[0] != .ranks, "all 512 pairs occur")
        #expect(transforms[4] == .ranks, "few pairs occur, far apart")
    }

    private func records(of bytes: [UInt8]) throws -> [[ChunkRecord]] {
        let reader = try ZPlanesReader(try folder.file(bytes), threads: 1)
        return reader.index.tensors.map { if case .chunks(let list) = $0.storage { list.records } else { [] } }
    }

    @Test func weightsBecomeRanksAndNearlyNothingBecomesNearlyNothing() throws {
        let weights = SeededBytes.weights(500_000, seed: 1).map { UInt16($0.bitPattern >> 16) }
        let zeros = [UInt8](repeating: 0, count: 4 << 20)
        let packed = try zplanesBytes([SampleTensor("w", .bf16, [500_000], weights.rawBytes)])
        #expect(try records(of: packed)[0].allSatisfy { $0.transform == .ranks && $0.runs?.flat.count == 4 })
        #expect(packed.count < 680_000)
        for type in [ElementType.bf16, .f32, .f16, .f64, .i64, .u8] {
            let count = zeros.count / type.unitByteCount
            #expect(try zplanesBytes([SampleTensor("z", type, [count], zeros)]).count < 1200, "\(type)")
        }
        let noise = SeededBytes.random(3 << 20, seed: 9)
        #expect(try zplanesBytes([SampleTensor("n", .bf16, [noise.count / 2], noise)]).count < noise.count + 1000)
    }

    @Test func metadataComesBackInItsOrder() throws {
        try expectRoundTrip(
            [SampleTensor("t", .u8, [1], [1])],
            metadata: [
                ("format", "pt"), ("b", ""), ("a", "zwei\nZeilen \"…\""), (String(repeating: "k", count: 3000), " "),
            ])
    }

    @Test(arguments: [1, 1000, 3_000_000])
    func theHeaderOfAnotherFormatIsKept(_ count: Int) throws {
        // Spaces compress by more than a reader believes, so that they are stored.
        let header = OriginalHeader(formatName: "safetensors", bytes: [UInt8](repeating: 0x20, count: count))
        let written = try zplanesBytes([SampleTensor("t", .u8, [1], [1])], header: header)
        #expect(try ZPlanesReader(try folder.file(written), threads: 1).contents.originalHeader == header)
    }

    @Test func anyRangeIsReadAlone() throws {
        let bytes = SeededBytes.weights(20_000, seed: 8).rawBytes
        let reader = try ZPlanesReader(
            try folder.file(zplanesBytes([SampleTensor("t", .f32, [20_000], bytes)], chunkByteCount: 4096)), threads: 2)
        #expect(reader.granularity(of: 0) == 4096)
        var source = SeededBytes(state: 4)
        for _ in 0..<500 {
            let a = Int(source.next() % 20_001) * 4
            let b = Int(source.next() % 20_001) * 4
            let range = min(a, b)..<min(max(a, b), min(a, b) + 20_000)
            var part = [UInt8](repeating: 0, count: range.count)
            try part.withUnsafeMutableBytes { try reader.read(0, range, into: $0) }
            #expect(part == Array(bytes[range]))
        }
    }

    @Test func theFileIsTheSameForAnyThreadsPiecesAndLevel() throws {
        let floats = SeededBytes.weights(90_000, seed: 2)
        let tensors = [
            SampleTensor("a", .f32, [90_000], floats.rawBytes),
            SampleTensor("b", .bf16, [90_000], floats.map { UInt16($0.bitPattern >> 16) }.rawBytes),
            SampleTensor("c", .i32, [5000], (0..<5000).map { Int32($0) }.rawBytes),
            SampleTensor("d", .f32, [90_000], floats.rawBytes),
            SampleTensor("e", .bf16, [30_000], SeededBytes.random(60_000, seed: 7)),
            SampleTensor("f", .f64, [9000], floats[..<9000].map { Double($0) }.rawBytes),
        ]
        let reference = try zplanesBytes(tensors, chunkByteCount: 8192, level: .scalar)
        for threads in [1, 2, 3, 8] {
            for chunks in [1, 3, 100] {
                let other = try zplanesBytes(tensors, chunkByteCount: 8192, threads: threads, chunksInPiece: chunks)
                #expect(other == reference, "\(threads) threads, \(chunks) chunks in a piece")
            }
        }
        for level in DispatchLevel.allCases where level.isAvailable {
            #expect(try zplanesBytes(tensors, chunkByteCount: 8192, level: level) == reference, "\(level)")
            let reader = try ZPlanesReader(try folder.file(reference), threads: 1, level: level)
            for (index, tensor) in tensors.enumerated() { #expect(try reader.bytes(of: index) == tensor.bytes) }
        }
    }

    @Test func equalTensorsAndAliasesAreStoredOnce() throws {
        let bytes = SeededBytes.random(100_000, seed: 1)
        let single = try zplanesBytes([SampleTensor("a", .u8, [100_000], bytes)]).count
        let tensors = [
            SampleTensor("a", .u8, [100_000], bytes), SampleTensor("alias", .u8, [100_000], aliasOf: "a", bytes),
            SampleTensor("copy", .u8, [100_000], bytes), SampleTensor("shape", .u8, [100, 1000], bytes),
            SampleTensor("of copy", .u8, [100_000], aliasOf: "copy", bytes), SampleTensor("end", .u8, [2], [1, 2]),
        ]
        let written = try zplanesBytes(tensors, chunkByteCount: 4096)
        #expect(written.count < 2 * single + 8000)
        let reader = try ZPlanesReader(try folder.file(written), threads: 1)
        #expect(reader.contents.tensors.map(\.aliasOf) == [nil, "a", nil, nil, "copy", nil])
        for (index, tensor) in tensors.enumerated() {
            #expect(try reader.bytes(of: index) == tensor.bytes)
        }
    }

    @Test func theFormatIsFoundByNameExtensionAndContent() throws {
        #expect(FormatRegistry.format(named: "ZPlanes") == ZPlanes.self)
        #expect(FormatRegistry.format(forFileName: "model.zplanes") == ZPlanes.self)
        let written = try zplanesBytes([SampleTensor("t", .u8, [1], [1])])
        #expect(try ZPlanes.recognizes(try folder.file(written)))
        #expect(try ZPlanes.recognizes(try folder.file([0] + written.dropFirst())), "the footer is still there")
        #expect(try ZPlanes.recognizes(try folder.file(Array(written.dropLast()))), "the head is still there")
        #expect(try !ZPlanes.recognizes(try folder.file([])))
        #expect(try !ZPlanes.recognizes(try folder.file([UInt8](repeating: 0, count: 500))))
    }

    /// Blocks of literals that we write ourselves, as libzstd reads them: few symbols and many, even and steep, sizes
    /// around those of blocks and streams.
    @Test func ourOwnBlocksAreReadByLibzstd() throws {
        var source = SeededBytes(state: 12)
        let context = try #require(ZSTD_createDCtx())
        defer { ZSTD_freeDCtx(context) }
        for size in [1, 1000, 1023, 1024, 1025, 1026, 1027, 5000, 131_071, 131_072, 131_073, 133_000, 300_001] {
            for symbols in [1, 2, 3, 17, 64, 128, 129, 130, 256] {
                for steepness in [0, 1, 4, 30] {
                    let plane = (0..<size).map { _ in
                        let value = Double(source.next() >> 11) / Double(1 << 53)
                        return UInt8(min(Double(symbols - 1), Double(symbols) * pow(value, Double(steepness + 1))))
                    }
                    var frame = [UInt8](repeating: 0xEE, count: czstd_frame_bound(size) + 64)
                    let count = czstd_prefix(&frame, plane, size)
                    #expect(frame.suffix(64).allSatisfy { $0 == 0xEE })
                    if count == 0 {
                        #expect(plane.contains { $0 > 128 })
                        continue
                    }
                    var decoded = [UInt8](repeating: 0, count: size)
                    #expect(ZSTD_decompressDCtx(context, &decoded, size, frame, count) == size)
                    #expect(decoded == plane, "\(size) bytes of \(symbols) symbols")
                }
            }
        }
    }

    /// A file written once (fixtures/make/zplanes_golden.py says how), whose original was written by the safetensors
    /// library: readers must read it for ever.
    @Test func theGoldenFileGivesTheFileItCameFrom() throws {
        let fixtures = FilePath(#filePath).appending("../../../../fixtures/zplanes").lexicallyNormalized()
        let reader = try ZPlanesReader(try InputFile(fixtures.appending("golden.zplanes")), threads: 1)
        let original = try InputFile(fixtures.appending("golden.safetensors"))
        let header = try #require(reader.contents.originalHeader).bytes
        var restored = UInt64(header.count).littleEndianBytes + header
        for index in reader.contents.tensors.indices { restored += try reader.bytes(of: index) }
        #expect(try restored == original.bytes(0..<original.byteCount))
        #expect(
            try Set(records(of: InputFile(fixtures.appending("golden.zplanes")).prefix(.max)).joined().map(\.transform))
                == Set(PlaneTransform.allCases))
        #expect(reader.contents.metadata.map(\.value).sorted() == ["pt", "ä \"quoted\""])
    }

    @Test func theCodecAloneComesBack() throws {
        let bytes = SeededBytes.weights(900_001, seed: 1).rawBytes
        let codec = ZPlanesCodec(elementType: .f32, threads: 2)
        let compressed = try bytes.withUnsafeBytes { try codec.compress($0) }
        #expect(compressed.byteCount < bytes.count)
        var restored = [UInt8](repeating: 0, count: bytes.count)
        try restored.withUnsafeMutableBytes { try codec.decompress(compressed, into: $0) }
        #expect(restored == bytes)
        let again = try bytes.withUnsafeBytes { try codec.compress($0, reusing: compressed) }
        #expect(again.byteCount == compressed.byteCount)
    }
}

import AssayCheckpoints
import AssayTensors
import AssayTestSupport
import SystemPackage
import Testing

@testable import AssayFormats

#if canImport(Glibc)
    import Glibc
#endif

enum ZTensorGoldens {
    static let folder = TestFiles.fixtures.appending("golden").appending("ztensor")
    static let manifest = try! JSONValue(parsing: TestFiles.bytes(folder.appending("manifest.json"))).object!
    static let fileNames = manifest["files"]!.object!.members.map(\.key)
    static let refusedNames = manifest["refuse"]!.object!.members.map(\.key)
    static let convertedNames = manifest["converted"]!.object!.members.map(\.key)

    /// Reads every tensor, and checks what the file says of its bytes.
    static func readAll(_ path: FilePath) throws {
        let reader = try Checkpoint.open(path).reader
        for index in reader.contents.tensors.indices { _ = try reader.digest(of: index) }
    }

    /// Writes tensors whole, the last one first.
    static func write(
        _ plan: WritePlan, _ data: [[UInt8]], to path: FilePath, threads: Int = 1
    ) throws {
        let output = try OutputFile(creating: path)
        let writer = try ZTensor.makeWriter(plan, output, WritingOptions(threads: threads))
        for (index, info) in plan.tensors.enumerated().reversed() where info.aliasOf == nil && info.byteCount > 0 {
            try data[index].withUnsafeBytes { try writer.write(index, 0..<$0.count, $0) { try $0() } }
        }
        try writer.finish(digests: [])
    }

    static func copy(_ checkpoint: Checkpoint, to path: FilePath) throws {
        let contents = checkpoint.contents
        let data = try contents.tensors.indices.map { try checkpoint.reader.bytes(of: $0) }
        try write(WritePlan(tensors: contents.tensors, metadata: contents.metadata), data, to: path)
    }
}

/// Files of the ztensor library and of its specification.
@Suite struct ZTensorReading {
    @Test(arguments: ZTensorGoldens.fileNames) func isReadAsItsLibraryReadsIt(_ name: String) throws {
        let expected = ZTensorGoldens.manifest["files"]!.object![name]!.object!
        let checkpoint = try Checkpoint.open(ZTensorGoldens.folder.appending(name), ReadingOptions(threads: 2))
        let tensors = expected["tensors"]!.object!
        #expect(checkpoint.contents.tensors.count == tensors.members.count)
        for (index, info) in checkpoint.contents.tensors.enumerated() {
            let golden = try #require(tensors[info.name]?.object, "\(info.name)")
            #expect(info.shape.dimensions == golden["shape"]?.array?.compactMap(\.int))
            let type = try #require(ZTensorType.of(info.elementType))
            if golden["layout"] == "dense" {
                #expect(golden["dtype"] == .string(type.storage) && golden["logical"] == JSONValue(type.logical))
            }
            #expect(try "\(checkpoint.reader.digest(of: index))" == golden["sha256"]?.string, "\(info.name)")
            // A part from the middle.
            let bytes = try checkpoint.reader.bytes(of: index)
            let unit = info.elementType.unitByteCount
            let range = info.byteCount / unit / 3 * unit..<info.byteCount / unit * 2 / 3 * unit
            var part = [UInt8](repeating: 0, count: range.count)
            try part.withUnsafeMutableBytes { try checkpoint.reader.read(index, range, into: $0) }
            #expect(part == Array(bytes[range]), "\(info.name)")
        }
    }

    @Test func shardsAreFilesOfTheCheckpoint() throws {
        let checkpoint = try Checkpoint.open(ZTensorGoldens.folder.appending("sharded.zt"))
        #expect(checkpoint.files.map { $0.lastComponent?.string } == ["sharded.zt", "sharded-00001-of-00001.zt"])
        // Alone, the root still opens; what is elsewhere is missed when it is asked for.
        let folder = try TemporaryFolder()
        let root = try folder.write("x.zt", TestFiles.bytes(ZTensorGoldens.folder.appending("sharded.zt")))
        let reader = try Checkpoint.open(root).reader
        let positions = reader.contents.indexByName()
        #expect(try reader.bytes(of: positions["near"]!).count == 12)
        let missing = #expect(throws: StructureError.self) { try reader.bytes(of: positions["far"]!) }
        #expect(missing?.sentence.contains("x-00001-of-00001.zt") == true)
        try folder.write("x-00001-of-00001.zt", [1, 2, 3])
        let other = #expect(throws: CheckpointError.self) { try reader.bytes(of: positions["far"]!) }
        #expect(other?.found.contains("another file, or cut off") == true)
    }

    @Test func equalBlobsAreTensorsByThemselves() throws {
        let contents = try Checkpoint.open(ZTensorGoldens.folder.appending("small.zt")).contents
        #expect(contents.tensors.map(\.name) == ["a", "b", "c"] && contents.tensors.allSatisfy { $0.aliasOf == nil })
    }

    @Test func aDataShardHasNoTensorsAndSaysSo() throws {
        let contents = try Checkpoint.open(ZTensorGoldens.folder.appending("data-shard.zt")).contents
        #expect(contents.tensors.isEmpty && contents.warnings[0].contains("it is a shard"))
    }

    @Test(arguments: ZTensorGoldens.refusedNames) func whatTheSpecificationRefusesIsRefused(_ name: String) throws {
        let golden = ZTensorGoldens.manifest["refuse"]!.object![name]!.object!
        let path = ZTensorGoldens.folder.appending("refuse").appending(name)
        if golden["opens"] == true { _ = try Checkpoint.open(path) }
        #expect(throws: CheckpointError.self) { try ZTensorGoldens.readAll(path) }
    }

    /// A file of one blob of 8 bytes at 4096 and a manifest of one object.
    private static func file(_ object: [(String, CBORValue)]) -> [UInt8] {
        file(manifest: map([("objects", map([("t", map(object))]))]))
    }

    private static func file(manifest: CBORValue) -> [UInt8] {
        let manifest = manifest.encoded
        var bytes = ZTensorFile.mark + [UInt8](repeating: 0, count: 4096 - 8) + (0..<8)
        bytes += [UInt8](repeating: 0, count: 8192 - bytes.count) + manifest
        return bytes
            + ZTensorFile.footerBytes(
                manifest: 8192..<8192 + manifest.count, hash: manifest.withUnsafeBytes { XXH3.hash(of: $0) })
    }

    private static func map(_ members: [(String, CBORValue)]) -> CBORValue {
        .map(members.map { CBORValue.Entry(key: .text($0.0), value: $0.1) })
    }

    private static func file(
        _ layout: String, _ shape: [UInt64], _ dtype: String, part name: String = "data",
        blob: [UInt64] = [4096, 8], _ more: [(String, CBORValue)] = []
    ) -> [UInt8] {
        let part = [("dtype", CBORValue.text(dtype)), ("blob", .array(blob.map { .unsigned($0) }))] + more
        return file([
            ("layout", .text(layout)), ("shape", .array(shape.map { .unsigned($0) })),
            ("parts", map([(name, map(part))])),
        ])
    }

    /// Objects that are all in a shard of which the file only says how long it is.
    private static func sharded(_ objects: [(name: String, layout: String, byteCount: UInt64)]) -> [UInt8] {
        let shard = map([
            ("size", .unsigned(1 << 62)), ("digest", .text("sha256:" + String(repeating: "0", count: 64))),
        ])
        return file(
            manifest: map([
                ("shards", map([("s", shard)])),
                (
                    "objects",
                    map(
                        objects.map { object in
                            let part = map([
                                ("dtype", .text("u8")), ("shard", .text("s")),
                                ("blob", .array([.unsigned(4096), .unsigned(object.byteCount)])),
                            ])
                            return (
                                object.name,
                                map([
                                    ("layout", .text(object.layout)), ("shape", .array([.unsigned(object.byteCount)])),
                                    ("parts", map([("data", part)])),
                                ])
                            )
                        })
                ),
            ]))
    }

    static let strange: [(words: String, bytes: [UInt8])] = [
        ("'gguf.q4_0/1'", file("gguf.q4_0/1", [32], "u8")),
        ("'zt.mx/1'", file("zt.mx/1", [8], "u8")),
        ("complex128", file("dense", [1], "f64", blob: [4096, 16], [("type", .text("complex128"))])),
        ("found 'pie.x/1'", file("dense", [8], "u8", [("type", .text("pie.x/1"))])),
        ("found 'none'", file("dense", [9], "u8", [("encoding", .text("none")), ("decoded_length", .unsigned(9))])),
        (
            "decoded_length of at most",
            file("x", [9], "f32", [("encoding", .text("none")), ("decoded_length", .unsigned(1 << 62))])
        ),
        (
            "'decoded_length' to be a number below 2^63",
            file("x", [9], "f32", [("encoding", .text("none")), ("decoded_length", .unsigned(.max))])
        ),
        (
            "decoded_length of at most 32768 times the stored bytes",
            file("x", [9], "f32", [("encoding", .text("zt.zstd-seekable/1")), ("decoded_length", .unsigned(1 << 50))])
        ),
        ("bytes in all tensors", sharded([("a", "other/1", 1 << 61)])),
        ("bytes in all tensors", sharded((0..<20).map { ("t\($0)", "dense", 1 << 53) })),
        ("a blob inside the file", file("dense", [8], "u8", blob: [4096, .max])),
        ("to end by byte", file("dense", [8], "u8", blob: [4096, 1 << 62])),
        ("product fits 64 bits", file("dense", [1 << 32, 1 << 32], "u8")),
        ("bytes in part 'data' for 9223372036854775808", file("dense", [1 << 63], "u8")),
        (
            "a seek table",
            file(
                "dense", [9], "u8",
                [
                    ("encoding", .text("zt.zstd-seekable/1")), ("decoded_length", .unsigned(9)),
                ])
        ),
        (
            "'shape' to be a list of numbers",
            file([("layout", .text("dense")), ("shape", .array([.negative(0)])), ("parts", map([]))])
        ),
        (
            "sparse matrices of at most 1032 times their stored bytes",
            file([
                ("layout", .text("zt.sparse_csr/1")), ("shape", .array([.unsigned(1), .unsigned(1 << 25)])),
                (
                    "parts",
                    map([
                        ("values", map([("dtype", .text("u8")), ("blob", .array([.unsigned(4096), .unsigned(0)]))])),
                        ("indptr", map([("dtype", .text("u32")), ("blob", .array([.unsigned(4096), .unsigned(8)]))])),
                        (
                            "indices",
                            map([("dtype", .text("u32")), ("blob", .array([.unsigned(4096), .unsigned(0)]))])
                        ),
                    ])
                ),
            ])
        ),
        (
            "at most 131072 values that JSON lacks",
            file(
                manifest: map([
                    ("objects", map([])),
                    ("attributes", map([("a", .array(Array(repeating: map([]), count: 500_000)))])),
                ]))
        ),
        ("at least one part", file([("layout", .text("dense")), ("shape", .array([])), ("parts", map([]))])),
    ]

    @Test(arguments: strange.indices) func isReadOrCostsASentence(_ index: Int) throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("x.zt", Self.strange[index].bytes)
        let error = #expect(throws: CheckpointError.self) { try ZTensorGoldens.readAll(path) }
        #expect(error?.description.contains(Self.strange[index].words) == true, "\(error?.description ?? "")")
    }

    /// Each object of another layout that nobody knows.
    @Test func manyLayoutsTakeNoTimeOfTheirSquare() throws {
        let part = Self.map([("dtype", .text("u8")), ("blob", .array([.unsigned(4096), .unsigned(8)]))])
        let objects = (0..<12_000).map { number -> (String, CBORValue) in
            let name = "o\(100_000 + number)"
            return (
                name,
                Self.map([("parts", Self.map([("d", part)])), ("shape", .array([])), ("layout", .text(name))])
            )
        }
        let folder = try TemporaryFolder()
        let path = try folder.write("x.zt", Self.file(manifest: Self.map([("objects", Self.map(objects))])))
        let outcome = try AssayTool.run(
            ["inspect", path.string], limits: AssayTool.Limits(byteCount: 120_000_000, seconds: 1))
        #expect(outcome.exitCode == 0, "\(outcome.exitCode) \(outcome.errors)")
    }

    /// Somebody writes other indices into the file after they were checked.
    @Test(arguments: [0x7F, 0x00, 0x01]) func indicesThatChangedAreNotBelieved(_ value: UInt8) throws {
        let folder = try TemporaryFolder()
        let bytes = try TestFiles.bytes(ZTensorGoldens.folder.appending("sparse.zt"))
        let path = try folder.write("x.zt", bytes)
        let reader = try Checkpoint.open(path).reader
        let tensors = reader.contents.tensors.indices
        let before = tensors.map { try? reader.bytes(of: $0) }
        #expect(before.contains { $0 != nil })
        let manifest = try #require(try ZTensorFile.footer(of: InputFile(path))).manifest
        let changed = [UInt8](repeating: value, count: manifest.lowerBound - 4096)
        try OutputFile(changing: path).write(at: 4096, changed)
        // Anything but a crash, and nothing of what was there.
        for index in tensors where before[index] != nil { #expect((try? reader.bytes(of: index)) != before[index]) }
    }

    @Test func theirValidTwinIsRead() throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("x.zt", Self.file("dense", [8], "u8", [("unknown", .null)]))
        let reader = try Checkpoint.open(path).reader
        #expect(try reader.bytes(of: 0) == Array(0..<8))
    }

    /// 19 files to accept, 57 to refuse.
    @Test(.enabled(if: getenv("ASSAY_CORPUS") != nil, "ASSAY_CORPUS names no folder"))
    func theConformanceCorpusPassesWhole() throws {
        let folder = FilePath(String(cString: getenv("ASSAY_CORPUS"))).appending("ztensor")
        let (valid, reject) = (folder.appending("valid"), folder.appending("reject"))
        let (good, bad) = (try SystemCall.names(in: valid), try SystemCall.names(in: reject))
        #expect(good.count == 19 && bad.count == 57)
        for name in good { #expect(throws: Never.self, "\(name)") { try Checkpoint.open(valid.appending(name)) } }
        for name in ["csr-data-valid", "verify-ok", "canonical-basic", "scalar", "minimal", "aliased-identical-blobs"] {
            #expect(throws: Never.self, "\(name)") { try ZTensorGoldens.readAll(valid.appending(name + ".zt")) }
        }
        for name in bad {
            #expect(throws: CheckpointError.self, "\(name)") { try ZTensorGoldens.readAll(reject.appending(name)) }
        }
        let words = [
            ("view-unknown-encoding-refused", "'x.z/1'"), ("unknown-layout-structural", "a layout that is read"),
            ("unknown-ltype-structural", "a logical type that is known"), ("f4-packed-odd-count", "fill whole bytes"),
        ]
        for (name, sentence) in words {
            let error = #expect(throws: CheckpointError.self, "\(name)") {
                try ZTensorGoldens.readAll(valid.appending(name + ".zt"))
            }
            #expect(error?.description.contains(sentence) == true, "\(error?.description ?? "")")
        }
    }

    /// Random changes and cuts: an error of ours or a result, never a crash.
    @Test func randomChangesCostASentence() throws {
        let folder = try TemporaryFolder()
        let seed: UInt64 = 23
        print("randomChangesCostASentence: seed \(seed)")
        var random = SeededRandom(seed: seed)
        let bases = try ["seekable.zt", "sharded.zt", "sparse.zt", "types.zt"].map {
            try TestFiles.bytes(ZTensorGoldens.folder.appending($0))
        }
        for number in 0..<2000 {
            var bytes = bases[number % bases.count]
            let footer = bytes.count - ZTensorFile.footerByteCount
            let start = Int(UInt64(littleEndian: bytes[footer..<footer + 8]))
            if number % 7 == 0 {
                bytes.removeLast(random.next(below: bytes.count))
            } else {
                // Mostly in the manifest, whose hash is made right again; else anywhere.
                let isManifest = number % 3 != 0
                for _ in 0...random.next(below: 2) {
                    let at = isManifest ? start + random.next(below: footer - start) : random.next(below: bytes.count)
                    bytes[at] = random.next(below: 4) == 0 ? bytes[at] ^ 1 : UInt8(random.next(below: 256))
                }
                if isManifest {
                    let hash = bytes[start..<footer].withUnsafeBytes { XXH3.hash(of: $0) }
                    bytes.replaceSubrange(footer + 16..<footer + 24, with: hash.littleEndianBytes)
                }
            }
            let path = try folder.write("x.zt", bytes)
            do { try ZTensorGoldens.readAll(path) } catch is CheckpointError {} catch is StructureError {}
        }
    }
}

/// Writing: what the library itself writes, byte for byte.
@Suite struct ZTensorWriting {
    @Test(arguments: ZTensorGoldens.convertedNames) func isTheFileThatItsLibraryMakes(_ name: String) throws {
        let folder = try TemporaryFolder()
        let target = folder.path.appending("x.zt")
        try ZTensorGoldens.copy(Checkpoint.open(SafetensorsGoldens.folder.appending(name)), to: target)
        let digest = try TestFiles.bytes(target).withUnsafeBytes { Digest.of($0) }
        #expect("\(digest)" == ZTensorGoldens.manifest["converted"]?.object?[name]?.string)
    }

    @Test func aCanonicalFileComesBackTheSame() throws {
        let folder = try TemporaryFolder()
        let source = ZTensorGoldens.folder.appending("small.zt")
        let target = folder.path.appending("x.zt")
        try ZTensorGoldens.copy(Checkpoint.open(source), to: target)
        #expect(try TestFiles.bytes(target) == TestFiles.bytes(source))
    }

    @Test func attributesOfEveryKindComeBack() throws {
        let folder = try TemporaryFolder()
        let source = try Checkpoint.open(ZTensorGoldens.folder.appending("types.zt"))
        let target = folder.path.appending("x.zt")
        try ZTensorGoldens.copy(source, to: target)
        let (before, after) = (try manifest(source.path), try manifest(target))
        #expect(!before.attributes.isEmpty && before.attributes == after.attributes)
        #expect(try Checkpoint.open(target).contents.tensors.count == source.contents.tensors.count)
    }

    private func manifest(_ path: FilePath) throws -> ZTensorManifest {
        let file = try InputFile(path)
        return try ZTensorFile.manifest(of: file, #require(try ZTensorFile.footer(of: file)))
    }

    @Test func metadataThatNoAttributeCanHoldComesBack() throws {
        let folder = try TemporaryFolder()
        let metadata = [("", "empty"), ("a\u{0}b", "NUL"), ("twice", "1"), ("twice", "2"), ("é", "ü")]
        let path = folder.path.appending("x.zt")
        try ZTensorGoldens.write(WritePlan(tensors: [], metadata: metadata), [], to: path)
        let read = try Checkpoint.open(path).contents.metadata
        let expected = metadata.map { "\($0)=\($1)" }.map { $0 == "twice=2" ? "twice#2=2" : $0 }
        #expect(Set(read.map { "\($0)=\($1)" }) == Set(expected))
    }

    /// Other formats hold any byte as a boolean; the source is no worse for it.
    @Test func booleansOfOtherBytesAreRefusedOnWriting() throws {
        let folder = try TemporaryFolder()
        func source(_ data: [UInt8]) throws -> String {
            let header = #"{"a":{"dtype":"BOOL","shape":[4],"data_offsets":[0,4]}}"#
            return try folder.write("a.safetensors", SafetensorsBytes.file(header, data: data)).string
        }
        let target = folder.path.appending("o.zt").string
        let outcome = try AssayTool.run(["convert", source([0, 1, 2, 255]), target])
        #expect(outcome.exitCode == 64)
        #expect(
            outcome.errors.contains("tensor 'a': zTensor holds booleans of 0 or 1, this has 2 at element 2"),
            "\(outcome.errors)")
        #expect(folder.names == ["a.safetensors"])
        #expect(try AssayTool.run(["convert", source([0, 1, 1, 0]), target]).exitCode == 0)
    }

    @Test(arguments: [1, 3]) func randomTensorsComeBackAndEqualOnesLieOnce(_ threads: Int) throws {
        let folder = try TemporaryFolder()
        var random = SeededRandom(seed: 9)
        for round in 0..<12 {
            var tensors: [SampleTensor] = []
            var pool: [[UInt8]] = []
            for number in 0..<1 + random.next(below: 9) {
                let types = ZTensorType.elementTypes.sorted { $0.rawValue < $1.rawValue }
                let type = types[random.next(below: types.count)]
                let count = random.next(below: 3) == 0 ? 0 : random.next(below: 40_000) * type.elementsPerUnit
                var bytes = random.bytes(count * type.bitCount / 8)
                if type == .bool { bytes = bytes.map { $0 & 1 } }
                // Some are the bytes of an earlier one, as bytes.
                if random.next(below: 3) == 0, let earlier = pool.randomElement(using: &random) {
                    tensors.append(SampleTensor("t\(number)é", .u8, [earlier.count], earlier))
                } else {
                    tensors.append(SampleTensor("t\(random.next(below: 100))-\(number)", type, [count], bytes))
                    pool.append(bytes)
                }
            }
            if let target = tensors.randomElement(using: &random) {
                tensors.append(
                    SampleTensor(
                        "an alias", target.info.elementType, target.info.shape.dimensions, aliasOf: target.info.name,
                        target.bytes))
            }
            let path = folder.path.appending("\(round).zt")
            try ZTensorGoldens.write(
                WritePlan(tensors: tensors.map(\.info), metadata: []), tensors.map(\.bytes), to: path, threads: threads)
            try check(path, tensors)
        }
    }

    private func check(_ path: FilePath, _ tensors: [SampleTensor]) throws {
        let reader = try Checkpoint.open(path).reader
        let positions = reader.contents.indexByName()
        for tensor in tensors {
            let position = try #require(positions[tensor.info.name])
            #expect(try reader.digest(of: position) == tensor.digest)
            #expect(reader.contents.tensors[position].shape == tensor.info.shape)
        }
        let objects = try manifest(path).objects
        let contents = Set(tensors.map(\.bytes).filter { !$0.isEmpty })
        #expect(Set(objects.map { $0.parts[0].blob }.filter { !$0.isEmpty }).count == contents.count)
        // Nothing but zeros stands between blobs.
        let bytes = try TestFiles.bytes(path)
        var used = Set(objects.map { $0.parts[0].blob }).sorted { $0.lowerBound < $1.lowerBound }
        used.append(bytes.count - bytes.count % 65536..<bytes.count)
        var end = ZTensorFile.mark.count
        for range in used where !range.isEmpty && range.lowerBound >= end {
            #expect(range.lowerBound % 65536 == 0 && range.lowerBound - end < 65536)
            #expect(bytes[end..<range.lowerBound].allSatisfy { $0 == 0 })
            end = range.upperBound
        }
    }
}

/// CBOR as the manifest wants it.
@Suite struct CBORTests {
    /// From RFC 8949, appendix A, as far as it is allowed here.
    @Test func theStandardsExamples() throws {
        let examples: [(String, CBORValue)] = [
            ("00", .unsigned(0)), ("17", .unsigned(23)), ("1818", .unsigned(24)), ("1903e8", .unsigned(1000)),
            ("1a000f4240", .unsigned(1_000_000)), ("1bffffffffffffffff", .unsigned(.max)), ("20", .negative(0)),
            ("3903e7", .negative(999)), ("f90000", .float(0)), ("f98000", .float(-0.0)), ("f93e00", .float(1.5)),
            ("fb3ff199999999999a", .float(1.1)), ("f97bff", .float(65504)), ("fa47c35000", .float(100_000)),
            ("f90001", .float(5.960464477539063e-8)), ("f97c00", .float(.infinity)), ("f4", .bool(false)),
            ("f6", .null), ("4401020304", .bytes([1, 2, 3, 4])), ("62c3bc", .text("ü")),
            (
                "8301820203820405",
                .array([.unsigned(1), .array([.unsigned(2), .unsigned(3)]), .array([.unsigned(4), .unsigned(5)])])
            ),
            (
                "a201020304",
                .map([.init(key: .unsigned(1), value: .unsigned(2)), .init(key: .unsigned(3), value: .unsigned(4))])
            ),
        ]
        for (text, value) in examples {
            let bytes = try #require([UInt8](hexadecimal: text))
            #expect(try CBORDecoder.decode(bytes) == value, "\(text)")
            #expect(value.encoded == bytes, "\(text)")
        }
    }

    @Test func whatHasAnotherEncodingIsRefused() throws {
        let refused = [
            "", "18", "1801", "190001", "1a00000001", "1b0000000000000001", "1c", "1f", "5f41ff", "7f61ffff", "9fff",
            "bfff",
            "c000", "f7", "f0", "f800", "fa3fc00000", "fb3ff8000000000000", "f97e01", "fa7fc00000", "62c328", "61",
            "81",
            "9bffffffffffffffff", "bbffffffffffffffff", "5bffffffffffffffff", "a1", "a2010101", "a2020101", "0000",
            String(repeating: "81", count: 33) + "00", String(repeating: "81", count: 100_000),
        ]
        for text in refused {
            let bytes = try #require([UInt8](hexadecimal: text))
            #expect(throws: CBORDecoder.Fault.self, "\(text.prefix(40))") { try CBORDecoder.decode(bytes) }
        }
        #expect(throws: Never.self) {
            try CBORDecoder.decode([UInt8](repeating: 0x81, count: 32) + [0])
        }
    }
}

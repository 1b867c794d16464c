import AssayCheckpoints
import AssayTensors
import AssayTestSupport
import SystemPackage
import Testing

@testable import AssayFormats

@Suite struct GGUFGoldenTests {
    @Test(arguments: GGUFGoldens.fileNames + GGUFGoldens.parts.members.map(\.key))
    func isReadAsItsPackageReadsIt(_ name: String) throws {
        let expected = GGUFGoldens.expected(name)
        let checkpoint = try Checkpoint.open(GGUFGoldens.folder.appending(name))
        let tensors = expected["tensors"]!.object!
        #expect(checkpoint.contents.tensors.count == tensors.members.count)
        var digests: [Digest] = []
        for (index, info) in checkpoint.contents.tensors.enumerated() {
            let golden = try #require(tensors[info.name]?.object, "\(info.name)")
            #expect(info.elementType.name == golden["type"]?.string)
            #expect(info.shape.dimensions == golden["shape"]?.array?.compactMap(\.int))
            digests.append(try checkpoint.reader.digest(of: index))
            #expect("\(digests[index])" == golden["sha256"]?.string, "\(info.name)")
        }
        let content = ContentDigest.of(checkpoint.contents.tensors, digests)
        #expect("\(content)" == expected["content_digest"]?.string)
    }

    /// Every row of every block type, at every level of this machine.
    @Test(arguments: GGUFGoldens.fileNames) func blocksDequantizeToTheBitsOfThePackage(_ name: String) throws {
        let expected = GGUFGoldens.expected(name)["tensors"]!.object!
        let reader = try Checkpoint.open(GGUFGoldens.folder.appending(name)).reader
        for (index, info) in reader.contents.tensors.enumerated() {
            guard let rows = expected[info.name]?.object?["rows"]?.array?.map(\.string) else { continue }
            let bytes = try reader.bytes(of: index)
            for level in DispatchLevel.allCases where level.isAvailable {
                let conversion = try #require(ElementConversion(from: info.elementType, to: .f32, at: level))
                var values = [UInt32](repeating: 0, count: info.shape.elementCount)
                values.withUnsafeMutableBytes { values in
                    _ = bytes.withUnsafeBytes {
                        conversion.convert($0, to: values, count: info.shape.elementCount)
                    }
                }
                let width = info.shape.rowElementCount
                let digests = stride(from: 0, to: values.count, by: width).map { start in
                    let row = values[start..<start + width].map { $0 & 0x7FFF_FFFF > 0x7F80_0000 ? 0x7FC0_0000 : $0 }
                    return row.withUnsafeBytes { "\(Digest.of($0))" }
                }
                #expect(digests == rows, "\(info.name) at \(level)")
            }
        }
    }

    @Test func everyTypeThatThePackageDequantizesIsAmongThem() {
        let tensors = GGUFGoldens.expected("blocks.gguf")["tensors"]!.object!.members
        let dequantized = tensors.filter { $0.value.object?["rows"] != nil }.map(\.key)
        #expect(Set(tensors.map(\.key)) == Set(ElementType.allCases.filter(\.isBlock).map(\.name)))
        #expect(
            Set(dequantized)
                == Set(ElementType.allCases.filter { $0.isBlock && $0 != .q8K && $0 != .q10 }.map(\.name)))
    }

    @Test(arguments: [ElementType.q40, .q41, .q50, .q51, .q80]) func blocksAreChosenAsThePackageDoes(
        _ type: ElementType
    ) throws {
        let reader = try Checkpoint.open(GGUFGoldens.folder.appending("quantized.gguf")).reader
        let positions = reader.contents.indexByName()
        let values = try reader.bytes(of: try #require(positions["values"]))
        let expected = try reader.bytes(of: try #require(positions[type.name]))
        for level in DispatchLevel.allCases where level.isAvailable {
            let conversion = try #require(ElementConversion(from: .f32, to: type, at: level))
            var blocks = [UInt8](repeating: 0, count: expected.count)
            blocks.withUnsafeMutableBytes { blocks in
                _ = values.withUnsafeBytes { conversion.convert($0, to: blocks, count: $0.count / 4) }
            }
            #expect(blocks == expected, "at \(level)")
        }
    }

    @Test func bigAndLittleEndianFilesHoldTheSame() throws {
        let little = try Checkpoint.open(GGUFGoldens.folder.appending("little-endian.gguf"))
        let big = try Checkpoint.open(GGUFGoldens.folder.appending("big-endian.gguf"))
        #expect(big.contents.details.first?.value == "3, big-endian")
        #expect(big.contents.metadata.map(\.key) == little.contents.metadata.map(\.key))
        #expect(big.contents.metadata.map(\.value) == little.contents.metadata.map(\.value))
        #expect(try samples(of: big.reader).map(\.bytes) == samples(of: little.reader).map(\.bytes))
        #expect(big.contents.tensors == little.contents.tensors)
    }

    @Test(arguments: ["metadata.gguf", "no-tensors.gguf", "little-endian.gguf", "parts-00001-of-00003.gguf"])
    func metadataIsWhatThePackageReads(_ name: String) throws {
        let contents = try Checkpoint.open(GGUFGoldens.folder.appending(name)).contents
        let foreign = try #require(contents.metadata.last)
        #expect(foreign.key == CheckpointContents.foreignKey)
        let typed = try JSONValue(parsing: Array(foreign.value.utf8)).object?["gguf"]?.object
        for row in GGUFGoldens.expected(name)["metadata"]!.array!.map({ $0.array! }) {
            let (key, types, value) = (row[0].string!, row[1].array!.map { $0.string! }, row[2])
            guard !key.hasPrefix("split.") else {
                #expect(typed?[key] == nil)
                continue
            }
            let entry = try #require(typed?[key]?.object, "\(key)")
            #expect(entry["type"]?.string == Self.name(of: types[0]), "\(key)")
            if types.count > 1 { #expect(entry["items"]?.string == Self.name(of: types[1]), "\(key)") }
            let text = contents.metadata.first { $0.key == key }?.value
            let found = try #require(entry["value"] ?? text.map { .string($0) }, "\(key)")
            #expect(Self.isSame(found, value, types.last!), "\(key): \(found.compactText), \(value.compactText)")
        }
        let count = GGUFGoldens.expected(name)["metadata"]!.array!.filter { !$0.array![0].string!.hasPrefix("split.") }
        #expect(typed?.members.count == count.count)
    }

    private static func name(of type: String) -> String {
        switch type {
        case "BOOL", "STRING", "ARRAY": type.lowercased()
        default:
            (type.hasPrefix("U") ? "u" : type.hasPrefix("F") ? "f" : "i") + type.filter(\.isNumber)
        }
    }

    /// Python writes a float32 with the digits of a float64.
    private static func isSame(_ ours: JSONValue, _ theirs: JSONValue, _ type: String) -> Bool {
        switch (ours, theirs) {
        case (.array(let ours), .array(let theirs)):
            ours.count == theirs.count && zip(ours, theirs).allSatisfy { isSame($0, $1, type) }
        case (.number(let ours), .number(let theirs)) where type == "FLOAT32":
            Float(ours.text) == Float(theirs.text)
        case (.number(let ours), .number(let theirs)) where type == "FLOAT64":
            Double(ours.text) == Double(theirs.text)
        default: ours == theirs
        }
    }

    @Test func partsAreOneCheckpointWhicheverIsNamed() throws {
        for number in 1...3 {
            let path = GGUFGoldens.folder.appending("parts-0000\(number)-of-00003.gguf")
            let checkpoint = try Checkpoint.open(path)
            #expect(checkpoint.contents.tensors.map(\.name) == ["t0", "t1", "t2", "t3", "t4"])
            #expect(checkpoint.files.count == 3 && checkpoint.warnings.isEmpty)
            #expect(checkpoint.contents.shownMetadata.map(\.value).contains("u32 5"))
            #expect(try checkpoint.reader.bytes(of: 4).prefix(4) == [0, 0, 0x80, 0x40])
        }
    }
}

@Suite struct GGUFRoundTrips {
    /// What we write of a file of the package is the package's file, to the byte: so the package reads it.
    @Test(arguments: ["blocks.gguf", "quantized.gguf", "metadata.gguf", "alignment-8.gguf", "no-tensors.gguf"])
    func whatWeWriteIsThePackagesOwnFile(_ name: String) throws {
        let path = GGUFGoldens.folder.appending(name)
        let reader = try Checkpoint.open(path).reader
        let written = try ggufBytes(samples(of: reader), metadata: reader.contents.metadata)
        #expect(written == (try TestFiles.bytes(path)))
    }

    @Test(arguments: ["big-endian.gguf", "version-2.gguf"]) func otherFormsBecomeTheUsualOne(_ name: String) throws {
        let reader = try Checkpoint.open(GGUFGoldens.folder.appending(name)).reader
        let usual = name == "version-2.gguf" ? "metadata.gguf" : "little-endian.gguf"
        let written = try ggufBytes(samples(of: reader), metadata: reader.contents.metadata)
        #expect(written == (try TestFiles.bytes(GGUFGoldens.folder.appending(usual))))
    }

    @Test func partsAreWhatThePackageWrites() throws {
        let path = GGUFGoldens.folder.appending("parts-00001-of-00003.gguf")
        let reader = try Checkpoint.open(path).reader
        let all = try samples(of: reader)
        for (number, range) in [0..<2, 2..<4, 4..<5].enumerated() {
            let part = CheckpointPart(number: number, count: 3, tensorCount: 5)
            let written = try ggufBytes(Array(all[range]), metadata: reader.contents.metadata, part: part)
            let theirs = GGUFGoldens.folder.appending("parts-0000\(number + 1)-of-00003.gguf")
            #expect(written == (try TestFiles.bytes(theirs)))
        }
    }

    @Test(arguments: 0..<8) func randomTensorsOfEveryTypeComeBack(_ seed: Int) throws {
        var random = SeededRandom(seed: UInt64(seed))
        let types = ElementType.allCases.filter { GGUF.capabilities.elementTypes.contains($0) }
        let tensors = types.map { type in
            let rank = seed == 0 && !type.isBlock ? 0 : Int.random(in: 1...4, using: &random)
            var dimensions = (0..<rank).map { _ in Int.random(in: 1...4, using: &random) }
            if rank > 0 { dimensions[rank - 1] *= type.elementsPerUnit }
            let byteCount = type.byteCount(of: Shape(dimensions)!)!
            return SampleTensor("t.\(type.name)", type, dimensions, random.bytes(byteCount))
        }
        let alignment = 1 << Int.random(in: 0...7, using: &random)
        let metadata = [
            ("a", "text"), ("größe", "a key that GGUF cannot have"), ("", "nor this"), ("general.alignment", "text"),
            ("split.no", "text"),
            (
                CheckpointContents.foreignKey,
                #"{"other":[1],"gguf":{"general.alignment":{"type":"u32","value":\#(alignment)},"a":{"type":"string"}}}"#
            ),
        ]
        let folder = try TemporaryFolder()
        let path = try folder.write("x.gguf", try ggufBytes(tensors, metadata: metadata))
        let reader = try Checkpoint.open(path).reader
        #expect(reader.contents.tensors == tensors.map(\.info))
        #expect(try samples(of: reader).map(\.bytes) == tensors.map(\.bytes))
        let sorted = { (pairs: [(key: String, value: String)]) in pairs.map { "\($0.key)=\($0.value)" }.sorted() }
        #expect(sorted(reader.contents.metadata) == sorted(metadata.map { (key: $0.0, value: $0.1) }))
        #expect(reader.contents.details.map(\.value) == ["3", "\(alignment)"])
        #expect(reader.contents.warnings.isEmpty == (alignment >= 8))
        #expect(try ggufBytes(samples(of: reader), metadata: reader.contents.metadata) == TestFiles.bytes(path))
    }

    /// Row ranges of blocks, and pieces that cut a tensor anywhere between them.
    @Test func rowRangesAreReadAlone() throws {
        let reader = try Checkpoint.open(GGUFGoldens.folder.appending("blocks.gguf")).reader
        for (index, info) in reader.contents.tensors.enumerated() {
            let unit = info.elementType.unitByteCount
            let whole = try reader.bytes(of: index)
            for start in stride(from: 0, to: whole.count, by: unit) {
                var part = [UInt8](repeating: 0, count: unit)
                try part.withUnsafeMutableBytes { try reader.read(index, start..<start + unit, into: $0) }
                #expect(part[...] == whole[start..<start + unit])
            }
            #expect(reader.pieces(of: index, target: 1).allSatisfy { $0.count == unit })
        }
    }
}

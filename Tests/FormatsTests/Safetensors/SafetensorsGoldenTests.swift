import AssayCheckpoints
import AssayFormats
import AssayTensors
import AssayTestSupport
import SystemPackage
import Testing

/// Files made by the safetensors library, and what it says is in them.
@Suite struct SafetensorsGoldens {
    static let folder = TestFiles.fixtures.appending("golden").appending("safetensors")
    static let manifest = try! JSONValue(parsing: TestFiles.bytes(folder.appending("manifest.json"))).object!
    static let fileNames = manifest["files"]!.object!.members.map(\.key)
    static let refusedNames = manifest["refuse"]!.object!.members.map(\.key)

    @Test(arguments: fileNames) func isReadAsItsLibraryReadsIt(_ name: String) throws {
        let expected = Self.manifest["files"]!.object![name]!.object!
        let checkpoint = try Checkpoint.open(Self.folder.appending(name))
        let stored = checkpoint.contents.tensors.indices.filter { checkpoint.contents.tensors[$0].aliasOf == nil }
        let tensors = expected["tensors"]!.object!
        #expect(stored.count == tensors.members.count)
        var digests: [Digest] = []
        for index in stored {
            let info = checkpoint.contents.tensors[index]
            let golden = try #require(tensors[info.name]?.object, "\(info.name)")
            #expect(info.elementType.name == golden["type"]?.string)
            #expect(info.shape.dimensions == golden["shape"]?.array?.compactMap(\.int))
            let digest = try checkpoint.reader.digest(of: index)
            #expect("\(digest)" == golden["sha256"]?.string)
            digests.append(digest)
        }
        // The text that the content digest is made of was put together by the fixture script.
        let content = ContentDigest.of(stored.map { checkpoint.contents.tensors[$0] }, digests)
        #expect("\(content)" == expected["content_digest"]?.string)
    }

    @Test(arguments: fileNames) func metadataIsKept(_ name: String) throws {
        let expected = Self.manifest["files"]!.object![name]!.object!["metadata"]!.object!
        let contents = try Checkpoint.open(Self.folder.appending(name)).contents
        let aliases = contents.tensors.filter { $0.aliasOf != nil }
        #expect(contents.metadata.count + aliases.count == expected.members.count)
        for (key, value) in contents.metadata { #expect(expected[key]?.string == value, "\(key)") }
        for alias in aliases { #expect(expected[alias.name]?.string == alias.aliasOf) }
    }

    @Test(arguments: refusedNames) func whatItsLibraryRefusesIsRefused(_ name: String) throws {
        #expect(throws: CheckpointError.self) { try Checkpoint.open(Self.folder.appending(name)) }
    }

    @Test func aTiedTensorHasTwoNames() throws {
        let contents = try Checkpoint.open(Self.folder.appending("tied.safetensors")).contents
        #expect(contents.tensors.map(\.name) == ["lm_head.weight", "wte.weight"])
        #expect(contents.tensors[1].aliasOf == "lm_head.weight")
    }
}

/// Writing, and reading back what was written.
@Suite struct SafetensorsRoundTrips {
    @Test(arguments: ElementType.scalars) func everyElementTypeAndOddShapesComeBack(_ type: ElementType) throws {
        let folder = try TemporaryFolder()
        var random = SeededRandom(seed: 11)
        let unit = type.elementsPerUnit
        let dimensions = [[], [unit], [0], [3, 0, 2], [unit, 7], [1, 1, 5 * unit], [2, 3, unit, 11]]
        // A scalar of less than a byte does not exist.
        let shapes = dimensions.filter { unit == 1 || !$0.isEmpty }
        let tensors = try shapes.enumerated().map { index, dimensions in
            try #require(TensorInfo(name: "t\(index)", elementType: type, shape: Shape(dimensions)!))
        }
        let data = tensors.map { random.bytes($0.byteCount) }
        let plan = WritePlan(tensors: tensors, metadata: [("key", "välue\n"), ("", "empty")])
        let path = folder.path.appending("x.safetensors")
        try write(plan, data, to: path)

        let checkpoint = try Checkpoint.open(path)
        #expect(
            checkpoint.contents.metadata.filter { $0.key != "format" }.map { "\($0.key)=\($0.value)" } == [
                "key=välue\n", "=empty",
            ])
        for (info, bytes) in zip(tensors, data) {
            let index = try #require(checkpoint.contents.tensors.firstIndex { $0.name == info.name })
            #expect(checkpoint.contents.tensors[index] == info)
            #expect(try checkpoint.reader.bytes(of: index) == bytes)
        }
    }

    @Test func aFileBuiltAnewIsTheOneThatTheLibraryWrites() throws {
        // The layout of the library: wider types first, then names; "format" stands in all of these files.
        for name in ["unsharded.safetensors"] {
            let path = SafetensorsGoldens.folder.appending(name)
            let checkpoint = try Checkpoint.open(path)
            let folder = try TemporaryFolder()
            let copy = folder.path.appending(name)
            let data = try checkpoint.contents.tensors.indices.map { try checkpoint.reader.bytes(of: $0) }
            try write(
                WritePlan(tensors: checkpoint.contents.tensors, metadata: checkpoint.contents.metadata), data, to: copy)
            #expect(try TestFiles.bytes(copy) == TestFiles.bytes(path))
        }
    }

    @Test(arguments: SafetensorsGoldens.fileNames.filter { $0.hasSuffix(".safetensors") })
    func theOriginalHeaderGivesTheOriginalFile(_ name: String) throws {
        let path = SafetensorsGoldens.folder.appending(name)
        let checkpoint = try Checkpoint.open(path)
        let contents = checkpoint.contents
        let folder = try TemporaryFolder()
        let copy = folder.path.appending("copy.safetensors")
        let data = try contents.tensors.indices.map { try checkpoint.reader.bytes(of: $0) }
        try write(
            WritePlan(tensors: contents.tensors, metadata: contents.metadata, originalHeader: contents.originalHeader),
            data, to: copy)
        #expect(try TestFiles.bytes(copy) == TestFiles.bytes(path))
    }

    private func write(_ plan: WritePlan, _ data: [[UInt8]], to path: FilePath) throws {
        let output = try OutputFile(creating: path)
        let writer = try Safetensors.makeWriter(plan, output, WritingOptions())
        for (index, info) in plan.tensors.enumerated().reversed() where info.aliasOf == nil && info.byteCount > 0 {
            try data[index].withUnsafeBytes { try writer.write(index, 0..<$0.count, $0) { try $0() } }
        }
        try writer.finish(digests: [])
    }
}

import AssayCheckpoints
import AssayFormats
import AssayTestSupport
import SystemPackage
import Testing

/// Shards, indices and model folders.
@Suite struct Shards {
    private let tensorA = SafetensorsBytes.file(
        #"{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#, data: [1, 2])
    private let tensorB = SafetensorsBytes.file(#"{"b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, data: [3])

    /// A folder with two shards and an index with these entries.
    private func folder(_ map: String, total: String = #""metadata":{"total_size":3},"#) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        try folder.write("m-1.safetensors", tensorA)
        try folder.write("m-2.safetensors", tensorB)
        try folder.write("m.safetensors.index.json", Array(#"{\#(total)"weight_map":{\#(map)}}"#.utf8))
        return folder
    }

    private let sound = #""a":"m-1.safetensors","b":"m-2.safetensors""#

    @Test func areReadAsOneCheckpointByFolderAndByIndex() throws {
        let folder = try folder(sound)
        for path in [folder.path, folder.path.appending("m.safetensors.index.json")] {
            let checkpoint = try Checkpoint.open(path)
            #expect(checkpoint.contents.tensors.map(\.name) == ["a", "b"])
            #expect(try checkpoint.reader.bytes(of: 1) == [3])
            #expect(checkpoint.warnings.isEmpty)
        }
    }

    @Test func aFolderOfSymbolicLinksIsReadAsHubCachesKeepThem() throws {
        let real = try folder(sound)
        let links = try TemporaryFolder()
        for name in real.names { try SystemCall.link(links.path.appending(name), to: real.path.appending(name)) }
        #expect(try Checkpoint.open(links.path).contents.tensors.count == 2)
    }

    @Test(arguments: [
        (
            #""a":"m-1.safetensors","b":"m-2.safetensors","c":"m-2.safetensors""#,
            "1 tensors are not in the shard the index names: c"
        ),
        (#""a":"m-1.safetensors","x":"m-2.safetensors""#, "not in the shard the index names: x"),
        (#""a":"m-2.safetensors","b":"m-1.safetensors""#, "2 tensors are not in the shard"),
        (#""a":"m-1.safetensors","b":"m-3.safetensors""#, "1 of 2 shards are missing: m-3.safetensors"),
    ])
    func disagreementIsAStructureError(_ map: String, _ words: String) throws {
        let folder = try folder(map)
        let error = #expect(throws: StructureError.self) { try Checkpoint.open(folder.path) }
        #expect(error?.sentence.contains(words) == true, "\(error?.sentence ?? "")")
    }

    @Test(arguments: [
        (#""a":"../m-1.safetensors""#, "'../m-1.safetensors'"), (#""a":"/etc/passwd""#, "'/etc/passwd'"),
        (#""a":"x/../m-1.safetensors""#, "plain file name"), (#""a":"""#, "plain file name"),
        (#""a":".""#, "plain file name"), (#""a":"..""#, "plain file name"), (#""a":"m\u0000""#, "plain file name"),
        (#""a":7"#, "the number 7"), (#""a":"m.safetensors.index.json""#, "another index"),
    ])
    func aPathOutOfTheFolderIsRefused(_ map: String, _ words: String) throws {
        let folder = try folder(map)
        let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(folder.path) }
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }

    @Test func aWrongTotalIsAWarningWithBothFigures() throws {
        let folder = try folder(sound, total: #""metadata":{"total_size":4},"#)
        #expect(try Checkpoint.open(folder.path).warnings == ["the index says total_size 4, the tensors have 3 bytes"])
    }

    @Test(arguments: ["{}", #"{"weight_map":[]}"#, "[]", "x", ""])
    func anIndexWithoutAMapIsRefused(_ text: String) throws {
        let folder = try TemporaryFolder()
        try folder.write("m.safetensors.index.json", Array(text.utf8))
        #expect(throws: CheckpointError.self) { try Checkpoint.open(folder.path) }
    }

    @Test func whatIsNoCheckpointIsNamed() throws {
        let folder = try TemporaryFolder()
        var error = #expect(throws: CheckpointError.self) { try Checkpoint.open(folder.path) }
        #expect(error?.found == "an empty folder")
        try folder.write("config.json", Array("{}".utf8))
        error = #expect(throws: CheckpointError.self) { try Checkpoint.open(folder.path) }
        #expect(error?.found == "a folder without them")
        try folder.write("model.safetensors.incomplete", [1])
        error = #expect(throws: CheckpointError.self) { try Checkpoint.open(folder.path) }
        #expect(error?.found.contains("unfinished download") == true)
        let device = #expect(throws: CheckpointError.self) { try Checkpoint.open("/dev/null") }
        #expect(device?.description == "/dev/null: expected a regular file, found a pipe, socket or device")
        #expect(throws: UsageError.self) { try Checkpoint.open("/no/such/file") }
    }

    @Test func severalCheckpointsWithoutAnIndexAreNotGuessedAt() throws {
        let folder = try TemporaryFolder()
        try folder.write("a.safetensors", tensorA)
        try folder.write("b.safetensors", tensorB)
        let error = #expect(throws: StructureError.self) { try Checkpoint.open(folder.path) }
        #expect(error?.sentence.contains("a.safetensors, b.safetensors") == true)
    }
}

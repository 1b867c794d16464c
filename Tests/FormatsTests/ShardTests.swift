import AssayCheckpoints
import AssayFormats
import AssayTestSupport
import SystemPackage
import Testing

#if canImport(Glibc)
    import Glibc
#endif

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

    /// Pieces stay about as large as was asked for, whatever suits both sides together.
    @Test func piecesDoNotGrowWithWhatSuitsTheReader() {
        #expect(pieceByteCount(target: 4 << 20, units: [4, 1 << 20], preferred: 0) == 4 << 20)
        #expect(pieceByteCount(target: 100, units: [4, 8], preferred: 24) == 96)
        #expect(pieceByteCount(target: 100, units: [4], preferred: 1000) == 1000)
        // Bands of 28 kB, and chunks of a power of two.
        #expect(pieceByteCount(target: 4 << 20, units: [4, 1 << 20], preferred: 28_000) == 4 << 20)
        #expect(pieceByteCount(target: 4 << 20, units: [4, 1 << 20], preferred: 9_000_004) == 8 << 20)
        #expect(pieceByteCount(target: 8, units: [Int.max - 1], preferred: Int.max) == Int.max - 1)
    }

    /// Whoever has one file of several has no complete checkpoint.
    @Test(arguments: ["model-00001-of-00002.safetensors", "pytorch_model-00002-of-00003.safetensors"])
    func oneOfSeveralIsNoWholeOne(_ name: String) throws {
        let folder = try TemporaryFolder()
        let file = try folder.write(name, tensorA)
        let error = #expect(throws: StructureError.self) { try Checkpoint.open(folder.path) }
        #expect(error?.sentence.contains("\(name) is one of") == true, "\(error?.sentence ?? "")")
        let twin = try TemporaryFolder()
        try twin.write("model-00001-of-00001.safetensors", tensorA)
        try EveryCommand.mustRefuse(folder.path, named: folder.path.string, exitCode: 2, words: [name], twin: twin.path)
        #expect(try Checkpoint.open(twin.path).warnings.isEmpty)
        // By its own name it is read, and what it is is said.
        let warnings = try Checkpoint.open(file).warnings
        #expect(warnings.count == 1 && warnings[0].hasPrefix("by its name this is file "), "\(warnings)")
    }

    @Test func areReadAsOneCheckpointByFolderAndByIndex() throws {
        let folder = try folder(sound)
        for path in [folder.path, folder.path.appending("m.safetensors.index.json")] {
            let checkpoint = try Checkpoint.open(path)
            #expect(checkpoint.contents.tensors.map(\.name) == ["a", "b"])
            #expect(try checkpoint.reader.bytes(of: 1) == [3])
            #expect(checkpoint.warnings.isEmpty)
        }
    }

    /// An index of 1 MB that says little but its metadata.
    @Test func muchMetadataTakesNoTimeOfItsSquare() throws {
        let entries = (0..<60_000).map { #""key\#($0)":"","# }.joined()
        let folder = try folder(sound, total: #""metadata":{\#(entries)"total_size":3},"#)
        let outcome = try AssayTool.run(
            ["inspect", folder.path.string], limits: AssayTool.Limits(byteCount: 120_000_000, seconds: 1))
        #expect(outcome.exitCode == 0, "\(outcome.exitCode) \(outcome.errors)")
    }

    private static var allowsManyDescriptors: Bool {
        var limit = rlimit()
        return getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 && limit.rlim_max > 2048
    }

    /// More than the usual limit of open files, which is below what the system allows.
    @Test(.enabled(if: Self.allowsManyDescriptors)) func moreThanAThousandAreOpenAtATime() throws {
        let folder = try TemporaryFolder()
        var map: [String] = []
        for number in 0..<1100 {
            try folder.write(
                "m-\(number).safetensors",
                SafetensorsBytes.file(#"{"t\#(number)":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#, data: [1]))
            map.append(#""t\#(number)":"m-\#(number).safetensors""#)
        }
        let index = #"{"weight_map":{\#(map.joined(separator: ","))}}"#
        try folder.write("model.safetensors.index.json", Array(index.utf8))
        let outcome = try AssayTool.run(
            ["inspect", folder.path.string, "--digest"],
            limits: AssayTool.Limits(shell: "ulimit -S -n 1024"))
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
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
        let twin = try self.folder(sound)
        let name = "m.safetensors.index.json"
        try EveryCommand.mustRefuse(folder.path, named: name, exitCode: 2, words: [words], twin: twin.path)
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
        let twin = try self.folder(sound)
        let name = "m.safetensors.index.json"
        try EveryCommand.mustRefuse(folder.path, named: name, words: [words], twin: twin.path)
        try EveryCommand.mustAccept(twin.path)
    }

    @Test(arguments: ["4", "3.5", "-3", #""3""#, "[3]", "99999999999999999999", "1e400", "true"])
    func aWrongTotalIsAWarningWithBothFigures(_ total: String) throws {
        let folder = try folder(sound, total: #""metadata":{"total_size":\#(total)},"#)
        let warnings = try Checkpoint.open(folder.path).warnings
        #expect(warnings == ["the index says total_size \(total), the tensors have 3 bytes"])
        try EveryCommand.mustAccept(folder.path)
    }

    @Test(arguments: [#""total_size":3"#, #""total_size":3.0"#, #""total_size":3e0"#, #""total_size":null"#, ""])
    func theRightTotalOrNoneIsNone(_ total: String) throws {
        let folder = try folder(sound, total: #""metadata":{\#(total)},"#)
        #expect(try Checkpoint.open(folder.path).warnings.isEmpty)
    }

    @Test(arguments: [
        ("{}", "weight_map"), (#"{"weight_map":[]}"#, "a list"),
        (#"{"weight_map":{}}"#, "weight_map: expected the file of at least one tensor, found none"),
        (#"{"weight_map":{"a":["m-1.safetensors"]}}"#, "a list"),
        (#"{"weight_map":{"a":"m-1.safetensors","a":"m-2.safetensors"}}"#, "'a' again"), ("[]", "weight_map"),
        ("x", "a value"), ("", "an empty file"), ("\u{feff}{}", "a value"),
        ("{\"weight_map\":{}} {}", "end of the text"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS pointer"),
        ("<!DOCTYPE html><p>not found", "HTML page"), (String(repeating: "[", count: 100_000), "nesting of at most"),
        (#"{"weight_map":\#(String(repeating: #"{"a":"#, count: 100_000))"#, "nesting of at most"),
    ])
    func anIndexWithoutAMapIsRefused(_ text: String, _ words: String) throws {
        let folder = try folder(sound)
        let name = "m.safetensors.index.json"
        try folder.write(name, Array(text.utf8))
        let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(folder.path) }
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
        let twin = try self.folder(sound)
        for path in [folder.path, folder.path.appending(name)] {
            try EveryCommand.mustRefuse(path, named: name, words: [words], twin: twin.path)
        }
    }

    /// Nobody waits for the other end of a pipe.
    @Test(arguments: ["folder", "pipe", "link to a device", "link to a folder", "link to nothing", "link to itself"])
    func aShardThatIsNoFileIsRefused(_ kind: String) throws {
        let folder = try folder(sound)
        let shard = folder.path.appending("m-2.safetensors")
        SystemCall.removeIfPresent(shard)
        switch kind {
        case "folder": try SystemCall.makeFolder(shard)
        case "pipe": #expect(mkfifo(shard.string, 0o600) == 0)
        case "link to a device": try SystemCall.link(shard, to: "/dev/zero")
        case "link to a folder": try SystemCall.link(shard, to: "/")
        case "link to nothing": try SystemCall.link(shard, to: "/no/such/file")
        default: try SystemCall.link(shard, to: shard)
        }
        let twin = try self.folder(sound)
        let (code, words): (Int32, String) =
            switch kind {
            case "link to nothing": (2, "1 of 2 shards are missing")
            case "link to itself": (4, "cannot look at it")
            default: (3, "a regular file")
            }
        try EveryCommand.mustRefuse(
            folder.path, named: "m-2.safetensors", exitCode: code, words: [words], twin: twin.path)
        // Alone, too.
        if code == 3, kind != "folder", kind != "link to a folder" {
            try EveryCommand.mustRefuse(shard, words: [words], twin: twin.path)
        }
    }

    @Test func aTensorInTwoShardsIsNamedWithBoth() throws {
        let folder = try folder(#""a":"m-1.safetensors","b":"m-2.safetensors""#)
        try folder.write(
            "m-2.safetensors",
            SafetensorsBytes.file(
                #"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#,
                data: [3, 4]))
        let twin = try self.folder(sound)
        let words = ["tensor 'a' stands in m-1.safetensors and in m-2.safetensors"]
        let name = "m.safetensors.index.json"
        try EveryCommand.mustRefuse(folder.path, named: name, exitCode: 2, words: words, twin: twin.path)
    }

    @Test func ofManyTensorsThatAreNotThereTenAreListed() throws {
        let absent = (10..<40).map { #""t\#($0)":"m-2.safetensors""# }.joined(separator: ",")
        let folder = try folder(sound + "," + absent)
        let twin = try self.folder(sound)
        let words = ["30 tensors are not in the shard the index names: t10, t11,", "t19, ..."]
        let name = "m.safetensors.index.json"
        try EveryCommand.mustRefuse(folder.path, named: name, exitCode: 2, words: words, twin: twin.path)
    }

    /// Shards open once it is known that all are there.
    @Test(.timeLimit(.minutes(1))) func twoHundredThousandShardsCostLittle() throws {
        let map = (0..<200_000).map { #""t\#($0)":"m-\#($0).safetensors""# }.joined(separator: ",")
        let folder = try folder(map)
        let error = #expect(throws: StructureError.self) { try Checkpoint.open(folder.path) }
        #expect(error?.sentence.contains("199998 of 200000 shards are missing: m-0.safetensors, m-10.") == true)
    }

    /// Names with what moves a cursor are shown escaped wherever a sentence has them.
    @Test func fileNamesInSentencesAreEscaped() throws {
        let name = "m\u{1b}[31m.safetensors"
        let folder = try folder(#""a":"m-1.safetensors","b":"m\u001b[31m.safetensors""#)
        var error = #expect(throws: StructureError.self) { try Checkpoint.open(folder.path) }
        #expect(error?.sentence.contains("missing: m\\u001b[31m.safetensors") == true, "\(error?.sentence ?? "")")
        try folder.write(name, tensorA)
        error = #expect(throws: StructureError.self) { try Checkpoint.open(folder.path) }
        #expect(error?.sentence.contains("m\\u001b[31m.safetensors") == true, "\(error?.sentence ?? "")")
        #expect(error?.sentence.contains("\u{1b}") == false)
    }

    /// Flips, cuts and splices: a checkpoint or a refusal, never a crash.
    @Test func damagedIndicesNeverTrap() throws {
        let folder = try folder(sound)
        let name = "m.safetensors.index.json"
        try Mutations.forEach(of: TestFiles.bytes(folder.path.appending(name)), count: 3000, seed: 17) { bytes in
            try folder.write(name, bytes)
            do {
                _ = try Checkpoint.open(folder.path)
            } catch is CheckpointError {
            } catch is StructureError {
            }
        }
    }

    @Test func whatIsNoCheckpointIsNamed() throws {
        let folder = try TemporaryFolder()
        var error = #expect(throws: CheckpointError.self) { try Checkpoint.open(folder.path) }
        #expect(error?.found == "an empty folder")
        try folder.write("config.json", Array("{}".utf8))
        error = #expect(throws: CheckpointError.self) { try Checkpoint.open(folder.path) }
        #expect(error?.found == "a folder without them")
        for name in ["model.safetensors.incomplete", "model.safetensors.part"] {
            let unfinished = try folder.write(name, tensorA)
            error = #expect(throws: CheckpointError.self) { try Checkpoint.open(folder.path) }
            #expect(error?.found.contains("'\(name)', an unfinished download") == true)
            let twin = try self.folder(sound)
            let words = ["an unfinished download"]
            try EveryCommand.mustRefuse(folder.path, words: words, twin: twin.path)
            SystemCall.removeIfPresent(unfinished)
        }
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

    /// transformers takes the single file before it looks for an index.
    @Test func aFileOfTheUsualNameGoesBeforeAnIndex() throws {
        let folder = try folder(sound)
        try folder.write("model.safetensors", tensorA)
        let checkpoint = try Checkpoint.open(folder.path)
        #expect(checkpoint.contents.tensors.map(\.name) == ["a"])
        #expect(
            checkpoint.warnings == [
                "model.safetensors is read; m.safetensors.index.json, m-1.safetensors, m-2.safetensors beside it not"
            ])
        try EveryCommand.mustAccept(folder.path)
    }

    @Test func whatAnIndexDoesNotNameIsMentioned() throws {
        let folder = try folder(sound)
        try folder.write("m-3.safetensors", tensorA)
        let checkpoint = try Checkpoint.open(folder.path)
        #expect(checkpoint.contents.tensors.map(\.name) == ["a", "b"])
        #expect(checkpoint.warnings == ["m.safetensors.index.json is read; m-3.safetensors beside it not"])
    }

    /// A shard may be of another format than its index's name says.
    @Test func whatIsReadIsNotSaidToBePassedOver() throws {
        let folder = try TemporaryFolder()
        try folder.write("m-1.safetensors", tensorA)
        try folder.write("pytorch_model-2.bin", tensorB)
        try folder.write(
            "m.safetensors.index.json", Array(#"{"weight_map":{"a":"m-1.safetensors","b":"pytorch_model-2.bin"}}"#.utf8)
        )
        #expect(try Checkpoint.open(folder.path).warnings == [])
        try folder.write("other.bin", tensorB)
        #expect(
            try Checkpoint.open(folder.path).warnings == ["safetensors files are read; other.bin beside them not"])
    }

    /// One value can be kept, and that another was there is said.
    @Test func metadataThatDiffersBetweenThemIsNamed() throws {
        let folder = try folder(sound)
        for (name, value) in [("a", "1"), ("b", "2")] {
            let shape = name == "a" ? 2 : 1
            let header =
                #"{"__metadata__":{"k":"\#(value)","same":"x"},"\#(name)":{"dtype":"U8","shape":[\#(shape)],"data_offsets":[0,\#(shape)]}}"#
            try folder.write(
                name == "a" ? "m-1.safetensors" : "m-2.safetensors",
                SafetensorsBytes.file(header, data: [UInt8](repeating: 7, count: shape)))
        }
        let checkpoint = try Checkpoint.open(folder.path)
        #expect(checkpoint.warnings == ["the files say different things under k; the first is taken"])
        #expect(checkpoint.contents.metadata.map(\.value) == ["1", "x"])
    }

    @Test func whichOfSeveralFormatsIsReadIsSaid() throws {
        let folder = try folder(sound)
        try folder.write("pytorch_model.bin", [0x80])
        let checkpoint = try Checkpoint.open(folder.path)
        #expect(checkpoint.warnings == ["safetensors files are read; pytorch_model.bin beside them not"])
        try EveryCommand.mustAccept(folder.path)
        try folder.write("n.safetensors.index.json", Array(#"{"weight_map":{}}"#.utf8))
        let twin = try self.folder(sound)
        let words = ["2 checkpoints", "m.safetensors.index.json, n.safetensors.index.json"]
        try EveryCommand.mustRefuse(folder.path, exitCode: 2, words: words, twin: twin.path)
    }
}

import AssayCheckpoints
import AssayTensors
import AssayTestSupport
import SystemPackage
import Testing

@testable import AssayFormats

/// Files made by PyTorch, and what it says is in them.
@Suite struct PyTorchGoldens {
    private static let goldens = GoldenManifest("pytorch")
    static let fileNames = goldens.fileNames
    static let refusedNames = goldens.refusedNames

    @Test(arguments: fileNames) func isReadAsPyTorchReadsIt(_ name: String) throws {
        let path = Self.goldens.folder.appending(name)
        guard name == "sharded" else { return try Self.goldens.check(name) }
        let contents = try Checkpoint.open(path)
        #expect(contents.files.count > 1 && contents.folder == path)
        try Self.goldens.check(name)
    }

    @Test(arguments: fileNames) func metadataAndSharedTensorsAreKept(_ name: String) throws {
        let expected = Self.goldens.record(of: name)
        let contents = try Checkpoint.open(Self.goldens.folder.appending(name)).contents
        let metadata = expected["metadata"]!.object!
        #expect(contents.metadata.count == metadata.members.count)
        for (key, value) in contents.metadata { #expect(metadata[key]?.string == value, "\(key)") }
        let aliases = contents.tensors.filter { $0.aliasOf != nil }
        let shared = expected["aliases"]!.object!
        #expect(aliases.count == shared.members.count)
        for alias in aliases {
            #expect([shared[alias.name]?.string, shared[alias.aliasOf!]?.string].contains { $0 != nil })
        }
    }

    @Test func whatIsNeitherTensorNorTextIsNamed() throws {
        let contents = try Checkpoint.open(Self.goldens.folder.appending("zip-nested.pt")).contents
        #expect(
            contents.warnings.count == 1 && contents.warnings[0].hasSuffix(": raw"), "\(contents.warnings)")
    }

    /// What a tensor had beside its values, where it is more than a number or text.
    @Test(arguments: ["plain-objects.pt", "plain-objects-4.pt"]) func attributesOfTensorsAreNamed(_ name: String) throws
    {
        let warnings = try Checkpoint.open(Self.goldens.folder.appending(name)).contents.warnings
        #expect(warnings.count == 1 && warnings[0].hasSuffix(": plain.scale, raw"), "\(warnings)")
    }

    @Test(arguments: refusedNames) func whatIsNoPlainDataIsRefusedByName(_ name: String) {
        Self.goldens.checkRefusal(name)
    }

    @Test(arguments: [
        "zip-nested.pt", "stream-nested.pt", "zip-views.pt", "stream-views.pt", "deflated.pt", "zip-protocol-4.pt",
    ])
    func damagedFilesNeverTrap(_ name: String) throws {
        try Mutations.run(TestFiles.bytes(Self.goldens.folder.appending(name)), named: name, count: 500, seed: 41)
    }

    private static let checksums = Trials(
        "Damage", "a byte changed in every member of PyTorch archives that is read, and the same without checksums",
        findings: ["checksums of PyTorch archives were not compared, so that a changed byte became a changed weight"])

    /// PyTorch itself loads all of these.
    @Test(arguments: ["zip-all-types.pt", "zip-views.pt", "zip-nested.pt", "big-endian.pt"])
    func aChangedByteInAMemberIsRefused(_ name: String) throws {
        let path = Self.goldens.folder.appending(name)
        let bytes = try TestFiles.bytes(path)
        let archive = try ZipArchive(InputFile(path))
        let folder = try TemporaryFolder()
        var count = 0
        for (position, member) in archive.members.enumerated() where member.byteCount > 0 {
            let isData = member.name.contains("/data/")
            guard isData || member.name.hasSuffix("/data.pkl") else { continue }
            var damaged = bytes
            damaged[archive.storedRange(of: position).range.upperBound - 1] ^= 1
            let sentence = try Self.sentence(folder.write("x.pt", damaged))
            #expect(sentence?.contains("\(member.place)") == true && sentence?.contains("CRC-32") == true)
            // Without a checksum, nothing can be said of data.
            if isData {
                let place = Self.checksumOffset(of: position, in: damaged)
                damaged.replaceSubrange(place..<place + 4, with: [0, 0, 0, 0])
                #expect(try Self.sentence(folder.write("x.pt", damaged)) == nil)
            }
            count += 1
        }
        #expect(count > 2)
        try Self.checksums.record(count)
    }

    private static func sentence(_ path: FilePath) throws -> String? {
        do {
            let reader = try Checkpoint.open(path).reader
            for index in reader.contents.tensors.indices { _ = try reader.bytes(of: index) }
            return nil
        } catch let error as CheckpointError {
            return error.description
        }
    }

    /// Where the directory of an archive, in its order, holds the CRC-32 of a member.
    private static func checksumOffset(of position: Int, in bytes: [UInt8]) -> Int {
        let entries = bytes.indices.dropLast(3).filter { Array(bytes[$0..<$0 + 4]) == Array("PK\u{1}\u{2}".utf8) }
        return entries[position] + 16
    }

    @Test(arguments: ["stream-nested.pt", "zip-nested.pt"]) func everyCutIsRefused(_ name: String) throws {
        let bytes = try TestFiles.bytes(Self.goldens.folder.appending(name))
        let folder = try TemporaryFolder()
        for count in stride(from: 1, to: bytes.count, by: 37) {
            let path = try folder.write("x.pt", Array(bytes[..<count]))
            #expect(throws: CheckpointError.self) { try Checkpoint.open(path) }
        }
    }
}

@Suite struct PyTorchRoundTrips {
    @Test(arguments: TorchType.names.keys.sorted { $0.name < $1.name })
    func everyTypeAndOddShapesComeBack(_ type: ElementType) throws {
        let folder = try TemporaryFolder()
        var random = SeededRandom(seed: 13)
        let unit = type.elementsPerUnit
        let dimensions = [
            [], [unit], [0], [3, 0, 2], [7, 2 * unit], [1, 1, 5 * unit], [2, 3, 11, unit], [0, 5, unit],
        ]
        let tensors = dimensions.filter { unit == 1 || !$0.isEmpty && $0.last! % unit == 0 }.enumerated().map {
            TensorInfo(name: "größe.\($0)", elementType: type, shape: Shape($1)!)!
        }
        let data = tensors.map { random.bytes($0.byteCount) }
        var alias = tensors[1]
        alias.name = "alias"
        alias.aliasOf = tensors[1].name
        let plan = WritePlan(
            tensors: tensors + [alias], metadata: [("key", "välue\n"), ("", "empty"), ("key", "again")])
        let path = folder.path.appending("x.pt")
        try Writing.write(PyTorch.self, plan, data + [data[1]], to: path)
        let checkpoint = try Checkpoint.open(path)
        #expect(checkpoint.contents.tensors == plan.tensors)
        #expect(checkpoint.contents.metadata.map { "\($0)=\($1)" } == ["key=välue\n", "=empty", "key#2=again"])
        for index in tensors.indices { #expect(try checkpoint.reader.bytes(of: index) == data[index]) }
    }

    @Test func oddCountsOfPackedNumbersAreRefused() throws {
        let odd = try #require(TensorInfo(name: "a", elementType: .f4, shape: Shape([2, 3])!))
        let folder = try TemporaryFolder()
        #expect(throws: UsageError.self) {
            try Writing.write(
                PyTorch.self, WritePlan(tensors: [odd], metadata: []), [[0, 0, 0]], to: folder.path.appending("x.pt"))
        }
    }
}

/// Model folders with PyTorch files in them.
@Suite struct PyTorchFolders {
    private static let tied = try! TestFiles.bytes(TestFiles.fixtures.appending("golden/pytorch/zip-tied.bin"))

    @Test func theUsualNameIsChosenAmongOtherFiles() throws {
        let folder = try TemporaryFolder()
        try folder.write("pytorch_model.bin", Self.tied)
        try folder.write("training_args.bin", [0x80, 2, 0x4E, 0x2E])
        try folder.write("tf_model.h5", Array("\u{89}HDF".utf8))
        let checkpoint = try Checkpoint.open(folder.path)
        #expect(checkpoint.files == [folder.path.appending("pytorch_model.bin")])
        #expect(checkpoint.warnings.count == 1, "\(checkpoint.warnings)")
    }

    /// What trainers save is no model, also where nothing else is there.
    @Test func trainersFilesAreNoWeights() throws {
        let folder = try TemporaryFolder()
        for name in ["optimizer.pt", "training_args.bin", "rng_state_0.pth"] { try folder.write(name, Self.tied) }
        let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(folder.path) }
        #expect(error?.description.contains("expected a model folder with weights") == true)
        try folder.write("other.bin", Self.tied)
        #expect(try Checkpoint.open(folder.path).files == [folder.path.appending("other.bin")])
    }

    @Test func safetensorsComeFirst() throws {
        let folder = try TemporaryFolder()
        try folder.write("pytorch_model.bin", Self.tied)
        try folder.write(
            "model.safetensors", SafetensorsBytes.file(SafetensorsBytes.entry(), data: SafetensorsBytes.zeros(8)))
        #expect(try Checkpoint.open(folder.path).contents.formatName == "safetensors")
    }
}

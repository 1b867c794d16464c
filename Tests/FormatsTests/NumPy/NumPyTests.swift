import AssayCheckpoints
import AssayTensors
import AssayTestSupport
import SystemPackage
import Testing

@testable import AssayFormats

/// Files made by NumPy, and what it says is in them.
@Suite struct NumPyGoldens {
    private static let goldens = GoldenManifest("numpy")
    static let fileNames = goldens.fileNames
    static let refusedNames = goldens.refusedNames

    @Test(arguments: fileNames) func isReadAsNumPyReadsIt(_ name: String) throws { try Self.goldens.check(name) }

    @Test(arguments: refusedNames) func whatHasNoElementTypeIsRefusedByName(_ name: String) {
        Self.goldens.checkRefusal(name)
    }

    @Test func membersThatAreNoArraysAreNamed() throws {
        let contents = try Checkpoint.open(Self.goldens.folder.appending("with-text.npz")).contents
        #expect(contents.warnings.count == 1 && contents.warnings[0].contains("readme.txt"))
    }

    /// Byte for byte what `np.save` gives, of a row-major array of a little-endian type.
    @Test(arguments: ["row-major.npy", "scalar.npy", "empty.npy"]) func whatIsWrittenIsWhatNumPyWrites(_ name: String)
        throws
    {
        let path = Self.goldens.folder.appending(name)
        let checkpoint = try Checkpoint.open(path)
        let folder = try TemporaryFolder()
        let copy = folder.path.appending(name)
        let plan = WritePlan(tensors: checkpoint.contents.tensors, metadata: [])
        try Writing.write(NumPyArray.self, plan, [try checkpoint.reader.bytes(of: 0)], to: copy)
        #expect(try TestFiles.bytes(copy) == TestFiles.bytes(path))
    }

    @Test(arguments: ["fortran.npy", "shapes.npz", "all-types-deflated.npz", "zip64.npz"])
    func damagedFilesNeverTrap(_ name: String) throws {
        try Mutations.run(TestFiles.bytes(Self.goldens.folder.appending(name)), named: name, count: 400, seed: 31)
    }

    /// Anything that changes bytes of an array's data is noticed when the array is read.
    @Test(arguments: ["all-types.npz", "all-types-deflated.npz"]) func flippedDataIsNoticed(_ name: String) throws {
        let original = try TestFiles.bytes(Self.goldens.folder.appending(name))
        let folder = try TemporaryFolder()
        let archive = try ZipArchive(InputFile(Self.goldens.folder.appending(name)))
        for (member, offset) in zip(archive.members, archive.dataOffsets) {
            var bytes = original
            // The last bits of a deflated member mean nothing.
            bytes[offset + (member.method == .stored ? member.storedByteCount - 1 : member.storedByteCount / 2)] ^= 0x10
            let path = try folder.write("x.npz", bytes)
            #expect(throws: CheckpointError.self, "\(member.name)") {
                let reader = try Checkpoint.open(path).reader
                for index in reader.contents.tensors.indices { _ = try reader.digest(of: index) }
            }
        }
    }
}

@Suite struct NumPyRoundTrips {
    @Test(arguments: NumPyHeader.elementTypes.sorted { $0.name < $1.name })
    func everyTypeAndOddShapesComeBack(_ type: ElementType) throws {
        let folder = try TemporaryFolder()
        var random = SeededRandom(seed: 11)
        let tensors = [[], [1], [0], [3, 0, 2], [7], [1, 1, 5], [2, 3, 1, 11]].enumerated().map { index, dimensions in
            TensorInfo(name: "größe/\(index)", elementType: type, shape: Shape(dimensions)!)!
        }
        let data = tensors.map { random.bytes($0.byteCount) }
        let path = folder.path.appending("x.npz")
        try Writing.write(NumPyArchive.self, WritePlan(tensors: tensors, metadata: []), data, to: path)
        let checkpoint = try Checkpoint.open(path)
        #expect(checkpoint.contents.tensors == tensors)
        for index in tensors.indices { #expect(try checkpoint.reader.bytes(of: index) == data[index]) }
    }

    @Test func noTensorsAreAnArchiveToo() throws {
        let folder = try TemporaryFolder()
        let path = folder.path.appending("x.npz")
        try Writing.write(NumPyArchive.self, WritePlan(tensors: [], metadata: []), [], to: path)
        #expect(try Checkpoint.open(path).contents.tensors.isEmpty)
    }

    @Test func whatTheFormatLacksIsRefusedByName() throws {
        let two = try ["a", "b"].map { try #require(TensorInfo(name: $0, elementType: .f32, shape: Shape([1])!)) }
        let brain = try #require(TensorInfo(name: "a", elementType: .bf16, shape: Shape([1])!))
        for (format, tensors, words) in [
            (NumPyArray.self as any CheckpointFormat.Type, two, "exactly 1 tensor"),
            (NumPyArray.self, [], "exactly 1 tensor"), (NumPyArchive.self, [brain], "--dtype f32"),
        ] {
            let error = #expect(throws: UsageError.self) {
                try format.capabilities.check(WritePlan(tensors: tensors, metadata: []), formatName: format.name)
            }
            #expect(error?.sentence.contains(words) == true)
        }
    }
}

/// Headers that are wrong by a little.
@Suite struct NumPyHeaders {
    private static let magic = [0x93] + Array("NUMPY".utf8)
    private static let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n"

    private func open(_ header: String, version: [UInt8] = [1, 0], length: [UInt8]? = nil, data: Int = 8) throws {
        let text = Array(header.utf8)
        let count = length ?? UInt16(text.count).littleEndianBytes
        let folder = try TemporaryFolder()
        let path = try folder.write("x.npy", Self.magic + version + count + text + Array(repeating: 0, count: data))
        _ = try Checkpoint.open(path)
    }

    @Test func theTwinIsAccepted() throws { try open(Self.good) }

    @Test(arguments: [
        (good.replacing("2,", with: "3,"), "12 bytes"), (good.replacing("2,", with: "1,"), "something else follows"),
        (good.replacing("2,", with: "1099511627776,"), "cut off"),
        (good.replacing("2,", with: "4294967296, 4294967296"), "63 bits"),
        (good.replacing("2,", with: "2305843009213693952,"), "63 bits"),
        (good.replacing("2,", with: "99999999999999999999,"), "63 bits"),
        (good.replacing("2,", with: "-2,"), "not negative"),
        (good.replacing("(2,)", with: "[2]"), "'('"), (good.replacing("(2,)", with: "((2,),)"), "not negative"),
        (good.replacing("False", with: "false"), "True or False"),
        (good.replacing("False", with: "0"), "True or False"),
        (good.replacing("'<f4'", with: "'<f5'"), "'<f5'"),
        (good.replacing("'<f4'", with: "'<\\x664'"), "without escapes"),
        (good.replacing("'fortran_order': False", with: "'descr': '<f4'"), "each once"),
        (good.replacing("'descr'", with: "'other'"), "'other'"),
        ("{'descr': '<f4', 'shape': (2,), }\n", "not all of them"), ("", "'{'"), ("{", "a key"), ("{}", "not all"),
        (good + "x", "nothing behind"), (good.replacing("{", with: "{{"), "a key"),
        ("{'shape': (" + String(repeating: "1,", count: 65) + "), 'descr': '<f4', 'fortran_order': False}", "63 bits"),
    ])
    func anythingElseIsRefused(_ header: String, _ words: String) throws {
        let error = #expect(throws: CheckpointError.self) { try open(header) }
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }

    @Test func lengthsAndVersionsAreChecked() throws {
        let cases: [([UInt8], [UInt8], String)] = [
            ([2, 0], [0xFF, 0xFF, 0xFF, 0xFF], "at most 10000 bytes"), ([1, 0], [0x10, 0x27], "ends inside"),
            ([1, 0], [0x11, 0x27], "at most 10000"), ([4, 0], [0x3A, 0], "version"), ([1, 1], [0x3A, 0], "version"),
            ([0, 0], [0x3A, 0], "version"),
        ]
        for (version, length, words) in cases {
            let error = #expect(throws: CheckpointError.self) { try open(Self.good, version: version, length: length) }
            #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
        }
    }
}

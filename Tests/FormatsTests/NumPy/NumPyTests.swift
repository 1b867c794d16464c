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

/// Archives that are wrong by a little.
@Suite struct NumPyArchives {
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var words: [String]
        var moment = EveryCommand.Moment.opening
        var change: @Sendable (inout ZipBytes) -> Void
    }

    private static let array = NumPyHeaders.bytes(NumPyHeaders.good)

    /// A deflated member as the decoder sees it: one block, stored.
    private static func storedBlocks(_ data: [UInt8]) -> [UInt8] {
        let count = UInt16(data.count)
        return [1] + count.littleEndianBytes + (~count).littleEndianBytes + data
    }

    static let cases = [
        Case(testDescription: "N07 the same name twice", words: ["each name once", "'a.npy'"]) {
            $0.members[1].name = $0.members[0].name
        },
        Case(testDescription: "N07 NUL in a name", words: ["no NUL"]) { $0.members[1].name = Array("b\0.npy".utf8) },
        Case(testDescription: "N08 wrong checksum", words: ["CRC-32", "'a.npy'"], moment: .reading) {
            $0.members[0].checksum = 1
        },
        Case(testDescription: "N08 method 12", words: ["method 12", "'b.npy'"]) { $0.members[1].method = 12 },
        Case(testDescription: "N08 method 99", words: ["method 99", "'b.npy'"]) { $0.members[1].method = 99 },
        Case(testDescription: "N08 encrypted", words: ["not encrypted"]) { $0.members[1].flags = 1 },
        Case(testDescription: "N08 65,535 members without zip64", words: ["zip64 end record"]) { $0.count = 0xFFFF },
        Case(testDescription: "N08 more members than the directory holds", words: ["members in"]) { $0.count = 3 },
        Case(testDescription: "N01 declared size that deflate cannot give", words: ["which deflate can give"]) {
            $0.members[1].method = 8
            $0.members[1].byteCount = 0xF000_0000
        },
        Case(testDescription: "N01 more in the stream than declared", words: ["'b.npy'"], moment: .reading) {
            $0.members[1].data = storedBlocks(array + [0])
            $0.members[1].method = 8
            $0.members[1].byteCount = UInt32(array.count)
        },
        Case(testDescription: "N01 more in the member than the header says", words: ["something else follows"]) {
            $0.members[1].data = storedBlocks(array + [0])
            $0.members[1].method = 8
            $0.members[1].byteCount = UInt32(array.count + 1)
            $0.members[1].checksum = ZipBytes.crc(array + [0])
        },
        Case(testDescription: "P15 zip64 field missing", words: ["sizes in a zip64 field"]) {
            $0.members[1].headerOffset = 0xFFFF_FFFF
        },
    ]

    @Test(arguments: cases) func wrongByALittleIsRefusedByEveryCommand(_ damage: Case) throws {
        let folder = try TemporaryFolder()
        var zip = ZipBytes([.init("a.npy", Self.array), .init("b.npy", Self.array)])
        let twin = try folder.write("twin.npz", zip.bytes)
        damage.change(&zip)
        let path = try folder.write("x.npz", zip.bytes)
        try EveryCommand.mustRefuse(path, words: damage.words, twin: twin, at: damage.moment)
    }

    @Test func itsNearestNeighboursAreAccepted() throws {
        let folder = try TemporaryFolder()
        var zip = ZipBytes([.init("a.npy", Self.array), .init("b.npy", Self.array)])
        try EveryCommand.mustAccept(folder.write("x.npz", zip.bytes))
        zip.members[1].data = Self.storedBlocks(Self.array)
        zip.members[1].method = 8
        zip.members[1].byteCount = UInt32(Self.array.count)
        zip.members[1].checksum = ZipBytes.crc(Self.array)
        try EveryCommand.mustAccept(folder.write("y.npz", zip.bytes))
        // Names of tensors, never of files.
        for name in ["../../x", "/etc/x", "..\\x", "C:\\x"] {
            zip.members[1].name = Array((name + ".npy").utf8)
            let path = try folder.write("z.npz", zip.bytes)
            #expect(try Checkpoint.open(path).contents.tensors.map(\.name) == ["a", name])
            try EveryCommand.mustAccept(path)
        }
    }

    @Test func cutsAreRefusedByEveryCommand() throws {
        let folder = try TemporaryFolder()
        let bytes = ZipBytes([.init("a.npy", Self.array), .init("b.npy", Self.array)]).bytes
        let twin = try folder.write("twin.npz", bytes)
        for count in [bytes.count - 1, bytes.count - 30, bytes.count - 70, bytes.count / 2, 40] {
            let path = try folder.write("x.npz", Array(bytes.prefix(count)))
            try EveryCommand.mustRefuse(path, words: [], twin: twin)
        }
    }
}

/// Headers that are wrong by a little.
@Suite struct NumPyHeaders {
    private static let magic = [0x93] + Array("NUMPY".utf8)
    static let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n"

    static func bytes(_ header: String, version: [UInt8] = [1, 0], length: [UInt8]? = nil) -> [UInt8] {
        let text = Array(header.utf8)
        let count = length ?? UInt16(text.count).littleEndianBytes
        return magic + version + count + text + Array(repeating: 0, count: 8)
    }

    /// Alone, by every command, and as the member of an archive.
    private func requireRefusal(of bytes: [UInt8], _ words: String) throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("x.npy", bytes)
        let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(path) }
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
        let twin = try folder.write("twin.npy", Self.bytes(Self.good))
        try EveryCommand.mustRefuse(path, words: [words], twin: twin)
        let archive = try folder.write("x.npz", ZipBytes([.init("y.npy", bytes)]).bytes)
        let inside = #expect(throws: CheckpointError.self) { try Checkpoint.open(archive) }
        #expect(inside?.description.contains("member 'y.npy'") == true, "\(inside?.description ?? "")")
    }

    @Test func theTwinIsAccepted() throws {
        let folder = try TemporaryFolder()
        for (name, bytes) in [
            ("x.npy", Self.bytes(Self.good)), ("x.npz", ZipBytes([.init("y.npy", Self.bytes(Self.good))]).bytes),
        ] {
            try EveryCommand.mustAccept(folder.write(name, bytes))
        }
    }

    @Test(arguments: [
        (good.replacing("2,", with: "3,"), "12 bytes"), (good.replacing("2,", with: "1,"), "something else follows"),
        (good.replacing("2,", with: "1099511627776,"), "cut off"),
        (good.replacing("2,", with: "4294967296, 4294967296"), "63 bits"),
        (good.replacing("2,", with: "2305843009213693952,"), "63 bits"),
        (good.replacing("2,", with: "99999999999999999999,"), "63 bits"),
        (good.replacing("2,", with: "-2,"), "not negative"),
        (good.replacing("(2,)", with: "(2)"), "','"), (good.replacing("(2,)", with: "(02,)"), "begins with no 0"),
        (good.replacing("(2,)", with: "[2]"), "'('"),
        (good.replacing("(2,)", with: "((2,),)"), "not negative"),
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
        try requireRefusal(of: Self.bytes(header), words)
    }

    @Test func lengthsAndVersionsAreChecked() throws {
        let cases: [([UInt8], [UInt8], String)] = [
            ([2, 0], [0xFF, 0xFF, 0xFF, 0xFF], "at most 10000 bytes"), ([1, 0], [0x10, 0x27], "ends inside"),
            ([1, 0], [0x11, 0x27], "at most 10000"), ([4, 0], [0x3A, 0], "version"), ([1, 1], [0x3A, 0], "version"),
            ([0, 0], [0x3A, 0], "version"),
        ]
        for (version, length, words) in cases {
            try requireRefusal(of: Self.bytes(Self.good, version: version, length: length), words)
        }
    }
}

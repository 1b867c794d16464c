import AssayCHDF5
import AssayCheckpoints
import AssayTensors
import AssayTestSupport
import SystemPackage
import Testing

@testable import AssayFormats

#if canImport(Glibc)
    import Glibc
#endif

/// The HDF5 rows of the catalogue of bad inputs: files made for the purpose, each with its valid twin.
@Suite struct HDF5BadInputTests {
    /// Makes a file through libhdf5 as others would, in one of the old forms.
    static func make(
        _ path: FilePath, userBlock: UInt64 = 0, inLaterForm: Bool = false, _ body: (_ file: hid_t) throws -> Void
    ) throws {
        let output = try OutputFile(creating: path)
        try HDF5Library.withLibrary {
            let access = chdf5_access()
            let creation = H5Pcreate(chdf5_file_creation())
            defer {
                H5Pclose(access)
                H5Pclose(creation)
            }
            if userBlock > 0 { H5Pset_userblock(creation, userBlock) }
            if inLaterForm { H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110) }
            let file = chdf5_create(output.descriptor, creation, access)
            try #require(file >= 0)
            defer { H5Fclose(file) }
            try body(file)
        }
    }

    /// A dataset of 32-bit integers, contiguous or with the properties that `body` sets.
    @discardableResult
    static func dataset(
        _ file: hid_t, _ name: String, _ shape: [UInt64], maximum: [UInt64]? = nil, values: [Int32]? = nil,
        _ body: (_ properties: hid_t) -> Void = { _ in }
    ) -> Bool {
        let properties = H5Pcreate(chdf5_dataset_creation())
        let type = chdf5_integer(32, 1)
        let space = H5Screate_simple(CInt(shape.count), shape, maximum)
        defer {
            H5Pclose(properties)
            H5Sclose(space)
        }
        body(properties)
        let dataset = H5Dcreate2(file, name, type, space, chdf5_default(), properties, chdf5_default())
        guard dataset >= 0 else { return false }
        if let values { H5Dwrite(dataset, type, chdf5_all(), chdf5_all(), chdf5_default(), values) }
        H5Dclose(dataset)
        return true
    }

    /// What is wrong with a file, read to its last byte; nil where nothing is. Anything but one sentence fails.
    static func sentence(_ path: FilePath, _ options: ReadingOptions = HDF5Tests.reading) -> String? {
        do {
            let reader = try HDF5Tests.open(path, options)
            for index in reader.contents.tensors.indices { _ = try HDF5Tests.bytes(reader, index) }
            return nil
        } catch let error as CheckpointError {
            let file = path.string + ": "
            #expect(error.description.hasPrefix(file) && !error.description.contains("\n"))
            return String(error.description.dropFirst(file.count))
        } catch {
            Issue.record("\(path): \(error)")
            return "\(error)"
        }
    }

    /// Some bytes of a file replaced; the number of places is returned.
    static func replace(_ pattern: [UInt8], by other: [UInt8], in bytes: inout [UInt8]) -> Int {
        var count = 0
        for start in 0...bytes.count - pattern.count where Array(bytes[start..<start + pattern.count]) == pattern {
            bytes.replaceSubrange(start..<start + pattern.count, with: other)
            count += 1
        }
        return count
    }

    static func golden(_ name: String) throws -> [UInt8] {
        try TestFiles.bytes(HDF5GoldenTests.folder.appending(name))
    }

    static func write(_ bytes: [UInt8], _ path: FilePath) throws { try TestFiles.write(bytes, to: path) }

    // MARK: H01, H02

    @Test func truncatedFilesAreRefused() throws {
        let folder = try TemporaryFolder()
        let bytes = try Self.golden("types.h5")
        let lengths = Array(stride(from: 0, to: bytes.count, by: 512)) + [8, 48, 96, bytes.count - 1]
        try Parallel.forEach(lengths.count, threads: 2) { index in
            let path = folder.path.appending("\(index).h5")
            try Self.write(Array(bytes[..<lengths[index]]), path)
            let sentence = Self.sentence(path)
            #expect(sentence?.contains("expected what libhdf5 can read, found damage") == true, "\(lengths[index])")
        }
        try Self.write(bytes, folder.path.appending("whole.h5"))
        #expect(Self.sentence(folder.path.appending("whole.h5")) == nil)
    }

    @Test(arguments: [0, 512, 1024, 2048, 65536] as [UInt64])
    func userBlocksAreSkipped(_ size: UInt64) throws {
        let folder = try TemporaryFolder()
        let values = (0..<700).map { Int32($0) }
        try Self.make(folder.path.appending("a.h5"), userBlock: size) { file in
            Self.dataset(file, "plain", [700], values: values)
            Self.dataset(file, "chunked", [700], values: values) {
                H5Pset_chunk($0, 1, [64])
                H5Pset_deflate($0, 3)
            }
        }
        #expect(try HDF5.recognizes(InputFile(folder.path.appending("a.h5"))))
        let reader = try HDF5Tests.open(folder.path.appending("a.h5"))
        #expect(reader.contents.tensors.count == 2)
        for index in 0..<2 {
            #expect(try HDF5Tests.bytes(reader, index) == values.withUnsafeBytes { Array($0) })
        }
    }

    /// Not damage: somebody's library is newer than ours.
    @Test(arguments: [0, 512]) func laterSuperblocksAreRefusedByTheirVersion(_ userBlock: Int) throws {
        let folder = try TemporaryFolder()
        var bytes = [UInt8](repeating: 0, count: userBlock) + (try Self.golden("types.h5"))
        for version in [4, 255] as [UInt8] {
            bytes[userBlock + 8] = version
            let path = folder.path.appending("\(version).h5")
            try Self.write(bytes, path)
            #expect(
                Self.sentence(path)?.contains(
                    "superblock: expected a version from 0 to 3, found version \(version), which is not read yet")
                    == true
            )
        }
    }

    /// The superblock of HDF5 2.0's newest form is an old one; what is in it is not.
    @Test func laterFormsInsideAreNotCalledMereDamage() throws {
        let sentence = Self.sentence(
            TestFiles.fixtures.appending("golden").appending("hdf5").appending("v200-chunked.h5"))
        #expect(
            sentence?.contains("found a version that is not read yet, or damage ('bad version number") == true
                && sentence?.hasSuffix("; what h5py writes with libver='v110' is read") == true,
            "\(sentence ?? "accepted")")
    }

    @Test func theSignatureIsLookedForAtItsPlacesOnly() throws {
        let folder = try TemporaryFolder()
        let bytes = try Self.golden("types.h5")
        for (offset, isRecognized) in [
            (0, true), (512, true), (1024, true), (1000, false), (1536, false), (4096, true),
        ] {
            let path = folder.path.appending("\(offset).h5")
            try Self.write([UInt8](repeating: 0, count: offset) + bytes, path)
            #expect(try HDF5.recognizes(InputFile(path)) == isRecognized, "\(offset)")
        }
        try Self.write([], folder.path.appending("empty.h5"))
        #expect(try !HDF5.recognizes(InputFile(folder.path.appending("empty.h5"))))
    }

    /// A file that another format's programs read is not what lies behind its header.
    @Test func aUserBlockIsNoOtherFormatsFile() throws {
        let folder = try TemporaryFolder()
        let bytes = try Self.golden("types.h5")
        let entry = GGUFBuilder.entry("general.alignment", 4, UInt32(2048).littleEndianBytes)
        var builder = GGUFBuilder()
        builder.entries = [entry]
        builder.tensors = [GGUFBuilder.tensor("t", [2])]
        builder.alignment = 2048
        builder.data = bytes
        let path = folder.path.appending("x.gguf")
        try Self.write(builder.bytes, path)
        #expect(try !HDF5.recognizes(InputFile(path)))
        #expect(try Checkpoint.reader(of: path, ReadingOptions()).contents.formatName == GGUF.name)
    }

    /// Files of more bytes than half of what 63 bits count.
    @Test func theSignatureIsLookedForInTheLongestFile() throws {
        struct Endless: ByteSource {
            let byteCount = Int.max
            func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
                buffer.initializeMemory(as: UInt8.self, repeating: 1)
            }
        }
        #expect(try !HDF5.recognizes(InputFile("/none", holding: Endless())))
    }

    // MARK: H04, H09, H10, H12

    @Test func linksOutOfTheFileAreNamedAndNotFollowed() throws {
        let folder = try TemporaryFolder()
        // Whoever opens this for reading waits for ever.
        let pipe = folder.path.appending("pipe.h5")
        #expect(mkfifo(pipe.string, 0o600) == 0)
        try Self.make(folder.path.appending("a.h5")) { file in
            Self.dataset(file, "fine", [2], values: [1, 2])
            H5Lcreate_external(pipe.string, "/weight", file, "stolen", chdf5_default(), chdf5_default())
        }
        #expect(
            Self.sentence(folder.path.appending("a.h5"))
                == "link '/stolen': expected hard links only, found an external link to '\(pipe):/weight'")
    }

    @Test(arguments: [HDF5Limits.depth, HDF5Limits.depth + 1])
    func groupsNestToAStatedDepth(_ depth: Int) throws {
        let folder = try TemporaryFolder()
        try Self.make(folder.path.appending("a.h5")) { file in
            var path = ""
            for _ in 0..<depth {
                path += "/g"
                H5Gclose(H5Gcreate2(file, path, chdf5_default(), chdf5_default(), chdf5_default()))
            }
            Self.dataset(file, path + "/x", [1], values: [7])
        }
        let sentence = Self.sentence(folder.path.appending("a.h5"))
        if depth <= HDF5Limits.depth {
            #expect(sentence == nil)
        } else {
            #expect(sentence?.hasSuffix("expected at most 128 groups inside each other, found more") == true)
        }
    }

    /// What lies in a group has a name under each path to it, but for those that lead through the group itself.
    @Test func groupsUnderTwoNamesHoldWhatTheyHoldTwice() throws {
        let folder = try TemporaryFolder()
        let path = folder.path.appending("a.h5")
        try Self.make(path) { file in
            let group = H5Gcreate2(file, "enc", chdf5_default(), chdf5_default(), chdf5_default())
            defer { H5Gclose(group) }
            Self.dataset(group, "w", [1], values: [7])
            for (place, name) in [(file, "dec"), (group, "again")] {
                #expect(H5Lcreate_hard(file, "enc", place, name, chdf5_default(), chdf5_default()) >= 0)
            }
        }
        let contents = try HDF5Tests.open(path).contents
        #expect(contents.tensors.map(\.name) == ["dec/w", "enc/w"])
        #expect(contents.tensors.map(\.aliasOf) == [nil, "dec/w"])
        let words = ["dec", "enc"].map { "'/\($0)/again' is the group '/\($0)', which it lies in, and is left out" }
        #expect(contents.warnings == words)
    }

    @Test func tooManyLinksAreRefused() throws {
        let folder = try TemporaryFolder()
        try Self.make(folder.path.appending("a.h5")) { file in
            Self.dataset(file, "x", [1], values: [7])
            for number in 0..<HDF5Limits.objectCount {
                H5Lcreate_hard(file, "x", file, "l\(number)", chdf5_default(), chdf5_default())
            }
        }
        #expect(
            Self.sentence(folder.path.appending("a.h5")) == "expected at most 250000 objects and links, found more")
    }

    @Test(
        arguments: [
            // The first three stop libhdf5 already, in words of its own.
            ([1 << 63], "what libhdf5 can read"), ([.max, 1], "what libhdf5 can read"),
            ([0, 1 << 63], "what libhdf5 can read"),
            ([1 << 32, 1 << 31], "a shape of fewer than 2^63 elements, found [4294967296, 2147483648]"),
            ([1 << 31, 1 << 31], "a byte count below 2^63, found [2147483648, 2147483648] elements of 4 bytes"),
            ([1 << 20, 1 << 20], "the declared data to be stored, found 4398046511104 bytes declared and 0 stored"),
            ([0, 1 << 20], nil), ([3, 4], nil),
        ] as [([UInt64], String?)])
    func impossibleShapesAreRefused(_ shape: [UInt64], _ expected: String?) throws {
        let folder = try TemporaryFolder()
        // libhdf5 makes no such files: these numbers stand in for the shape, and are found again.
        let marks = shape.indices.map { UInt64(0x11_2233 + $0) }
        try Self.make(folder.path.appending("a.h5")) { file in
            #expect(Self.dataset(file, "x", expected == nil ? shape : marks))
        }
        let file = try InputFile(folder.path.appending("a.h5"))
        var bytes = try file.bytes(0..<file.byteCount)
        if expected != nil {
            for (mark, dimension) in zip(marks, shape) {
                let pattern = Self.littleEndian(mark)
                let other = Self.littleEndian(dimension)
                #expect(Self.replace(pattern, by: other, in: &bytes) > 0)
            }
        }
        try Self.write(bytes, folder.path.appending("b.h5"))
        let sentence = Self.sentence(folder.path.appending("b.h5"))
        if let expected {
            let place = expected == "what libhdf5 can read" ? "object '/x'" : "tensor 'x'"
            #expect(sentence?.hasPrefix("\(place): expected \(expected)") == true, "\(sentence ?? "accepted")")
        } else {
            #expect(sentence == nil)
        }
    }

    static func littleEndian(_ value: UInt64) -> [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: value >> UInt64($0 * 8)) }
    }

    @Test func unlimitedDimensionsAreRead() throws {
        let folder = try TemporaryFolder()
        try Self.make(folder.path.appending("a.h5")) { file in
            Self.dataset(file, "x", [5, 3], maximum: [chdf5_unlimited(), 3], values: (0..<15).map { Int32($0) }) {
                H5Pset_chunk($0, 2, [2, 2])
            }
        }
        let reader = try HDF5Tests.open(folder.path.appending("a.h5"))
        let expected = (0..<15).map { Int32($0) }.withUnsafeBytes { Array($0) }
        #expect(try HDF5Tests.bytes(reader, 0) == expected)
    }

    // MARK: H11

    @Test func undeclaredDataIsBounded() throws {
        let folder = try TemporaryFolder()
        // Fill values alone: up to a limit they are legal, beyond they are an attack.
        let limit = UInt64(HDF5Limits.unstoredByteCount / 4)
        for (count, isFine) in [(limit, true), (limit + 1, false), (1 << 40, false)] {
            let path = folder.path.appending("\(count).h5")
            try Self.make(path) { file in
                Self.dataset(file, "x", [count]) {
                    H5Pset_chunk($0, 1, [1 << 16])
                    H5Pset_deflate($0, 9)
                }
            }
            let sentence = Self.sentence(path)
            let words =
                "tensor 'x': expected the declared data to be stored, found \(count * 4) bytes declared and 0 stored"
            #expect(sentence == (isFine ? nil : words))
        }
        // Many datasets below the limit are beyond it together.
        try Self.make(folder.path.appending("many.h5")) { file in
            for number in 0..<20 { Self.dataset(file, "x\(number)", [1 << 20]) }
        }
        #expect(
            Self.sentence(folder.path.appending("many.h5"))?.contains("expected the declared data to be stored") == true
        )
    }

    /// 16 million chunks of which there is none, in a file of 1400 bytes; and more of them than it may have where one is.
    @Test func chunksThatAreNotThereCostNothing() throws {
        let folder = try TemporaryFolder()
        let path = folder.path.appending("none.h5")
        try Self.make(path) { file in
            Self.dataset(file, "x", [2, UInt64(HDF5Limits.unstoredByteCount) / 8]) { H5Pset_chunk($0, 2, [1, 1]) }
        }
        try EveryCommand.mustAccept(path)
        for (count, isFine) in [(HDF5Limits.chunkCount, true), (2 * HDF5Limits.chunkCount, false)] {
            let path = folder.path.appending("\(count).h5")
            try Self.make(path) { file in
                Self.dataset(file, "x", [UInt64(count)]) { H5Pset_chunk($0, 1, [1]) }
                let dataset = H5Dopen2(file, "x", chdf5_default())
                defer { H5Dclose(dataset) }
                #expect(H5Dwrite_chunk(dataset, chdf5_default(), 0, [7], 4, [1, 0, 0, 0] as [UInt8]) >= 0)
            }
            let sentence = Self.sentence(path)
            let words = "tensor 'x': expected at most 131072 chunks, and one for 8 bytes of the file, found more"
            #expect(sentence == (isFine ? nil : words))
        }
    }

    private static let indices = Trials(
        "Damage", "indices of the chunks of HDF5 files, of which a byte or the head is gone",
        findings: [
            "an index that could not be read was taken for one without chunks, and its data for fill values",
            "a chunk that its index had lost was taken for one that was never written",
        ])

    /// libhdf5 gives 0 stored bytes of an index that it cannot read, which are not "no chunks, all fill values".
    @Test(arguments: ["chunked.h5", "lzf.h5", "v110-chunked.h5", "v110-unfiltered-edges.h5"])
    func damagedIndicesAreNotEmptyOnes(_ name: String) throws {
        let folder = try TemporaryFolder()
        let bytes = try Self.golden(name)
        func digests(_ path: FilePath) throws -> [[UInt8]] {
            let reader = try HDF5Tests.open(path)
            return try reader.contents.tensors.indices.map { try HDF5Tests.bytes(reader, $0) }
        }
        let whole = try digests(HDF5GoldenTests.folder.appending(name))
        let marks = ["TREE", "FAHD", "FADB", "EAHD", "EAIB", "EASB", "EADB", "BTHD", "BTIN", "BTLF"].map {
            Array($0.utf8)
        }
        let places = bytes.indices.dropLast(4).filter { marks.contains(Array(bytes[$0..<$0 + 4])) }
        try #require(places.count > 3)
        var refusedCount = 0
        for place in places {
            for length in [1, 24] {
                var damaged = bytes
                for index in place..<min(place + length, bytes.count) { damaged[index] = 0 }
                let path = try folder.write("damaged.h5", damaged)
                if Self.sentence(path) != nil { refusedCount += 1 } else { #expect(try digests(path) == whole) }
            }
        }
        #expect(refusedCount > places.count)
        try Self.indices.record(2 * places.count)
    }

    /// The first form of an index has no checksum: a chunk behind the end, or in the place of another, is found by nobody;
    /// one that begins inside its place is found there.
    @Test(arguments: [(2, nil), (3, nil), (4, 8), (0, 8)] as [(UInt8, Int?)])
    func lostChunksAreMissed(_ place: UInt8, _ found: Int?) throws {
        let folder = try TemporaryFolder()
        let path = folder.path.appending("a.h5")
        try Self.make(path) { file in
            Self.dataset(file, "x", [4], values: [1, 2, 3, 4]) { H5Pset_chunk($0, 1, [2]) }
        }
        var bytes = try TestFiles.bytes(path)
        // The key of the second chunk: 8 bytes, no filter left out, from element 2 on.
        let key: [UInt8] = [8, 0, 0, 0, 0, 0, 0, 0, 2] + [UInt8](repeating: 0, count: 15)
        #expect(Self.replace(key, by: key[..<8] + [place] + key[9...], in: &bytes) == 1)
        let sentence = try Self.sentence(folder.write("b.h5", bytes))
        let words = found.map { "tensor 'x': expected 16 bytes in chunks, as the index counts, found \($0)" }
        #expect(sentence == words)
    }

    private static let contradictions = Trials(
        "Damage", "HDF5 files whose shapes or names contradict what stands beside them",
        findings: [
            "rows beyond the limit that a shape has in the file were made up of fill values",
            "names out of the order in which libhdf5 looks them up were taken as they stood",
            "a shape that had lost its elements made an empty tensor of one that had data",
        ])

    /// Rows behind the limit that the file itself states would be made up of fill values.
    @Test func aShapeBeyondItsLimitIsRefused() throws {
        let folder = try TemporaryFolder()
        var bytes = try Self.golden("lzf.h5")
        func words(_ numbers: [UInt8]) -> [UInt8] { numbers.flatMap { [$0, 0, 0, 0, 0, 0, 0, 0] } }
        // The shape of 'incompressible-chunks', then its limit.
        #expect(Self.replace(words([16, 4, 16, 4]), by: words([20, 4, 16, 4]), in: &bytes) == 1)
        let sentence = try Self.sentence(folder.write("a.h5", bytes))
        #expect(sentence == "tensor 'incompressible-chunks': expected a shape of at most [16, 4], found [20, 4]")
        try Self.contradictions.record(1)
    }

    /// A shape that lost its elements has their data still, contiguous or in chunks.
    @Test(arguments: [false, true]) func aShapeWithoutElementsHasNoData(_ isChunked: Bool) throws {
        let folder = try TemporaryFolder()
        try Self.make(folder.path.appending("a.h5")) { file in
            Self.dataset(file, "x", [4], values: [1, 2, 3, 4]) { if isChunked { H5Pset_chunk($0, 1, [2]) } }
        }
        var bytes = try TestFiles.bytes(folder.path.appending("a.h5"))
        let shape = [UInt8](repeating: 0, count: 7) + [4] + [UInt8](repeating: 0, count: 7)
        #expect(Self.replace([4] + shape, by: [0] + shape, in: &bytes) == 1)
        let sentence = try Self.sentence(folder.write("b.h5", bytes))
        let words = isChunked ? "16 bytes in chunks, as the index counts, found 0" : "0 bytes stored, found 16"
        #expect(sentence == "tensor 'x': expected \(words)")
        try Self.contradictions.record(1)
    }

    /// libhdf5 lists such a group and finds nothing in it by name.
    @Test func namesOutOfOrderAreRefused() throws {
        let folder = try TemporaryFolder()
        try Self.make(folder.path.appending("a.h5")) { file in
            for name in ["alpha", "beta", "gamma"] { Self.dataset(file, name, [1], values: [7]) }
        }
        var bytes = try TestFiles.bytes(folder.path.appending("a.h5"))
        #expect(Self.replace(Array("beta\0".utf8), by: Array("a\0\0\0\0".utf8), in: &bytes) == 1)
        let sentence = try Self.sentence(folder.write("b.h5", bytes))
        #expect(sentence == "group '/': expected names in their order, found 'a' after 'alpha'")
        try Self.contradictions.record(1)
    }

    // MARK: H15, H16, H19

    @Test func aChunkLargerThanTheFileIsRefused() throws {
        let folder = try TemporaryFolder()
        try Self.make(folder.path.appending("a.h5")) { file in
            Self.dataset(file, "x", [64], values: [Int32](repeating: 3, count: 64)) {
                H5Pset_chunk($0, 1, [64])
                H5Pset_deflate($0, 9)
            }
        }
        #expect(Self.sentence(folder.path.appending("a.h5")) == nil)
        let reader = try HDF5Tests.open(folder.path.appending("a.h5"))
        // The key in the index: the chunk's size, then its filter mask and its place.
        var bytes = try InputFile(folder.path.appending("a.h5")).bytes(0..<reader.contents.fileByteCount)
        var found: Int?
        for size in UInt8(8)...UInt8(60) {
            let key = [size, 0, 0, 0, 0, 0, 0, 0] + [UInt8](repeating: 0, count: 16)
            if let place = bytes.indices.dropLast(24).first(where: {
                Array(bytes[$0..<$0 + 24]) == key && bytes[$0 - 16] == 0xFF
            }) {
                found = place
                break
            }
        }
        let place = try #require(found)
        let size = Int(bytes[place]) * 1000
        bytes[place] = UInt8(size & 0xFF)
        bytes[place + 1] = UInt8(size >> 8)
        try Self.write(bytes, folder.path.appending("b.h5"))
        let sentence = Self.sentence(folder.path.appending("b.h5"))
        #expect(sentence?.hasPrefix("tensor 'x': expected") == true, "\(sentence ?? "accepted")")
    }

    @Test func nbitIsRefusedByNumberAndName() throws {
        let folder = try TemporaryFolder()
        try Self.make(folder.path.appending("a.h5")) { file in
            Self.dataset(file, "x", [64]) {
                H5Pset_chunk($0, 1, [64])
                H5Pset_nbit($0)
            }
        }
        #expect(
            Self.sentence(folder.path.appending("a.h5"))
                == "tensor 'x': expected the filters deflate, LZF, shuffle and fletcher32 alone, found filter 5"
                + " (nbit), which is not available; rewrite the file where it is: 'h5repack -f GZIP=4 OLD NEW'")
    }

    @Test func aStringAttributeWithAnAbsurdLengthIsRefused() throws {
        let folder = try TemporaryFolder()
        var bytes = try Self.golden("attributes.h5")
        let length = UInt8("variable length: Größe 重み".utf8.count)
        // The attribute's data: length, address of the heap, index.
        let places = bytes.indices.dropLast(16).filter { start in
            bytes[start] == length && bytes[start + 1] == 0 && bytes[start + 2] == 0 && bytes[start + 3] == 0
                && bytes[start + 5] != 0 && bytes[start + 6..<start + 12].allSatisfy { $0 == 0 }
                && bytes[start + 12] != 0
        }
        try #require(!places.isEmpty)
        for place in places { bytes[place + 3] = 0x80 }
        try Self.write(bytes, folder.path.appending("a.h5"))
        let sentence = Self.sentence(folder.path.appending("a.h5"))
        #expect(sentence == nil || sentence?.contains("found damage") == true, "\(sentence ?? "")")
    }

    /// Many pointers to one text of the file's heap.
    @Test(arguments: [(100, true), (1000, false)])
    func textThatStandsInManyPlacesIsCounted(_ count: Int, _ isRead: Bool) throws {
        let folder = try TemporaryFolder()
        let path = folder.path.appending("a.h5")
        let texts = [String(repeating: "x", count: 20_000)] + (1..<count).map { _ in "y" }
        try Self.make(path) { file in
            try HDF5AttributeWriter.write("string", shape: [count], texts.map { .string($0) }, "v", on: file)
        }
        var bytes = try TestFiles.bytes(path)
        // References of 16 bytes: a length, the address of the heap, an index. The second is of a text of one byte.
        let long = UInt32(20_000).littleEndianBytes
        let first = try #require(
            bytes.indices.dropLast(32).first {
                bytes[$0] == long[0] && bytes[$0..<$0 + 4].elementsEqual(long)
                    && bytes[$0 + 16..<$0 + 20].elementsEqual(UInt32(1).littleEndianBytes)
            })
        let reference = Array(bytes[first..<first + 16])
        for index in 1..<count { bytes.replaceSubrange(first + 16 * index..<first + 16 * index + 16, with: reference) }
        try Self.write(bytes, path)
        let sentence = Self.sentence(path)
        guard !isRead else { return #expect(sentence == nil) }
        #expect(sentence?.contains("expected at most 16777216 bytes of text") == true, "\(sentence ?? "")")
    }

    /// libhdf5 looks for each from the first one on, unless the file has an index.
    @Test(arguments: [(16_385, false), (16_384, false), (20_000, true)])
    func attributesWithoutAnIndexAreFew(_ count: Int, _ inLaterForm: Bool) throws {
        let folder = try TemporaryFolder()
        let path = folder.path.appending("a.h5")
        try Self.make(path, inLaterForm: inLaterForm) { file in
            for number in 0..<count {
                try HDF5AttributeWriter.write("U8", shape: [], [1], "attribute\(number)", on: file)
            }
        }
        #expect(
            Self.sentence(path)
                == (count == 16_385
                    ? "group '/': expected at most 16384 attributes where the file has no index of them, found 16385;"
                        + " write the file with h5py's libver='v110'" : nil))
    }

    /// Each element would become a value: bytes take what they take, texts are counted.
    @Test(arguments: [("U8", 16 << 20, true), ("string[1]", 1_300_000, false), ("string[1]", 1 << 20, true)])
    func valuesOfAttributesAreCounted(_ type: String, _ count: Int, _ isRead: Bool) throws {
        let folder = try TemporaryFolder()
        let path = folder.path.appending("a.h5")
        let value: JSONValue =
            type == "U8"
            ? .object(JSONObject([("hex", .string(String(repeating: "01", count: count)))]))
            : .array([JSONValue](repeating: "x", count: count))
        try Self.make(path, inLaterForm: true) { file in
            try HDF5AttributeWriter.write(
                ["type": .string(type), "shape": [JSONValue(count)], "value": value], "v", on: file)
        }
        let limit = HDF5Limits.valueCount(fileByteCount: try TestFiles.bytes(path).count)
        #expect(
            Self.sentence(path)
                == (isRead ? nil : "expected at most \(limit) attributes and values in them, found more"))
    }

    /// Each group's path has those of all around it.
    @Test(arguments: [(30, true), (60, false)]) func longNamesInsideEachOtherAreBounded(_ depth: Int, _ isRead: Bool)
        throws
    {
        let folder = try TemporaryFolder()
        let path = folder.path.appending("a.h5")
        let name = String(repeating: "x", count: 20_000)
        try Self.make(path, inLaterForm: true) { file in
            var group = file
            for _ in 0..<depth {
                let inner = H5Gcreate2(group, name, chdf5_default(), chdf5_default(), chdf5_default())
                if group != file { H5Gclose(group) }
                group = inner
            }
            H5Gclose(group)
        }
        let sentence = Self.sentence(path)
        #expect((sentence == nil) == isRead, "\(sentence ?? "read")")
        if !isRead {
            #expect(
                sentence?.contains("found names and attributes whose listing has more than ") == true,
                "\(sentence ?? "")")
        }
    }

    // MARK: The helper

    @Test func withoutAHelperHDF5IsRefused() throws {
        let path = HDF5GoldenTests.folder.appending("types.h5")
        let error = #expect(throws: UsageError.self) { try HDF5Tests.open(path, ReadingOptions()) }
        #expect(error?.description.hasPrefix("\(path): HDF5 is read with the help of a process of its own") == true)
    }

    @Test func aHelperThatIsNoneIsTheSystemsFault() throws {
        let path = HDF5GoldenTests.folder.appending("types.h5")
        #expect(throws: SystemError.self) { try HDF5Tests.open(path, ReadingOptions(hdf5Helper: "/nonexistent/assay")) }
        #expect(throws: SystemError.self) { try HDF5Tests.open(path, ReadingOptions(hdf5Helper: "/bin/false")) }
        // One that says nothing has not given a listing.
        #expect(throws: CheckpointError.self) { try HDF5Tests.open(path, ReadingOptions(hdf5Helper: "/bin/true")) }
    }

    @Test func aHelperThatHangsCrashesOrFloodsIsEnded() throws {
        let folder = try TemporaryFolder()
        let file = try InputFile(HDF5GoldenTests.folder.appending("types.h5"))
        let cases = [
            ("kill -SEGV $$", "damage over which it crashed (signal 11)"),
            ("exec >&- 2>&-; sleep 60", "damage over which it did not end when it had said everything"),
            (
                "cat /dev/zero",
                "names and attributes whose listing has more than \(16 << 20 + 4 * file.byteCount) bytes"
            ),
            ("head -c 1000000 /dev/zero >&2; kill -ABRT $$", "damage over which it crashed (signal 6)"),
        ]
        for (number, (command, found)) in cases.enumerated() {
            let program = try HDF5Tests.standIn("exec 2>&2\n\(command)", named: "helper\(number)", in: folder)
            let error = #expect(throws: CheckpointError.self) {
                try HDF5Helper(program: program, seconds: 20).listing(of: file)
            }
            #expect(error?.found == found)
        }
    }

    /// A busy machine, or a disk that does not answer, is no damage; what spins is ended by its processor time.
    @Test func aHelperThatGetsNoProcessorIsTheSystemsFault() throws {
        let folder = try TemporaryFolder()
        let file = try InputFile(HDF5GoldenTests.folder.appending("types.h5"))
        let program = try HDF5Tests.standIn("exec 2>&2\nsleep 60", named: "helper", in: folder)
        let error = #expect(throws: SystemError.self) { try HDF5Helper(program: program, seconds: 1).listing(of: file) }
        #expect(error?.description.contains("look at it within 1 seconds") == true, "\(String(describing: error))")
        #expect(error?.description.contains("got 0 s of processor time; try again") == true)
    }

    /// The system counts processor time by ticks, and may end it before the time is used that it says was used.
    @Test func aHelperThatSpinsIsDamageHoweverItsTimeIsCounted() throws {
        let folder = try TemporaryFolder()
        let file = try InputFile(HDF5GoldenTests.folder.appending("types.h5"))
        let program = try HDF5Tests.standIn(
            "exec 2>&2\nulimit -t 3\nwhile :; do :; done", named: "helper", in: folder)
        let error = #expect(throws: CheckpointError.self) { try HDF5Helper(program: program).listing(of: file) }
        #expect(error?.found == "damage over which it did not end within 5 seconds of processor time")
    }

    /// Somebody, or a system without memory, kills it: the file is not to blame.
    @Test(arguments: ["KILL", "TERM", "INT", "XCPU"]) func aHelperThatIsEndedFromOutsideIsNoDamage(_ signal: String)
        throws
    {
        let folder = try TemporaryFolder()
        let file = try InputFile(HDF5GoldenTests.folder.appending("types.h5"))
        let program = try HDF5Tests.standIn("kill -\(signal) $$; sleep 1", named: "helper", in: folder)
        let error = #expect(throws: SystemError.self) {
            try HDF5Helper(program: program, seconds: 20).listing(of: file)
        }
        #expect(error.map { "\($0)".contains("was ended from outside (signal ") } ?? false)
    }
}

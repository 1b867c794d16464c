import AssayCheckpoints
import AssayTensors
import AssayTestSupport
import SystemPackage
import Testing

@testable import AssayFormats

/// A broken file, the words its refusal must say, and the nearest file that is accepted.
private struct Rejection: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var bytes: [UInt8]
    var words: [String]
    var twin: [UInt8]

    init(_ name: String, _ bytes: [UInt8], _ words: [String], twin: [UInt8] = one().bytes) {
        testDescription = name
        self.bytes = bytes
        self.words = words
        self.twin = twin
    }
}

/// One tensor "a" of two float32 in a file with the entry `general.name`.
private func one(_ change: (inout GGUFBuilder) -> Void = { _ in }) -> GGUFBuilder {
    var builder = GGUFBuilder()
    builder.entries = [GGUFBuilder.entry("general.name", 8, GGUFBuilder.text("x"))]
    builder.tensors = [GGUFBuilder.tensor("a", [2])]
    builder.data = Array(repeating: 0, count: 32)
    change(&builder)
    return builder
}

/// `one` with another entry.
private func entry(_ key: String, _ type: UInt32, _ value: [UInt8]) -> [UInt8] {
    one { $0.entries.append(GGUFBuilder.entry(key, type, value)) }.bytes
}

/// An array's element type and length, and what follows.
private func array(_ type: UInt32, _ count: UInt64, _ bytes: [UInt8] = []) -> [UInt8] {
    type.littleEndianBytes + count.littleEndianBytes + bytes
}

/// `one` with the tensor replaced.
private func tensor(
    _ name: String = "a", _ dimensions: [UInt64] = [2], type: UInt32 = 0, offset: UInt64 = 0, rank: UInt32? = nil,
    data: Int = 32
) -> [UInt8] {
    one {
        $0.tensors = [GGUFBuilder.tensor(name, dimensions, type: type, offset: offset, rank: rank)]
        $0.data = Array(repeating: 0, count: data)
    }.bytes
}

/// Arrays in arrays, so many levels, the innermost of one byte.
private func nested(_ depth: Int) -> [UInt8] {
    (1..<depth).reduce(into: [UInt8]()) { bytes, _ in bytes += array(9, 1) } + array(0, 1, [7])
}

private func alignment(_ number: UInt32) -> [UInt8] {
    one {
        $0.entries.append(GGUFBuilder.entry("general.alignment", 4, number.littleEndianBytes))
        $0.alignment = max(1, Int(number))
        $0.data = Array(repeating: 0, count: 8)
    }.bytes
}

private func two(secondOffset: UInt64, secondName: String = "b") -> [UInt8] {
    one {
        $0.tensors.append(GGUFBuilder.tensor(secondName, [2], offset: secondOffset))
        $0.data = Array(repeating: 0, count: 64)
    }.bytes
}

private let lengths: [(String, UInt64)] = [
    ("2^64-1", .max), ("2^63", 1 << 63), ("one too many", UInt64(one().bytes.count)),
]

private let headRejections: [Rejection] =
    [
        .init("G01 magic", one { $0.magic = Array("GGJT".utf8) }.bytes, ["byte 0", "'GGUF'", "'GGJT'"]),
        .init("G01 version 0", one { $0.version = 0 }.bytes, ["byte 4", "version 2 or 3", "version 0"]),
        .init("G01 version 1", one { $0.version = 1 }.bytes, ["version 1", "convert the model again"]),
        .init("G01 version 4", one { $0.version = 4 }.bytes, ["version 2 or 3", "version 4"]),
        .init(
            "G01 version 4, big-endian", one { $0.version = UInt32(4).byteSwapped }.bytes, ["version 4", "big-endian"]),
        .init("G01 cut in the version", Array(one().bytes.prefix(6)), ["the version, 4 bytes", "end after 2"]),
        .init("G02 no counts", Array(one().bytes.prefix(9)), ["the number of tensors, 8 bytes", "end after 1"]),
    ]
    + ([.max, 1 << 61] as [UInt64]).flatMap { count in
        [
            .init("G02 \(count) tensors", one { $0.tensorCount = count }.bytes, ["byte 8", "\(count) tensors"]),
            .init("G02 \(count) entries", one { $0.entryCount = count }.bytes, ["byte 8", "\(count) entries"]),
        ] as [Rejection]
    }

private let entryRejections: [Rejection] =
    [
        .init("G02 a tensor more", one { $0.tensorCount = 2 }.bytes, ["name"]),
        .init("G02 an entry more", one { $0.entryCount = 2 }.bytes, ["expected", "found"]),
        .init(
            "G03 key of 65536", entry(String(repeating: "k", count: 65_536), 0, [1]), ["at most 65535 bytes", "65536"],
            twin: entry(String(repeating: "k", count: 65_535), 0, [1])),
        .init("G04 empty key", entry("", 0, [1]), ["ASCII", "an empty one"], twin: entry("k", 0, [1])),
        .init("G04 key not ASCII", entry("schlüssel", 0, [1]), ["ASCII", "other bytes"], twin: entry("k", 0, [1])),
        .init(
            "G04 key twice", entry("general.name", 0, [1]), ["each metadata key once", "'general.name'"],
            twin: entry("general.names", 0, [1])),
        .init(
            "G05 value type 13", entry("k", 13, [1]), ["a value type of 'k', 0 to 12", "13"],
            twin: entry("k", 0, [1])),
        .init("G05 value type 255", entry("k", 255, [1]), ["0 to 12", "255"], twin: entry("k", 0, [1])),
        .init("G05 value type -1", entry("k", .max, [1]), ["0 to 12", "4294967295"], twin: entry("k", 0, [1])),
        .init("G05 bool 2", entry("k", 7, [2]), ["0 or 1", "'k'", "2"], twin: entry("k", 7, [1])),
        .init(
            "G05 bool 2 in a list", entry("k", 9, array(7, 2, [1, 2])), ["0 or 1", "2"],
            twin: entry("k", 9, array(7, 2, [1, 0]))),
        .init(
            "G06 2^61 u64", entry("k", 9, array(10, 1 << 61)),
            ["ends inside the file", "2305843009213693952 elements"],
            twin: entry("k", 9, array(10, 1, UInt64(5).littleEndianBytes))),
        .init("G06 2^40 strings", entry("k", 9, array(8, 1 << 40)), ["1099511627776 elements of type string"]),
        .init(
            "G06 nested 100000 deep", entry("k", 9, nested(100_000)), ["nested at most 8 deep", "deeper"],
            twin: entry("k", 9, nested(8))),
        .init("G06 nested 9 deep", entry("k", 9, nested(9)), ["at most 8 deep"], twin: entry("k", 9, nested(8))),
        .init("G07 alignment 0", alignment(0), ["a power of two as 'general.alignment'", "0"], twin: alignment(32)),
        .init("G07 alignment 13", alignment(13), ["power of two", "13"], twin: alignment(16)),
        .init("G07 alignment 24", alignment(24), ["power of two", "24"], twin: alignment(8)),
        .init(
            "G07 alignment of another type", entry("general.alignment", 10, UInt64(32).littleEndianBytes),
            ["as a u32", "u64"], twin: entry("general.alignment", 4, UInt32(32).littleEndianBytes)),
    ]

private let tensorRejections: [Rejection] =
    [
        .init("G08 five dimensions", tensor("a", [1, 1, 1, 1, 2]), ["'a'", "at most 4 dimensions", "5"]),
        .init("G08 2^32-1 dimensions", tensor(rank: .max), ["at most 4 dimensions", "4294967295"]),
        .init("G09 dimension 0", tensor("a", [2, 0]), ["dimensions from 1", "0"]),
        .init("G09 dimension -1", tensor("a", [.max]), ["dimensions from 1", "18446744073709551615"]),
        .init("G09 dimension 2^63", tensor("a", [1 << 63]), ["dimensions from 1", "9223372036854775808"]),
        .init("G09 product", tensor("a", [1 << 32, 1 << 32]), ["product fits 63 bits"]),
        .init("G09 size", tensor("a", [1 << 62]), ["size that fits 63 bits"]),
        .init("G09 padded size", tensor("a", [(1 << 57) - 1]), ["'a'", "bytes of data", "cut off"]),
        .init(
            "G10 half a block", tensor("a", [16, 2], type: 2), ["multiple of 32 elements (q4_0)", "16"],
            twin: tensor("a", [32, 2], type: 2, data: 64)),
        .init(
            "G10 a scalar block", tensor("a", [], type: 2), ["multiple of 32"], twin: tensor("a", [32], type: 2)),
    ]
    + [4, 5, 31, 32, 33, 36, 37, 38].map { number in
        .init("G11 type \(number)", tensor(type: number), ["type \(number)", "a removed type"])
    }
    + [
        .init("G11 q8_1", tensor(type: 9), ["type 9 (q8_1)"]),
        .init("G11 the first unknown type", tensor(type: 42), ["'a'", "type that is known", "type 42"]),
        .init("G11 type 2^31", tensor(type: 1 << 31), ["type 2147483648"]),
        .init("G11 type -1", tensor(type: .max), ["type 4294967295"]),
        .init("G12 unaligned offset", two(secondOffset: 8), ["'b'", "multiple of the alignment, 32", "8"]),
        .init(
            "G12 offset of another tensor", two(secondOffset: 0), ["'b'", "offset 32", "0"],
            twin: two(secondOffset: 32)),
        .init("G12 gap", two(secondOffset: 64), ["'b'", "offset 32", "64"], twin: two(secondOffset: 32)),
        .init("G12 offset 2^64-32", two(secondOffset: .max - 31), ["offset 32", "18446744073709551584"]),
        .init(
            "G12 one byte short", tensor(data: 7), ["'a'", "8 bytes of data", "7: the file is cut off"],
            twin: tensor(data: 8)),
        .init("G12 no data", tensor(data: 0), ["8 bytes of data", "0: the file is cut off"]),
        .init(
            "G13 name of 65", tensor(String(repeating: "n", count: 65)), ["at most 64 bytes", "65"],
            twin: tensor(String(repeating: "n", count: 64))),
        .init("G13 empty name", tensor(""), ["name in UTF-8", "an empty one"]),
        .init(
            "G13 name twice", two(secondOffset: 32, secondName: "a"), ["each tensor's name once", "'a' a second time"],
            twin: two(secondOffset: 32)),
    ]

private let lengthRejections: [Rejection] = lengths.flatMap { name, length in
    [
        Rejection(
            "G03 string length \(name)", entry("k", 8, GGUFBuilder.text("x", length: length)),
            ["the value of 'k' that ends inside the file", "\(length)"], twin: entry("k", 8, GGUFBuilder.text("x"))),
        Rejection(
            "G03 key length \(name)", one { $0.entries = [GGUFBuilder.text("k", length: length)] }.bytes,
            ["a metadata key", "\(length)"]),
    ]
}

@Suite struct GGUFBadInputs {
    @Test(arguments: headRejections + entryRejections + tensorRejections + lengthRejections)
    fileprivate func isRefusedWithItsPlace(_ item: Rejection) throws {
        let folder = try TemporaryFolder()
        let path = try folder.write("x.gguf", item.bytes)
        let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(path) }
        let sentence = error?.description ?? ""
        for word in item.words { #expect(sentence.contains(word), "\(sentence)") }
        #expect(sentence.hasPrefix(path.string))
        let twin = try folder.write("twin.gguf", item.twin)
        #expect(throws: Never.self) { try Checkpoint.open(twin) }
        try EveryCommand.mustRefuse(path, words: item.words, twin: twin)
    }

    @Test func everyCommandTakesTheNeighbours() throws {
        let folder = try TemporaryFolder()
        let items = headRejections + entryRejections + tensorRejections + lengthRejections
        for bytes in Set(items.map(\.twin)) {
            try EveryCommand.mustAccept(folder.write("twin.gguf", bytes))
        }
    }

    @Test func whatIsToleratedIsNoted() throws {
        let folder = try TemporaryFolder()
        let loose = try Checkpoint.open(try folder.write("a.gguf", alignment(1)))
        #expect(loose.warnings == ["general.alignment is 1, where the specification wants a multiple of 8"])
        let long = try Checkpoint.open(try folder.write("b.gguf", tensor(data: 40)))
        #expect(long.warnings == ["8 bytes behind the last tensor, which nobody reads"])
    }

    @Test func noDimensionsAreAScalar() throws {
        let folder = try TemporaryFolder()
        let checkpoint = try Checkpoint.open(try folder.write("a.gguf", tensor("a", [], data: 4)))
        #expect(checkpoint.contents.tensors[0].shape.dimensions == [])
    }

    struct Misfit: Sendable { var tensor: TensorInfo, words: [String] }

    @Test(arguments: [
        Misfit(
            tensor: TensorInfo(name: String(repeating: "n", count: 64), elementType: .f32, shape: Shape([1])!)!,
            words: ["64 bytes", "at most 63"]),
        Misfit(tensor: TensorInfo(name: "", elementType: .f32, shape: Shape([1])!)!, words: ["is empty"]),
        Misfit(tensor: TensorInfo(name: "u", elementType: .u8, shape: Shape([1])!)!, words: ["U8", "--exclude"]),
        Misfit(
            tensor: TensorInfo(name: "f", elementType: .f8e4m3, shape: Shape([1])!)!,
            words: ["F8_E4M3", "--dtype f32, f16, bf16 would do"]),
        Misfit(
            tensor: TensorInfo(name: "e", elementType: .f32, shape: Shape([2, 0])!)!, words: ["without elements"]),
        Misfit(
            tensor: TensorInfo(name: "r", elementType: .f32, shape: Shape([1, 1, 1, 1, 1])!)!,
            words: ["at most 4 dimensions"]),
        Misfit(
            tensor: TensorInfo(name: "x", elementType: .f32, shape: Shape([1])!, aliasOf: "y")!,
            words: ["a second name"]),
    ]) func whatItCannotHoldIsRefusedByName(_ item: Misfit) throws {
        let plan = WritePlan(tensors: [item.tensor], metadata: [])
        let error = #expect(throws: UsageError.self) {
            try GGUF.capabilities.check(plan, formatName: GGUF.name)
        }
        for word in item.words { #expect(error?.sentence.contains(word) == true, "\(error?.sentence ?? "")") }
    }

    @Test(arguments: [Safetensors.self, HDF5.self] as [any CheckpointFormat.Type])
    func formatsWithoutBlocksSayWhichTypeWouldDo(_ format: any CheckpointFormat.Type) {
        let tensor = TensorInfo(name: "w", elementType: .q4K, shape: Shape([256])!)!
        let plan = WritePlan(tensors: [tensor], metadata: [])
        #expect(
            throws: UsageError(
                "tensor 'w': \(format.name) cannot hold the element type q4_K; --dtype f32, f16, bf16 would do: it"
                    + " dequantizes")
        ) { try format.capabilities.check(plan, formatName: format.name) }
    }

    @Test(arguments: [
        #"{"gguf":[]}"#, #"{"gguf":{"k":5}}"#, #"{"gguf":{"k":{"type":"u9","value":1}}}"#,
        #"{"gguf":{"k":{"type":"u8","value":256}}}"#, #"{"gguf":{"k":{"type":"i8","value":-129}}}"#,
        #"{"gguf":{"k":{"type":"bool","value":1}}}"#, #"{"gguf":{"k":{"type":"array","items":"u8"}}}"#,
        #"{"gguf":{"k":{"type":"f32","value":"much"}}}"#, #"{"gguf":{"ü":{"type":"u8","value":1}}}"#,
        #"{"gguf":{"general.alignment":{"type":"u32","value":24}}}"#, #"{"gguf":{"split.no":{"type":"u8","value":1}}}"#,
    ]) func typedMetadataThatIsNoneIsRefused(_ json: String) {
        #expect(throws: UsageError.self) { try ggufBytes([], metadata: [(CheckpointContents.foreignKey, json)]) }
    }

    /// Every tensor is padded to it, whoever asked for it.
    @Test(arguments: [1 << 16: true, 1 << 17: false, 1 << 31: false])
    func anAlignmentIsNotAsLargeAsMetadataWants(_ alignment: Int, _ isWritten: Bool) throws {
        let json = #"{"gguf":{"general.alignment":{"type":"u32","value":\#(alignment)}}}"#
        let tensors = [SampleTensor("w", .f32, [1], [0, 0, 0, 0])]
        let metadata = [(CheckpointContents.foreignKey, json)]
        guard !isWritten else {
            #expect(try ggufBytes(tensors, metadata: metadata).count == 2 * alignment)
            return
        }
        let error = #expect(throws: UsageError.self) { try ggufBytes(tensors, metadata: metadata) }
        #expect(
            error?.sentence
                == "metadata 'general.alignment': expected a power of two up to 65536, found \(alignment); set another with"
                + " --set-metadata general.alignment:u32=32")
    }

    // MARK: Vocabularies

    /// So many tokens, scores, kinds of tokens and rows that embed them.
    private func vocabulary(_ tokens: Int, scores: Int, kinds: Int, rows: UInt64) -> [UInt8] {
        one { builder in
            for (key, type, count) in [("tokens", 8, tokens), ("scores", 6, scores), ("token_type", 5, kinds)]
                as [(String, UInt32, Int)]
            {
                let element = type == 8 ? GGUFBuilder.text("t") : UInt32(1).littleEndianBytes
                let list = array(type, UInt64(count), (0..<count).flatMap { _ in element })
                builder.entries.append(GGUFBuilder.entry("tokenizer.ggml.\(key)", 9, list))
            }
            builder.tensors = [GGUFBuilder.tensor("token_embd.weight", [2, rows])]
        }.bytes
    }

    @Test(arguments: [
        (3, 2, 3, 3, "tokenizer.ggml.tokens has 3 elements, tokenizer.ggml.scores has 2"),
        (3, 3, 4, 3, "tokenizer.ggml.tokens has 3 elements, tokenizer.ggml.token_type has 4"),
        (3, 3, 3, 4, "tokenizer.ggml.tokens has 3 elements, tensor 'token_embd.weight' has 4 rows"),
    ]) func listsOfTokensThatDisagreeAreRefusedWithBothNumbers(
        _ tokens: Int, _ scores: Int, _ kinds: Int, _ rows: Int, _ words: String
    ) throws {
        let folder = try TemporaryFolder()
        let bytes = vocabulary(tokens, scores: scores, kinds: kinds, rows: UInt64(rows))
        let path = try folder.write("x.gguf", bytes)
        let twin = try folder.write("twin.gguf", vocabulary(3, scores: 3, kinds: 3, rows: 3))
        try EveryCommand.mustRefuse(path, exitCode: 2, words: [words], twin: twin)
        try EveryCommand.mustAccept(twin)
    }

    // MARK: Parts

    /// The golden parts, copied under other names or left out.
    private func parts(_ names: [Int: String]) throws -> TemporaryFolder {
        let folder = try TemporaryFolder()
        for (number, name) in names {
            let golden = GGUFGoldens.folder.appending("parts-0000\(number)-of-00003.gguf")
            try folder.write(name, try TestFiles.bytes(golden))
        }
        return folder
    }

    @Test func aMissingPartIsNamed() throws {
        let folder = try parts([1: "m-00001-of-00003.gguf", 3: "m-00003-of-00003.gguf"])
        for place in [folder.path, folder.path.appending("m-00003-of-00003.gguf")] {
            let error = #expect(throws: StructureError.self) { try Checkpoint.open(place) }
            let words = "1 of 3 shards are missing: m-00002-of-00003.gguf"
            #expect(error?.sentence.contains(words) == true)
            let twin = GGUFGoldens.folder.appending("parts-00001-of-00003.gguf")
            let name = "m-0000"
            try EveryCommand.mustRefuse(place, named: name, exitCode: 2, words: [words], twin: twin)
            try EveryCommand.mustAccept(twin)
        }
    }

    @Test func partsUnderWrongNamesAreRefused() throws {
        let zero = try parts([1: "m-00000-of-00003.gguf"])
        var error = #expect(throws: StructureError.self) {
            try Checkpoint.open(zero.path.appending("m-00000-of-00003.gguf"))
        }
        #expect(error?.sentence.contains("part 1 of 3; expected a name like NAME-00001-of-00003.gguf") == true)
        let twice = try parts([1: "m-00001-of-00003.gguf", 2: "m-00003-of-00003.gguf"])
        try twice.write("m-00002-of-00003.gguf", try TestFiles.bytes(twice.path.appending("m-00003-of-00003.gguf")))
        error = #expect(throws: StructureError.self) { try Checkpoint.open(twice.path) }
        #expect(error?.sentence.contains("expected part 3 of 3, found part 2 of 3") == true)
    }

    @Test func partsOfAnotherModelAreRefused() throws {
        let folder = try parts([1: "m-00001-of-00003.gguf", 2: "m-00002-of-00003.gguf"])
        let other = CheckpointPart(number: 2, count: 3, tensorCount: 6)
        func write(_ names: [String]) throws {
            let tensors = names.map { SampleTensor($0, .i8, [1], [1]) }
            try folder.write("m-00003-of-00003.gguf", try ggufBytes(tensors, part: other))
        }
        try write(["x", "y"])
        var error = #expect(throws: StructureError.self) { try Checkpoint.open(folder.path) }
        #expect(error?.sentence.contains("expected 5 tensors in all 3 parts, found 6") == true)
        try write(["t0"])
        error = #expect(throws: StructureError.self) { try Checkpoint.open(folder.path) }
        #expect(error?.sentence.contains("tensor 't0' stands in m-00001-of-00003.gguf and in m-00003") == true)
        try folder.write(
            "m-00003-of-00003.gguf",
            try ggufBytes(
                [SampleTensor("x", .i8, [1], [1])], part: CheckpointPart(number: 2, count: 3, tensorCount: 5)))
        #expect(try Checkpoint.open(folder.path).contents.tensors.count == 5)
    }

    /// Later parts say nothing of the model, or the same.
    @Test(
        arguments: [
            (#"{"a":"1"}"#, #"{"x":{"type":"u32","value":1}}"#, nil), (#"{}"#, "{}", nil),
            (#"{"b":"2"}"#, #"{"y":{"type":"u32","value":2}}"#, nil),
            (#"{"a":"2"}"#, "{}", #"expected 'a' as in"#),
            ("{}", #"{"x":{"type":"u32","value":2}}"#, #"expected 'x' as in"#),
            ("{}", #"{"x":{"type":"i32","value":1}}"#, #"expected 'x' as in"#),
            (#"{"x":"1"}"#, "{}", #"expected 'x' as in"#),
        ] as [(String, String, String?)])
    func partsThatContradictEachOtherAreRefused(_ text: String, _ typed: String, _ words: String?) throws {
        let folder = try TemporaryFolder()
        func write(_ number: Int, _ text: String, _ typed: String) throws {
            let pairs = try #require(try JSONValue(parsing: Array(text.utf8)).object).members.map {
                (key: $0.key, value: $0.value.string ?? "")
            }
            // As the first, which has metadata, and then the number that stands behind its key and type.
            var bytes = try ggufBytes(
                [SampleTensor("t\(number)", .i8, [1], [1])],
                metadata: pairs + [(CheckpointContents.foreignKey, #"{"gguf":\#(typed)}"#)],
                part: CheckpointPart(number: 0, count: 2, tensorCount: 2))
            let key = try #require(bytes.firstRange(of: Array("split.no".utf8)))
            bytes[key.upperBound + 4] = UInt8(number)
            try folder.write("m-0000\(number + 1)-of-00002.gguf", bytes)
        }
        try write(0, #"{"a":"1"}"#, #"{"x":{"type":"u32","value":1}}"#)
        try write(1, text, typed)
        guard let words else {
            let metadata = try Checkpoint.open(folder.path).contents.metadata
            #expect(metadata.contains { $0.key == "a" && $0.value == "1" })
            let foreign = metadata.first { $0.key == CheckpointContents.foreignKey }?.value ?? ""
            #expect(foreign.contains(#""x":{"type":"u32","value":1}"#), "\(foreign)")
            return #expect(foreign.contains("\"y\"") == typed.contains("\"y\""), "\(foreign)")
        }
        let error = #expect(throws: StructureError.self) { try Checkpoint.open(folder.path) }
        #expect(error?.sentence.contains(words) == true, "\(error?.sentence ?? "")")
    }

    /// A count of 0 says that there are no parts, wherever it stands.
    @Test(arguments: [["count"], ["count", "no"], ["no", "count"]]) func noPartsAreOneFile(_ keys: [String]) throws {
        var builder = GGUFBuilder()
        builder.entries = keys.map { GGUFBuilder.entry("split.\($0)", 2, [0, 0]) }
        let folder = try TemporaryFolder()
        let path = try folder.write("x.gguf", builder.bytes)
        #expect(try Checkpoint.open(path).files == [path])
    }

    /// The only part counts its own.
    @Test(arguments: [(1, true), (2, false), (-1, false)]) func theOnlyPartCountsItsTensors(
        _ count: Int, _ isRight: Bool
    ) throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(
            "m.gguf",
            ggufBytes([SampleTensor("a", .i8, [1], [1])], part: CheckpointPart(number: 0, count: 1, tensorCount: count))
        )
        guard !isRight else { return #expect(try Checkpoint.open(path).contents.tensors.count == 1) }
        let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(path) }
        let words =
            count < 0
            ? "a whole number from 0 on as 'split.tensors.count', found a negative one"
            : "split.tensors.count: expected 1, as there are tensors, found 2"
        #expect(
            error?.description.contains(words) == true,
            "\(String(describing: error))")
    }

    @Test func everyPartCountsTheTensorsOfAll() throws {
        let folder = try TemporaryFolder()
        for (number, count) in [(0, 2), (1, 5)] {
            try folder.write(
                "m-0000\(number + 1)-of-00002.gguf",
                try ggufBytes(
                    [SampleTensor("t\(number)", .i8, [1], [1])],
                    part: CheckpointPart(number: number, count: 2, tensorCount: count)))
        }
        let error = #expect(throws: StructureError.self) { try Checkpoint.open(folder.path) }
        #expect(error?.sentence.contains("m-00002-of-00002.gguf: expected 5 tensors in all 2 parts, found 2") == true)
    }

    // MARK: Damage

    /// Flips and cuts of valid files: read whole or refused, never a crash.
    @Test(arguments: ["blocks.gguf", "metadata.gguf", "big-endian.gguf", "parts-00002-of-00003.gguf"])
    func damageIsRefusedOrRead(_ name: String) throws {
        let whole = try TestFiles.bytes(GGUFGoldens.folder.appending(name))
        var random = SeededRandom(seed: 4)
        let folder = try TemporaryFolder()
        let headerByteCount = min(whole.count, 3500)
        for round in 0..<1500 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = Int.random(in: 0..<headerByteCount, using: &random)
                bytes[place] = round % 3 == 0 ? [0, 0xFF, 0x7F, 0x80].randomElement(using: &random)! : bytes[place] ^ 1
            }
            if round % 4 == 0 { bytes = Array(bytes.prefix(Int.random(in: 0..<bytes.count, using: &random))) }
            let path = try folder.write("x.gguf", bytes)
            do {
                let reader = try GGUFReader(InputFile(path))
                for index in reader.contents.tensors.indices { _ = try reader.digest(of: index) }
            } catch is CheckpointError {}
        }
    }
}

import AssayCheckpoints
import AssayFormats
import AssayTensors
import AssayTestSupport
import SystemPackage
import Testing

@Suite struct HDF5RoundTripTests {
    /// Every element type in every odd shape; sub-byte types only in shapes that fill whole bytes.
    static func everything() -> (WritePlan, [[UInt8]]) {
        var random = SeededRandom(seed: 20_261)
        let shapes: [[Int]] = [
            [], [1], [0], [3, 0, 5], [7], [8], [4, 12], [2, 1, 3, 4], [1, 1, 4096], [3, 1000, 4],
            [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4],
        ]
        var tensors: [TensorInfo] = []
        var data: [[UInt8]] = []
        for type in ElementType.scalars {
            for (number, shape) in shapes.enumerated() {
                let name = number % 2 == 0 ? "\(type.name).\(number)" : "\(type.name)/group/\(number)"
                guard let info = TensorInfo(name: name, elementType: type, shape: Shape(shape)!) else { continue }
                tensors.append(info)
                data.append(random.bytes(info.byteCount))
            }
        }
        return (WritePlan(tensors: tensors, metadata: [("format", "pt")]), data)
    }

    @Test(arguments: [nil, 1, 12] as [Int?])
    func everyTypeAndShapeComesBack(_ level: Int?) throws {
        let folder = try TemporaryFolder()
        let (plan, data) = Self.everything()
        try HDF5Tests.write(plan, data, to: folder.path.appending("a.h5"), deflateLevel: level)
        let reader = try HDF5Tests.open(folder.path.appending("a.h5"))
        #expect(reader.contents.warnings == [])
        #expect(reader.contents.metadata.map(\.key) == ["format"])
        let index = reader.contents.indexByName()
        #expect(index.count == plan.tensors.count)
        for (tensor, bytes) in zip(plan.tensors, data) {
            let position = try #require(index[tensor.name])
            #expect(reader.contents.tensors[position] == tensor)
            #expect(try HDF5Tests.bytes(reader, position) == bytes, "\(tensor.name)")
            #expect(try HDF5Tests.bytes(reader, position, target: 24) == bytes, "\(tensor.name) in small pieces")
        }
    }

    @Test func theFileIsTheSameForAnyNumberOfThreads() throws {
        let folder = try TemporaryFolder()
        let (plan, data) = Self.everything()
        for level in [nil, 6] as [Int?] {
            var digests = Set<Digest>()
            for threads in [1, 2, 3] {
                let path = folder.path.appending("\(level ?? 0)-\(threads).h5")
                try HDF5Tests.write(plan, data, to: path, deflateLevel: level, threads: threads)
                let file = try InputFile(path)
                digests.insert(try file.bytes(0..<file.byteCount).withUnsafeBytes { Digest.of($0) })
            }
            #expect(digests.count == 1)
        }
    }

    @Test func aliasesAreSecondLinks() throws {
        let folder = try TemporaryFolder()
        let shape = Shape([6, 4])!
        let plan = WritePlan(
            tensors: [
                TensorInfo(name: "lm_head.weight", elementType: .bf16, shape: shape, aliasOf: "wte/weight")!,
                TensorInfo(name: "wte/weight", elementType: .bf16, shape: shape)!,
            ], metadata: [])
        var random = SeededRandom(seed: 5)
        let bytes = random.bytes(48)
        try HDF5Tests.write(plan, [bytes, bytes], to: folder.path.appending("a.h5"))
        let reader = try HDF5Tests.open(folder.path.appending("a.h5"))
        #expect(reader.contents.tensors.count == 2)
        #expect(Set(reader.contents.tensors.compactMap(\.aliasOf)).count == 1)
        for index in 0..<2 { #expect(try HDF5Tests.bytes(reader, index) == bytes) }
    }

    /// Text of every kind, in its order; attributes of other types under the reserved key.
    @Test func metadataComesBack() throws {
        let folder = try TemporaryFolder()
        let foreign =
            #"{"gguf":{"kept":[1,2]},"hdf5":{"/":{"epsilon":{"type":"F64","shape":[],"value":1e-05},"#
            + #""sizes":{"type":"I64","shape":[2,2],"value":[1,-2,9223372036854775807,-9223372036854775808]}},"#
            + #""/empty/inside/":{},"/group/":{"names":{"type":"string[8] ascii","shape":[2],"value":["kernel:0","b"]},"#
            + #""open":{"type":"string","shape":[2],"value":["Größe",""]}},"/group/w":{"#
            + #""bits":{"type":"F32","shape":[4],"value":["NaN","-Infinity",-0.0,"NaN:7fc00001"]},"#
            + #""flag":{"type":"BOOL","shape":[],"value":true},"half":{"type":"F16","shape":[1],"value":[0.333]},"#
            + #""latin":{"type":"string[2] ascii nullterm","shape":[],"value":{"hex":"e9"}},"#
            + #""nothing":{"type":"U8","shape":null,"value":null},"opaque":{"type":"opaque[2] tag","shape":[],"value":"00ff"},"#
            + #""large":{"type":"U64","shape":[1],"value":[18446744073709551615]}}}}"#
        let metadata: [(key: String, value: String)] = [
            ("format", "pt"), ("a", ""), ("long", String(repeating: "x", count: 200_000)), ("nul", "a\u{0}b\u{0}"),
            ("größe", "重み"), ("with/slash", "1"), ("", "no key"), ("nul\u{0}key", "2"), ("a", "twice"),
            (CheckpointContents.foreignKey, foreign),
        ]
        let tensor = TensorInfo(name: "group/w", elementType: .f8e4m3, shape: Shape([4])!)!
        try HDF5Tests.write(
            WritePlan(tensors: [tensor], metadata: metadata), [[1, 2, 3, 4]], to: folder.path.appending("a.h5"))
        let first = try HDF5Tests.open(folder.path.appending("a.h5")).contents
        #expect(first.warnings.count == 1 && first.warnings[0].contains("told apart"), "\(first.warnings)")
        let toldApart = metadata.map { ($0.value == "twice" ? "a#2" : $0.key, $0.value) }
        #expect(first.metadata.map(\.key).sorted() == toldApart.map(\.0).sorted())
        for (key, value) in toldApart where key != CheckpointContents.foreignKey {
            #expect(first.metadata.contains { $0 == (key, value) }, "\(key)")
        }
        let text = try #require(first.metadata.last { $0.key == CheckpointContents.foreignKey }?.value)
        #expect(
            try JSONValue(parsing: Array(text.utf8)).canonicalText
                == JSONValue(parsing: Array(foreign.utf8)).canonicalText)
        // Once more, and nothing changes any more but that the key with a number is one like others.
        try HDF5Tests.write(
            WritePlan(tensors: first.tensors, metadata: first.metadata), [[1, 2, 3, 4]],
            to: folder.path.appending("b.h5"))
        let second = try HDF5Tests.open(folder.path.appending("b.h5")).contents
        #expect(second.warnings == [])
        #expect(Set(first.metadata.map { [$0.key, $0.value] }) == Set(second.metadata.map { [$0.key, $0.value] }))
    }

    /// As attributes these would be taken for Keras' lists, or be too long to be read again.
    @Test func textThatAttributesCannotHold() throws {
        let folder = try TemporaryFolder()
        let path = folder.path.appending("a.h5")
        let tensors = [TensorInfo(name: "w", elementType: .u8, shape: Shape([1])!)!]
        let pairs = [
            ("layer_names", "x"), ("weight_names0", ""), ("layer_names_too", "y"), ("weight_names", "[\"a\"]"),
        ]
        try HDF5Tests.write(WritePlan(tensors: tensors, metadata: pairs.map { (key: $0, value: $1) }), [[1]], to: path)
        let found = try HDF5Tests.open(path).contents.metadata
        #expect(Set(found.map { [$0.key, $0.value] }) == Set(pairs.map { [$0, $1] }))
        let long = [(key: "long", value: String(repeating: "x", count: 16 << 20 + 1))]
        let error = #expect(throws: UsageError.self) {
            try HDF5Tests.write(
                WritePlan(tensors: tensors, metadata: long), [[1]], to: folder.path.appending("b.h5"))
        }
        #expect(
            error?.description.hasPrefix("metadata 'long': hdf5 cannot hold it: ") == true,
            "\(error?.description ?? "")")
    }

    /// What is of the tensor and not of the file that it came from is written anew.
    @Test func ownAttributesOfOthersAreNotRestored() throws {
        let folder = try TemporaryFolder()
        let path = folder.path.appending("a.h5")
        let foreign =
            #"{"hdf5":{"/w":{"assay_type":{"type":"string","shape":[],"value":"F64"},"a":{"type":"I8","shape":[],"value":1}}}}"#
        try HDF5Tests.write(
            WritePlan(
                tensors: [TensorInfo(name: "w", elementType: .bf16, shape: Shape([1])!)!],
                metadata: [(CheckpointContents.foreignKey, foreign)]), [[1, 2]], to: path)
        let contents = try HDF5Tests.open(path).contents
        #expect(contents.tensors[0].elementType == .bf16)
        #expect(contents.metadata.first?.value == #"{"hdf5":{"/w":{"a":{"type":"I8","shape":[],"value":1}}}}"#)
    }

    /// Short values in a hostile file's metadata that stand for much.
    @Test(arguments: [
        (#"{"/":{"a":{"type":"string[16777216]","shape":[2],"value":["",""]}}}"#, "'a' of '/'"),
        (#"{"/../x/":{}}"#, "expected attributes of a path, found an object under '/../x/'"),
        (#"{"/":{"a":{"type":"I16","shape":[2],"value":{"hex":"000100"}}}}"#, "its bytes are not those of I16"),
        (#"{"/":{"a":{"type":"U8","shape":[2],"value":{"hex":"00x0"}}}}"#, "its bytes are not those of U8"),
        (#"{"/":{"a":{"type":"BOOL","shape":[2],"value":{"hex":"0002"}}}}"#, "a value is no BOOL"),
        (#"{"/":{"a":{"type":"string[4611686018427387904]","shape":[2],"value":["",""]}}}"#, "'a' of '/'"),
        (
            #"{"/":{"#
                + (0..<17).map { #""\#($0)":{"type":"string[16777216]","shape":[1],"value":[""]}"# }
                .joined(separator: ",") + "}}", "at most 134217728 bytes in all"
        ),
    ]) func attributesThatNobodyCouldReadAreNotMade(_ foreign: String, _ words: String) throws {
        let folder = try TemporaryFolder()
        let plan = WritePlan(
            tensors: [TensorInfo(name: "w", elementType: .u8, shape: Shape([1])!)!],
            metadata: [(CheckpointContents.foreignKey, #"{"hdf5":\#(foreign)}"#)])
        let error = #expect(throws: UsageError.self) {
            try HDF5Tests.write(plan, [[1]], to: folder.path.appending("a.h5"))
        }
        #expect(error?.description.hasPrefix("metadata 'assay.foreign': ") == true, "\(error?.description ?? "")")
        #expect(error?.description.contains(words) == true, "\(error?.description ?? "")")
    }

    /// What shards have in common is there once, lists of Keras one behind the other.
    @Test func attributesOfShardsAreJoined() throws {
        func text(_ root: String, _ others: String = "") -> String { #"{"hdf5":{"/":{\#(root)}\#(others)}}"# }
        func list(_ names: String, _ count: Int) -> String {
            #""layer_names":{"type":"string[\#(count)]","shape":[\#(count)],"value":[\#(names)]}"#
        }
        let texts = [
            text(list(#""b""#, 1), #","/b":{"x":1}"#), text(#""x":1"#),
            text(list(#""b","a""#, 2) + #","x":2"#, #","/a":{}"#), "{}",
            text(list(#""c""#, 1), #","/b":{"x":2,"y":3}"#),
        ]
        let joined =
            #"{"hdf5":{"/":{"layer_names":{"type":"string[2]","shape":[3],"value":["b","a","c"]},"x":1},"#
            + #""/a":{},"/b":{"x":1,"y":3}}}"#
        #expect(HDF5.joined(CheckpointContents.foreignKey, texts) == joined)
        #expect(HDF5.joined("format", ["a", "b"]) == nil)
        #expect(HDF5.joined(CheckpointContents.foreignKey, ["{}", "{}"]) == "{}")
    }

    /// Attributes of files that others made survive the way through our own.
    @Test(arguments: ["attributes.h5", "keras.h5", "v110-attributes.h5", "long-attributes.h5"])
    func foreignAttributesComeBack(_ name: String) throws {
        let folder = try TemporaryFolder()
        let reader = try HDF5Tests.open(HDF5GoldenTests.folder.appending(name))
        let data = try reader.contents.tensors.indices.map { try HDF5Tests.bytes(reader, $0) }
        let plan = WritePlan(tensors: reader.contents.tensors, metadata: reader.contents.metadata)
        try HDF5Tests.write(plan, data, to: folder.path.appending("a.h5"))
        let again = try HDF5Tests.open(folder.path.appending("a.h5"))
        func pairs(_ contents: CheckpointContents) -> [[String]] {
            contents.metadata.map { [$0.key, $0.value] }.sorted { $0[0] < $1[0] }
        }
        #expect(pairs(again.contents) == pairs(reader.contents))
        #expect(again.contents.metadata.contains { $0.key == CheckpointContents.foreignKey })
    }

    @Test(
        arguments: [
            ("", "is empty"), ("/a", "has a '/' at an end, or two in a row"),
            ("a/", "has a '/' at an end, or two in a row"),
            ("a//b", "has a '/' at an end, or two in a row"), ("a/./b", "has a part that is '.' or '..'"),
            ("..", "has a part that is '.' or '..'"), ("a\u{0}b", "contains a NUL"), ("a.b/...c d", nil), ("重み", nil),
        ] as [(String, String?)])
    func namesThatPathsCannotHoldAreRefused(_ name: String, _ objection: String?) {
        #expect(HDF5.capabilities.objection(name) == objection)
    }

    @Test func aPathIsADatasetOrAGroup() throws {
        let folder = try TemporaryFolder()
        func plan(_ names: [String]) -> WritePlan {
            WritePlan(
                tensors: names.map { TensorInfo(name: $0, elementType: .u8, shape: Shape([1])!)! }, metadata: [])
        }
        let error = #expect(throws: UsageError.self) {
            try HDF5Tests.write(plan(["a/b/c", "a/b"]), [[1], [2]], to: folder.path.appending("a.h5"))
        }
        #expect(
            error?.description
                == "tensors 'a/b' and 'a/b/c': hdf5 cannot hold both, a path is a dataset or a group")
        try HDF5Tests.write(plan(["a/b/c", "a/bc"]), [[1], [2]], to: folder.path.appending("b.h5"))
    }
}

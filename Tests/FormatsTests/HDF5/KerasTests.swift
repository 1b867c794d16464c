import AssayCHDF5
import AssayCheckpoints
import AssayTensors
import AssayTestSupport
import SystemPackage
import Testing

@testable import AssayFormats

/// Files that Keras 2, Keras 3 and transformers wrote (`fixtures/make/golden_keras.py`), and listings of weights that are
/// wrong.
@Suite struct KerasTests {
    static let golden = GoldenManifest("keras")

    @Test(arguments: golden.fileNames) func filesGiveTheirWeights(_ name: String) throws {
        try Self.golden.check(name, HDF5Tests.reading)
        let warnings = try HDF5Tests.open(Self.golden.folder.appending(name)).contents.warnings
        let passedOver = "members of the archive that hold no weights are passed over: metadata.json, config.json"
        #expect(warnings == (name.hasSuffix(".keras") ? [passedOver] : []), "\(name)")
    }

    @Test(arguments: golden.refusedNames) func archivesAreRefusedByName(_ name: String) {
        Self.golden.checkRefusal(name, HDF5Tests.reading)
    }

    @Test func anArchiveSaysWhatItIs() throws {
        // In a model folder too.
        let folder = try TemporaryFolder()
        try folder.write("model.keras", TestFiles.bytes(Self.golden.folder.appending("keras3.keras")))
        let reader = try Checkpoint.open(folder.path, HDF5Tests.reading).reader
        #expect(reader.contents.details.map(\.key) == ["keras", "class"])
        #expect(reader.contents.details.last?.value == "Functional 'small'")
    }

    /// Attributes and groups included, and once more from what we wrote.
    @Test(arguments: golden.fileNames) func theWayThroughOurOwnKeepsEverything(_ name: String) throws {
        let folder = try TemporaryFolder()
        let reader = try HDF5Tests.open(Self.golden.folder.appending(name))
        let data = try reader.contents.tensors.indices.map { try HDF5Tests.bytes(reader, $0) }
        let plan = WritePlan(tensors: reader.contents.tensors, metadata: reader.contents.metadata)
        for level in [nil, 6] as [Int?] {
            let path = folder.path.appending("a\(level ?? 0).h5")
            try HDF5Tests.write(plan, data, to: path, deflateLevel: level)
            let again = try HDF5Tests.open(path)
            #expect(Self.pairs(again.contents) == Self.pairs(reader.contents), "\(name)")
            let positions = again.contents.indexByName()
            for (index, info) in reader.contents.tensors.enumerated() {
                let position = try #require(positions[info.name])
                #expect(again.contents.tensors[position].elementType == info.elementType)
                #expect(try HDF5Tests.bytes(again, position) == data[index], "\(name): \(info.name)")
            }
        }
    }

    private static func pairs(_ contents: CheckpointContents) -> [[String]] {
        contents.metadata.map { [$0.key, $0.value] }.sorted { $0[0] < $1[0] }
    }

    /// The index of transformers has the model's name before the names of the shards.
    @Test func shardsOfTransformersAreOneCheckpoint() throws {
        let folder = Self.golden.folder.appending("transformers-sharded")
        let checkpoint = try Checkpoint.open(folder, HDF5Tests.reading)
        #expect(checkpoint.files.count == 2 && checkpoint.warnings == [])
        let names = ["tf_model-00001-of-00002.h5", "tf_model-00002-of-00002.h5"]
        let expected = try names.flatMap { name in
            try #require(Self.golden.record(of: "transformers-sharded/\(name)")["tensors"]?.object).members.map(\.key)
        }
        #expect(Set(checkpoint.contents.tensors.map(\.name)) == Set(expected))

        // Their lists are one, so that one file of all is whole.
        let work = try TemporaryFolder()
        let data = try checkpoint.contents.tensors.indices.map { try HDF5Tests.bytes(checkpoint.reader, $0) }
        let plan = WritePlan(tensors: checkpoint.contents.tensors, metadata: checkpoint.contents.metadata)
        try HDF5Tests.write(plan, data, to: work.path.appending("one.h5"))
        #expect(try HDF5Tests.open(work.path.appending("one.h5")).contents.warnings == [])
        SystemCall.removeIfPresent(work.path.appending("one.h5"))

        // A name that is in no shard, whatever stands before it.
        for name in names { try work.write(name, TestFiles.bytes(folder.appending(name))) }
        let index = String(decoding: try TestFiles.bytes(folder.appending("tf_model.h5.index.json")), as: UTF8.self)
        let changed = index.split(separator: "word_embeddings").joined(separator: "other_embeddings")
        try work.write("tf_model.h5.index.json", Array(changed.utf8))
        let error = #expect(throws: StructureError.self) { try Checkpoint.open(work.path, HDF5Tests.reading) }
        #expect(error?.description.contains("1 tensors are not in the shard the index names") == true)
    }

    // MARK: bfloat16

    /// Keras would take integers for the numbers themselves.
    @Test func bfloat16OfKerasIsWrittenAsKerasDoes() throws {
        let folder = try TemporaryFolder()
        let reader = try HDF5Tests.open(Self.golden.folder.appending("keras3-narrow.weights.h5"))
        let data = try reader.contents.tensors.indices.map { try HDF5Tests.bytes(reader, $0) }
        let path = folder.path.appending("a.h5")
        let plan = WritePlan(tensors: reader.contents.tensors, metadata: reader.contents.metadata)
        try HDF5Tests.write(plan, data, to: path)
        #expect(try Self.listing(of: path).contains(#""type":{"class":"opaque","size":2}"#))
        #expect(try !Self.listing(of: path).contains("assay_type"))

        // As another type it is no bfloat16 any more, and nothing says so.
        let cast = reader.contents.tensors.map { info in
            var info = info
            if info.elementType == .bf16 { info.elementType = .f16 }
            return info
        }
        let other = folder.path.appending("b.h5")
        try HDF5Tests.write(WritePlan(tensors: cast, metadata: reader.contents.metadata), data, to: other)
        #expect(try HDF5Tests.open(other).contents.tensors.map(\.elementType).contains(.f16))
        #expect(try !Self.listing(of: other).contains("\"dtype\""))
    }

    private static func listing(of path: FilePath) throws -> String {
        String(decoding: try HDF5Helper(program: AssayTool.path).listing(of: InputFile(path)), as: UTF8.self)
    }

    // MARK: Archives

    /// The weights are read where they lie: before, between and behind other members.
    @Test func archivesHoldTheWeightsAnywhere() throws {
        let folder = try TemporaryFolder()
        let weights = try TestFiles.bytes(Self.golden.folder.appending("keras3.weights.h5"))
        let direct = try HDF5Tests.open(Self.golden.folder.appending("keras3.weights.h5"))
        let other = ZipBytes.Member("assets/vocabulary.txt", Array("a\nb\n".utf8))
        for place in 0...2 {
            var members = [other, ZipBytes.Member("config.json", Array("{}".utf8))]
            members.insert(ZipBytes.Member("model.weights.h5", weights), at: place)
            let path = try folder.write("m\(place).keras", ZipBytes(members).bytes)
            #expect(try HDF5.recognizes(InputFile(path)))
            let reader = try HDF5Tests.open(path)
            #expect(reader.contents.tensors == direct.contents.tensors)
            #expect(reader.contents.fileByteCount == ZipBytes(members).bytes.count)
            for index in reader.contents.tensors.indices {
                #expect(try HDF5Tests.bytes(reader, index) == HDF5Tests.bytes(direct, index))
            }
        }
    }

    /// Keras reads the whole member, and Python compares its checksum.
    @Test func changedWeightsInAnArchiveAreRefused() throws {
        let folder = try TemporaryFolder()
        let path = Self.golden.folder.appending("keras3.keras")
        let archive = try ZipArchive(InputFile(path))
        let direct = try HDF5Tests.open(path)
        let weights = archive.storedRange(of: try #require(archive.position(of: "model.weights.h5"))).range
        var bytes = try TestFiles.bytes(path)
        // A byte of data: the listing is as before.
        let data = try HDF5Tests.bytes(direct, 0)
        let place = try #require(weights.dropLast(data.count).first { Array(bytes[$0..<$0 + data.count]) == data })
        bytes[place] ^= 1
        let reader = try HDF5Tests.open(folder.write("m.keras", bytes))
        #expect(reader.contents.tensors == direct.contents.tensors)
        for index in reader.contents.tensors.indices {
            let error = #expect(throws: CheckpointError.self) { try HDF5Tests.bytes(reader, index) }
            #expect(error?.description.contains("member 'model.weights.h5': expected bytes with the CRC-32") == true)
        }
    }

    /// Keras writes its configuration with Python, which has numbers that JSON lacks.
    @Test func configurationsMayHoldPythonsNumbers() throws {
        let folder = try TemporaryFolder()
        let weights = try TestFiles.bytes(Self.golden.folder.appending("keras3.weights.h5"))
        let text = #"{"class_name": "Functional", "config": {"name": "m", "lo": -Infinity, "hi": Infinity, "x": NaN}}"#
        let path = try folder.write(
            "m.keras",
            ZipBytes([.init("config.json", Array(text.utf8)), .init("model.weights.h5", weights)]).bytes)
        #expect(try HDF5Tests.open(path).contents.details.map(\.value) == ["Functional 'm'"])
    }

    /// What lies behind the weights in the archive is not read as theirs.
    @Test func weightsThatAreCutOffInAnArchiveAreRefused() throws {
        let folder = try TemporaryFolder()
        let weights = try TestFiles.bytes(Self.golden.folder.appending("keras3.weights.h5"))
        let rest = ZipBytes.Member("rest", Array(weights[(weights.count / 2)...]))
        let half = ZipBytes.Member("model.weights.h5", Array(weights[..<(weights.count / 2)]))
        let path = try folder.write("m.keras", ZipBytes([half, rest]).bytes)
        let error = #expect(throws: CheckpointError.self) { try HDF5Tests.open(path) }
        #expect(
            error?.description.hasPrefix("\(path): member 'model.weights.h5': expected what libhdf5 can read") == true)
    }

    // MARK: Listings

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        /// Path of a group, its attribute and the value as the listing has it; the file holds the datasets /a/w, /a/v and /d.
        var attributes: [(group: String, name: String, value: String)]
        /// What follows the path; nil where the listing is right.
        var sentence: String?
        /// Or that the attribute itself is wrong.
        var isStructure: Bool

        init(
            _ description: String, _ attributes: [(String, String, String)], _ sentence: String?,
            isStructure: Bool = true
        ) {
            testDescription = description
            self.attributes = attributes
            self.sentence = sentence
            self.isStructure = isStructure
        }
    }

    private static func list(_ names: [String]) -> String {
        let texts = names.map { "\"\($0)\"" }.joined(separator: ",")
        return #"{"type":"string[8] ascii","shape":[\#(names.count)],"value":[\#(texts)]}"#
    }

    private static let nothing = #"{"type":"F64","shape":[0],"value":[]}"#

    static let cases: [Case] = [
        Case("whole", [("/", "layer_names", list(["a"])), ("/a/", "weight_names", list(["w", "v"]))], nil),
        Case("in another order", [("/a/", "weight_names", list(["v", "w"]))], nil),
        Case(
            "in two parts",
            [("/a/", "weight_names0", list(["v"])), ("/a/", "weight_names1", list(["w"]))], nil),
        Case("datasets as layers", [("/", "layer_names", list(["a/w", "d"]))], nil),
        Case("empty, float64", [("/", "layer_names", list(["a"])), ("/a/", "weight_names", nothing)], nil),
        Case("absolute", [("/a/", "weight_names", list(["/d", "./w"]))], nil),
        Case("another attribute", [("/a/", "weight_names_too", list(["x"]))], nil),
        Case("another number", [("/a/", "weight_names01", list(["x"]))], nil),
        Case(
            "a weight that is not there", [("/a/", "weight_names", list(["w", "x"]))],
            "attribute 'weight_names' of group '/a/' names datasets that are not in the file (1): /a/x"),
        Case(
            "in the second part", [("/a/", "weight_names0", list(["w"])), ("/a/", "weight_names1", list(["x", "y"]))],
            "attribute 'weight_names' of group '/a/' names datasets that are not in the file (2): /a/x, /a/y"),
        Case(
            "a group as weight", [("/", "weight_names", list(["a"]))],
            "attribute 'weight_names' of group '/' names datasets that are not in the file (1): /a"),
        Case(
            "a layer that is not there", [("/", "layer_names", list(["a", "b"]))],
            "attribute 'layer_names' of group '/' names groups or datasets that are not in the file (1): /b"),
        Case(
            "twice", [("/a/", "weight_names", list(["w", "v", "w"]))],
            "attribute 'weight_names' of group '/a/' names '/a/w' twice"),
        Case(
            "a gap", [("/a/", "weight_names0", list(["w"])), ("/a/", "weight_names2", list(["v"]))],
            "attribute 'weight_names1' of group '/a/': expected the part of a list before 'weight_names2', found none",
            isStructure: false),
        Case(
            "no first part", [("/a/", "weight_names1", list(["w"]))],
            "attribute 'weight_names0' of group '/a/': expected the part of a list before 'weight_names1', found none",
            isStructure: false),
        Case(
            "whole and in parts", [("/a/", "weight_names", list(["w"])), ("/a/", "weight_names0", list(["v"]))],
            "attribute 'weight_names' of group '/a/': expected a whole list or its parts, found both",
            isStructure: false),
        Case(
            "numbers", [("/a/", "weight_names", #"{"type":"F64","shape":[1],"value":[1]}"#)],
            "attribute 'weight_names' of group '/a/': expected a list of names in UTF-8, found other values (F64)",
            isStructure: false),
        Case(
            "a single name", [("/a/", "weight_names", #"{"type":"string","shape":[],"value":"w"}"#)],
            "attribute 'weight_names' of group '/a/': expected a list of names in UTF-8, found a single string",
            isStructure: false),
        Case(
            "not UTF-8", [("/a/", "weight_names", #"{"type":"string[1]","shape":[1],"value":[{"hex":"e9"}]}"#)],
            "attribute 'weight_names' of group '/a/': expected a list of names in UTF-8, found other values (string[1])",
            isStructure: false),
    ]

    @Test(arguments: cases) func listingsAreChecked(_ case: Case) throws {
        let folder = try TemporaryFolder()
        let path = folder.path.appending("a.h5")
        try HDF5BadInputTests.make(path) { file in
            H5Gclose(H5Gcreate2(file, "/a", chdf5_default(), chdf5_default(), chdf5_default()))
            for name in ["/a/w", "/a/v", "/d"] { HDF5BadInputTests.dataset(file, name, [2], values: [1, 2]) }
            for attribute in `case`.attributes {
                let object = H5Oopen(file, attribute.group, chdf5_default())
                defer { H5Oclose(object) }
                try HDF5AttributeWriter.write(
                    JSONValue(parsing: Array(attribute.value.utf8)), attribute.name, on: object)
            }
        }
        do {
            _ = try HDF5Tests.open(path)
            #expect(`case`.sentence == nil)
        } catch let error as any AssayError {
            #expect(error.description == `case`.sentence.map { "\(path): \($0)" })
            #expect(error is StructureError == `case`.isStructure)
        }
    }

    /// Those beside the layers are; those of other groups belong to others.
    @Test func weightsThatNoListNamesAreMentioned() throws {
        let folder = try TemporaryFolder()
        let path = folder.path.appending("a.h5")
        try HDF5BadInputTests.make(path) { file in
            for group in ["/m", "/m/a", "/n"] {
                H5Gclose(H5Gcreate2(file, group, chdf5_default(), chdf5_default(), chdf5_default()))
            }
            for name in ["/m/w", "/m/x", "/m/a/y", "/n/z"] {
                HDF5BadInputTests.dataset(file, name, [2], values: [1, 2])
            }
            let object = H5Oopen(file, "/m", chdf5_default())
            defer { H5Oclose(object) }
            let names = try JSONValue(parsing: Array(Self.list(["w", "a"]).utf8))
            try HDF5AttributeWriter.write(names, "layer_names", on: object)
        }
        let warnings = try HDF5Tests.open(path).contents.warnings
        #expect(warnings == ["no list of Keras names, so that it does not load (2): /m/x, /m/a/y"])
    }

    /// Lists follow what is left out on writing, so that the file is a whole one.
    @Test func listsNameWhatIsWritten() throws {
        let folder = try TemporaryFolder()
        let reader = try HDF5Tests.open(Self.golden.folder.appending("keras2-model.h5"))
        let kept = reader.contents.tensors.indices.filter { !reader.contents.tensors[$0].name.contains("kernel") }
        let data = try kept.map { try HDF5Tests.bytes(reader, $0) }
        let plan = WritePlan(
            tensors: kept.map { reader.contents.tensors[$0] }, metadata: reader.contents.metadata)
        let path = folder.path.appending("a.h5")
        try HDF5Tests.write(plan, data, to: path)
        let again = try HDF5Tests.open(path)
        #expect(again.contents.warnings == [] && again.contents.tensors.count == kept.count)
        let foreign = again.contents.metadata.first { $0.key == CheckpointContents.foreignKey }?.value ?? ""
        #expect(foreign.contains("head/bias:0") && !foreign.contains("kernel:0"))
    }
}

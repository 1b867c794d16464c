import AssayCheckpoints
import AssayFormats
import AssayTestSupport
import SystemPackage
import Testing

/// A model under names and shapes of nobody's, quantized with the map that leads back to its own.
@Suite struct MappedQuantizations {
    private struct Foreign {
        let model: TestModel
        let work: TemporaryFolder
        let path: String
        /// From the foreign names to those of the configuration.
        let map: String

        init() throws {
            model = try TestModel()
            work = try TemporaryFolder()
            path = work.path.appending("foreign").string
            let there = try work.write("there.json", Array(Self.there.utf8)).string
            map = try work.write("back.json", Array(Self.back.utf8)).string
            try make("convert", model.path, path, "--map", there)
        }

        private static let there = """
            {"assayMap":1,"rules":[
              {"from":"transformer.h.*.attn.c_attn.weight","to":["blk.*.q","blk.*.k","blk.*.v"],"axis":1},
              {"from":"transformer.h.*.mlp.c_fc.weight","to":"blk.*.up.weight","transpose":[1,0]},
              {"from":"transformer.*","to":"*"}]}
            """
        private static let back = """
            {"assayMap":1,"rules":[
              {"from":["blk.*.q","blk.*.k","blk.*.v"],"to":"transformer.h.*.attn.c_attn.weight","axis":1},
              {"from":"blk.*.up.weight","to":"transformer.h.*.mlp.c_fc.weight","transpose":[1,0]},
              {"from":"*","to":"transformer.*"}]}
            """

        func target(_ name: String) -> String { work.path.appending(name).string }
    }

    /// The bytes are those of the model that has these names; what was done is repeated from the foreign one.
    @Test(arguments: [["int8"], ["int4-g32-asym"], ["int8", "--keep", "*.attn.*"], ["q8_0"]], ["1", "3"])
    func areThoseOfTheModel(_ scheme: [String], _ threads: String) throws {
        let foreign = try Foreign()
        let (made, whole) = (foreign.target("made"), foreign.target("whole"))
        let options = ["--threads", threads, "--memory", "2MB", "--scheme"] + scheme
        let outcome = try AssayTool.run(["quantize", foreign.model.path, whole] + options)
        try #require(outcome.exitCode == 0, "\(outcome.errors)")
        let mapped = try AssayTool.run(["quantize", foreign.path, made, "--map", foreign.map] + options)
        try #require(mapped.exitCode == 0, "\(mapped.errors)")
        #expect(try contentDigest(made) == contentDigest(whole))
        for options in [[], ["--map", foreign.map]] {
            let verification = try Verification([made, "--against", foreign.path] + options)
            #expect(verification.exitCode == 0, "\(verification.text)")
            #expect(verification.names("this version cannot repeat").isEmpty, "\(verification.text)")
        }
        let run = try AssayTool.run(["run", made, "--tokens", foreign.model.tokens])
        #expect(run.exitCode == 0, "\(run.errors)")
    }

    private func contentDigest(_ path: String) throws -> String {
        try #require(assayJSON("inspect", path, "--digest").object?["contentDigest"]?.string)
    }

    @Test func areStatedWeightByWeight() throws {
        let foreign = try Foreign()
        let made = foreign.target("made")
        try make("quantize", foreign.path, made, "--map", foreign.map, "--scheme", "int8")
        let certificate = try JSONValue(parsing: TestFiles.bytes(FilePath(made).appending("certificate.json")))
        let transforms = try #require(certificate.object?["predicate"]?.object?["transforms"]?.array)
        func mapping(_ output: String) throws -> (source: String?, mapping: String?) {
            let transform = try #require(
                transforms.first { $0.object?["outputs"]?.array?.contains(.string(output)) == true }?.object)
            let source = transform["source"] ?? transform["sources"]
            return (source?.canonicalText, transform["mapping"]?.canonicalText)
        }
        let attention = try mapping("transformer.h.1.attn.c_attn.weight_scale")
        #expect(attention.source == #"["blk.1.q","blk.1.k","blk.1.v"]"#)
        #expect(attention.mapping == #"{"axis":1,"kind":"merge"}"#)
        #expect(
            try mapping("transformer.h.0.mlp.c_fc.weight_packed").mapping
                == #"{"kind":"transpose","transpose":[1,0]}"#)
        let renamed = try mapping("transformer.h.0.mlp.c_proj.weight_packed")
        #expect(renamed.source == #""h.0.mlp.c_proj.weight""# && renamed.mapping == #"{"kind":"rename"}"#)
        #expect(try mapping("transformer.wte.weight").mapping == #"{"kind":"rename"}"#)
    }

    /// A weight that keeps its name says nothing of a mapping, though its parts have names of their own.
    @Test func thatLeaveAWeightAloneDoNotSayOtherwise() throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        let made = work.path.appending("made").string
        try make("quantize", model.path, made, "--scheme", "int8")
        let text = String(decoding: try TestFiles.bytes(FilePath(made).appending("certificate.json")), as: UTF8.self)
        #expect(text.contains("weight_packed") && !text.contains(#""mapping""#))
    }

    /// Certificates that say something else than what was done.
    @Test(
        arguments: [
            (#""sources":["blk.1.q","blk.1.k""#, #""sources":["blk.1.q","blk.1.q""#, 3, "other bytes"),
            (
                #""source":"h.0.mlp.c_proj.weight""#, #""source":"h.1.mlp.c_proj.weight""#, 3, "other bytes"
            ),
            (#""kind":"transpose","transpose":[1,0]"#, #""kind":"transpose","transpose":[0,1]"#, 2, "repeat"),
        ] as [(String, String, Int32, String)])
    func areFoundOutWhereTheyWereNotDone(_ old: String, _ new: String, _ code: Int32, _ words: String) throws {
        let foreign = try Foreign()
        let made = foreign.target("made")
        try make("quantize", foreign.path, made, "--map", foreign.map, "--scheme", "int8")
        try replace(old, new, in: FilePath(made).appending("certificate.json"))
        let verification = try Verification(made, "--against", foreign.path)
        #expect(verification.exitCode == code && verification.text.contains(words), "\(verification.text)")
        let mapped = try Verification(made, "--against", foreign.path, "--map", foreign.map)
        #expect(!mapped.names("from elsewhere, the certificate says").isEmpty, "\(mapped.text)")
        try Trials.maps.record(1)
    }

    /// The configuration speaks of what the map gives, and so do the patterns.
    @Test func needTheNamesOfTheConfiguration() throws {
        let foreign = try Foreign()
        let plain = try AssayTool.run(["quantize", foreign.path, foreign.target("made"), "--scheme", "int8"])
        #expect(plain.exitCode == 2, "\(plain.errors)")
        let old = try AssayTool.run([
            "quantize", foreign.path, foreign.target("made"), "--scheme", "int8", "--map", foreign.map, "--keep",
            "blk.*",
        ])
        #expect(old.exitCode == 64 && old.errors.contains("--keep"), "\(old.errors)")
        #expect(!foreign.work.names.contains("made"))
    }

    /// A file without a configuration: what `--include` names is quantized, under the names that it gets.
    @Test func ofFilesAreGoneOnWith() throws {
        let foreign = try Foreign()
        let source = FilePath(foreign.path).appending("model.safetensors").string
        SystemCall.removeIfPresent(FilePath(foreign.path).appending("config.json"))
        let options = ["--map", foreign.map, "--scheme", "int8", "--include", "*.c_*.weight", "--shard-size", "6kB"]
        let other = try TemporaryFolder()
        let (made, whole) = (foreign.target("made"), other.path.appending("made").string)
        let outcome = try AssayTool.run(["quantize", source, whole] + options)
        try #require(outcome.exitCode == 0, "\(outcome.errors)")
        var limit = 4096
        var wasInterrupted = false
        while try SystemCall.status(FilePath(made)) == nil, limit < 1 << 20 {
            let resumed = try AssayTool.run(
                ["quantize", source, made, "--resume"] + options,
                limits: AssayTool.Limits(byteCount: 1 << 30, seconds: 20, fileByteCount: limit))
            wasInterrupted = wasInterrupted || resumed.errors.contains("are kept from the interrupted run")
            limit += 512
        }
        #expect(wasInterrupted)
        for name in try SystemCall.names(in: FilePath(whole)) {
            let same =
                try TestFiles.bytes(FilePath(whole).appending(name)) == TestFiles.bytes(FilePath(made).appending(name))
            #expect(same, "\(name)")
        }
        #expect(try Verification(made, "--against", source).exitCode == 0)
    }
}

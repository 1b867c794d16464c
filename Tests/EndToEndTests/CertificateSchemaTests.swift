import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

/// The JSON Schema of certificates, and real ones of every kind.
@Suite struct CertificateSchema {
    private static func schema() throws -> JSONSchema {
        let path = TestFiles.fixtures.removingLastComponent().appending("formats").appending("certificate.schema.json")
        return try JSONSchema(parsing: TestFiles.bytes(path))
    }

    /// The certificate that a command writes for a model (or its weights alone) under a name.
    private func certificate(_ command: [String], _ golden: String, to name: String) throws -> JSONValue {
        let (model, work) = (try TestModel(golden), try TemporaryFolder())
        let target = work.path.appending(name)
        let source = name.contains(".") ? model.weights.string : model.path
        let outcome = try AssayTool.run([command[0], source, target.string, "--quiet"] + command.dropFirst())
        try #require(outcome.exitCode == 0, "\(outcome.errors)")
        let path =
            name.contains(".") ? work.path.appending(name + ".certificate.json") : target.appending("certificate.json")
        return try JSONValue(parsing: TestFiles.bytes(path))
    }

    @Test(arguments: [
        (["convert"], "gpt2-odd-heads", "x.safetensors"),
        (["convert", "--file-digest", "--exclude", "*.bias"], "gpt2-odd-heads", "x.h5"),
        (["convert", "--dtype", "f8_e4m3", "--no-verify"], "gpt2-odd-heads", "x.zplanes"),
        (["convert", "--dtype", "bf16"], "gpt2-odd-heads", "folder"),
        (["convert", "--shard-size", "20kB", "--file-digest"], "gpt2-odd-heads", "shards"),
        (["convert", "--to", "zplanes"], "gpt2-tied-stored-head", "folder"),
        (["convert", "--set-metadata", "a=b", "--remove-metadata", "format"], "gpt2-odd-heads", "x.safetensors"),
        (["quantize", "--scheme", "q5_1"], "gpt2-odd-heads", "folder"),
        (["quantize", "--scheme", "int8"], "gpt2-tied-stored-head", "folder"),
        (["quantize", "--scheme", "int4-g32", "--no-clipping"], "gpt2-odd-heads", "folder"),
    ])
    func isSatisfiedByRealOnes(_ command: [String], _ golden: String, _ name: String) throws {
        let faults = try Self.schema().faults(in: certificate(command, golden, to: name))
        #expect(faults == [])
    }

    @Test func isSatisfiedByMapsAndComparisons() throws {
        let (model, work) = (try TestModel(), try TemporaryFolder())
        let map = TestFiles.fixtures.appending("golden").appending("map")
        let (mapped, made) = (work.path.appending("x.safetensors").string, work.path.appending("made").string)
        try make(
            "convert", map.appending("source.safetensors").string, mapped, "--map", map.appending("map.json").string)
        try make("quantize", model.path, made, "--scheme", "int8")
        for tokens in [[], ["--tokens", model.tokens]] {
            let outcome = try AssayTool.run(["diff", model.path, made, "--certify"] + tokens)
            try #require(outcome.exitCode == 0, "\(outcome.errors)")
        }
        for path in [mapped + ".certificate.json", made + "/certificate.json"] {
            let certificate = try JSONValue(parsing: TestFiles.bytes(FilePath(path)))
            #expect(try Self.schema().faults(in: certificate) == [])
        }
    }

    @Test func findsFaults() throws {
        let schema = try Self.schema()
        let real = try #require(certificate(["convert"], "gpt2-odd-heads", to: "folder").object)
        let predicate = try #require(real["predicate"]?.object)
        func faults(_ change: (inout JSONObject) -> Void) -> [String] {
            var (statement, changed) = (real, predicate)
            change(&changed)
            statement["predicate"] = .object(changed)
            return schema.faults(in: .object(statement))
        }
        #expect(faults { _ in } == [])
        #expect(faults { $0["arithmetic"] = 1 } == ["/predicate/arithmetic: is not foreseen"])
        #expect(faults { $0["tool"] = nil }.count == 1)
        #expect(faults { $0["tool"] = 1 } == [#"/predicate/tool: type "string""#])
        #expect(faults { $0["arithmeticVersion"] = 0 } == ["/predicate/arithmeticVersion: minimum 1"])
        #expect(faults { $0["operation"] = "diff" } == [#"/predicate/operation: enum ["convert","quantize"]"#])
        #expect(
            faults { $0["transforms"] = [["source": "a", "outputs": ["a"], "operation": "cast"]] }.first?
                .hasPrefix("/predicate/transforms/0/operation: pattern") == true)
        #expect(
            faults { $0["transforms"] = [["source": "a", "outputs": [], "operation": "copy"]] }
                == ["/predicate/transforms/0/outputs: minItems 1"])
        #expect(
            faults { $0["transforms"] = [["outputs": ["a"], "operation": "copy"]] }.first?
                .hasPrefix("/predicate/transforms/0: anyOf") == true)
        #expect(
            faults {
                $0["transforms"] = [
                    ["source": "a", "outputs": ["a"], "operation": "copy", "mapping": ["kind": "split", "slice": [1]]]
                ]
            } == ["/predicate/transforms/0/mapping/slice: minItems 2"])
        #expect(
            faults { $0["comparisons"] = [["class": "fine"]] }.contains(
                "/predicate/comparisons/0/class: "
                    + #"enum ["identical","arithmetic","storage","unexplained"]"#))
        #expect(faults { $0["checks"] = ["reread": "yes"] } == [#"/predicate/checks/reread: type "boolean""#])
    }

    @Test func knowsEveryKeywordOrSaysSo() {
        #expect(throws: JSONSchema.UnknownKeyword(keyword: "oneOf")) {
            try JSONSchema(parsing: Array(#"{"properties":{"a":{"items":{"oneOf":[]}}}}"#.utf8))
        }
    }
}

/// One name for one thing in every document.
@Test func theArithmeticVersionHasOneName() throws {
    let (model, work) = (try TestModel(), try TemporaryFolder())
    let (capture, copy) = (work.path.appending("c.safetensors").string, work.path.appending("copy").string)
    let run = try assayJSON("run", model.path, "--tokens", model.tokens, "--capture", capture)
    _ = try assayJSON("convert", model.path, copy)
    let diff = try assayJSON("diff", model.path, copy, "--tokens", model.tokens)
    let certificate = try JSONValue(parsing: TestFiles.bytes(FilePath(copy).appending("certificate.json")))
    let versions = [run, diff, certificate.object?["predicate"]].map { $0?.object?["arithmeticVersion"]?.int }
    #expect(versions[0] != nil && Set(versions).count == 1, "\(versions)")
    let metadata = try assayJSON("inspect", capture).object?["metadata"]?.object
    #expect(metadata?["assay.arithmeticVersion"] == .string("\(versions[0] ?? 0)"))
    #expect(metadata?["assay.arithmetic"] == nil)
}

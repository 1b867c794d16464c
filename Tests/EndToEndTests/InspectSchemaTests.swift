import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

/// The JSON Schema of `inspect --json`, and what inspect says of checkpoints of every kind.
@Suite struct InspectSchema {
    private static let goldens = TestFiles.fixtures.appending("golden")

    private static func schema() throws -> JSONSchema {
        let path = TestFiles.fixtures.removingLastComponent().appending("formats").appending("inspect.schema.json")
        return try JSONSchema(parsing: TestFiles.bytes(path))
    }

    @Test(arguments: [
        ("safetensors/all-types.safetensors", ["--stats", "--digest"]), ("safetensors/tied.safetensors", []),
        ("safetensors/scalars-and-zero-size.safetensors", ["--stats"]), ("gguf/metadata.gguf", []),
        ("gguf/blocks.gguf", ["--digest"]), ("gguf/no-tensors.gguf", []),
        ("safetensors/all-types.safetensors", ["float*"]),
    ]) func isSatisfiedByFiles(_ name: String, _ options: [String]) throws {
        let outcome = try AssayTool.run(["inspect", Self.goldens.appending(name).string, "--json"] + options)
        try #require(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(try Self.schema().faults(in: JSONValue(parsing: Array(outcome.output.utf8))) == [])
    }

    /// What could be read of a file that is refused stands beside why it is.
    @Test func isSatisfiedByWhatIsRefused() throws {
        let file = Self.goldens.appending("safetensors/refuse/trailing.safetensors").string
        let outcome = try AssayTool.run(["inspect", file, "--json"])
        #expect(outcome.exitCode == 3)
        let document = try JSONValue(parsing: Array(outcome.output.utf8))
        #expect(try Self.schema().faults(in: document) == [])
        #expect(document.object?["exitCode"] == 3)
        let error = try #require(document.object?["error"]?.string)
        #expect(outcome.errors.contains(error), "\(outcome.errors)")
    }

    @Test func explainsInJSONToo() throws {
        let model = try TestModel()
        let outcome = try AssayTool.run(["inspect", model.path, "--json", "--explain"])
        let document = try JSONValue(parsing: Array(outcome.output.utf8))
        #expect(try Self.schema().faults(in: document) == [])
        let stack = document.object?["model"]?.object?["stacks"]?.array?.first?.object
        #expect(stack?["equations"]?.array?.first?.array?.isEmpty == false, "\(outcome.output)")
    }

    @Test func isSatisfiedByFilesOfEveryFormat() throws {
        let source = Self.goldens.appending("safetensors/tied.safetensors").string
        let work = try TemporaryFolder()
        for name in ["x.h5", "x.zplanes", "x.pt", "x.npz", "x.zt", "x.gguf", "x.safetensors.zst", "x.gguf.zst"] {
            let path = work.path.appending(name).string
            let outcome = try AssayTool.run(["convert", source, path])
            try #require(outcome.exitCode == 0, "\(name): \(outcome.errors)")
            #expect(try Self.schema().faults(in: assayJSON("inspect", path)) == [], "\(name)")
        }
    }

    /// Whole, with something missing, and with a configuration that cannot be computed.
    @Test func isSatisfiedByModels() throws {
        let model = try TestModel()
        let whole = try assayJSON("inspect", model.path)
        #expect(try Self.schema().faults(in: whole) == [])
        #expect(whole.object?["model"]?.object?["isComplete"] == true)

        let work = try TemporaryFolder()
        let target = work.path.appending("less").string
        #expect(try AssayTool.run(["convert", model.path, target, "--exclude", "*ln_f.weight"]).exitCode == 0)
        let less = try assayJSON("inspect", target)
        #expect(try Self.schema().faults(in: less) == [])
        #expect(less.object?["model"]?.object?["isComplete"] == false)
        #expect(less.object?["model"]?.object?["missing"]?.array?.count == 1)

        try model.folder.write("config.json", Array(#"{"model_type":"nothing"}"#.utf8))
        let refused = try assayJSON("inspect", model.path)
        #expect(try Self.schema().faults(in: refused) == [])
        #expect(refused.object?["model"]?.object?["refused"] != nil)
    }

    /// What a file is, whether it is complete, and where it came from.
    @Test func answersTheFirstQuestions() throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        let (folder, file) = (work.path.appending("shards").string, work.path.appending("x.zplanes").string)
        #expect(try AssayTool.run(["convert", model.path, folder, "--shard-size", "20kB"]).exitCode == 0)
        #expect(try AssayTool.run(["convert", model.weights.string, file]).exitCode == 0)

        let whole = try AssayTool.run(["inspect", file]).output
        #expect(
            whole.contains("elements, ") && whole.contains("  complete    every tensor's data is there"), "\(whole)")
        #expect(whole.contains("x.zplanes.certificate.json; 'assay verify' checks it"), "\(whole)")

        let name = try #require(SystemCall.names(in: FilePath(folder)).first { $0.contains("-00001-of-") })
        let shard = try assayJSON("inspect", folder + "/" + name)
        #expect(try Self.schema().faults(in: shard) == [])
        #expect(shard.object?["part"]?.object?["number"] == 1)
        #expect(shard.object?["certificate"]?.string?.hasSuffix("shards/certificate.json") == true)
        #expect(try AssayTool.run(["inspect", folder + "/" + name]).output.contains("no: this is part 1 of"))
        let all = try assayJSON("inspect", folder)
        #expect(all.object?["part"] == nil && all.object?["model"]?.object?["isComplete"] == true)
    }

    @Test func findsFaults() throws {
        let real = try #require(assayJSON("inspect", Self.goldens.appending("gguf/metadata.gguf").string).object)
        func faults(_ change: (inout JSONObject) -> Void) throws -> [String] {
            var changed = real
            change(&changed)
            return try Self.schema().faults(in: .object(changed))
        }
        #expect(try faults { _ in } == [])
        #expect(try faults { $0["more"] = 1 } == ["/more: is not foreseen"])
        #expect(try faults { $0["totals"] = nil }.count == 1)
        #expect(try faults { $0["files"] = [] } == ["/files: minItems 1"])
        #expect(try faults { $0["contentDigest"] = "x" }.count == 1)
    }
}

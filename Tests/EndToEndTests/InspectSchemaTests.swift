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

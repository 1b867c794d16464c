import AssayCheckpoints
import AssayTestSupport
import SystemPackage

/// A small model folder that tests may convert, damage and compare: one of the golden models, without its goldens.
struct TestModel {
    let folder: TemporaryFolder
    var path: String { folder.path.string }
    var weights: FilePath { folder.path.appending("model.safetensors") }
    /// What the model is fed: JSON, or tensors.
    let tokens: String

    init(_ name: String = "gpt2-odd-heads") throws {
        folder = try TemporaryFolder()
        let source = TestFiles.fixtures.appending("golden").appending("models").appending(name)
        let names = try SystemCall.names(in: source)
        let input = names.contains("tokens.json") ? "tokens.json" : "tokens.safetensors"
        tokens = folder.path.appending(input).string
        for file in ["config.json", "model.safetensors", input] {
            try folder.write(file, try TestFiles.bytes(source.appending(file)))
        }
    }
}

/// Runs the tool and gives its JSON.
func assayJSON(_ arguments: String...) throws -> JSONValue {
    let outcome = try AssayTool.run(arguments + ["--json"])
    return try JSONValue(parsing: Array(outcome.output.utf8))
}

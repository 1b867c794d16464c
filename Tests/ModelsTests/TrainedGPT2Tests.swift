import AssayCheckpoints
import AssayFormats
import SystemPackage
import Testing

@testable import AssayModels

/// The bundled trained model, against transformers.
@Suite struct TrainedGPT2Tests {
    static let folder = Golden.root.removingLastComponent().removingLastComponent().appending("gpt2-kjv")
    static let goldenFolder = Golden.root.appending("gpt2-kjv")

    static func model() throws -> Model {
        let file = try InputFile(folder.appending("config.json"))
        let configuration = try #require(JSONValue(parsing: file.bytes(0..<file.byteCount)).object)
        return try Model(Checkpoint.open(folder).reader, configuration: configuration, name: "gpt2-kjv")
    }

    static let runs: [(Profile, String, Double)] = [
        (.fast32, "taps.safetensors", 1e-5), (.ref32, "taps.safetensors", 1e-5),
        (.ref64, "taps.safetensors", 1e-5), (.ref64, "taps64.safetensors", 1e-12),
    ]

    @Test(arguments: runs.indices) func everyTapAgrees(_ index: Int) throws {
        let (profile, file, tolerance) = Self.runs[index]
        let tokens = try TokensFile.read(Self.goldenFolder.appending("tokens.json"))
        let trace = try Trace(Self.model(), tokens, RunSettings(profile: profile, threads: 2))
        let golden = try Golden.taps(Self.goldenFolder.appending(file))
        #expect(!golden.isEmpty && Set(golden.keys).isSubset(of: trace.taps.map(\.name)))
        for (name, error) in trace.errors(against: golden) where golden[name] != nil {
            #expect(error <= tolerance, "\(name)")
        }
    }

    /// The ids are those of the `tokenizers` library over the whole text; their digest stands for them.
    @Test func heldOutTextHasTheLibrarysTokens() throws {
        let file = try InputFile(Self.folder.appending("held-out.txt"))
        let text = try #require(String(validating: file.bytes(0..<file.byteCount), as: UTF8.self))
        let ids = try TokenizerFolder.tokenizer(in: Self.folder).encode(text)
        #expect(ids.count == 7325)
        let list = "[" + ids.map(String.init).joined(separator: ",") + "]"
        #expect(Digest.of(list).description == "bf6114cd943ca8835c30b4f83b9215a6290521d1bdcdade8b80b3e5f36fb50a4")
    }
}

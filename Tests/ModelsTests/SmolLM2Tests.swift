import AssayCheckpoints
import AssayFormats
import SystemPackage
import Testing

@testable import AssayModels

#if canImport(Glibc)
    import Glibc
#endif

/// A trained decoder of Llama's shape (`fixtures/make/golden_smollm2.py fetch`), where the environment variable
/// ASSAY_SMOLLM2 names its folder.
@Suite(.enabled(if: SmolLM2.folder != nil, "ASSAY_SMOLLM2 names no folder")) struct SmolLM2Tests {
    /// 30 layers deep, and a model whose float32 runs lose up to 1.8e-6 themselves.
    @Test(arguments: [(Profile.fast32, "taps", 1e-5), (.ref32, "taps", 1e-5), (.ref64, "taps64", 1e-12)])
    func everyTapOfATrainedModelAgrees(_ profile: Profile, _ file: String, _ tolerance: Double) throws {
        let golden = try Golden.taps(SmolLM2.goldens.appending(file + ".safetensors"))
        let tokens = try TokensFile.read(SmolLM2.goldens.appending("tokens.json"))
        let trace = try Trace(SmolLM2.model(), tokens, RunSettings(profile: profile, threads: 2))
        #expect(golden.count > 4 && Set(golden.keys).isSubset(of: trace.taps.map(\.name)))
        for (name, error) in trace.errors(against: golden) where golden[name] != nil {
            #expect(error <= tolerance, "\(name)")
        }
    }

    @Test func summaryIsThatOfTheModel() throws {
        let summary = try ModelSummary(SmolLM2.model())
        #expect(summary.parameterCount == 134_515_008)
        #expect(summary.layerCount == 30 && summary.hiddenSize == 576 && summary.headCount == 9 && summary.isHeadTied)
    }
}

enum SmolLM2 {
    static let folder = getenv("ASSAY_SMOLLM2").map { FilePath(String(cString: $0)) }
    static let goldens = Golden.root.removingLastComponent().removingLastComponent().appending("smollm2")

    static func model() throws -> Model {
        let folder = try #require(folder)
        let file = try InputFile(folder.appending("config.json"))
        let configuration = try #require(JSONValue(parsing: file.bytes(0..<file.byteCount)).object)
        let reader = try Checkpoint.open(folder.appending("model.safetensors")).reader
        return try Model(reader, configuration: configuration, name: "SmolLM2")
    }
}

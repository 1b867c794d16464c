import AssayCheckpoints
import AssayFormats
import SystemPackage
import Testing

@testable import AssayModels

#if canImport(Glibc)
    import Glibc
#endif

/// A trained BERT (`fixtures/make/fetch_minilm.sh`), where the environment variable ASSAY_MINILM names its folder.
@Suite(.enabled(if: MiniLM.folder != nil, "ASSAY_MINILM names no folder")) struct MiniLMTests {
    @Test(arguments: [Profile.fast32, .ref32, .ref64]) func everyTapOfATrainedModelAgrees(_ profile: Profile) throws {
        let model = try MiniLM.model()
        let goldenFolder = Golden.root.removingLastComponent().removingLastComponent().appending("minilm")
        let tokens = try TokensFile.read(goldenFolder.appending("tokens.json"))
        let trace = try Trace(model, tokens, RunSettings(profile: profile, threads: 2))
        let golden = try Golden.taps(goldenFolder.appending("taps.safetensors"))
        #expect(!golden.isEmpty && Set(golden.keys).isSubset(of: trace.taps.map(\.name)))
        for (name, error) in trace.errors(against: golden) where golden[name] != nil {
            #expect(error <= 1e-5, "\(name)")
        }
    }

    @Test func wordPiecesAreThoseOfTheLibrary() throws {
        let tokenizer = try TokenizerFolder.tokenizer(in: #require(MiniLM.folder))
        let cases = TokenizerCase.read(TokenizerCase.folder, "minilm.json")
        #expect(cases.count > 20)
        for expected in cases {
            #expect(tokenizer.prefix + tokenizer.encode(expected.text) + tokenizer.suffix == expected.ids)
        }
    }

    @Test func summaryIsThatOfTheModel() throws {
        let summary = try ModelSummary(MiniLM.model())
        #expect(summary.parameterCount == 22_713_216)
        #expect(summary.layerCount == 6 && summary.hiddenSize == 384 && summary.headCount == 12)
    }
}

enum MiniLM {
    static let folder = getenv("ASSAY_MINILM").map { FilePath(String(cString: $0)) }

    static func model() throws -> Model {
        let folder = try #require(folder)
        let file = try InputFile(folder.appending("config.json"))
        let configuration = try #require(JSONValue(parsing: file.bytes(0..<file.byteCount)).object)
        let reader = try Checkpoint.open(folder.appending("model.safetensors")).reader
        return try Model(reader, configuration: configuration, name: "MiniLM")
    }
}

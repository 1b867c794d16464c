import AssayCheckpoints
import AssayFormats
import AssayTestSupport
import SystemPackage
import Testing

@Suite struct Running {
    @Test func capturesTheSameBitsForAnyThreadsAndLevel() throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        var files: Set<[UInt8]> = []
        for (index, environment) in [["ASSAY_CPU": "scalar"], [:], [:]].enumerated() {
            let target = work.path.appending("c\(index).safetensors")
            let outcome = try AssayTool.run(
                ["run", model.path, "--tokens", model.tokens, "--capture", target.string, "--threads", "\(index + 1)"],
                environment: environment)
            #expect(outcome.exitCode == 0, "\(outcome.errors)")
            files.insert(try TestFiles.bytes(target))
        }
        #expect(files.count == 1)
    }

    @Test func theCaptureNamesItsTapsInForwardOrder() throws {
        let model = try TestModel()
        let target = model.folder.path.appending("c.safetensors")
        let outcome = try AssayTool.run([
            "run", model.path, "--tokens", model.tokens, "--capture", target.string, "--profile", "ref64",
        ])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        let contents = try Checkpoint.open(target).contents
        #expect(contents.tensors.prefix(3).map(\.name) == ["embed", "layers.0.attn_norm", "layers.0.q"])
        #expect(contents.tensors.last?.name == "input_ids")
        #expect(contents.tensors[0].elementType == .f64)
        #expect(contents.metadata.first { $0.key == "assay.profile" }?.value == "ref64")
    }

    @Test func needsAConfiguration() throws {
        let model = try TestModel()
        let outcome = try AssayTool.run(["run", model.weights.string, "--tokens", model.tokens])
        #expect(outcome.exitCode == 64)
        #expect(outcome.errors.contains("config.json"))
    }
}

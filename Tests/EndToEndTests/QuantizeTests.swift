import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

@Suite struct Quantizing {
    @Test(arguments: ["int8", "int8-g32", "int4-g32", "int4-g32-asym"])
    func aModelIsReportedVerifiedAndLoads(_ scheme: String) throws {
        let model = try TestModel("gpt2-tied-stored-head")
        let work = try TemporaryFolder()
        let target = work.path.appending("q").string
        var outcome = try AssayTool.run(["quantize", model.path, target, "--scheme", scheme])
        // A golden model may have inputs that no group of 32 divides; the tool must say so.
        guard outcome.exitCode == 0 else {
            #expect(outcome.exitCode == 64 && outcome.errors.contains("is not a multiple of the group size"))
            return
        }
        #expect(outcome.output.contains("SQNR dB"))
        outcome = try AssayTool.run(["verify", target, "--against", model.path])
        #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errors)")
        outcome = try AssayTool.run(["run", target, "--tokens", model.tokens])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
    }

    @Test func whatDoesNotFitIsListed() throws {
        let model = try TestModel()  // hidden 24: no group of 32 divides it, inner 96 does.
        let work = try TemporaryFolder()
        let outcome = try AssayTool.run([
            "quantize", model.path, work.path.appending("q").string, "--scheme", "int4-g32",
        ])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(
            outcome.errors.contains(
                "tensor 'transformer.h.0.attn.c_attn.weight' stays as it is: its input dimension 24 is not a multiple of the group size 32"
            ),
            "\(outcome.errors)")
    }

    @Test(arguments: [["--no-clipping"], ["--scale-type", "bf16"], ["--allow-non-finite", "--no-clipping"]])
    func whateverWasChosenCanBeRepeated(_ choices: [String]) throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        let target = work.path.appending("q").string
        var outcome = try AssayTool.run(["quantize", model.path, target, "--scheme", "int8"] + choices)
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        outcome = try AssayTool.run(["verify", target, "--against", model.path])
        #expect(outcome.exitCode == 0, "\(outcome.output)")
        #expect(!outcome.output.contains("not checked"), "\(outcome.output)")
    }

    @Test func aBareFileNeedsToBeToldItsWeights() throws {
        let model = try TestModel()
        let target = model.folder.path.appending("q.safetensors").string
        let outcome = try AssayTool.run(["quantize", model.weights.string, target, "--scheme", "int8"])
        #expect(outcome.exitCode == 64)
        #expect(outcome.errors.contains("--include"))
    }

    @Test func isTheSameForAnyNumberOfThreadsAndAtEveryLevel() throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        var files: Set<[UInt8]> = []
        for (index, environment) in [["ASSAY_CPU": "scalar"], [:], [:]].enumerated() {
            let target = work.path.appending("q\(index)")
            let outcome = try AssayTool.run(
                ["quantize", model.path, target.string, "--scheme", "int8", "--threads", "\(index + 1)"],
                environment: environment)
            #expect(outcome.exitCode == 0, "\(outcome.errors)")
            files.insert(try TestFiles.bytes(target.appending("model.safetensors")))
        }
        #expect(files.count == 1)
    }
}

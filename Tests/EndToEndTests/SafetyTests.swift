import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

/// What must never happen to anybody's files.
@Suite struct Safety {
    @Test func anotherFileThanTheSourceIsNotVerified() throws {
        let model = try TestModel()
        let (half, back) = (
            model.folder.path.appending("half.safetensors").string,
            model.folder.path.appending("back.safetensors").string
        )
        #expect(try AssayTool.run(["convert", model.weights.string, half, "--dtype", "bf16"]).exitCode == 0)
        #expect(try AssayTool.run(["convert", half, back, "--dtype", "f32"]).exitCode == 0)
        let outcome = try AssayTool.run(["verify", back, "--against", model.weights.string])
        #expect(outcome.exitCode != 0, "\(outcome.output)")
        #expect(outcome.output.hasSuffix("NOT verified\n"), "\(outcome.output)")
    }
}

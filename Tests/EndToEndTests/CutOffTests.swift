import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

/// What most often happens to a file: a download that ended early.
@Suite struct CutOffFiles {
    @Test(arguments: [
        "x.safetensors", "x.pt", "x.h5", "x.zplanes", "x.gguf", "x.npz", "x.zt", "x.safetensors.zst", "x.gguf.zst",
        "x.npy",
    ])
    func areToBeDownloadedAgain(_ name: String) throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        let whole = work.path.appending(name)
        let made = try AssayTool.run(
            ["convert", model.weights.string, whole.string]
                + (name == "x.npy" ? ["--include", "transformer.wte.weight"] : []))
        #expect(made.exitCode == 0, "\(made.errors)")
        let bytes = try TestFiles.bytes(whole)
        for count in [bytes.count / 40, bytes.count / 3, bytes.count * 9 / 10, bytes.count - 1] {
            let cut = try work.write("cut-" + name, Array(bytes[..<count]))
            let outcome = try AssayTool.run(["convert", cut.string, work.path.appending("o.safetensors").string])
            #expect(outcome.exitCode == 3, "\(count) of \(bytes.count)")
            #expect(
                outcome.errors.contains("download it again") && outcome.errors.contains("cut-" + name),
                "\(count) of \(bytes.count): \(outcome.errors)")
        }
    }
}

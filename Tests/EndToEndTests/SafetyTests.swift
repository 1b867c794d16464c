import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

/// What must never happen to anybody's files.
@Suite struct Safety {
    private static let trials = Trials(
        "Safety", "outputs that would take the place of the source, of other inputs, or of what no conversion made")

    /// A folder around a model folder, and what was in the model's weights.
    private func model(in folder: TemporaryFolder) throws -> (path: FilePath, weights: [UInt8]) {
        let path = folder.path.appending("around").appending("model")
        try SystemCall.makeFolder(folder.path.appending("around"))
        let source = try TestModel()
        defer { withExtendedLifetime(source) {} }
        #expect(try AssayTool.run(["convert", source.path, path.string]).exitCode == 0)
        return (path, try TestFiles.bytes(path.appending("model.safetensors")))
    }

    @Test func aFolderThatHoldsTheSourceIsNotReplaced() throws {
        let folder = try TemporaryFolder()
        let (path, weights) = try model(in: folder)
        let around = path.removingLastComponent()
        try TestFiles.write(Array("{}".utf8), to: around.appending("config.json"))
        let outcome = try AssayTool.run(["convert", path.string, around.string, "--overwrite"])
        #expect(outcome.exitCode == 64, "\(outcome.errors)")
        #expect(try TestFiles.bytes(path.appending("model.safetensors")) == weights)
        try Self.trials.record(1)
    }

    @Test func aFolderThatHoldsLinksToTheSourceIsNotReplaced() throws {
        let folder = try TemporaryFolder()
        let (path, weights) = try model(in: folder)
        let around = path.removingLastComponent()
        let links = around.appending("links")
        try SystemCall.makeFolder(links)
        for name in ["config.json", "model.safetensors"] {
            try SystemCall.rename(path.appending(name), to: folder.path.appending(name), replacing: false)
            try SystemCall.link(links.appending(name), to: folder.path.appending(name))
        }
        let outcome = try AssayTool.run(["convert", links.string, around.string, "--overwrite"])
        #expect(outcome.exitCode == 64)
        #expect(outcome.errors.contains("holds the source"), "\(outcome.errors)")
        #expect(try TestFiles.bytes(links.appending("model.safetensors")) == weights)
        try Self.trials.record(1)
    }

    @Test func aFolderOfOtherThingsIsNotReplaced() throws {
        let folder = try TemporaryFolder()
        let (path, _) = try model(in: folder)
        let precious = folder.path.appending("precious")
        try SystemCall.makeFolder(precious)
        try TestFiles.write([1], to: precious.appending("thesis.txt"))
        let outcome = try AssayTool.run(["convert", path.string, precious.string, "--overwrite"])
        #expect(outcome.exitCode == 64)
        #expect(outcome.errors.contains("does not look like a model folder"), "\(outcome.errors)")
        #expect(try SystemCall.names(in: precious) == ["thesis.txt"])
        try Self.trials.record(1)
    }

    @Test func noOutputTakesThePlaceOfTheWeights() throws {
        let folder = try TemporaryFolder()
        let (path, weights) = try model(in: folder)
        let file = path.appending("model.safetensors")
        let tokens = path.appending("tokens.json").string
        for arguments in [
            ["convert", path.string, folder.path.appending("o").string, "--certificate", file.string, "--overwrite"],
            ["run", path.string, "--tokens", tokens, "--capture", file.string, "--overwrite"],
            ["diff", path.string, path.string, "--tokens", tokens, "--report", file.string, "--overwrite"],
        ] {
            let outcome = try AssayTool.run(arguments)
            #expect(outcome.exitCode == 64, "\(arguments): \(outcome.errors)")
            #expect(try TestFiles.bytes(file) == weights)
            try Self.trials.record(1)
        }
    }

    /// Places for a certificate on or in what is written, or in the source, by name of the destination.
    private static let certificates = [
        ("o.h5", "o.h5"), ("o.h5", "./o.h5"), ("o.safetensors", "link/o.safetensors"), ("o", "o"),
        ("o", "o/model.safetensors"), ("o", "o/config.json"), ("o", "around/model/certificate.json"),
        ("o", "around/model/new.json"),
    ]

    @Test(arguments: certificates, [false, true])
    func aCertificateTakesNobodysPlace(_ place: (destination: String, certificate: String), _ isDry: Bool) throws {
        let folder = try TemporaryFolder()
        let (path, weights) = try model(in: folder)
        try SystemCall.link(folder.path.appending("link"), to: folder.path)
        let source = place.destination == "o" ? path : path.appending("model.safetensors")
        let own = try TestFiles.bytes(path.appending("certificate.json"))
        let outcome = try AssayTool.run(
            [
                "convert", source.string, folder.path.appending(place.destination).string, "--overwrite",
                "--certificate", folder.path.pushing(FilePath(place.certificate)).string,
            ] + (isDry ? ["--dry-run"] : []))
        #expect(outcome.exitCode == 64, "\(outcome.errors)")
        #expect(folder.names.sorted() == ["around", "link"])
        #expect(try TestFiles.bytes(path.appending("model.safetensors")) == weights)
        #expect(try TestFiles.bytes(path.appending("certificate.json")) == own)
        try Self.trials.record(1)
    }

    @Test func noOutputTakesThePlaceOfTheInput() throws {
        let folder = try TemporaryFolder()
        let (path, _) = try model(in: folder)
        for name in ["t.safetensors", "t.html"] {
            let bytes = try TestFiles.bytes(path.appending("tokens.json"))
            let tokens = try folder.write(name, bytes).string
            let outcome = try AssayTool.run(
                name == "t.html"
                    ? ["diff", path.string, path.string, "--tokens", tokens, "--report", tokens, "--overwrite"]
                    : ["run", path.string, "--tokens", tokens, "--capture", tokens, "--overwrite"])
            #expect(outcome.exitCode == 64 && outcome.errors.contains("is the input itself"), "\(outcome.errors)")
            #expect(try TestFiles.bytes(FilePath(tokens)) == bytes)
            try Self.trials.record(1)
        }
    }

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

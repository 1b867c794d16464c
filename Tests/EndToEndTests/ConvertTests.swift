import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

/// The real binary, as its user runs it: what it says, how it exits, what lies on the disk afterwards.
@Suite struct Converting {
    @Test func toBF16AndVerifiedAgainstItsSource() throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        let result = work.path.appending("bf16").string
        var outcome = try AssayTool.run(["convert", model.path, result, "--dtype", "bf16"])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(outcome.output.contains("28 × cast F32 to BF16"))
        #expect(work.names == ["bf16"])
        #expect(
            try SystemCall.names(in: work.path.appending("bf16")) == [
                "certificate.json", "config.json", "model.safetensors", "tokens.json",
            ])
        let configuration = String(
            decoding: try TestFiles.bytes(work.path.appending("bf16").appending("config.json")), as: UTF8.self)
        #expect(configuration.contains("\"dtype\": \"bfloat16\""))

        outcome = try AssayTool.run(["verify", result, "--against", model.path])
        #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errors)")
        #expect(outcome.output.hasSuffix("verified\n"))
    }

    /// Of 256 MB, all zeros, whatever a format makes of them: pieces pass by in the memory that the first ones took.
    @Test(arguments: [
        ["x.safetensors"], ["x.h5"], ["x.h5", "--deflate", "1"], ["x.zplanes"], ["x.gguf"], ["x.pt"], ["x.npz"],
        ["x.zt"],
    ]) func takesTheMemoryOfAFewPieces(_ target: [String]) throws {
        let work = try TemporaryFolder()
        let byteCount = 256_000_000
        let header = #"{"t":{"dtype":"F32","shape":[64000,1000],"data_offsets":[0,\#(byteCount)]}}"#
        let source = try work.write("source.safetensors", SafetensorsBytes.file(header, data: []))
        let file = try OutputFile(changing: source)
        try file.setLength(try file.byteCount() + byteCount)
        let words = [work.path.appending(target[0]).string] + target.dropFirst()
        let outcome = try AssayTool.run(
            ["convert", source.string] + words + ["--threads", "2", "--certificate", "none", "--no-verify"],
            limits: AssayTool.Limits(byteCount: 90_000_000, seconds: 10))
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
    }

    @Test func givesTheSameFileForAnyNumberOfThreadsAndTheSameCertificate() throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        var files: Set<[UInt8]> = []
        var certificates: Set<[UInt8]> = []
        for threads in ["1", "2", "5"] {
            let target = work.path.appending("x.safetensors")
            let outcome = try AssayTool.run([
                "convert", model.weights.string, target.string, "--dtype", "f16", "--threads", threads, "--overwrite",
            ])
            #expect(outcome.exitCode == 0, "\(outcome.errors)")
            files.insert(try TestFiles.bytes(target))
            certificates.insert(try TestFiles.bytes(work.path.appending("x.safetensors.certificate.json")))
        }
        #expect(files.count == 1)
        #expect(certificates.count == 1)
    }

    @Test func unchangedGivesTheVeryFile() throws {
        let model = try TestModel()
        let copy = model.folder.path.appending("copy.safetensors")
        #expect(try AssayTool.run(["convert", model.weights.string, copy.string]).exitCode == 0)
        #expect(try TestFiles.bytes(copy) == TestFiles.bytes(model.weights))
    }

    @Test func intoShardsAndBack() throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        let shards = work.path.appending("shards").string
        let back = work.path.appending("back.safetensors").string
        #expect(try AssayTool.run(["convert", model.path, shards, "--shard-size", "20kB"]).exitCode == 0)
        let names = try SystemCall.names(in: FilePath(shards)).filter { $0.hasSuffix(".safetensors") }
        #expect(names.count == 4)
        #expect(names.first == "model-00001-of-00004.safetensors")
        #expect(try AssayTool.run(["convert", shards, back]).exitCode == 0)
        let digest = { (path: String) in try assayJSON("inspect", path, "--digest").object?["contentDigest"]?.string }
        #expect(try digest(back) == digest(model.path))
        #expect(try digest(shards) == digest(model.path))
    }

    @Test func accountsForWhatIsLeftOut() throws {
        let model = try TestModel()
        let target = model.folder.path.appending("part.safetensors")
        let outcome = try AssayTool.run(["convert", model.weights.string, target.string, "--exclude", "*.bias"])
        #expect(outcome.exitCode == 0)
        #expect(outcome.output.contains("dropped      13 tensors by rule"))
        let certificate = String(
            decoding: try TestFiles.bytes(FilePath(target.string + ".certificate.json")), as: UTF8.self)
        #expect(certificate.contains(#"{"name":"transformer.h.0.attn.c_attn.bias","rule":"--exclude *.bias"}"#))
    }

    @Test func dryRunWritesNothingAndSaysWhatItWouldDo() throws {
        let model = try TestModel()
        let target = model.folder.path.appending("x.safetensors").string
        let before = model.folder.names
        let outcome = try AssayTool.run(["convert", model.weights.string, target, "--dtype", "bf16", "--dry-run"])
        #expect(outcome.exitCode == 0)
        for words in ["bytes in     65.0 kB", "bytes out    32.5 kB", "peak memory", "free disk"] {
            #expect(outcome.output.contains(words), "\(outcome.output)")
        }
        #expect(model.folder.names == before)
    }

    @Test(arguments: [
        (["x.unknown"], 64, "does not tell the format"),
        (["x.safetensors", "--to", "nope"], 64, "no format that is known"),
        (["x.safetensors", "--shard-size", "1MB"], 64, "name one as the destination"),
        (["no/such/folder/x.safetensors"], 64, "does not exist; create it first"),
        (["x.safetensors", "--include", "*.bias", "--exclude", "*.bias"], 64, "no tensor is left"),
    ])
    func refusesWhatCannotBe(_ arguments: [String], _ code: Int32, _ words: String) throws {
        let model = try TestModel()
        var arguments = arguments
        arguments[0] = model.folder.path.appending(arguments[0]).string
        let before = model.folder.names
        let outcome = try AssayTool.run(["convert", model.weights.string] + arguments)
        #expect(outcome.exitCode == code)
        #expect(outcome.errors.hasPrefix("error: "))
        #expect(outcome.errors.contains(words), "\(outcome.errors)")
        #expect(outcome.errors.filter { $0 == "\n" }.count == 1)
        #expect(model.folder.names == before)
    }

    @Test func neverWritesOntoItsSource() throws {
        let model = try TestModel()
        let source = model.weights.string
        let before = try TestFiles.bytes(model.weights)
        try SystemCall.link(model.folder.path.appending("link.safetensors"), to: model.weights)
        for target in [source, model.path + "/./model.safetensors", model.path + "/link.safetensors"] {
            let outcome = try AssayTool.run(["convert", source, target, "--overwrite"])
            #expect(outcome.exitCode == 64, "\(target): \(outcome.errors)")
            #expect(try TestFiles.bytes(model.weights) == before)
        }
        let outcome = try AssayTool.run(["convert", model.path, model.path, "--overwrite"])
        #expect(outcome.exitCode == 64)
        #expect(try TestFiles.bytes(model.weights) == before)
    }

    @Test func doesNotReplaceUnasked() throws {
        let model = try TestModel()
        let target = try model.folder.write("x.safetensors", [1, 2, 3])
        let outcome = try AssayTool.run(["convert", model.weights.string, target.string])
        #expect(outcome.exitCode == 64)
        #expect(outcome.errors.contains("--overwrite"))
        #expect(try TestFiles.bytes(target) == [1, 2, 3])
    }

    @Test func showsHostileNamesEscaped() throws {
        let folder = try TemporaryFolder()
        let header = #"{"a\u001b]52;c;x\u0007\r\n":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#
        let file = try folder.write("x.safetensors", SafetensorsBytes.file(header, data: [1]))
        let outcome = try AssayTool.run(["inspect", file.string])
        #expect(outcome.exitCode == 0)
        #expect(outcome.output.contains(#"a\u001b]52;c;x\u0007\u000d\u000a"#))
        #expect(!outcome.output.contains("\u{1B}"))
        let json = try AssayTool.run(["inspect", file.string, "--json"])
        #expect(!json.output.contains("\u{1B}"))
        #expect(try JSONValue(parsing: Array(json.output.utf8)).object?["tensors"]?.array?.count == 1)
    }

    @Test(arguments: ["inspect", "convert", "quantize", "verify", "diff", "run"])
    func aBrokenFileIsExitCode3InEveryCommand(_ command: String) throws {
        let folder = try TemporaryFolder()
        let broken = try folder.write("broken.safetensors", SafetensorsBytes.file("{\"a\":1}")).string
        let arguments: [String: [String]] = [
            "convert": [folder.path.appending("out.safetensors").string],
            "quantize": [folder.path.appending("out.safetensors").string, "--scheme", "int8", "--include", "*"],
            "diff": [broken], "run": ["--tokens", broken],
        ]
        let outcome = try AssayTool.run([command, broken] + (arguments[command] ?? []))
        #expect(outcome.exitCode == 3, "\(outcome.errors)")
        #expect(
            outcome.errors.contains("broken.safetensors: header: byte 13: expected an object, found '1'"),
            "\(outcome.errors)")
        #expect(folder.names == ["broken.safetensors"])
    }

    @Test func anUnknownDispatchLevelIsRefused() throws {
        let model = try TestModel()
        let outcome = try AssayTool.run(["inspect", model.path], environment: ["ASSAY_CPU": "mmx"])
        #expect(outcome.exitCode == 64)
        #expect(outcome.errors.contains("'mmx' was asked for"))
    }
}

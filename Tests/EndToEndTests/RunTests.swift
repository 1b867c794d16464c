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

    @Test func segmentsAreSaidByTheTokensOrTheCommandLine() throws {
        let work = try TemporaryFolder()
        let model = TestFiles.fixtures.appending("golden").appending("models").appending("transfo-xl-original")
        let ids = work.path.appending("ids.json")
        let text = String(decoding: try TestFiles.bytes(model.appending("tokens.json")), as: UTF8.self)
        let lists = text.firstIndex(of: "[")!..<text.lastIndex(of: "]")!
        try TestFiles.write(Array((String(text[lists]) + "]").utf8), to: ids)
        func capture(_ name: String, _ arguments: [String]) throws -> [UInt8] {
            let target = work.path.appending(name + ".safetensors")
            let outcome = try AssayTool.run(["run", model.string, "--capture", target.string] + arguments)
            #expect(outcome.exitCode == 0, "\(outcome.errors)")
            return try TestFiles.bytes(target)
        }
        let said = try capture("a", ["--tokens", model.appending("tokens.json").string])
        let given = try capture("b", ["--tokens", ids.string, "--segment-length", "4"])
        let whole = try capture("c", ["--tokens", ids.string])
        #expect(said == given && said != whole)
        let outcome = try AssayTool.run([
            "diff", model.string, work.path.appending("b.safetensors").string, "--tokens",
            model.appending("tokens.json").string,
        ])
        #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errors)")
    }

    @Test func modelsWithoutAMemoryTakeNoSegments() throws {
        let model = try TestModel()
        let outcome = try AssayTool.run(["run", model.path, "--tokens", model.tokens, "--segment-length", "2"])
        #expect(outcome.exitCode == 64)
        #expect(outcome.errors.contains("gpt2 remembers nothing between segments"), "\(outcome.errors)")
        let tokens = model.folder.path.appending("segments.json")
        try TestFiles.write(Array(#"{"input_ids": [[1, 2]], "segment_length": 2}"#.utf8), to: tokens)
        let other = try AssayTool.run(["run", model.path, "--tokens", tokens.string])
        #expect(other.exitCode == 3)
        #expect(
            other.errors.contains("segment_length: expected none, as gpt2 remembers nothing between segments"),
            "\(other.errors)")
    }

    /// Not where the input is none of the model's.
    @Test func sequencesBeyondWhatTheModelWasMadeForAreNoted() throws {
        let model = try TestModel("llama-grouped")
        let path = model.folder.path.appending("config.json")
        var configuration = try #require(JSONValue(parsing: TestFiles.bytes(path)).object)
        configuration["max_position_embeddings"] = 2
        try TestFiles.write(Array(JSONValue.object(configuration).compactText.utf8), to: path)
        let tokens = try model.folder.write("t.json", Array("[[1, 2, 3]]".utf8))
        let outcome = try AssayTool.run(["run", model.path, "--tokens", tokens.string])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(outcome.errors.contains("sequences of 3 positions, more than the 2 that llama was made for"))
        let images = try TestModel("vit-pooler")
        let other = try AssayTool.run(["run", images.path, "--tokens", tokens.string])
        defer { withExtendedLifetime((model, images)) {} }
        #expect(other.exitCode == 3 && !other.errors.contains("made for"), "\(other.errors)")
    }

    /// Numbers that a configuration would have rounded between the layers are not: both commands say so.
    @Test func whatIsNotComputedIsNoted() throws {
        let model = try TestModel("llama-grouped")
        defer { withExtendedLifetime(model) {} }
        let path = model.folder.path.appending("config.json")
        var configuration = try #require(JSONValue(parsing: TestFiles.bytes(path)).object)
        configuration["quantization_config"] = [
            "quant_method": "compressed-tensors", "kv_cache_scheme": ["num_bits": 8],
        ]
        try TestFiles.write(Array(JSONValue.object(configuration).compactText.utf8), to: path)
        let words = "quantization_config quantizes more than weights (kv_cache_scheme), which is not computed here"
        let run = try AssayTool.run(["run", model.path, "--tokens", model.tokens])
        #expect(run.exitCode == 0 && run.errors.contains(words), "\(run.errors)")
        let diff = try assayJSON("diff", model.path, model.path, "--tokens", model.tokens)
        let notes = diff.object?["notes"]?.array?.compactMap(\.string) ?? []
        #expect(notes.contains { $0.contains(words) }, "\(notes)")
    }

    /// Scales of activations and caches, which a folder holds for programs that round them, hinder no command and stay.
    @Test func scalesOfActivationsAreCarriedAlong() throws {
        let model = try TestModel("llama-grouped")
        let (plain, work) = (try TestModel("llama-grouped"), try TemporaryFolder())
        defer { withExtendedLifetime((model, plain, work)) {} }
        let scale = "model.layers.0.self_attn.k_scale"
        var weights = try MemoryCheckpoint(copying: Checkpoint.open(model.weights).reader)
        weights.set(scale, [1], [0.1])
        try weights.write(to: model.weights)
        let path = model.folder.path.appending("config.json")
        var configuration = try #require(JSONValue(parsing: TestFiles.bytes(path)).object)
        configuration["quantization_config"] = [
            "quant_method": "compressed-tensors", "kv_cache_scheme": ["num_bits": 8],
        ]
        try TestFiles.write(Array(JSONValue.object(configuration).compactText.utf8), to: path)
        let run = try AssayTool.run(["run", model.path, "--tokens", model.tokens])
        let words = "scales and zero points of activations are not used: \(scale)"
        #expect(run.exitCode == 0 && run.errors.contains(words), "\(run.errors)")
        #expect(try AssayTool.run(["inspect", model.path]).exitCode == 0)
        let diff = try assayJSON("diff", plain.path, model.path, "--tokens", model.tokens)
        let notes = diff.object?["notes"]?.array?.compactMap(\.string) ?? []
        #expect(notes.contains { $0.contains(words) }, "\(diff)")
        for command in [["convert", "--dtype", "bf16"], ["quantize", "--scheme", "int8"]] {
            let target = work.path.appending(command[0])
            let outcome = try AssayTool.run([command[0], model.path, target.string] + command.dropFirst())
            #expect(outcome.exitCode == 0, "\(outcome.errors)")
            #expect((command[0] == "convert") == outcome.errors.contains("stay as they are: \(scale)"))
            let reader = try Checkpoint.open(target.appending("model.safetensors")).reader
            let kept = try #require(reader.contents.tensors.first { $0.name == scale })
            #expect(kept.elementType == .f32)
            #expect(try AssayTool.run(["run", target.string, "--tokens", model.tokens]).exitCode == 0)
        }
    }

    /// What is remembered and seen is computed; what does not fit into memory is refused, and no crash.
    @Test func aMemoryThatDoesNotFitIsRefused() throws {
        let model = try TestModel("transfo-xl-whole")
        defer { withExtendedLifetime(model) {} }
        let outcome = try AssayTool.run(
            ["run", model.path, "--tokens", model.tokens, "--memory-length", "2000000000"],
            limits: .init(byteCount: 1 << 30, seconds: 20))
        guard !AssayTool.isWatched else { return }
        #expect(outcome.exitCode == 4 && outcome.errors.contains("of memory"), "\(outcome)")
    }

    @Test func needsAConfiguration() throws {
        let model = try TestModel()
        let outcome = try AssayTool.run(["run", model.weights.string, "--tokens", model.tokens])
        #expect(outcome.exitCode == 64)
        #expect(outcome.errors.contains("config.json"))
    }
}

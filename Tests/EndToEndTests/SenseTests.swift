import AssayCheckpoints
import AssayFormats
import AssayTestSupport
import SystemPackage
import Testing

/// Models that read images or sound, through every command of the built tool.
@Suite struct ModelsOfImagesAndSound {
    static let names = try! SystemCall.names(in: TestFiles.fixtures.appending("golden").appending("models")).filter {
        name in
        ["vit-", "whisper-", "clip-"].contains { name.hasPrefix($0) }
    }

    private static func golden(_ name: String, _ file: String) throws -> [String: [Double]] {
        try values(TestFiles.fixtures.appending("golden").appending("models").appending(name).appending(file))
    }

    /// Tensors of floating-point numbers.
    private static func values(_ path: FilePath) throws -> [String: [Double]] {
        let reader = try Checkpoint.open(path).reader
        var result: [String: [Double]] = [:]
        for (index, info) in reader.contents.tensors.enumerated() where info.elementType.isFloating {
            result[info.name] = try reader.bytes(of: index).withUnsafeBytes { bytes in
                info.elementType == .f64
                    ? Array(bytes.bindMemory(to: Double.self)) : bytes.bindMemory(to: Float.self).map(Double.init)
            }
        }
        return result
    }

    private static func distance(_ test: [Double], _ reference: [Double]) -> Double {
        guard test.count == reference.count else { return .infinity }
        let sums = zip(test, reference).reduce((0.0, 0.0)) {
            ($0.0 + ($1.0 - $1.1) * ($1.0 - $1.1), $0.1 + $1.1 * $1.1)
        }
        return (sums.0 / sums.1).squareRoot()
    }

    @Test(arguments: names, [("fast32", "taps.safetensors", 1e-5), ("ref64", "taps64.safetensors", 1e-12)])
    func aRunGivesWhatTheLibraryGave(_ name: String, _ run: (profile: String, file: String, tolerance: Double)) throws {
        let model = try TestModel(name)
        let target = model.folder.path.appending("captured.safetensors")
        let outcome = try AssayTool.run([
            "run", model.path, "--tokens", model.tokens, "--profile", run.profile, "--capture", target.string,
        ])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        let found = try Self.values(target)
        for (tap, values) in try Self.golden(name, run.file) {
            #expect(Self.distance(try #require(found[tap], "\(tap)"), values) <= run.tolerance, "\(tap)")
        }
    }

    @Test(arguments: names) func equalsItselfAndItsCapture(_ name: String) throws {
        let model = try TestModel(name)
        let captured = model.folder.path.appending("captured.safetensors").string
        #expect(
            try AssayTool.run(["run", model.path, "--tokens", model.tokens, "--capture", captured]).exitCode == 0)
        for arguments in [
            [model.path, model.path, "--tokens", model.tokens], [model.path, captured], [captured, model.path],
            [captured, captured], [model.path, captured, "--tokens", model.tokens],
        ] {
            let outcome = try AssayTool.run(["diff"] + arguments)
            #expect(
                outcome.exitCode == 0 && outcome.output.contains("B equals A, bit for bit"),
                "\(arguments): \(outcome.output)\(outcome.errors)")
        }
    }

    /// Of the same shape, but for one number.
    @Test(arguments: ["vit-classifier", "whisper-plain", "clip-both"])
    func aCaptureOfAnotherInputIsRefused(_ name: String) throws {
        let model = try TestModel(name)
        let captured = model.folder.path.appending("captured.safetensors").string
        #expect(
            try AssayTool.run(["run", model.path, "--tokens", model.tokens, "--capture", captured]).exitCode == 0)
        var tokens = try MemoryCheckpoint(copying: Checkpoint.open(FilePath(model.tokens)).reader)
        let member = name == "whisper-plain" ? "input_features" : "pixel_values"
        tokens[member][5] += 0.001
        try tokens.write(to: FilePath(model.tokens))
        let outcome = try AssayTool.run(["diff", model.path, captured, "--tokens", model.tokens])
        #expect(outcome.exitCode == 64 && outcome.errors.contains("its activations are of other tokens"))
    }

    struct Broken: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var model: String
        var change: @Sendable (inout MemoryCheckpoint) -> Void
        var words: [String]
    }

    static let broken: [Broken] = [
        Broken(
            testDescription: "a patch", model: "vit-classifier",
            change: { $0["vit.embeddings.patch_embeddings.projection.weight"][0] += 0.1 },
            words: ["it starts at embed", "'vit.embeddings.patch_embeddings.projection.weight' differs"]),
        Broken(
            testDescription: "a classifier", model: "vit-classifier",
            change: { $0["classifier.weight"].reverse() },
            words: ["logits of 2 sequences", "it starts at logits", "'classifier.weight' differs"]),
        Broken(
            testDescription: "a pooler", model: "vit-pooler", change: { $0["pooler.dense.weight"][3] += 0.1 },
            words: ["it starts at pooler", "'pooler.dense.weight' differs"]),
        Broken(
            testDescription: "a convolution", model: "whisper-plain",
            change: { $0["model.encoder.conv2.weight"][3] += 0.1 },
            words: ["it starts at encoder.embed", "'model.encoder.conv2.weight' differs"]),
        Broken(
            testDescription: "cross attention", model: "whisper-plain",
            change: { $0["model.decoder.layers.1.encoder_attn.k_proj.weight"][3] += 0.1 },
            words: ["it starts at decoder.layers.1.cross_k", "perplexity"]),
        Broken(
            testDescription: "a text's projection", model: "clip-both",
            change: { $0["text_projection.weight"][3] += 0.1 },
            words: ["it starts at text.embeds", "'text_projection.weight' differs"]),
        Broken(
            testDescription: "the norm of the class", model: "clip-both",
            change: { $0["vision_model.post_layernorm.weight"][3] += 0.1 },
            words: ["it starts at vision.pooler", "'vision_model.post_layernorm.weight' differs"]),
        Broken(
            testDescription: "the scale of logits", model: "clip-both", change: { $0["logit_scale"][0] += 0.1 },
            words: ["it starts at logits", "'logit_scale' differs"]),
    ]

    @Test(arguments: broken) func whatIsBrokenIsNamed(_ broken: Broken) throws {
        let (model, other) = try (TestModel(broken.model), TestModel(broken.model))
        var weights = try MemoryCheckpoint(copying: Checkpoint.open(other.weights).reader)
        broken.change(&weights)
        try weights.write(to: other.weights)
        let page = model.folder.path.appending("page.html").string
        let outcome = try AssayTool.run([
            "diff", model.path, other.path, "--tokens", model.tokens, "--report", page,
        ])
        #expect(outcome.exitCode == 1, "\(outcome.output)\(outcome.errors)")
        let text = outcome.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        for words in broken.words { #expect(text.contains(words), "\(outcome.output)") }
        #expect(text.contains("perplexity") == (broken.model == "whisper-plain"))
    }

    @Test(arguments: names) func inspectSaysWhatIsRead(_ name: String) throws {
        let model = try TestModel(name)
        let outcome = try AssayTool.run(["inspect", model.path, "--explain"])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        let noun = name.hasPrefix("whisper") ? "spectrograms [batch, " : "images [batch, "
        #expect(outcome.output.contains(noun) == !name.hasPrefix("clip-text"))
        #expect(outcome.output.contains("FLOPs a position") == !name.hasPrefix("clip-text"))
        #expect(outcome.output.contains("vocabulary") == (!name.hasPrefix("vit") && !name.hasPrefix("clip-vision")))
        let schema = try JSONSchema(
            parsing: TestFiles.bytes(
                TestFiles.fixtures.removingLastComponent().appending("formats").appending("inspect.schema.json")))
        #expect(try schema.faults(in: assayJSON("inspect", model.path)) == [])
    }

    /// Quantized, converted and certified like any other.
    @Test(arguments: ["vit-classifier", "whisper-plain", "clip-both"])
    func isQuantizedConvertedAndVerified(_ name: String) throws {
        let model = try TestModel(name)
        let work = try TemporaryFolder()
        let quantized = work.path.appending("int8").string
        let steps = [
            ["quantize", model.path, quantized, "--scheme", "int8"],
            ["diff", model.path, quantized, "--tokens", model.tokens, "--certify"],
            ["verify", quantized, "--against", model.path, "--tokens", model.tokens],
        ]
        for step in steps {
            let outcome = try AssayTool.run(step)
            #expect(outcome.exitCode == 0, "\(step): \(outcome.output)\(outcome.errors)")
        }
    }

    @Test(arguments: [
        ("vit-classifier", "gpt2-odd-heads", "reads images"), ("whisper-plain", "gpt2-odd-heads", "whisper is an"),
        ("gpt2-odd-heads", "vit-classifier", "gpt2 reads tokens"), ("clip-both", "gpt2-odd-heads", "clip reads images"),
        ("vit-classifier", "vit-pooler", "[batch, 3, 7, 10]"),
    ]) func whatIsForAnotherModelIsRefused(_ name: String, _ other: String, _ words: String) throws {
        let (model, source) = try (TestModel(name), TestModel(other))
        let outcome = try AssayTool.run(["run", model.path, "--tokens", source.tokens])
        #expect(outcome.exitCode == 3 && outcome.errors.contains(words), "\(outcome.errors)")
    }

    /// Any format of tensors may hold an input.
    @Test(arguments: ["npz", "h5", "zt"]) func theInputMayBeOfAnotherFormat(_ suffix: String) throws {
        let model = try TestModel("clip-both")
        let input = model.folder.path.appending("input.\(suffix)").string
        #expect(try AssayTool.run(["convert", model.tokens, input]).exitCode == 0)
        let outcome = try AssayTool.run(["run", model.path, "--tokens", input, "--json"])
        let expected = try AssayTool.run(["run", model.path, "--tokens", model.tokens, "--json"])
        #expect(outcome.exitCode == 0 && outcome.output == expected.output, "\(outcome.errors)")
    }

    @Test func aDamagedInputIsRefused() throws {
        let model = try TestModel("vit-classifier")
        let bytes = try TestFiles.bytes(FilePath(model.tokens))
        for count in [0, 7, 20, bytes.count - 1] {
            try TestFiles.write(Array(bytes.prefix(count)), to: FilePath(model.tokens))
            let outcome = try AssayTool.run(["run", model.path, "--tokens", model.tokens])
            #expect(outcome.exitCode == 3 && outcome.errors.contains("tokens.safetensors"), "\(outcome.errors)")
        }
    }
}

import AssayCheckpoints
import AssayFormats
import AssayModels
import AssayTestSupport
import SystemPackage
import Testing

/// Activations that other programs captured (`fixtures/make/golden_captures.py`), held against our own forward pass.
private let captures = TestFiles.fixtures.appending("golden").appending("captures")

/// The names of the taps that transformers' hooks captured of a golden model.
private func goldenTaps(_ model: String) throws -> Set<String> {
    let path = TestFiles.fixtures.appending("golden").appending("models").appending(model).appending("taps.safetensors")
    return Set(try Checkpoint.open(path).contents.tensors.map(\.name))
}

private func diff(_ arguments: [String]) throws -> (outcome: AssayTool.Outcome, report: JSONObject) {
    let outcome = try AssayTool.run(["diff"] + arguments + ["--json"])
    return (outcome, try #require(JSONValue(parsing: Array(outcome.output.utf8)).object))
}

extension JSONObject {
    fileprivate var tapNames: [String] { self["taps"]?.array?.compactMap { $0.object?["name"]?.string } ?? [] }
    fileprivate var notes: String { (self["notes"]?.array ?? []).compactMap(\.string).joined(separator: "; ") }
    fileprivate var firstTap: String? { self["verdict"]?.object?["firstTap"]?.string }
    fileprivate var worst: Double {
        (self["taps"]?.array ?? []).compactMap { $0.object?["accumulated"]?.object?["relativeL2"]?.double }.max()
            ?? .infinity
    }
}

@Suite struct ForeignActivations {
    struct Case: Sendable, CustomTestStringConvertible {
        var model: String
        var capture: String
        var map: String?
        var sequenceCount = 2
        var testDescription: String { capture }
    }

    static let cases = [
        Case(model: "gpt2-odd-heads", capture: "debugger/gpt2-odd-heads"),
        Case(model: "bert-pooler", capture: "debugger/bert-pooler"),
        Case(model: "qwen3-grouped", capture: "debugger/qwen3-grouped"),
        Case(
            model: "gpt2-odd-heads",
            capture: "debugger/gpt2-odd-heads/GPT2LMHeadModel_debug_tree_FULL_TENSORS.json"),
        Case(model: "gpt2-odd-heads", capture: "torch/gpt2-odd-heads.safetensors"),
        Case(model: "olmo2-grouped", capture: "torch/olmo2-grouped.safetensors"),
        Case(model: "gptneox-parallel", capture: "torch/gptneox-parallel.safetensors"),
        Case(model: "bart-scaled-padded", capture: "torch/bart-scaled-padded.safetensors"),
        Case(model: "t5-gated-padded", capture: "torch/t5-gated-padded.safetensors"),
        Case(model: "qwen3-moe-grouped", capture: "torch/qwen3-moe-grouped.safetensors"),
        Case(model: "llama-right-padding", capture: "torch/llama-right-padding.safetensors"),
        Case(model: "llama-right-padding", capture: "torch/llama-right-padding.npz"),
        Case(model: "llama-right-padding", capture: "torch/llama-right-padding.h5"),
        // Modules that are called otherwise than their tensors, and that run for several layers.
        Case(model: "vit-classifier", capture: "torch/vit-classifier.safetensors"),
        Case(model: "vit-pooler", capture: "torch/vit-pooler.safetensors", sequenceCount: 3),
        Case(model: "mixtral-grouped", capture: "torch/mixtral-grouped.safetensors"),
        Case(model: "falcon-new", capture: "torch/falcon-new.safetensors"),
        Case(model: "albert-groups", capture: "torch/albert-groups.safetensors"),
        Case(model: "albert-pretraining", capture: "torch/albert-pretraining.safetensors"),
        // Rows of sequences, stacks side by side, sound, one logit a token, heads before positions.
        Case(model: "clip-text-greatest", capture: "torch/clip-text-greatest.safetensors", sequenceCount: 3),
        Case(model: "clip-both", capture: "torch/clip-both.safetensors", sequenceCount: 3),
        Case(model: "whisper-padded", capture: "torch/whisper-padded.safetensors"),
        Case(model: "electra-discriminator", capture: "torch/electra-discriminator.safetensors"),
        Case(model: "phi-normed", capture: "torch/phi-normed.safetensors"),
        Case(model: "gpt2-odd-heads", capture: "keras/gpt2-odd-heads.npz", map: "keras/map.json"),
        Case(
            model: "clip-vision-projected", capture: "torch/clip-vision-projected.safetensors", sequenceCount: 1),
    ]

    /// Every tap of the model is found, is what our forward pass computes, and brings its tokens along.
    @Test(arguments: cases) func areWhatTheForwardPassComputes(_ value: Case) throws {
        let model = try TestModel(value.model)
        let capture = captures.appending(value.capture).string
        let maps = value.map.map { captures.appending($0).string }
        for isReference in [false, true] {
            let sides = isReference ? [capture, model.path] : [model.path, capture]
            let map = maps.map { [isReference ? "--map-a" : "--map-b", $0] } ?? []
            let (outcome, report) = try diff(sides + map + ["--profile", "ref32"])
            #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errors)")
            #expect(Set(report.tapNames) == (try goldenTaps(value.model)))
            #expect(report.worst <= 1e-5)
            #expect(report["accumulatedOnly"] == true)
            let tokens = report["tokens"]?.object
            #expect(tokens?["sequences"] == JSONValue(value.sequenceCount) && tokens?["length"] != nil)
            let side = report[isReference ? "reference" : "test"]?.object?["description"]?.string
            #expect(side?.contains("profile not known") == true)
            #expect(report.notes.contains("every error is accumulated") && !report.notes.contains("not among them"))
        }
    }

    /// Keys and values of latent attention are put together behind the modules; PyTorch's own attention multiplies by its
    /// matrices itself.
    @Test(arguments: [
        ("deepseek-v2-left-padding", ["k", "v"], "layers.0.k, layers.0.v, layers.1.k, ... (4 in all)"),
        (
            "transformer-post-norm", ["q", "k", "v", "cross_q", "cross_k", "cross_v"],
            "encoder.layers.0.q, encoder.layers.0.k, encoder.layers.0.v, ... (18 in all)"
        ),
    ])
    func whatNoModuleGivesIsMissing(_ name: String, _ points: [String], _ words: String) throws {
        let model = try TestModel(name)
        let capture = captures.appending("torch/\(name).safetensors").string
        let (outcome, report) = try diff([model.path, capture, "--profile", "ref32"])
        #expect(outcome.exitCode == 0, "\(outcome.output)")
        let golden = try goldenTaps(name)
        #expect(golden.subtracting(report.tapNames) == golden.filter { points.contains(TapName($0)!.point) })
        #expect(report.worst <= 1e-5)
        #expect(report.notes.contains("not among them: \(words)"), "\(report.notes)")
    }

    /// Older versions of the library call modules as checkpoints call tensors.
    @Test func modulesMayBeCalledAsTensorsAre() throws {
        let model = try TestModel("vit-classifier")
        let names = [
            (".attention.q_proj.", ".attention.attention.query."), (".attention.k_proj.", ".attention.attention.key."),
            (".attention.v_proj.", ".attention.attention.value."), (".attention.o_proj.", ".attention.output.dense."),
            (".mlp.fc1.", ".intermediate.dense."), (".mlp.fc2.", ".output.dense."),
            ("vit.layers.", "vit.encoder.layer."),
        ]
        var capture = try Capture(of: captures.appending("torch/vit-classifier.safetensors"))
        for index in capture.tensors.indices {
            capture.tensors[index].name = names.reduce(capture.tensors[index].name) { $0.replacing($1.0, with: $1.1) }
        }
        let (outcome, report) = try diff([
            model.path, capture.write(to: model.folder, "t.safetensors"), "--profile", "ref32",
        ])
        #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errors)")
        #expect(Set(report.tapNames) == (try goldenTaps("vit-classifier")))
        #expect(report.worst <= 1e-5)
    }

    /// Of modules that run for several layers the last run alone, as debug trees hold it.
    @Test func theLastRunOfAModuleIsThatOfItsLastLayer() throws {
        let model = try TestModel("albert-groups")
        let capture = try Capture(of: captures.appending("torch/albert-groups.safetensors")).keeping { name in
            !name.contains(".albert_layers.") || name.contains(name.contains("groups.0") ? "@3" : "@2")
        }
        let (outcome, report) = try diff([
            model.path, capture.write(to: model.folder, "t.safetensors"), "--profile", "ref32",
        ])
        #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errors)")
        let expected = try goldenTaps("albert-groups").filter { tap in
            guard let layer = TapName(tap)!.layer else { return true }
            // What a layer is given is what the one before gave.
            return [4, 5, 8, 9].contains(layer) || ["layers.3.out", "layers.7.out"].contains(tap)
        }
        #expect(Set(report.tapNames) == expected)
        #expect(report.worst <= 1e-5)
    }

    /// As many positions as heads: the norm of queries may have given either first, and is left out.
    @Test func headsAndPositionsThatLookAlike() throws {
        let model = try TestModel("phi-normed")
        var capture = try Capture(of: captures.appending("torch/phi-normed.safetensors")).keeping { name in
            name.hasPrefix("input.") || name == "lm_head.output" || name.hasSuffix("q_layernorm.output")
        }
        // 4 heads of 10, 4 of 7 positions; causal, so that the first ones are what they were.
        for index in capture.tensors.indices {
            let tensor = capture.tensors[index]
            let axis = tensor.shape.count == 4 ? 2 : 1
            let row = tensor.bytes.count / tensor.shape[...axis].reduce(1, *)
            let parts = stride(from: 0, to: tensor.bytes.count, by: 7 * row)
            capture.tensors[index].bytes = parts.flatMap { tensor.bytes[$0..<$0 + 4 * row] }
            capture.tensors[index].shape[axis] = 4
        }
        let (outcome, report) = try diff([model.path, capture.write(to: model.folder, "t.safetensors")])
        #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errors)")
        #expect(report.tapNames == ["logits"])
    }

    /// A gain of one norm 1 % too large in the other program's model.
    @Test func aWrongGainIsFoundAtItsTap() throws {
        let model = try TestModel("gpt2-odd-heads")
        let wrong = captures.appending("torch/wrong-gain.safetensors").string
        let (outcome, report) = try diff([model.path, wrong])
        #expect(outcome.exitCode == 1)
        #expect(report.firstTap == "layers.1.mlp_norm")
        #expect(report["verdict"]?.object?["sentence"]?.string?.contains("it starts at layers.1.mlp_norm") == true)
    }

    /// Two captures of modules are compared under the names of those.
    @Test func twoCapturesAreComparedByModules() throws {
        let right = captures.appending("torch/gpt2-odd-heads.safetensors").string
        let (same, equal) = try diff([right, right])
        #expect(same.exitCode == 0 && equal.worst == 0)
        #expect(equal.tapNames.contains("transformer.h.0.attn.c_attn.output"))
        let (outcome, report) = try diff([right, captures.appending("torch/wrong-gain.safetensors").string])
        #expect(outcome.exitCode == 1)
        #expect(report.firstTap == "transformer.h.1.ln_2.output")
        let llama = "torch/llama-right-padding"
        for name in ["npz", "h5"] {
            let files = ["safetensors", name].map { captures.appending("\(llama).\($0)").string }
            let (outcome, report) = try diff(files)
            #expect(outcome.exitCode == 0 && report.worst == 0, "\(outcome.output)")
        }
    }

    /// Names and layouts of no program: turned, cut and joined by a map; half of the taps are not there.
    @Test(arguments: ["npz", "h5"]) func aMapNamesTaps(_ format: String) throws {
        let model = try TestModel("llama-right-padding")
        let (capture, map) = (captures.appending("named/taps.\(format)"), captures.appending("named/map.json"))
        let (outcome, report) = try diff([model.path, capture.string, "--map-b", map.string, "--profile", "ref32"])
        #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errors)")
        let points = ["q", "k", "v", "mlp_act", "out"]
        #expect(
            report.tapNames
                == ["embed"] + (0..<2).flatMap { layer in points.map { "layers.\(layer).\($0)" } } + ["logits"])
        #expect(report.worst <= 1e-5)
        #expect(report.notes.contains("holds 12 of \(try goldenTaps("llama-right-padding").count) taps"))
        #expect(report.notes.contains("not among them: layers.0.attn_norm, layers.0.attn_out, "))
        #expect(report.notes.contains("1 of 15 tensors are no taps and are left out: loss"), "\(report.notes)")
        // The same against our own capture: two captures and a map.
        let work = try TemporaryFolder()
        let own = work.path.appending("own.safetensors").string
        #expect(try AssayTool.run(["run", model.path, "--tokens", model.tokens, "--capture", own]).exitCode == 0)
        let (both, pair) = try diff([
            own, capture.string, "--map-b", map.string, "--taps", "embed,layers.*.q,layers.*.v,layers.*.mlp_act,logits",
        ])
        #expect(both.exitCode == 0, "\(both.output)")
        #expect(pair.tapNames.count == 8 && pair.worst <= 1e-5 && pair.worst > 0)
    }

    /// What a capture does not say is taken from the command line, and the report says so.
    @Test func tokensComeFromTheCommandLine() throws {
        let model = try TestModel("gpt2-odd-heads")
        let capture = try Capture(of: captures.appending("torch/gpt2-odd-heads.safetensors"))
            .keeping { !$0.hasPrefix("input.") }.write(to: model.folder, "t.safetensors")
        let without = try AssayTool.run(["diff", model.path, capture])
        #expect(without.exitCode == 64)
        #expect(without.errors.contains("holds no input_ids; name the tokens with --tokens"))
        let (outcome, report) = try diff([model.path, capture, "--tokens", model.tokens])
        #expect(outcome.exitCode == 0)
        #expect(report.notes.contains("does not say which tokens it is of"))
    }

    /// What was stored in bf16 is off by that, and not by more.
    @Test(arguments: ["BF16", "F16"]) func coarseTypesExplainWhatTheyRound(_ type: String) throws {
        let model = try TestModel("gpt2-odd-heads")
        let work = try TemporaryFolder()
        let rounded = work.path.appending("r.safetensors").string
        for (source, exitCode, firstTap) in [
            ("gpt2-odd-heads", Int32(0), String?.none), ("wrong-gain", 1, "layers.1.mlp_norm"),
        ] where type == "F16" || exitCode == 0 {
            let conversion = try AssayTool.run([
                "convert", captures.appending("torch/\(source).safetensors").string, rounded, "--dtype",
                type.lowercased(),
                "--overwrite",
            ])
            #expect(conversion.exitCode == 0, "\(conversion.errors)")
            let (outcome, report) = try diff([model.path, rounded])
            #expect(outcome.exitCode == exitCode, "\(outcome.output)")
            #expect(report.firstTap == firstTap)
        }
    }
}

/// A safetensors file of a few tensors, changed.
private struct Capture {
    typealias Tensor = (name: String, type: String, shape: [Int], bytes: [UInt8])
    var tensors: [Tensor]

    init(_ tensors: [Tensor]) { self.tensors = tensors }

    init(of path: FilePath) throws {
        let reader = try Checkpoint.open(path).reader
        tensors = try reader.contents.tensors.enumerated().map { index, info in
            (info.name, info.elementType.name, info.shape.dimensions, try reader.bytes(of: index))
        }
    }

    func keeping(_ isKept: (String) -> Bool) -> Capture { Capture(tensors.filter { isKept($0.name) }) }

    func changing(_ name: String, _ change: (inout Tensor) -> Void) -> Capture {
        Capture(
            tensors.map { tensor in
                var tensor = tensor
                if tensor.name == name { change(&tensor) }
                return tensor
            })
    }

    func write(to folder: TemporaryFolder, _ name: String) throws -> String {
        var header = JSONObject()
        var end = 0
        for tensor in tensors {
            header[tensor.name] = [
                "dtype": .string(tensor.type), "shape": .array(tensor.shape.map { JSONValue($0) }),
                "data_offsets": [JSONValue(end), JSONValue(end + tensor.bytes.count)],
            ]
            end += tensor.bytes.count
        }
        let text = JSONValue.object(header).compactText
        return try folder.write(name, SafetensorsBytes.file(text, data: tensors.flatMap(\.bytes))).string
    }
}

/// What cannot be compared is refused in one sentence, or is a difference of structure that is named.
@Suite struct RefusedActivations {
    private static let right = captures.appending("torch/gpt2-odd-heads.safetensors")

    struct Misfit: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var change: @Sendable (inout (name: String, type: String, shape: [Int], bytes: [UInt8])) -> Void
        var exitCode: Int32
        var words: String
    }

    /// One value of the capture, changed.
    static let misfits = [
        Misfit(
            testDescription: "another shape", change: { $0.shape = [7, 2, 24] }, exitCode: 2,
            words: "tap 'layers.0.attn_norm': [2, 7, 24] in the model, [7, 2, 24] in the capture"),
        Misfit(testDescription: "cut", change: { $0.shape = [2, 7, 3, 8] }, exitCode: 0, words: ""),
        Misfit(testDescription: "joined", change: { $0.shape = [14, 24] }, exitCode: 0, words: ""),
        Misfit(
            testDescription: "whole numbers", change: { $0.type = "I32" }, exitCode: 2,
            words: "which is tap 'layers.0.attn_norm': expected floating-point numbers, found I32"),
        Misfit(
            testDescription: "not a number", change: { $0.bytes.replaceSubrange(0..<4, with: [0, 0, 0xC0, 0x7F]) },
            exitCode: 1, words: "not finite"),
    ]

    @Test(arguments: misfits) func aValueThatDoesNotFit(_ misfit: Misfit) throws {
        let model = try TestModel()
        let changed = try Capture(of: Self.right).changing("transformer.h.0.ln_1.output", misfit.change)
            .write(to: model.folder, "t.safetensors")
        let outcome = try AssayTool.run(["diff", model.path, changed])
        #expect(outcome.exitCode == misfit.exitCode, "\(outcome.output)\(outcome.errors)")
        let text = (outcome.output + outcome.errors).replacing("\n  ", with: " ").replacing("\n", with: " ")
        #expect(text.contains(misfit.words), "\(text)")
    }

    /// A part of a value that is too narrow for it.
    @Test func aFusedProjectionThatIsTooNarrow() throws {
        let model = try TestModel()
        let narrow = try Capture(of: Self.right).changing("transformer.h.1.attn.c_attn.output") { tensor in
            tensor.shape = [2, 7, 71]
            tensor.bytes.removeLast(2 * 7 * 4)
        }.write(to: model.folder, "t.safetensors")
        let outcome = try AssayTool.run(["diff", model.path, narrow])
        #expect(outcome.exitCode == 2)
        #expect(
            outcome.errors.contains("a part of which is tap 'layers.1.v': expected at least 72 features"),
            "\(outcome.errors)")
    }

    @Test(arguments: [
        (#"{"from":"transformer.h.*.ln_1.output","to":"layers.*.atn_norm"}"#, "layers.0.atn_norm', made of", Int32(64)),
        (#"{"from":"transformer.h.*.ln_9.output","to":"layers.*.q"}"#, "is the name of no tensor", 64),
        (
            #"{"from":"transformer.h.0.ln_1.output","to":"embed"},{"from":"transformer.h.0.ln_2.output","to":"embed"}"#,
            "would both be named 'embed'", 64
        ),
        (#"{"from":"transformer.h.*.ln_1.output","to":"layers.*.q","turn":[0]}"#, "rules[0]: expected the members", 3),
        (#"{"from":"transformer.h.*.ln_1.output","to":"layers.*.q","transpose":[0,1]}"#, "cannot be turned", 2),
        (
            #"{"from":"transformer.h.*.ln_1.output","to":["layers.*.q","layers.*.k"],"axis":2,"sizes":[20,20]}"#,
            "cannot be cut into parts of [20, 20]", 2
        ),
        (#"{"from":"transformer.h.0.ln_1.output","to":"layers.7.q"}"#, "tap 'layers.7.q' is not one of this model", 2),
    ])
    func aMapThatDoesNotFit(_ rules: String, _ words: String, _ exitCode: Int32) throws {
        let model = try TestModel()
        let map = try model.folder.write("map.json", Array("{\"assayMap\":1,\"rules\":[\(rules)]}".utf8)).string
        let outcome = try AssayTool.run(["diff", model.path, Self.right.string, "--map-b", map])
        #expect(outcome.exitCode == exitCode, "\(outcome.output)\(outcome.errors)")
        #expect((outcome.output + outcome.errors).replacing("\n  ", with: " ").contains(words), "\(outcome.errors)")
        let turned = try AssayTool.run(["diff", model.path, Self.right.string, "--map-a", map])
        #expect(turned.exitCode == (exitCode == 3 ? 3 : 64))
        #expect(exitCode == 3 || turned.errors.contains("is a model; a map of taps is for captured activations"))
    }

    @Test func modulesOfAnotherArchitecture() throws {
        let model = try TestModel("llama-right-padding")
        let outcome = try AssayTool.run(["diff", model.path, Self.right.string])
        #expect(outcome.exitCode == 2)
        #expect(outcome.errors.contains("expected values of llama's modules, such as 'model.layers.0."))
        let llama = captures.appending("torch/llama-right-padding.safetensors").string
        let other = try AssayTool.run(["diff", llama, Self.right.string])
        #expect(other.exitCode == 64 && other.errors.contains("of other tokens"), "\(other.errors)")
        let named = try AssayTool.run([
            "diff", TestFiles.fixtures.appending("golden/models/gpt2-odd-heads/taps.safetensors").string,
            captures.appending("keras/gpt2-odd-heads.npz").string,
        ])
        #expect(named.exitCode == 64)
        #expect(named.errors.contains("name no value alike") && named.errors.contains("--map-b"))
    }

    /// A model inside another is found by its first block; two of them are not told apart.
    @Test func wrappers() throws {
        let model = try TestModel()
        let plain = try Capture(of: Self.right)
        func inside(_ prefix: String) -> [Capture.Tensor] {
            plain.tensors.filter { $0.name.hasPrefix("transformer.") || $0.name.hasPrefix("lm_head.") }.map {
                (prefix + $0.name, $0.type, $0.shape, $0.bytes)
            }
        }
        let own = plain.tensors.filter { $0.name.hasPrefix("input.") }
        let wrapped = try Capture(own + inside("net.")).write(to: model.folder, "w.safetensors")
        let (outcome, report) = try diff([model.path, wrapped])
        #expect(outcome.exitCode == 0, "\(outcome.output)")
        #expect(Set(report.tapNames) == (try goldenTaps("gpt2-odd-heads")))
        let two = try Capture(own + inside("a.") + inside("b.")).write(to: model.folder, "2.safetensors")
        let refused = try AssayTool.run(["diff", model.path, two])
        #expect(refused.exitCode == 2 && refused.errors.contains("values of 2 bodies"), "\(refused.errors)")
    }

    /// Numbers in names and shapes that claim more than there is.
    @Test func claimsOfAnySize() throws {
        let work = try TemporaryFolder()
        let model = try TestModel()
        let limits = AssayTool.Limits(byteCount: 200_000_000, seconds: 5)
        let far = try Capture([("layers.9223372036854775807.q", "F32", [1, 1, 2], SafetensorsBytes.zeros(8))])
            .write(to: work, "far.safetensors")
        let page = work.path.appending("x.html").string
        let pair = try AssayTool.run(["diff", far, far, "--report", page], limits: limits)
        #expect(pair.exitCode == 0, "\(pair.output)\(pair.errors)")
        let empty = try Capture([
            ("embed", "F32", [1, 1, 24], SafetensorsBytes.zeros(96)), ("input_ids", "I64", [1 << 40, 0], []),
        ]).write(to: work, "empty.safetensors")
        let none = try AssayTool.run(["diff", model.path, empty], limits: limits)
        #expect(none.exitCode == 3 && none.errors.contains("expected whole numbers, [batch, time]"), "\(none.errors)")
        // Values of other ranks are compared too.
        for shape in [[], [2], [1, 2, 1, 1], [2, 1]] {
            let byteCount = 4 * shape.reduce(1, *)
            let a = Capture([("m.output", "F32", shape, SafetensorsBytes.zeros(byteCount))])
            let b = a.changing("m.output") { $0.bytes[byteCount - 1] = 0x3F }
            let files = [try a.write(to: work, "a.safetensors"), try b.write(to: work, "b.safetensors")]
            #expect(try AssayTool.run(["diff", files[0], files[0]]).exitCode == 0)
            #expect(try AssayTool.run(["diff"] + files).exitCode == 1, "\(shape)")
        }
    }
}

/// Debug trees of transformers that are damaged.
@Suite struct DamagedDebugTrees {
    private static let good = captures.appending("debugger/gpt2-odd-heads")
    private static let treeName = "GPT2LMHeadModel_debug_tree_FULL_TENSORS.json"

    /// A copy of the good folder, its tree and files changed.
    private func copy(
        _ folder: TemporaryFolder, tree change: (String) -> String = { $0 }, leaving left: String? = nil
    ) throws -> FilePath {
        for name in try SystemCall.names(in: Self.good) where name != left {
            let bytes = try TestFiles.bytes(Self.good.appending(name))
            let text = name == Self.treeName ? Array(change(String(decoding: bytes, as: UTF8.self)).utf8) : bytes
            try folder.write(name, text)
        }
        return folder.path
    }

    @Test func theGoodOneIsReadByEveryCommand() throws {
        let folder = try TemporaryFolder()
        try EveryCommand.mustAccept(copy(folder))
        withExtendedLifetime(folder) {}
    }

    private static let value = "./GPT2LMHeadModel.transformer.h.0.ln_1_outputs.safetensors"

    @Test(arguments: [
        (#"{"module_path": "#, #"["#, "expected", Int32(3)),
        (Self.value, "../x.safetensors", "expected ./ and the name of a file beside the tree", 3),
        (Self.value, "/etc/passwd", "expected ./ and the name of a file beside the tree", 3),
        (Self.value, "./missing.safetensors", "1 of ", 2),
        (Self.value, "./GPT2LMHeadModel.transformer.h.0.attn.c_attn_outputs.safetensors", "in the tree and", 2),
        (Self.value, "./" + Self.treeName, "expected a checkpoint", 3),
        ("\"module_path\": \"GPT2LMHeadModel.transformer.wte\"", "\"module_path\": \"wte\"", "CLASS.MODULE", 3),
        ("\"module_path\": \"GPT2LMHeadModel.transformer.wte\"", "\"path\": \"x\"", "the name of a module", 3),
        ("\"children\": [", "\"children\": {}, \"c\": [", "a list of modules", 3),
        ("\"value\": \"\(Self.value)\"", "\"value\": [\"tensor([1., 2.])\"]", "printed ones", 3),
    ])
    func isRefused(_ old: String, _ new: String, _ words: String, _ exitCode: Int32) throws {
        let folder = try TemporaryFolder()
        let path = try copy(folder) { text in
            let place = text.firstRange(of: old)
            #expect(place != nil || old.hasPrefix("{"))
            return place.map { text[..<$0.lowerBound] + new + text[$0.upperBound...] } ?? String(text.dropFirst(40))
        }
        try EveryCommand.mustRefuse(path, exitCode: exitCode, words: [words], twin: Self.good)
    }

    @Test func printedValuesAndSummariesAreRefused() throws {
        let printed = captures.appending("debugger/printed")
        try EveryCommand.mustRefuse(printed, words: ["use_repr=False", "printed ones"], twin: Self.good)
        let summary = Self.good.appending("GPT2LMHeadModel_debug_tree_SUMMARY.json")
        try EveryCommand.mustRefuse(summary, words: ["none, as in a summary"], twin: Self.good)
    }

    @Test func aFileOfOtherTensorsIsRefused() throws {
        let folder = try TemporaryFolder()
        let path = try copy(folder)
        let name = String(Self.value.dropFirst(2))
        let other = SafetensorsBytes.file(
            #"{"date":{"dtype":"F32","shape":[2,7,24],"data_offsets":[0,1344]}}"#, data: SafetensorsBytes.zeros(1344))
        try folder.write(name, other)
        try EveryCommand.mustRefuse(
            path, exitCode: 2, words: ["expected one tensor, 'data'", "found date"], twin: Self.good)
    }

    /// The values under their names, in the order of the forward pass.
    @Test func namesItsValuesByModules() throws {
        let names = try Checkpoint.open(Self.good).contents.tensors.map(\.name)
        #expect(names.first == "input.input_ids")
        let order = [
            "transformer.h.0.input.0", "transformer.h.0.ln_1.input.0", "transformer.h.0.ln_1.output",
            "transformer.h.0.attn.c_attn.output", "transformer.h.1.input.0", "transformer.ln_f.output",
            "lm_head.output",
        ].map { names.firstIndex(of: $0) }
        #expect(order.allSatisfy { $0 != nil } && order.map { $0! } == order.map { $0! }.sorted())
        #expect(Set(names).count == names.count)
    }
}

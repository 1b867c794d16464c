import AssayCheckpoints
import AssayFormats
import AssayTestSupport
import SystemPackage
import Testing

/// What does nothing, or cannot be, is said at once: nothing is ignored in silence.
@Suite struct Usage {
    /// MODEL is a model folder, WEIGHTS its file, TOKENS its tokens, CAPTURE activations of one, OUT a folder for outputs.
    private func run(_ text: String, environment: [String: String] = [:]) throws -> (AssayTool.Outcome, [String]) {
        let model = try TestModel()
        let work = try TemporaryFolder()
        let places = [
            ("MODEL", model.path), ("WEIGHTS", model.weights.string), ("TOKENS", model.tokens),
            ("OUT", work.path.string),
            ("CAPTURE", TestFiles.fixtures.string + "/golden/captures/torch/wrong-gain.safetensors"),
        ]
        let arguments = text.split(separator: " ").map { word in
            for (name, path) in places where word == name || word.hasPrefix(name + "/") {
                return path + word.dropFirst(name.count)
            }
            return String(word)
        }
        return (try AssayTool.run(arguments, environment: environment), work.names)
    }

    @Test(arguments: [
        ("inspect MODEL *.h.9.*", "'*.h.9.*' matches no tensor; the 28 there are include 'transformer.h.0."),
        ("inspect MODEL attn.c_attn.weight", "include 'transformer.h.0.attn.c_attn.weight'"),
        ("inspect MODEL wte.weights", "include 'transformer.wte.weight'"),
        ("convert WEIGHTS OUT/x.safetensors --include x", "--include: 'x' matches no tensor"),
        ("convert WEIGHTS OUT/x.safetensors --include * --include x", "--include: 'x' matches no tensor"),
        ("convert WEIGHTS OUT/x.safetensors --exclude x", "--exclude: 'x' matches no tensor"),
        ("quantize MODEL OUT/q --scheme int8 --include x", "--include: 'x' matches no tensor"),
        ("quantize MODEL OUT/q --scheme int8 --exclude x", "--exclude: 'x' matches no tensor"),
        ("quantize MODEL OUT/q --scheme int8 --keep x", "--keep: 'x' matches no tensor"),
        ("run MODEL --tokens TOKENS --taps x", "--taps: 'x' matches no tap"),
        ("run MODEL --tokens TOKENS --taps logits,layers.*.outt", "--taps: 'layers.*.outt' matches no tap"),
        ("diff MODEL MODEL --tokens TOKENS --taps x", "--taps: 'x' matches no tap"),
        ("diff MODEL MODEL --taps *", "--taps: activations are compared only with --tokens"),
        ("diff MODEL MODEL --batch 1", "--batch: activations are compared only with --tokens"),
        ("diff MODEL MODEL --profile ref64", "--profile: activations are compared only with --tokens"),
        (
            "convert WEIGHTS -shard-size 1MB OUT/x",
            "'-shard-size': there is no such option; '--shard-size' may be meant"
        ),
        ("inspect WEIGHTS -threads 2", "'-threads': there is no such option"),
        ("verify -h5.safetensors", "names that begin with '-' come after '--'"),
        ("diff CAPTURE CAPTURE --profile ref64", "--profile: nothing is computed where both sides are captures"),
        ("diff CAPTURE CAPTURE --batch 1", "--batch: nothing is computed where both sides are captures"),
        ("diff CAPTURE CAPTURE --weights", "--weights: a capture holds none"),
        ("diff MODEL CAPTURE --weights", "--weights: a capture holds none"),
        ("verify MODEL --against MODEL --tokens TOKENS", "there is no certificate that could record a comparison"),
        ("inspect WEIGHTS --explain", "--explain: says nothing of"),
        ("diff MODEL MODEL --overwrite", "--overwrite: says nothing without --report"),
        ("run MODEL --tokens TOKENS --overwrite", "--overwrite: says nothing without --capture"),
        (
            "run MODEL --tokens TOKENS --capture OUT/x.zplanes",
            "expected the name of a file with .safetensors, .bin"
        ),
        ("run MODEL --tokens TOKENS --capture OUT/x.npz", "for a capture"),
        ("run MODEL --tokens TOKENS --capture OUT/x.onnx", "cannot write ONNX yet"),
        ("convert WEIGHTS OUT/x.zplanes --deflate 3", "--deflate: zplanes is not deflated; only hdf5 is"),
        ("convert MODEL OUT/x --deflate 3", "--deflate: safetensors is not deflated; only hdf5 is"),
        ("convert WEIGHTS OUT/x.safetensors --file-digest --certificate none", "--file-digest: says nothing with"),
        ("convert WEIGHTS OUT/x.h5 --memory 1kB --threads 2", "the least for 2 threads is 524288"),
        ("convert WEIGHTS OUT/x.h5 --memory many", "expected a number with B, kB, MB"),
        ("convert WEIGHTS OUT/x.h5 --memory 0", "expected a number with B, kB, MB"),
        ("convert WEIGHTS OUT/x.h5 --memory 0x10MB", "expected a number with B, kB, MB"),
        ("convert MODEL OUT/x --shard-size nan", "expected a number with B, kB, MB"),
        ("convert WEIGHTS OUT/x.h5 --dtype int4", "choose one of f8_e5m2, f8_e4m3, f8_e4m3fnuz, f8_e5m2fnuz, f16"),
        ("quantize MODEL OUT/q --scheme int8 --scale-type f64", "choose f32, bf16 or f16"),
        (
            "convert MODEL OUT/x.onnx",
            "cannot write ONNX yet; writes: safetensors, pytorch, hdf5, zplanes, gguf, npy, npz, ztensor"
        ),
        ("convert MODEL OUT/x.ONNX --to safetensors", "cannot write ONNX yet"),
        ("convert MODEL OUT/x.npy", "npy holds exactly 1 tensor"),
        ("convert WEIGHTS OUT/x.npz --to hdf5", "the extension says npz, but hdf5 is to be written"),
        ("convert WEIGHTS OUT/x --to onnx", "--to: cannot write ONNX yet"),
        ("convert WEIGHTS OUT/x.h5 --to zplanes", "the extension says hdf5, but zplanes is to be written"),
        ("quantize MODEL OUT/q.h5 --scheme int8", "the extension says hdf5, but safetensors is to be written"),
        ("convert MODEL OUT/model.xyz", "'.xyz' is the extension of no format (.safetensors, "),
        ("convert MODEL OUT/model.zst --to zplanes", "end the name with '/' where a folder is meant"),
        ("convert WEIGHTS OUT/a.xyz --shard-size 1MB --to hdf5", "'.xyz' is the extension of no format"),
        ("quantize MODEL OUT/model.xyz --scheme q4_0", "'.xyz' is the extension of no format"),
        ("convert WEIGHTS OUT/x.h5 --resume --dry-run", "--resume: says nothing with --dry-run"),
        ("convert WEIGHTS OUT/x.h5 --deflate -1", "--deflate: a level from 1 to 12, not -1"),
        ("diff MODEL MODEL --tolerance -1", "--tolerance: a number from 0 on, not -1"),
        ("diff MODEL MODEL --tokens TOKENS --batch -1", "--batch: a number from 1 on, not -1"),
        ("inspect MODEL --threads -1", "--threads: a number from 1 to 1024, not -1"),
        ("inspect MODEL --threads 1 --threads=2", "--threads: given twice; give it once"),
        ("convert WEIGHTS OUT/x --to npz --to=hdf5", "--to: given twice; give it once"),
        ("help nosuch", "there is no subcommand 'nosuch': choose one of inspect, convert, quantize, run, diff, verify"),
        ("nosuch --json", "there is no subcommand 'nosuch'"),
        ("run MODEL --tokens OUT/none", "--tokens: "), ("run MODEL --tokens OUT/none", "none: there is no such file"),
        ("run MODEL --text OUT/none", "--text: "), ("diff MODEL MODEL --tokens OUT/none", "there is no such file"),
        ("diff MODEL MODEL --map-b OUT/none", "--map-b: "), ("convert WEIGHTS OUT/x.h5 --map OUT/none", "--map: "),
        ("verify MODEL --certificate OUT/none", "--certificate: "),
        ("verify MODEL --signature OUT/none", "--signature: "),
    ])
    func refusesWhatWouldDoNothing(_ command: String, _ words: String) throws {
        let (outcome, made) = try run(command)
        #expect(outcome.exitCode == 64, "\(outcome.output)\(outcome.errors)")
        #expect(outcome.errors.contains(words), "\(outcome.errors)")
        #expect(made.isEmpty)
    }

    /// Each is refused where it is given twice, and those of several values are not.
    @Test func whichOptionsTakeOneValueIsKnown() throws {
        let help = try JSONValue(parsing: Array(AssayTool.run(["--experimental-dump-help"]).output.utf8))
        var options: [(name: String, repeats: Bool)] = []
        for command in help.object?["command"]?.object?["subcommands"]?.array ?? [] {
            for argument in command.object?["arguments"]?.array?.compactMap(\.object) ?? []
            where argument["kind"]?.string == "option" {
                let name = "--" + (argument["names"]?.array?[0].object?["name"]?.string ?? "?")
                options.append((name, argument["isRepeating"]?.bool ?? true))
            }
        }
        #expect(options.count > 40)
        for (name, repeats) in options {
            let outcome = try AssayTool.run(["inspect", "x", name, "1", name, "2"])
            #expect(outcome.errors.contains("given twice") != repeats, "\(name): \(outcome.errors)")
        }
    }

    @Test(arguments: ["Qwen2.5", "llama-3.1-8b", "model.xyz/", "model.h5/", "plain"])
    func makesAFolder(_ name: String) throws {
        let (outcome, made) = try run("convert MODEL OUT/\(name)")
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(made == [name.hasSuffix("/") ? String(name.dropLast()) : name])
        let (again, _) = try run("convert WEIGHTS OUT/\(name)/ --to zplanes")
        #expect(again.output.contains("model.zplanes") || again.exitCode == 0, "\(again.errors)")
    }

    /// The certificate's name is the longest of those that are made.
    @Test(arguments: [(238, true), (239, false), (255, false), (256, false)]) func namesAreAsLongAsFileSystemsAllow(
        _ count: Int, _ isMade: Bool
    ) throws {
        let model = try TestModel()
        let name = String(repeating: "a", count: count - 4) + ".npz"
        let outcome = try AssayTool.run(
            ["convert", model.weights.string, model.folder.path.appending(name).string])
        #expect(outcome.exitCode == (isMade ? 0 : 64), "\(outcome.errors)")
        if !isMade {
            let words =
                count > 255 ? "the name has \(count) bytes" : "the name of the certificate has \(count + 17) bytes"
            #expect(outcome.errors.contains(words), "\(outcome.errors)")
        }
        #expect(model.folder.names.count == (isMade ? 5 : 3))
        let bare = try AssayTool.run([
            "convert", model.weights.string, model.folder.path.appending(name).string, "--certificate", "none",
            "--overwrite",
        ])
        #expect(bare.exitCode == (count > 255 ? 64 : 0), "\(bare.errors)")
    }

    /// Adapters and parts of pipelines are looked for under names of their own.
    @Test(arguments: ["adapter_model", "diffusion_pytorch_model"]) func keepsTheNamesThatLibrariesLookFor(
        _ stem: String
    ) throws {
        let model = try TestModel()
        let source = try TemporaryFolder()
        try source.write("\(stem).safetensors", try TestFiles.bytes(model.weights))
        func convert(_ options: [String]) throws -> [String] {
            let work = try TemporaryFolder()
            let made = work.path.appending("made")
            #expect(try AssayTool.run(["convert", source.path.string, made.string] + options).exitCode == 0)
            #expect(try AssayTool.run(["verify", made.string]).exitCode == 0)
            return try SystemCall.names(in: made).filter { $0 != "certificate.json" }.sorted()
        }
        #expect(try convert([]) == ["\(stem).safetensors"])
        #expect(try convert(["--to", "pytorch"]) == ["\(stem).bin"])
        let shards = try convert(["--shard-size", "20kB"])
        #expect(shards.contains("\(stem).safetensors.index.json") && shards.allSatisfy { $0.hasPrefix(stem) })
    }

    /// As PyTorch's state dictionaries hold it: the same model.
    @Test func aHeadThatIsASecondNameIsTied() throws {
        let golden = TestFiles.fixtures.appending("golden/models/t5-plain")
        let reader = try Checkpoint.open(golden.appending("model.safetensors")).reader
        let folder = try TemporaryFolder()
        for (name, aliases) in [("one", []), ("two", [("lm_head.weight", "shared.weight")])]
            as [(String, [(String, String)])]
        {
            let place = folder.path.appending(name)
            try SystemCall.makeFolder(place)
            try MemoryCheckpoint(copying: reader, metadata: aliases.map { (key: $0.0, value: $0.1) })
                .write(to: place.appending("model.safetensors"))
            try TestFiles.write(TestFiles.bytes(golden.appending("config.json")), to: place.appending("config.json"))
        }
        let outcome = try AssayTool.run(
            ["diff", folder.path.appending("one").string, folder.path.appending("two").string])
        #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errors)")
    }

    @Test func aFolderThatResumeKeepsNeedsAName() throws {
        let (outcome, made) = try run(
            "convert MODEL OUT/\(String(repeating: "d", count: 245)) --shard-size 1MB --resume")
        #expect(outcome.exitCode == 64 && made.isEmpty)
        #expect(
            outcome.errors.contains("the name of the folder that --resume keeps has 259 bytes"), "\(outcome.errors)")
    }

    /// Folders of links, as hubs keep them, with a file that was not downloaded.
    @Test(arguments: ["config.json", "tokenizer.json", "inner/x.json"]) func aLinkThatLeadsNowhereIsNoAbsentFile(
        _ name: String
    ) throws {
        let model = try TestModel()
        let path = model.folder.path.pushing(FilePath(name))
        SystemCall.removeIfPresent(path)
        if name.contains("/") { try SystemCall.makeFolder(path.removingLastComponent()) }
        try SystemCall.link(path, to: "../../blobs/abc")
        let target = try TemporaryFolder()
        let outcome = try AssayTool.run(["convert", model.path, target.path.appending("out/").string])
        #expect(outcome.exitCode == 3, "\(outcome.errors)")
        #expect(outcome.errors.contains("\(path): expected what the link leads to, found nothing"), "\(outcome.errors)")
        #expect(target.names.isEmpty)
        let inspection = try AssayTool.run(["inspect", model.path])
        #expect(inspection.exitCode == (name == "config.json" ? 3 : 0), "\(inspection.errors)")
    }

    /// Python's json writes and reads numbers that JSON lacks.
    @Test func configurationsMayHoldPythonsNumbers() throws {
        let model = try TestModel()
        let path = model.folder.path.appending("config.json")
        let text = String(decoding: try TestFiles.bytes(path), as: UTF8.self)
        let changed = text.replacing(/^\s*\{/, with: "{\"summary_limit\": [0.0, Infinity],")
        try TestFiles.write(Array(changed.utf8), to: path)
        let target = try TemporaryFolder()
        let outcome = try AssayTool.run(
            ["quantize", model.path, target.path.appending("out/").string, "--scheme", "int8"])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        let written = try TestFiles.bytes(target.path.appending("out").appending("config.json"))
        #expect(String(decoding: written, as: UTF8.self).contains("Infinity"))
        #expect(try AssayTool.run(["inspect", model.path]).errors.contains("summary_limit") == false)
    }

    @Test func aFolderThatExistsNeedsNoSlash() throws {
        let work = try TemporaryFolder()
        let model = try TestModel()
        try SystemCall.makeFolder(work.path.appending("model.xyz"))
        let outcome = try AssayTool.run(
            ["convert", model.path, work.path.appending("model.xyz").string, "--overwrite"])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
    }

    @Test func saysThatAFolderIsNoCompleteModel() throws {
        let (outcome, _) = try run("convert MODEL OUT/x --include *.bias")
        #expect(
            outcome.errors.contains("note: 15 of 28 tensors are left out: the folder will be no complete model"),
            "\(outcome.errors)")
        #expect(try !run("convert MODEL OUT/x").0.errors.contains("left out"))
        #expect(try !run("convert MODEL OUT/x.h5 --include *.bias").0.errors.contains("left out"))
    }

    /// With `--json` there is one document, whatever happens.
    @Test(arguments: [
        ("inspect OUT/x", 64), ("convert MODEL OUT/x.xyz", 64), ("convert MODEL", 64), ("quantize MODEL OUT/x", 64),
        ("run WEIGHTS --tokens TOKENS", 64), ("diff MODEL TOKENS", 3), ("verify TOKENS", 3), ("inspect TOKENS", 3),
        ("inspect MODEL --threads 0", 64), ("convert MODEL no/such/x.h5", 64),
    ])
    func errorsAreJSONToo(_ command: String, _ exitCode: Int32) throws {
        let (outcome, _) = try run(command + " --json")
        #expect(outcome.exitCode == exitCode)
        let document = try #require(JSONValue(parsing: Array(outcome.output.utf8)).object)
        #expect(document.members.map(\.key) == ["error", "exitCode"] && document["exitCode"]?.int == Int(exitCode))
        #expect(outcome.errors.contains(document["error"]?.string ?? "none"), "\(outcome.output)\(outcome.errors)")
    }

    @Test func blamesNoOptionThatWasNotGiven() throws {
        let (outcome, _) = try run("quantize MODEL OUT/q.h5 --scheme int8")
        #expect(!outcome.errors.contains("--to"), "\(outcome.errors)")
    }

    @Test(arguments: [
        ("bf16", "BF16"), ("bfloat16", "BF16"), ("float16", "F16"), ("half", "F16"), ("float64", "F64"),
        ("double", "F64"), ("float8_e4m3fn", "F8_E4M3"), ("F16", "F16"),
    ])
    func takesTheTypesByTorchsNamesToo(_ spelling: String, _ name: String) throws {
        let (outcome, _) = try run("convert WEIGHTS OUT/x.safetensors --dtype \(spelling)")
        #expect(outcome.output.contains("28 × cast F32 to \(name)"), "\(outcome.output)\(outcome.errors)")
    }

    @Test func theLeastMemoryThatIsNamedWorks() throws {
        let (outcome, _) = try run("convert WEIGHTS OUT/x.zplanes --memory 524288 --threads 2")
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
    }

    @Test func saysWhatAnExcludedWeightBecomes() throws {
        let outcome = try AssayTool.run(["quantize", "--help"])
        let help = outcome.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        #expect(help.contains("Do not quantize weights whose name matches this pattern: they come along as they are"))
        let (made, _) = try run("quantize MODEL OUT/q --scheme int8 --exclude *.c_fc.weight")
        #expect(made.output.contains("tensors") && !made.output.contains("dropped"), "\(made.output)")
    }

    @Test func theDataOfAShardNeverExceedsItsSizeButForOneLargerTensor() throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        let shards = work.path.appending("shards")
        let outcome = try AssayTool.run(["convert", model.path, shards.string, "--shard-size", "10000"])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        let names = try SystemCall.names(in: shards).filter { $0.hasSuffix(".safetensors") }
        #expect(names.count > 3)
        for name in names {
            let tensors = try assayJSON("inspect", shards.appending(name).string).object?["tensors"]?.array ?? []
            let bytes = tensors.compactMap { $0.object?["bytes"]?.int }
            #expect(!bytes.isEmpty && (bytes.reduce(0, +) <= 10000 || bytes.count == 1), "\(name): \(bytes)")
        }
    }

    @Test(arguments: [true, false]) func weightsAloneAreNotRun(_ hasConfiguration: Bool) throws {
        let model = try TestModel()
        if !hasConfiguration { SystemCall.removeIfPresent(model.folder.path.appending("config.json")) }
        let outcome = try AssayTool.run(["run", model.weights.string, "--tokens", model.tokens])
        #expect(outcome.exitCode == 64)
        let words =
            hasConfiguration
            ? "name the folder \(model.path), whose config.json is then used"
            : "put the model's config.json beside the weights and name the folder"
        #expect(outcome.errors.contains(words), "\(outcome.errors)")
    }

    @Test func tokenTypesOfZeroAreSomethingToAModelThatHasNone() throws {
        let model = try TestModel()
        let tokens = #"{"input_ids": [[1, 2]], "token_type_ids": [[0, 0]]}"#
        let file = try model.folder.write("types.json", Array(tokens.utf8))
        for command in [["run", model.path], ["diff", model.path, model.path]] {
            let outcome = try AssayTool.run(command + ["--tokens", file.string])
            #expect(outcome.exitCode == 3, "\(outcome.output)")
            #expect(
                outcome.errors.contains("types.json: token_type_ids: expected none, as gpt2 has no token types"),
                "\(outcome.errors)")
        }
    }

    @Test func aCaptureIsWrittenInTheFormatOfItsName() throws {
        let model = try TestModel()
        let files = ["c.safetensors", "c.h5"].map { model.folder.path.appending($0).string }
        for file in files {
            let outcome = try AssayTool.run(["run", model.path, "--tokens", model.tokens, "--capture", file])
            #expect(outcome.exitCode == 0, "\(outcome.errors)")
        }
        #expect(try assayJSON("inspect", files[1]).object?["format"]?.string == "hdf5")
        let digests = try files.map { try assayJSON("inspect", $0, "--digest").object?["contentDigest"]?.string }
        #expect(digests[0] != nil && digests[0] == digests[1])
        let outcome = try AssayTool.run(["diff"] + files)
        #expect(outcome.exitCode == 0 && outcome.output.contains("identical"), "\(outcome.output)\(outcome.errors)")
    }
}

@Suite struct Sentences {
    /// The squares of such numbers are infinite, and equal to each other.
    @Test func claimNothingOfNumbersWhoseSquaresAreInfinite() throws {
        let folder = try TemporaryFolder()
        let paths = try [1e300, 2e300].enumerated().map { index, scale in
            let values = [1.0, 2, 3, 4].map { $0 * scale }
            return try folder.write(
                "\(index).safetensors",
                SafetensorsBytes.file(
                    #"{"w":{"dtype":"F64","shape":[2,2],"data_offsets":[0,32]}}"#,
                    data: values.withUnsafeBytes { Array($0) })
            ).string
        }
        let outcome = try AssayTool.run(["diff"] + paths)
        #expect(outcome.exitCode == 1)
        #expect(outcome.output.contains("suspect: 'w'") && !outcome.output.contains("turned"), "\(outcome.output)")
    }

    @Test func sayWhichTensorIsTooMany() throws {
        let (model, other) = (try TestModel(), try TestModel())
        let path = other.folder.path.appending("config.json")
        let text = String(decoding: try TestFiles.bytes(path), as: UTF8.self)
        var configuration = try #require(try JSONValue(parsing: Array(text.utf8)).object)
        let count = try #require(configuration["n_layer"]?.int)
        configuration["n_layer"] = JSONValue(count - 1)
        try TestFiles.write(Array(JSONValue.object(configuration).prettyText.utf8), to: path)
        let outcome = try AssayTool.run(["diff", model.path, other.path, "--tokens", model.tokens])
        let said = outcome.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        #expect(outcome.exitCode == 2)
        #expect(
            said.contains("activations were not compared: \(other.path): tensor 'transformer.h.\(count - 1)."),
            "\(said)")
        #expect(said.contains("is not part of this model") && !said.contains("lacks"), "\(said)")
    }

    @Test func showAnEmptyKeyAndAnEmptyName() throws {
        let model = try TestModel()
        let path = model.folder.path.appending("config.json")
        let text = String(decoding: try TestFiles.bytes(path), as: UTF8.self)
        try TestFiles.write(Array(("{\"\": 1," + text.dropFirst(1)).utf8), to: path)
        var outcome = try AssayTool.run(["run", model.path, "--tokens", model.tokens])
        #expect(outcome.exitCode == 2)
        #expect(outcome.errors.contains("config.json: '': expected only keys"), "\(outcome.errors)")

        let header = #"{"__metadata__":{"":"x"},"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}"#
        let file = try model.folder.write("x.safetensors", SafetensorsBytes.file(header, data: [1]))
        outcome = try AssayTool.run(["inspect", file.string])
        #expect(outcome.output.contains("  metadata    '': x"), "\(outcome.output)")
        #expect(outcome.output.contains("\n''      U8"), "\(outcome.output)")
    }

    @Test func nameTheFileOfPackedWeightsThatDoNotFit() throws {
        let folder = try TemporaryFolder()
        let header = #"{"a.weight_packed":{"dtype":"I32","shape":[1,1],"data_offsets":[0,4]}}"#
        let file = try folder.write("x.safetensors", SafetensorsBytes.file(header, data: [0, 0, 0, 0])).string
        let out = folder.path.appending("y.safetensors").string
        for arguments in [
            ["convert", file, out, "--dtype", "f16"], ["quantize", file, out, "--scheme", "int8", "--include", "*"],
            ["diff", file, file],
        ] {
            let outcome = try AssayTool.run(arguments)
            #expect(outcome.exitCode == 2, "\(outcome.errors)")
            #expect(outcome.errors.hasPrefix("error: \(file): tensor 'a.weight_packed': "), "\(outcome.errors)")
        }
    }

    @Test func sayThatPackedWeightsAreLeftAsTheyAre() throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        let (packed, wide) = (work.path.appending("q").string, work.path.appending("wide").string)
        #expect(try AssayTool.run(["quantize", model.path, packed, "--scheme", "int8"]).exitCode == 0)
        for options in [["--dry-run"], []] {
            let outcome = try AssayTool.run(["convert", packed, wide, "--dtype", "f16"] + options)
            #expect(
                outcome.output.contains("tensors of packed weights left as they are") && outcome.exitCode == 0
                    && outcome.output.contains("nothing unpacks them yet"), "\(outcome.output)\(outcome.errors)")
        }
        let plain = try AssayTool.run(["convert", packed, work.path.appending("copy").string])
        #expect(!plain.output.contains("packed weights"), "\(plain.output)")
    }

    /// Modules come along whole, other folders without the weights of other programs; the certificate names it all.
    @Test func aSentenceTransformersFolderComesAlongWithItsModules() throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        let files = [
            "1_Pooling/config.json", "2_Dense/model.safetensors", "2_Dense/config.json", "onnx/model.onnx",
            "extra/readme.txt", "extra/model.onnx",
        ]
        for (number, name) in files.enumerated() {
            let path = model.folder.path.appending(name)
            if try SystemCall.status(path.removingLastComponent()) == nil {
                try SystemCall.makeFolder(path.removingLastComponent())
            }
            try TestFiles.write([UInt8(number)], to: path)
        }
        try SystemCall.link(model.folder.path.appending("loop"), to: model.folder.path)
        try model.folder.write("modules.json", Array(#"[{"path":""},{"path":"1_Pooling"},{"path":"2_Dense"}]"#.utf8))
        let copy = work.path.appending("copy")
        for options in [["--dry-run"], [], ["--overwrite"]] {
            let outcome = try AssayTool.run(["convert", model.path, copy.string] + options)
            #expect(
                outcome.exitCode == 0 && outcome.output.contains("  left         extra/model.onnx, loop, onnx/\n"),
                "\(outcome.output)\(outcome.errors)")
        }
        #expect(
            try SystemCall.tree(in: copy).map(\.name).filter { $0.contains("/") }
                == ["1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors", "extra/readme.txt"])
        #expect(try TestFiles.bytes(copy.appending("2_Dense/model.safetensors")) == [1])

        // Whatever lies there otherwise is not thrown away with it.
        var outcome: AssayTool.Outcome
        for name in ["mine.txt", ".hidden", "optimizer.pt"] {
            try TestFiles.write([1], to: copy.appending(name))
            for options in [["--dry-run"], []] {
                outcome = try AssayTool.run(["convert", model.path, copy.string, "--overwrite"] + options)
                #expect(outcome.exitCode == 64 && outcome.errors.contains("it holds '\(name)'"), "\(outcome.errors)")
            }
            #expect(try TestFiles.bytes(copy.appending(name)) == [1])
            SystemCall.removeIfPresent(copy.appending(name))
        }

        outcome = try AssayTool.run(["verify", copy.string, "--against", model.path])
        #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errors)")
        try TestFiles.write([7], to: copy.appending("1_Pooling/config.json"))
        outcome = try AssayTool.run(["verify", copy.string])
        #expect(outcome.exitCode == 3 && outcome.output.contains("1_Pooling/config.json"), "\(outcome.output)")
        try TestFiles.write([0], to: copy.appending("1_Pooling/config.json"))
        try TestFiles.write([0], to: copy.appending("1_Pooling/more.json"))
        outcome = try AssayTool.run(["verify", copy.string])
        #expect(outcome.exitCode == 2 && outcome.output.contains("1_Pooling/more.json"), "\(outcome.output)")

        let file = try AssayTool.run(["convert", model.path, work.path.appending("x.h5").string])
        #expect(file.output.contains("  left         1_Pooling/, 2_Dense/, config.json"), "\(file.output)")
    }

    @Test func aDiskThatIsTooSmallIsSaidInThePlan() throws {
        let folder = try TemporaryFolder()
        // A file of holes: more bytes than are free.
        let count = try #require(SystemCall.freeByteCount(at: folder.path)) + 1_000_000_000_000
        let header = #"{"a":{"dtype":"U8","shape":[\#(count)],"data_offsets":[0,\#(count)]}}"#
        let file = folder.path.appending("x.safetensors")
        let output = try OutputFile(creating: file)
        try output.write(at: 0, SafetensorsBytes.file(header))
        try output.setLength(8 + header.utf8.count + count)
        let arguments = ["convert", file.string, folder.path.appending("y.safetensors").string]
        var outcome = try AssayTool.run(arguments + ["--dry-run"])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(outcome.output.contains("bytes out"), "\(outcome.output)")
        #expect(outcome.output.contains(": too small, ") && outcome.output.contains(" more are needed"))
        outcome = try AssayTool.run(arguments)
        #expect(outcome.exitCode == 4)
        #expect(outcome.errors.contains("bytes are free there"), "\(outcome.errors)")
        #expect(folder.names == ["x.safetensors"])
    }
}

@Suite struct Widths {
    private static let width = 80

    @Test(arguments: ["inspect", "convert", "quantize", "run", "diff", "verify"])
    func ofHelpAreThoseOfTheTerminal(_ command: String) throws {
        let outcome = try AssayTool.run(["help", command], environment: ["COLUMNS": "\(Self.width)"])
        for line in outcome.output.split(separator: "\n") { #expect(line.count <= Self.width, "\(line)") }
    }

    @Test func ofWhatTheCommandsSayAreThoseOfTheTerminal() throws {
        let model = TestFiles.fixtures.appending("gpt2-kjv").string
        let work = try TemporaryFolder()
        let (half, packed) = (work.path.appending("half").string, work.path.appending("packed").string)
        for arguments in [
            ["inspect", model], ["inspect", model, "--stats", "--digest"],
            ["convert", model, half, "--dtype", "bf16", "--dry-run"], ["convert", model, half, "--dtype", "bf16"],
            ["verify", half, "--against", model],
            ["quantize", model, packed, "--scheme", "int4-g32"], ["inspect", packed],
            ["convert", packed, half, "--dtype", "f16", "--dry-run", "--overwrite"],
            ["run", model, "--tokens", model + "/tokens-short.json"],
        ] {
            let outcome = try AssayTool.run(arguments, environment: ["COLUMNS": "\(Self.width)"])
            #expect(outcome.exitCode == 0, "\(outcome.errors)")
            for line in outcome.output.split(separator: "\n") {
                // A path may be longer than any line; it has one to itself.
                #expect(line.count <= Self.width || !line.drop { $0 == " " }.contains(" "), "\(line)")
            }
        }
    }

    @Test func namesThatDoNotFitKeepTheirLayer() throws {
        let folder = try TemporaryFolder()
        let names = (0..<3).map { "model.encoder.layers.\($0).attention.output.very_long_name.LayerNorm.weight" }
        let entries = names.enumerated().map { index, name in
            #""\#(name)":{"dtype":"U8","shape":[1],"data_offsets":[\#(index),\#(index + 1)]}"#
        }
        let header = "{" + entries.joined(separator: ",") + "}"
        let file = try folder.write("x.safetensors", SafetensorsBytes.file(header, data: [1, 2, 3]))
        let outcome = try AssayTool.run(
            ["inspect", file.string, "--stats"], environment: ["COLUMNS": "\(Self.width)"])
        for name in names {
            #expect(outcome.output.split(separator: "\n").count { $0.hasPrefix(name) } == 2, "\(outcome.output)")
        }
    }
}

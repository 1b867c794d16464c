import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

/// Names and texts out of files, and arguments, that could break a terminal, a folder or another format. What is wrong
/// with the bytes of one format stands with the tests of that format, and goes through the same commands.
@Suite struct BadNames {
    /// A checkpoint of tensors with these names, each a float32, as NumPy's archives hold any.
    private static func archive(_ names: [String]) -> [UInt8] {
        ZipBytes(names.map { .init($0 + ".npy", array) }).bytes
    }

    private static let array: [UInt8] = {
        let header = Array("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n".utf8)
        return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.count), 0] + header + [0, 0, 0x80, 0x3F]
    }()

    private static func names(in path: FilePath) throws -> [String] {
        let tensors = try assayJSON("inspect", path.string).object?["tensors"]?.array ?? []
        return tensors.compactMap { $0.object?["name"]?.string }
    }

    /// Nothing that moves a cursor, rings, hides or reorders.
    private static func isHarmless(_ text: String) -> Bool {
        text.unicodeScalars.allSatisfy { scalar in
            scalar == "\n"
                || scalar.value >= 0x20 && !(0x7F...0x9F).contains(scalar.value)
                    && !(0x200B...0x200F).contains(scalar.value) && !(0x2028...0x202E).contains(scalar.value)
        }
    }

    static let nasty = [
        "esc\u{1b}[31m", "osc\u{1b}]52;c;eA==\u{7}", "cr\rname", "bell\u{7}", "back\u{8}space", "new\nline",
        "tab\tname",
        "delete\u{7f}", "c1\u{9b}31m", "reordered\u{202e}txt", "zero\u{200b}width",
        "arabic\u{61c}mark", "tag\u{e0041}",
    ]

    /// T01
    @Test(arguments: nasty) func controlCharactersAreShownEscaped(_ name: String) throws {
        let folder = try TemporaryFolder()
        // In the name of a tensor, of a file and of a folder, in metadata, and in what is refused.
        let header = JSONValue.object(
            JSONObject([
                ("__metadata__", [name: .string(name)]),
                (name, ["dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]]),
            ])
        ).compactText
        let good = SafetensorsBytes.file(header, data: SafetensorsBytes.zeros(16))
        let file = try folder.write(name + ".safetensors", good)
        let bad = try folder.write(name + ".bad.safetensors", good + [0])
        let unknown = try folder.write(
            name + ".f7.safetensors",
            SafetensorsBytes.file(header.replacing("F32", with: "F7"), data: SafetensorsBytes.zeros(16)))
        let escaped = name.escapedForDisplay
        #expect(escaped != name)
        for path in [bad, unknown] {
            try EveryCommand.mustRefuse(path, named: escaped, words: [], twin: file)
        }
        let other = folder.path.appending("x.zplanes").string
        let many = folder.path.appending(name)
        try SystemCall.makeFolder(many)
        for file in [name + "1.safetensors", name + "2.safetensors"] {
            try TestFiles.write(good, to: many.appending(file))
        }
        let commands: [[String]] = [
            ["inspect", file.string], ["inspect", file.string, "--stats", "--digest"],
            ["inspect", file.string, "--json"],
            ["inspect", file.string, name + "*"], ["inspect", file.string, "no" + name],
            ["convert", file.string, other],
            ["verify", other, "--against", file.string], ["verify", other, "--against", file.string, "--json"],
            ["diff", file.string, other, "--weights"], ["diff", file.string, other, "--json"],
            ["convert", file.string, other], ["quantize", file.string, many.string, "--scheme", "int8"],
            ["inspect", many.string], ["inspect", many.appending("none").string], ["inspect", bad.string, "--json"],
            ["inspect", file.string, "--" + name], ["convert", file.string, many.appending("x.onnx").string],
        ]
        for command in commands {
            let outcome = try AssayTool.run(command)
            #expect(Self.isHarmless(outcome.output) && Self.isHarmless(outcome.errors), "\(command)")
        }
        // JSON has the name itself.
        #expect(try Self.names(in: file) == [name])
    }

    /// T02, and more that paths, attributes and members cannot be called.
    @Test(arguments: [
        "", ".", "..", "/", "a/../b", "/a", "a/", "a//b", "__metadata__", "assay.foreign", "a.npy", "x\u{0}y",
        "a/\u{301}b",
        "\u{301}b", "data.pkl", "größe", nasty[0], nasty[5], String(repeating: "n", count: 70),
        String(repeating: "n", count: 65_000),
    ])
    func aNameIsHeldAsItIsOrRefusedByName(_ name: String) throws {
        let folder = try TemporaryFolder()
        // One of these formats can hold any name.
        let source =
            try name == "__metadata__"
            ? folder.write("source.npz", Self.archive(["keep", name]))
            : folder.write(
                "source.safetensors",
                SafetensorsBytes.file(
                    JSONValue.object(
                        JSONObject([
                            ("keep", ["dtype": "F32", "shape": [1], "data_offsets": [0, 4]]),
                            (name, ["dtype": "F32", "shape": [1], "data_offsets": [4, 8]]),
                        ])
                    ).compactText, data: SafetensorsBytes.zeros(8)))
        for target in ["x.safetensors", "x.safetensors.zst", "x.pt", "x.h5", "x.zplanes", "x.gguf", "x.npz", "x.zt"] {
            let path = folder.path.appending(target)
            let outcome = try AssayTool.run(["convert", source.string, path.string])
            if outcome.exitCode == 0 {
                #expect(
                    try Set(Self.names(in: path).map { ExactName($0) }) == Set([name, "keep"].map { ExactName($0) }))
                let check = try AssayTool.run(["verify", path.string, "--against", source.string])
                #expect(check.exitCode == 0, "\(target): \(check.output)\(check.errors)")
            } else {
                #expect(outcome.exitCode == 64, "\(target): \(outcome.exitCode) \(outcome.errors)")
                #expect(outcome.errors.contains("cannot hold this name"), "\(target): \(outcome.errors)")
                #expect(!folder.names.contains { $0.contains(target) })
            }
        }
    }

    /// T03
    @Test func longNamesAreCutWherePeopleSeeThemAndWholeInJSON() throws {
        let folder = try TemporaryFolder()
        let long = String(repeating: "é", count: 500_000)
        let twins = (0..<1000).map { String(repeating: "n", count: 200) + "\($0)" }
        let file = try folder.write("x.npz", Self.archive(twins))
        #expect(try Self.names(in: file) == twins)
        let shown = try AssayTool.run(["inspect", file.string]).output
        #expect(twins.allSatisfy { shown.contains($0 + " ") })

        let header = JSONValue.object(
            JSONObject([(long, ["dtype": "F32", "shape": [1], "data_offsets": [0, 4]])])
        ).compactText
        let whole = try folder.write("long.safetensors", SafetensorsBytes.file(header, data: SafetensorsBytes.zeros(4)))
        let text = try AssayTool.run(["inspect", whole.string]).output
        #expect(text.utf8.count < 8000 && text.contains("é... (1000000 bytes)"))
        #expect(try Self.names(in: whole) == [long])
        let damaged = try folder.write("bad.safetensors", SafetensorsBytes.file(header))
        let outcome = try AssayTool.run(["inspect", damaged.string])
        #expect(
            outcome.exitCode == 3 && outcome.errors.utf8.count < 4000 && outcome.errors.contains("4 bytes less"))
        for target in ["x.gguf", "x.npz"] {
            let outcome = try AssayTool.run(["convert", whole.string, folder.path.appending(target).string])
            #expect(
                outcome.exitCode == 64 && outcome.errors.utf8.count < 4000, "\(target): \(outcome.errors.prefix(900))")
        }
    }

    /// Two names that people take for one.
    @Test func bothSpellingsOfALetterStandInOneFile() throws {
        let folder = try TemporaryFolder()
        let names = ["caf\u{e9}", "cafe\u{301}"]
        let header =
            #"{"__metadata__":{"\#(names[0])":"1","\#(names[1])":"2"},"#
            + #""\#(names[0])":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"#
            + #""\#(names[1])":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#
        let source = try folder.write("source.safetensors", SafetensorsBytes.file(header, data: Array(1...8)))
        try EveryCommand.mustAccept(source)
        for target in ["x.safetensors", "x.safetensors.zst", "x.pt", "x.h5", "x.zplanes", "x.gguf", "x.npz", "x.zt"] {
            let path = folder.path.appending(target)
            let outcome = try AssayTool.run(["convert", source.string, path.string])
            #expect(outcome.exitCode == 0, "\(target): \(outcome.errors)")
            let back = folder.path.appending(target + ".safetensors")
            #expect(try AssayTool.run(["convert", path.string, back.string]).exitCode == 0, "\(target)")
            let check = try AssayTool.run(["diff", source.string, back.string])
            #expect(
                check.exitCode == 0 && check.output.contains("B equals A, bit for bit"), "\(target): \(check.output)")
            let found = try Self.names(in: back)
            #expect(Set(found.map { ExactName($0) }) == Set(names.map { ExactName($0) }), "\(target)")
        }
    }
}

/// Arguments that are no plain names of files.
@Suite struct BadArguments {
    private static let good = SafetensorsBytes.file(SafetensorsBytes.entry(), data: SafetensorsBytes.zeros(8))

    /// T05
    @Test func pathsAreBytes() throws {
        let folder = try TemporaryFolder()
        for name in [[0xFF], Array("a\u{10FF80}b".utf8), [0x61, 0xE9, 0x62], Array("\n".utf8), Array("größe".utf8)]
            as [[UInt8]]
        {
            func path(_ suffix: String) -> [UInt8] {
                Array(folder.path.string.utf8) + [0x2F] + name + Array(suffix.utf8)
            }
            let file = (path(".safetensors") + [0]).map { CChar(bitPattern: $0) }
            try TestFiles.write(
                Self.good, to: file.withUnsafeBufferPointer { FilePath(platformString: $0.baseAddress!) })
            let word = { (text: String) in Array(text.utf8) }
            for command in [
                [word("inspect"), path(".safetensors")],
                [word("convert"), path(".safetensors"), path(".zplanes"), word("--certificate=") + path(".json")],
                [
                    word("verify"), path(".zplanes"), word("--certificate"), path(".json"), word("--against"),
                    path(".safetensors"),
                ],
                [word("diff"), path(".safetensors"), path(".zplanes"), word("--report=") + path(".html")],
            ] {
                let outcome = try AssayTool.run(command)
                #expect(outcome.exitCode == 0, "\(name): \(outcome.errors)")
            }
        }
    }

    /// Names that differ in such bytes alone have certificates, and what an interrupted run keeps, of their own.
    @Test func pathsThatLookTheSameAreTwo() throws {
        let folder = try TemporaryFolder()
        let source = try folder.write("x.safetensors", Self.good).string
        let targets = [0xFE, 0xFF].map { Array(folder.path.string.utf8) + [0x2F, $0] + Array(".safetensors".utf8) }
        for target in targets {
            let outcome = try AssayTool.run(["convert", source, "--dtype", "f16"].map { Array($0.utf8) } + [target])
            #expect(outcome.exitCode == 0, "\(outcome.errors)")
        }
        for target in targets {
            #expect(try AssayTool.run([Array("verify".utf8), target]).exitCode == 0)
        }
        #expect(folder.names.count == 5)
    }

    @Test func whatNamesNoFileIsRefused() throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("x.safetensors", Self.good)
        let cases: [(arguments: [String], exitCode: Int32, words: String)] = [
            (["inspect", ""], 64, "'': there is no such file"), (["inspect", "-"], 64, "there is no such file"),
            (["inspect", folder.path.appending("none").string], 64, "there is no such file"),
            (["inspect", String(repeating: "n", count: 4096)], 64, "there is no such file"),
            (["inspect", String(repeating: "n/", count: 3000)], 64, "there is no such file"),
            (["inspect", file.string, "-x"], 64, "-x"),
            (["inspect", file.string, "--", "-x"], 64, "'-x' matches no tensor"),
            (["convert", file.string, ""], 64, "names no file"),
            (["convert", file.string, folder.path.string + "/none/x.h5"], 64, "does not exist"),
            (
                ["convert", file.string, folder.path.appending(String(repeating: "n", count: 300)).string + ".h5"], 64,
                "the name has 303 bytes, more than the 255 that file systems allow"
            ),
        ]
        for (arguments, exitCode, words) in cases {
            let outcome = try AssayTool.run(arguments)
            #expect(outcome.exitCode == exitCode, "\(arguments.map { $0.prefix(40) }): \(outcome.errors.prefix(300))")
            #expect(outcome.errors.lowercased().contains(words), "\(outcome.errors.prefix(300))")
        }
        #expect(try AssayTool.run(["inspect", "--", file.string + "/", "*a*"]).exitCode == 0)
        #expect(folder.names == ["x.safetensors"])
    }
}

/// Configurations that contradict themselves or the tensors: what computes refuses them, what copies does not judge.
@Suite struct BadConfigurations {
    struct Case: Sendable, CustomTestStringConvertible {
        var old: String, new: String, words: [String]
        var testDescription: String { new }
        init(_ old: String, _ new: String, _ words: [String]) { (self.old, self.new, self.words) = (old, new, words) }
    }

    @Test(arguments: [
        Case(#""n_head": 3"#, #""n_head": 5"#, ["n_head", "5", "n_embd 24"]),
        Case(#""n_head": 3"#, #""n_head": 0"#, ["n_head", "found 0"]),
        Case(#""n_head": 3"#, #""n_head": -1"#, ["n_head", "found -1"]),
        Case(#""n_head": 3"#, #""n_head": 2147483648"#, ["n_head", "found 2147483648"]),
        Case(#""n_head": 3"#, #""n_head": "3""#, ["n_head", "found '3'"]),
        Case(#""n_head": 3"#, #""n_head": null"#, ["n_head", "no such key"]),
        Case(#""n_layer": 2"#, #""n_layer": 1000000000"#, ["at most as many layers", "1000000000"]),
        Case(#""n_layer": 2"#, #""n_layer": 1"#, ["transformer.h.1"]),
        Case(#""vocab_size": "#, #""vocab_size": 1"#, ["transformer.wte.weight", "expected"]),
        Case(
            #""layer_norm_epsilon": 1e-05"#, #""layer_norm_epsilon": 0"#, ["layer_norm_epsilon", "above 0", "found 0"]),
        Case(#""layer_norm_epsilon": 1e-05"#, #""layer_norm_epsilon": -1e-05"#, ["layer_norm_epsilon", "above 0"]),
        Case(#""layer_norm_epsilon": 1e-05"#, #""layer_norm_epsilon": 1e400"#, ["layer_norm_epsilon", "1e400"]),
        Case(
            #""model_type": "gpt2""#, #""model_type": "gpt2", "torch_dtype": "float99""#, ["torch_dtype", "'float99'"]),
        Case(#""model_type": "gpt2""#, #""model_type": "gpt2", "rope_theta": 0"#, ["rope_theta", "found 0"]),
        Case(
            #""model_type": "gpt2""#, #""model_type": "gpt2", "auto_map": {"AutoModel": "code.Model"}"#, ["auto_map"]),
        Case(
            #""model_type": "gpt2""#,
            #""model_type": "gpt2", "quantization_config": {"quant_method": "gptq", "bits": 4}"#,
            ["quantization_config", "compressed-tensors", #""gptq""#]),
        Case(
            #""model_type": "gpt2""#, #""model_type": "gpt2", "quantization_config": 4"#,
            ["quantization_config", "the number 4"]),
    ]) func areNamedByKeyAndValue(_ bad: Case) throws {
        let model = try TestModel()
        let twin = try TestModel()
        let path = model.folder.path.appending("config.json")
        let text = String(decoding: try TestFiles.bytes(path), as: UTF8.self)
        #expect(text.contains(bad.old), "\(text)")
        try model.folder.write("config.json", Array(text.replacing(bad.old, with: bad.new).utf8))
        let target = model.folder.path.appending("out").string
        for command in [
            ["run", model.path, "--tokens", model.tokens], ["diff", model.path, twin.path],
            ["diff", twin.path, model.path],
            ["quantize", model.path, target, "--scheme", "int8"],
        ] {
            let outcome = try AssayTool.run(command)
            #expect(outcome.exitCode == 2, "\(command): \(outcome.output)\(outcome.errors)")
            let said = outcome.output + outcome.errors
            for word in bad.words { #expect(said.contains(word), "\(command): \(said)") }
            #expect(!model.folder.names.contains { $0.hasPrefix("out") })
        }
        // Told, where nothing is computed.
        let shown = try AssayTool.run(["inspect", model.path])
        #expect([0, 2].contains(shown.exitCode))
        for word in bad.words {
            let text = shown.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            #expect(text.contains(word), "\(shown.output)")
        }
        #expect(try AssayTool.run(["convert", model.path, target]).exitCode == 0)
        #expect(try AssayTool.run(["verify", target, "--against", model.path]).exitCode == 0)
    }

    @Test(arguments: [
        ("{", "the end of the text"), ("{} x", "the end of the text"), ("[]", "a JSON object"), ("", "an empty file"),
        (#"{"n_head":3,"n_head":4}"#, "'n_head' again"), ("\u{feff}{}", "a value"),
        ("version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer"),
        ("<html><body>404</body></html>", "HTML page"), (String(repeating: "[", count: 100_000), "nesting"),
    ]) func thatAreNoConfigurationAreRefused(_ text: String, _ words: String) throws {
        let model = try TestModel()
        let twin = try TestModel()
        try model.folder.write("config.json", Array(text.utf8))
        let path = FilePath(model.path)
        for command in [
            ["inspect", path.string], ["diff", path.string, twin.path], ["convert", path.string, path.string + ".out"],
            ["quantize", path.string, path.string + ".out", "--scheme", "int8"],
        ] {
            let outcome = try AssayTool.run(command)
            #expect(outcome.exitCode == 3 && outcome.errors.contains("config.json"), "\(command): \(outcome.errors)")
            #expect(outcome.errors.contains(words), "\(outcome.errors)")
        }
        #expect(try SystemCall.status(FilePath(path.string + ".out")) == nil)
    }
}

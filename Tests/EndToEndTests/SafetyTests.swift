import AssayCheckpoints
import AssayFormats
import AssayTestSupport
import SystemPackage
import Testing

/// What must never happen to anybody's files.
@Suite struct Safety {
    private static let trials = Trials(
        "Safety", "outputs that would take the place of the source, of other inputs, or of what no conversion made",
        findings: [
            "an output named by way of a link and `..` took the place of the source",
            "hidden files in inner folders went with a folder that was replaced",
            "certificates of the source's weights came along, and one of the old data stayed",
            "a map could be replaced by what was made with it",
        ])

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

    /// Behind a link ".." leads elsewhere than the text says.
    /// A folder is read by what its files are called: a new one must not become its weights, or count as a companion.
    @Test func whatIsNoModelIsNotTakenForAFileOfOne() throws {
        let model = try TestModel()
        let weights = model.folder.path.appending("weights.safetensors")
        try SystemCall.rename(model.weights, to: weights, replacing: false)
        func run(_ arguments: [String]) throws -> AssayTool.Outcome {
            let names = model.folder.names
            let outcome = try AssayTool.run(arguments)
            if outcome.exitCode != 0 { #expect(model.folder.names == names) }
            return outcome
        }
        for (name, isMade) in [
            ("model.safetensors", false), ("c.safetensors", false), ("c.h5", true), ("c.bin", true),
        ] {
            let place = model.folder.path.appending(name)
            let outcome = try run(["run", model.path, "--tokens", model.tokens, "--capture", place.string])
            #expect(outcome.exitCode == (isMade ? 0 : 64), "\(name): \(outcome.errors)")
            #expect(isMade || outcome.errors.contains("would be taken for one of its files"), "\(outcome.errors)")
            SystemCall.removeIfPresent(place)
        }
        for (name, isMade) in [
            ("model.safetensors.index.json", false), ("generation.json", false), ("report", false), ("r.html", true),
        ] {
            let outcome = try run([
                "diff", model.path, weights.string, "--report", model.folder.path.appending(name).string,
            ])
            #expect(outcome.exitCode == (isMade ? 0 : 64), "\(name): \(outcome.errors)")
        }
        try Self.trials.record(8)
    }

    /// Nor may a conversion change which weights its source's folder has, or what a certificate says of it.
    @Test func aConversionLeavesTheSourcesFolderWhatItIs() throws {
        let model = try TestModel()
        let weights = model.folder.path.appending("weights.safetensors")
        try SystemCall.rename(model.weights, to: weights, replacing: false)
        func convert(_ source: String, _ name: String) throws -> AssayTool.Outcome {
            try AssayTool.run(["convert", source, FilePath(source).appending(name).string])
        }
        for (name, isMade) in [
            ("model.safetensors", false), ("other.safetensors", false), ("m.gguf", true), ("m.h5", true), ("sub", true),
        ] {
            let outcome = try convert(model.path, name)
            #expect(outcome.exitCode == (isMade ? 0 : 64), "\(name): \(outcome.errors)")
            #expect(try Checkpoint.open(model.folder.path).files == [weights], "\(name)")
        }
        let work = try TemporaryFolder()
        let made = work.path.appending("made").string
        #expect(try AssayTool.run(["convert", model.path, made]).exitCode == 0)
        for name in ["m.gguf", "sub"] {
            let outcome = try convert(made, name)
            #expect(outcome.exitCode == 64 && outcome.errors.contains("no longer what its certificate.json says"))
        }
        #expect(try AssayTool.run(["verify", made]).exitCode == 0)
        try Self.trials.record(7)
    }

    @Test func outputsLieWhereTheSystemSays() throws {
        let folder = try TemporaryFolder()
        let (model, _) = try model(in: folder)
        let source = try folder.write("a.safetensors", TestFiles.bytes(model.appending("model.safetensors")))
        let bytes = try TestFiles.bytes(source)
        try SystemCall.link(folder.path.appending("link"), to: model)
        let around = folder.path.appending("around")
        for (arguments, made) in [
            (["convert", source.string, "link/../a.safetensors", "--dtype", "bf16"], "a.safetensors"),
            (
                ["run", model.string, "--tokens", "around/model/tokens.json", "--capture", "link/../c.safetensors"],
                "c.safetensors"
            ),
        ] {
            let words = arguments.map {
                $0.hasPrefix("link/") || $0.hasPrefix("around/") ? folder.path.string + "/" + $0 : $0
            }
            let outcome = try AssayTool.run(words + ["--overwrite"])
            #expect(outcome.exitCode == 0, "\(outcome.errors)")
            #expect(try SystemCall.status(around.appending(made))?.kind == .file)
            try Self.trials.record(1)
        }
        #expect(try TestFiles.bytes(source) == bytes)
        #expect(folder.names == ["a.safetensors", "around", "link"])
        #expect(
            try AssayTool.run(["verify", around.appending("a.safetensors").string, "--against", source.string]).exitCode
                == 0)
    }

    /// Hidden files are somebody's too, wherever they lie.
    @Test(arguments: ["notes/.git/secret", "notes/.env", ".hidden", "1_Pooling/.cache/x"])
    func hiddenFilesAreNotReplaced(_ name: String) throws {
        let (model, folder) = (try TestModel(), try TemporaryFolder())
        let path = folder.path.appending("o")
        #expect(try AssayTool.run(["convert", model.path, path.string]).exitCode == 0)
        var place = path
        for component in FilePath(name).removingLastComponent().components {
            place.append(component)
            try SystemCall.makeFolder(place)
        }
        try TestFiles.write([1], to: path.pushing(FilePath(name)))
        let outcome = try AssayTool.run(["convert", model.path, path.string, "--overwrite"])
        #expect(outcome.exitCode == 64 && outcome.errors.contains("which no conversion put"), "\(outcome.errors)")
        #expect(try TestFiles.bytes(path.pushing(FilePath(name))) == [1])
        try Self.trials.record(1)
    }

    /// What is made in the source's folder is none of its files, however often it is made.
    @Test func whatIsMadeInTheSourcesFolderIsNotCopied() throws {
        let model = try TestModel()
        let path = model.folder.path.appending("out")
        for options in [[], ["--overwrite"], ["--overwrite", "--resume"], ["--overwrite", "--resume"]] {
            let outcome = try AssayTool.run(["convert", model.path, path.string] + options)
            #expect(outcome.exitCode == 0, "\(outcome.errors)")
            #expect(try SystemCall.status(path.appending("out")) == nil)
            #expect(try SystemCall.names(in: path).contains("config.json"))
        }
    }

    /// Nor is it for what is made next, which would take its configuration along.
    @Test func whatWasMadeInTheSourcesFolderStaysBehind() throws {
        let model = try TestModel()
        let (first, second) = (model.folder.path.appending("first"), model.folder.path.appending("second"))
        try make("convert", model.path, first.string)
        try make("convert", model.path, second.string)
        #expect(try SystemCall.names(in: second) == SystemCall.names(in: first))
        #expect(try Verification(first.string, "--against", model.path).exitCode == 0)
    }

    /// A manifest is no file of the source, and a report takes the place of nothing else.
    @Test func whatIsSaidOfACopyTakesNobodysPlace() throws {
        let (model, work) = (try TestModel(), try TemporaryFolder())
        let copy = work.path.appending("copy").string
        try make("convert", model.path, copy)
        let index = model.folder.path.appending("model.safetensors.index.json")
        let manifest = try AssayTool.run(["verify", copy, "--against", model.path, "--manifest", index.string])
        #expect(manifest.exitCode == 64 && manifest.errors.contains("lies in the source's folder"), "\(manifest)")
        #expect(try SystemCall.status(index) == nil)
        let other = try work.write("other.safetensors", [1, 2, 3])
        let report = ["diff", model.path, copy, "--report"]
        let refused = try AssayTool.run(report + [other.string, "--overwrite"])
        #expect(refused.exitCode == 64 && refused.errors.contains("in the way of the report"), "\(refused)")
        #expect(try TestFiles.bytes(other) == [1, 2, 3])
        let page = work.path.appending("page.html").string
        #expect(try AssayTool.run(report + [page]).exitCode == 0)
        #expect(try AssayTool.run(report + [page, "--overwrite"]).exitCode == 0)
        try Self.trials.record(3)
    }

    /// A certificate lies beside what it speaks of, and beside nothing else.
    /// What is still being downloaded is no part of a model.
    @Test func unfinishedFilesStayBehind() throws {
        let (model, folder) = (try TestModel(), try TemporaryFolder())
        let names = ["model.safetensors.incomplete", "tokenizer.json.part", "x.assay-partial"]
        for name in names { try model.folder.write(name, [1]) }
        let copy = folder.path.appending("copy")
        let outcome = try AssayTool.run(["convert", model.path, copy.string])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        for name in names { #expect(outcome.output.contains(name), "\(outcome.output)") }
        #expect(
            try SystemCall.names(in: copy) == ["certificate.json", "config.json", "model.safetensors", "tokens.json"])
        try Self.trials.record(1)
    }

    @Test func certificatesOfTheOldStayBehind() throws {
        let (model, folder) = (try TestModel(), try TemporaryFolder())
        let file = folder.path.appending("o.safetensors")
        #expect(try AssayTool.run(["convert", model.weights.string, file.string]).exitCode == 0)
        // Beside the weights of a model.
        let certificate = try TestFiles.bytes(folder.path.appending("o.safetensors.certificate.json"))
        try model.folder.write("model.safetensors.certificate.json", certificate)
        let copy = folder.path.appending("copy")
        let outcome = try AssayTool.run(["convert", model.path, copy.string, "--dtype", "bf16"])
        #expect(outcome.output.contains("model.safetensors.certificate.json"), "\(outcome.output)")
        #expect(try !SystemCall.names(in: copy).contains("model.safetensors.certificate.json"))
        // Where the new one lies elsewhere.
        let other = folder.path.appending("other.json").string
        let words = ["convert", model.weights.string, file.string, "--dtype", "bf16", "--certificate"]
        #expect(try AssayTool.run(words + [other, "--overwrite"]).exitCode == 0)
        #expect(folder.names == ["copy", "o.safetensors", "other.json"])
        #expect(try AssayTool.run(["verify", file.string, "--certificate", other]).exitCode == 0)
        // And where there is to be none, which is said before the work.
        try folder.write("n.safetensors.certificate.json", certificate)
        let none = [
            "convert", model.weights.string, folder.path.appending("n.safetensors").string, "--certificate", "none",
        ]
        let refused = try AssayTool.run(none + ["--dry-run"])
        #expect(refused.exitCode == 64 && refused.errors.contains("is a certificate already"), "\(refused.errors)")
        try Self.trials.record(4)
    }

    @Test(.enabled(if: !AssayTool.isWatched)) func aMountPointIsNotReplaced() throws {
        let model = try TestModel()
        guard let disk = try SmallDisk(byteCount: 1 << 20) else { return }
        let outcome = try AssayTool.run(["convert", model.path, disk.path.string, "--overwrite"])
        #expect(outcome.exitCode == 64 && outcome.errors.contains("is a mount point"), "\(outcome.errors)")
        try Self.trials.record(1)
    }

    /// Nor of the maps by which it is made, or compared.
    @Test func noOutputTakesThePlaceOfAMap() throws {
        let (model, folder) = (try TestModel(), try TemporaryFolder())
        let text = Array(#"{"assayMap":1,"rules":[{"from":"{x}","to":"{x}"}]}"#.utf8)
        let map = try folder.write("map.safetensors", text).string
        for arguments in [
            ["convert", model.weights.string, map, "--map", map],
            ["quantize", model.weights.string, map, "--map", map, "--scheme", "int8", "--include", "*"],
            ["diff", model.path, model.path, "--map-b", map, "--report", map],
            ["diff", model.path, model.path, "--map-a", map, "--report", map],
        ] {
            let outcome = try AssayTool.run(arguments + ["--overwrite"])
            #expect(outcome.exitCode == 64 && outcome.errors.contains("is the input itself"), "\(outcome.errors)")
            #expect(try TestFiles.bytes(FilePath(map)) == text)
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

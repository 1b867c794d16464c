import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// `--set-metadata`, `--remove-metadata` and `--in-place` through the real binary.
@Suite struct MetadataEditing {
    private static let gguf = GGUFFiles.folder.appending("metadata.gguf")
    private let work: TemporaryFolder

    init() throws { work = try TemporaryFolder() }

    private func file(_ name: String) -> FilePath { work.path.appending(name) }

    private static func metadata(_ path: FilePath) throws -> [String: String] {
        let object = try assayJSON("inspect", path.string).object
        let members = (object?["metadata"]?.object?.members ?? []).map { ($0.key, $0.value.string ?? "") }
        return Dictionary(members) { first, _ in first }
    }

    private func assay(_ words: String...) throws -> AssayTool.Outcome { try AssayTool.run(words) }

    /// A file with some room behind its header, as tools leave it that align the data.
    private func safetensors(_ name: String, padding: Int) throws -> FilePath {
        let header =
            #"{"__metadata__":{"format":"pt","note":"first"},"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]},"#
            + #""b":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}}"#
        let path = file(name)
        try TestFiles.write(
            SafetensorsBytes.file(header + String(repeating: " ", count: padding), data: Array(1...12)), to: path)
        return path
    }

    // MARK: A new file

    @Test func textIsSetAndTakenAwayAndTheDataStaysWhereItWas() throws {
        let source = try safetensors("a.safetensors", padding: 60)
        let target = file("b.safetensors")
        let outcome = try assay(
            "convert", source.string, target.string, "--set-metadata", "licence=MIT=yes", "--remove-metadata", "note")
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(outcome.output.contains("licence becomes 'MIT=yes'"))
        #expect(outcome.output.contains("note is taken away"))
        #expect(try Self.metadata(target) == ["format": "pt", "licence": "MIT=yes"])
        let (old, new) = (try TestFiles.bytes(source), try TestFiles.bytes(target))
        #expect(old.prefix(8) == new.prefix(8) && old.count == new.count)
        #expect(old.suffix(12) == new.suffix(12))
        // The certificate says so, and is no less one.
        let certificate = String(decoding: try TestFiles.bytes(file("b.safetensors.certificate.json")), as: UTF8.self)
        #expect(certificate.contains(#""metadataEdits":[{"remove":"note"},{"set":"licence","value":"MIT=yes"}]"#))
        let verified = try assay("verify", target.string, "--against", source.string)
        #expect(verified.exitCode == 0, "\(verified.output)\(verified.errors)")
    }

    /// Which of both is meant nobody knows.
    @Test(arguments: [["k=1", "k=2"], ["note=1", "k=2", "note=1"]]) func noEntryIsSetTwice(_ texts: [String]) throws {
        let source = try safetensors("a.safetensors", padding: 60)
        let edits = texts.flatMap { ["--set-metadata", $0] }
        for words in [
            ["convert", source.string, file("b.safetensors").string], ["convert", source.string, "--in-place"],
            ["convert", Self.gguf.string, file("b.gguf").string],
        ] {
            let outcome = try AssayTool.run(words + edits)
            #expect(outcome.exitCode == 64 && outcome.errors.contains("is set twice"), "\(outcome.errors)")
        }
        // Whatever type it is given.
        let typed = try assay(
            "convert", Self.gguf.string, file("b.gguf").string, "--set-metadata", "k:u32=1", "--set-metadata", "k=2")
        #expect(typed.exitCode == 64, "\(typed.errors)")
        #expect(work.names == ["a.safetensors"])
        // Taken away and set anew is another thing.
        let again = try assay(
            "convert", source.string, file("b.safetensors").string, "--remove-metadata", "note", "--set-metadata",
            "note=2")
        #expect(again.exitCode == 0, "\(again.errors)")
    }

    @Test func aHeaderWithoutRoomGrows() throws {
        let source = try safetensors("a.safetensors", padding: 0)
        let target = file("b.safetensors")
        #expect(try assay("convert", source.string, target.string, "--set-metadata", "k=a long value").exitCode == 0)
        #expect(try Self.metadata(target) == ["format": "pt", "note": "first", "k": "a long value"])
        #expect(try TestFiles.bytes(target).count % 8 == 12 % 8)
    }

    /// What the writer adds unasked it does not add against the user's word.
    @Test func theFormatIsNotAddedAgain() throws {
        let source = try safetensors("a.safetensors", padding: 0)
        let target = file("b.safetensors")
        #expect(
            try assay(
                "convert", source.string, target.string, "--dtype", "f16", "--remove-metadata", "format"
            ).exitCode == 0)
        #expect(try Self.metadata(target) == ["note": "first"])
    }

    @Test func typedEntriesKeepTheirTypes() throws {
        let target = file("b.gguf")
        let outcome = try assay(
            "convert", Self.gguf.string, target.string, "--set-metadata", "number.u32.greatest=7", "--set-metadata",
            "new.flag:bool=true", "--set-metadata", "general.name=Mine", "--remove-metadata", "tokenizer.ggml.tokens")
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        let shown = try assay("inspect", target.string).output
        #expect(shown.contains("number.u32.greatest: u32 7"))
        #expect(shown.contains("new.flag: bool true"))
        #expect(shown.contains("general.name: Mine"))
        #expect(!shown.contains("tokenizer.ggml.tokens:"))
        // Everything else is as it was, in the same order.
        func rest(_ path: FilePath) throws -> [String] {
            try assay("inspect", path.string).output.split(separator: "\n").map(String.init).filter { line in
                line.hasPrefix("  metadata")
                    && !["number.u32.greatest:", "new.flag:", "general.name:", "tokenizer.ggml.tokens:"]
                        .contains { line.contains($0) }
            }
        }
        #expect(try rest(target) == rest(Self.gguf))
    }

    @Test(arguments: [
        (["--set-metadata", "number.u32.greatest=-1"], "expected a value of type u32, found '-1'"),
        (["--set-metadata", "number.u32.greatest=4294967296"], "expected a value of type u32"),
        (["--set-metadata", "number.u32.greatest:u64=5"], "is there as u32 and keeps that type"),
        (["--set-metadata", "new:f32=1e39"], "expected a value of type f32, found '1e39'"),
        (["--set-metadata", "new:f32=1e-60"], "expected a value of type f32, found '1e-60'"),
        (["--set-metadata", "new:f64=1e400"], "expected a value of type f64, found '1e400'"),
        (["--set-metadata", "new.flag:bool=yes"], "expected a value of type bool, found 'yes'"),
        (["--set-metadata", "new.flag:float=1"], "'float' is no type of a gguf entry; choose one of u8, i8"),
        (["--set-metadata", "general.alignment=48"], "expected a power of two (u32), found '48'"),
        (["--set-metadata", "tokenizer.ggml.tokens=x"], "is an array"),
        (["--remove-metadata", "nothing.such"], "there is no such entry"),
        (["--set-metadata", "assay.foreign={}"], "is reserved"),
        (["--set-metadata", "=x"], "expected KEY=VALUE"),
        (["--set-metadata", "x"], "expected KEY=VALUE"),
    ]) func whatCannotBeIsRefused(_ options: [String], _ words: String) throws {
        let outcome = try AssayTool.run(["convert", Self.gguf.string, file("x.gguf").string] + options)
        #expect(outcome.exitCode == 64)
        #expect(outcome.errors.contains(words), "\(outcome.errors)")
        #expect(work.names == [])
    }

    /// The first entry that is not text leaves the text as it was, also what safetensors files have to say.
    @Test(arguments: [
        ["--set-metadata", "a.b:U32=7"], ["--set-metadata", "a.b:u32=7", "--set-metadata", "c:string=d"],
    ])
    func aFirstTypedEntryLeavesTheText(_ options: [String]) throws {
        let source = try safetensors("a.safetensors", padding: 0)
        let (first, second) = (file("b.gguf").string, file("c.gguf").string)
        #expect(try assay("convert", source.string, first).exitCode == 0)
        let outcome = try AssayTool.run(["convert", first, second] + options)
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        let shown = try assay("inspect", second).output
        for line in ["format: pt", "note: first", "a.b: u32 7"] + (options.count > 2 ? ["c: d"] : []) {
            #expect(shown.contains("  metadata    \(line)\n"), "\(shown)")
        }
        // And in place too, once there is room.
        #expect(try assay("convert", first, "--in-place", "--remove-metadata", "note").exitCode == 0)
        let inPlace = try assay("convert", first, "--in-place", "--set-metadata", "b:u8=1")
        #expect(inPlace.exitCode == 0, "\(inPlace.errors)")
        #expect(try assay("inspect", first).output.contains("  metadata    format: pt\n"))
    }

    @Test func alignmentIsANumber() throws {
        let target = file("b.gguf").string
        #expect(try assay("convert", Self.gguf.string, target, "--set-metadata", "general.alignment=128").exitCode == 0)
        #expect(try assay("inspect", target).output.contains("  alignment   128"))
    }

    @Test func typesAreForGGUF() throws {
        let source = try safetensors("a.safetensors", padding: 0)
        let outcome = try assay("convert", source.string, file("b.h5").string, "--set-metadata", "a:u32=5")
        #expect(
            outcome.exitCode == 64 && outcome.errors.contains("only gguf has entries with types"), "\(outcome.errors)")
    }

    /// What says that the weights are quantized goes when they no longer are.
    @Test func dequantizedFilesDoNotSayOtherwise() throws {
        let wide = try work.write(
            "w.safetensors",
            SafetensorsBytes.file(
                #"{"w":{"dtype":"F32","shape":[2,32],"data_offsets":[0,256]}}"#, data: SafetensorsBytes.zeros(256)))
        let (packed, back) = (file("q.gguf").string, file("d.gguf").string)
        #expect(
            try assay("quantize", wide.string, packed, "--scheme", "q4_0", "--include", "w").exitCode == 0)
        #expect(try assay("inspect", packed).output.contains("general.file_type: u32 2"))
        #expect(try assay("convert", packed, back, "--dtype", "f16").exitCode == 0)
        let shown = try assay("inspect", back).output
        #expect(shown.contains("general.file_type: u32 1") && !shown.contains("quantization_version"), "\(shown)")
    }

    @Test func formatsWithoutMetadataRefuse() throws {
        let source = try safetensors("a.safetensors", padding: 0)
        let outcome = try assay("convert", source.string, file("x.npz").string, "--set-metadata", "k=v")
        #expect(outcome.exitCode == 64)
        #expect(outcome.errors.contains("npz holds no metadata; these do: safetensors, pytorch"), "\(outcome.errors)")
    }

    /// safetensors says with such an entry that two names share their bytes.
    @Test func textThatWouldBeASecondNameIsRefused() throws {
        let source = try safetensors("a.safetensors", padding: 0)
        let outcome = try assay("convert", source.string, file("x.safetensors").string, "--set-metadata", "c=a")
        #expect(outcome.exitCode == 64)
        #expect(outcome.errors.contains("as a second name of that tensor"), "\(outcome.errors)")
        #expect(work.names == ["a.safetensors"])
    }

    // MARK: In place

    @Test func inPlaceOnlyTheHeaderChanges() throws {
        let path = try safetensors("a.safetensors", padding: 60)
        let old = try TestFiles.bytes(path)
        let dry = try assay("convert", path.string, "--in-place", "--set-metadata", "licence=MIT", "--dry-run")
        #expect(dry.exitCode == 0 && dry.output.contains("would be changed in place"), "\(dry.errors)")
        #expect(try TestFiles.bytes(path) == old)
        let outcome = try assay("convert", path.string, "--in-place", "--set-metadata", "licence=MIT")
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(try Self.metadata(path) == ["format": "pt", "note": "first", "licence": "MIT"])
        let new = try TestFiles.bytes(path)
        #expect(new.prefix(8) == old.prefix(8) && new.suffix(12) == old.suffix(12) && new.count == old.count)
        #expect(work.names == ["a.safetensors"])
    }

    /// Texts that look the same and are other bytes: e with an accent, as one character and as two.
    @Test(arguments: [true, false]) func otherBytesOfTheSameTextAreAnotherText(_ isInPlace: Bool) throws {
        let (one, two) = ("\u{E9}", "e\u{301}")
        let source = file("a.safetensors")
        let header =
            #"{"__metadata__":{"k":"\#(one)"},"a":{"dtype":"I8","shape":[4],"data_offsets":[0,4]}}"#
            + String(repeating: " ", count: 20)
        try TestFiles.write(SafetensorsBytes.file(header, data: [1, 2, 3, 4]), to: source)
        let target = isInPlace ? source : file("b.safetensors")
        let place = isInPlace ? ["--in-place"] : [target.string]
        try make(["convert", source.string] + place + ["--set-metadata", "k=\(two)"])
        let found = try #require(Self.metadata(target)["k"])
        #expect(Array(found.utf8) == Array(two.utf8))
    }

    /// Nobody may read the old header who may not read the file.
    @Test(.enabled(if: !AssayTool.isWatched)) func inPlaceTheOldHeaderIsAsPrivateAsTheFile() throws {
        let path = try safetensors("a.safetensors", padding: 60)
        try #require(chmod(path.string, 0o600) == 0)
        let log = try TemporaryFolder()
        let old = try TestFiles.bytes(path)
        let command = ["convert", path.string, "--in-place", "--set-metadata", "k=v"]
        _ = try AssayTool.run(
            command, environment: FaultLibrary.environment(under: path, log: log.path.appending("all")))
        let write = try #require(
            try RecordedCall.all(in: log.path.appending("all")).first { $0.name == "pwrite" && $0.paths == [path] })
        try TestFiles.write(old, to: path)
        try #require(chmod(path.string, 0o600) == 0)
        _ = try AssayTool.run(
            command, environment: FaultLibrary.environment(under: path, ["\(write.number)=signal \(SIGKILL)"]))
        let left = try #require(try SystemCall.status(file("a.safetensors.old-header")))
        #expect(left.mode & 0o77 == 0, "\(String(left.mode, radix: 8))")
    }

    /// Another file that takes its place meanwhile does not get its header.
    @Test(.enabled(if: !AssayTool.isWatched)) func inPlaceAFileThatTakesItsPlaceIsLeftAlone() throws {
        let log = try TemporaryFolder()
        func prepare() throws -> (path: FilePath, other: [UInt8]) {
            let path = try safetensors("a.safetensors", padding: 60)
            var other = try TestFiles.bytes(path)
            let note = try #require(other.firstRange(of: Array("first".utf8)))
            other.replaceSubrange(note, with: Array("other".utf8))
            return (path, other)
        }
        let path = try prepare().path
        func start(_ orders: [String], log: FilePath? = nil) throws -> AssayTool.Running {
            try AssayTool.start(
                ["convert", path.string, "--in-place", "--set-metadata", "k=v"],
                environment: FaultLibrary.environment(under: path, orders, log: log))
        }
        _ = try start([], log: log.path.appending("all")).wait()
        let calls = try RecordedCall.all(in: log.path.appending("all"))
        let written = try #require(calls.first { $0.name == "pwrite" && $0.paths == [path] }).number
        for call in calls.prefix(while: { $0.number < written }) {
            let (path, other) = try prepare()
            let running = try start(["\(call.number)=signal \(SIGSTOP)"])
            try #require(running.waitUntilStopped())
            try TestFiles.write(other, to: file("other"))
            try SystemCall.rename(file("other"), to: path, replacing: true)
            running.send(SIGCONT)
            let outcome = try running.wait()
            let found = try TestFiles.bytes(path)
            // What was opened after the change is changed rightly.
            let isRight = outcome.exitCode == 0 && Self.notes(found) == Self.notes(other)
            #expect(isRight || outcome.exitCode == 4 && found == other, "\(call.number) \(call.name): \(outcome)")
        }
    }

    /// Which of both notes a file has.
    private static func notes(_ bytes: [UInt8]) -> [Bool] {
        ["first", "other"].map { bytes.firstRange(of: Array("\"\($0)\"".utf8)) != nil }
    }

    /// What another version wrote into it would be lost.
    @Test func inPlaceACertificateOfAnotherVersionIsNotWrittenAnew() throws {
        let source = try safetensors("a.safetensors", padding: 60)
        let (path, certificate) = (file("b.safetensors"), file("b.safetensors.certificate.json"))
        try make("convert", source.string, path.string)
        try replace(#""predicate":{"#, #""predicate":{"future":1,"#, in: certificate)
        let (old, oldCertificate) = (try TestFiles.bytes(path), try TestFiles.bytes(certificate))
        let outcome = try assay("convert", path.string, "--in-place", "--set-metadata", "k=v")
        #expect(outcome.exitCode == 64 && outcome.errors.contains("does not know (predicate.future)"), "\(outcome)")
        #expect(try TestFiles.bytes(path) == old && TestFiles.bytes(certificate) == oldCertificate)
    }

    /// A certificate that was true stays so; one that was not is not made true.
    @Test(arguments: [true, false]) func inPlaceRenewsACertificateThatWasTrue(_ isTrue: Bool) throws {
        let source = try safetensors("a.safetensors", padding: 60)
        let path = file("b.safetensors")
        #expect(try assay("convert", source.string, path.string, "--file-digest").exitCode == 0)
        if !isTrue {
            let certificate = file("b.safetensors.certificate.json")
            #expect(try assay("convert", path.string, "--in-place", "--set-metadata", "k=v").exitCode == 0)
            let text = String(decoding: try TestFiles.bytes(certificate), as: UTF8.self)
            #expect(text.contains(#""metadataEdits":[{"set":"k","value":"v"}]"#))
            #expect(try assay("convert", source.string, path.string, "--overwrite").exitCode == 0)
            try TestFiles.write(Array(text.utf8), to: certificate)
        }
        let outcome = try assay("convert", path.string, "--in-place", "--set-metadata", "licence=MIT")
        #expect(outcome.exitCode == 0 && outcome.output.contains(", renewed") == isTrue, "\(outcome.output)")
        let verified = try assay("verify", path.string, "--against", source.string)
        #expect(verified.exitCode == (isTrue ? 0 : 3), "\(verified.output)")
    }

    /// By way of a link to the file, and of one to the certificate.
    @Test func inPlaceALinkStandsForTheFile() throws {
        let source = try safetensors("a.safetensors", padding: 60)
        let (path, link) = (file("b.safetensors"), file("link.safetensors"))
        let (certificate, real) = (file("b.safetensors.certificate.json"), file("c.json"))
        #expect(try assay("convert", source.string, path.string).exitCode == 0)
        try SystemCall.link(link, to: path)
        try SystemCall.rename(certificate, to: real, replacing: false)
        try SystemCall.link(certificate, to: real)
        let outcome = try assay("convert", link.string, "--in-place", "--set-metadata", "licence=MIT")
        #expect(outcome.exitCode == 0 && outcome.output.contains(", renewed"), "\(outcome.output)\(outcome.errors)")
        #expect(try assay("verify", path.string, "--against", source.string).exitCode == 0)
        #expect(try SystemCall.status(certificate, followingLinks: false)?.kind == .link)
        #expect(try Self.metadata(path)["licence"] == "MIT")
        // A change of the file that was interrupted is one of the link too.
        try TestFiles.write([], to: file("b.safetensors.old-header"))
        #expect(try assay("inspect", link.string).exitCode == 3)
    }

    /// A certificate may lie beside the link, and name it: weights in a cache, linked into a folder.
    @Test(arguments: [true, false]) func inPlaceACertificateBesideALinkIsRenewed(_ isFolder: Bool) throws {
        let model = try TestModel()
        let out = file("out")
        #expect(try assay("convert", model.path, out.string).exitCode == 0)
        let (weights, blob) = (out.appending("model.safetensors"), file("blob.safetensors"))
        try SystemCall.rename(weights, to: blob, replacing: false)
        try SystemCall.link(weights, to: blob)
        let source = isFolder ? out.string : weights.string
        let outcome = try assay("convert", source, "--in-place", "--remove-metadata", "format")
        #expect(outcome.exitCode == 0 && outcome.output.contains(", renewed"), "\(outcome.output)\(outcome.errors)")
        let verified = try assay("verify", source)
        #expect(verified.exitCode == 0, "\(verified.output)\(verified.errors)")
    }

    /// Where a file is made anew, the header that a change of the old one left would be put over it by whoever believes it.
    @Test func aHeaderLeftByAnInterruptedChangeIsNotKeptBesideANewFile() throws {
        let (source, path) = (
            try safetensors("a.safetensors", padding: 60), try safetensors("b.safetensors", padding: 60)
        )
        try TestFiles.write([], to: file("b.safetensors.old-header"))
        let old = try TestFiles.bytes(path)
        let outcome = try assay("convert", source.string, path.string, "--overwrite", "--dtype", "f16")
        #expect(outcome.exitCode == 64 && outcome.errors.contains("old-header lies beside it"), "\(outcome.errors)")
        #expect(try TestFiles.bytes(path) == old)
    }

    /// GGUF headers have no room as such: what is taken away makes some, and is given back.
    @Test func inPlaceAHeaderShrinksAndGrowsAgain() throws {
        let path = file("a.gguf")
        try TestFiles.write(TestFiles.bytes(Self.gguf), to: path)
        let old = try TestFiles.bytes(path)
        var outcome = try assay("convert", path.string, "--in-place", "--remove-metadata", "tokenizer.ggml.tokens")
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(try TestFiles.bytes(path).count == old.count)
        outcome = try assay(
            "convert", path.string, "--in-place", "--set-metadata", "number.u8.greatest=3", "--set-metadata",
            "new.text=some words")
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        let shown = try assay("inspect", path.string).output
        #expect(shown.contains("new.text: some words") && shown.contains("number.u8.greatest: u8 3"))
        #expect(!shown.contains("assay.pad") && !shown.contains("tokenizer.ggml.tokens:"))
        let verified = try assay("verify", path.string, "--against", Self.gguf.string)
        #expect(verified.exitCode == 0, "\(verified.output)\(verified.errors)")
    }

    @Test(arguments: [
        (["--set-metadata", "k=\(String(repeating: "long ", count: 100))"], "the header has room for"),
        (["--set-metadata", "k=v", "--dtype", "f16"], "--dtype: has no effect with --in-place"),
        (["--set-metadata", "k=v", "--overwrite"], "--overwrite: has no effect with --in-place"),
        ([], "use --set-metadata or --remove-metadata"),
    ]) func inPlaceRefusesWithoutTouching(_ options: [String], _ words: String) throws {
        let path = try safetensors("a.safetensors", padding: 10)
        let old = try TestFiles.bytes(path)
        let outcome = try AssayTool.run(["convert", path.string, "--in-place"] + options)
        #expect(outcome.exitCode == 64)
        #expect(outcome.errors.contains(words), "\(outcome.errors)")
        #expect(try TestFiles.bytes(path) == old)
        #expect(work.names == ["a.safetensors"])
    }

    @Test func inPlaceTakesNoDestinationAndOtherwiseNeedsOne() throws {
        let path = try safetensors("a.safetensors", padding: 10)
        #expect(
            try assay("convert", path.string, file("b.safetensors").string, "--in-place", "--set-metadata", "k=v")
                .exitCode == 64)
        #expect(try assay("convert", path.string, "--set-metadata", "k=v").exitCode == 64)
        #expect(work.names == ["a.safetensors"])
    }

    @Test func aHeaderLeftByAnInterruptedChangeIsNotReplaced() throws {
        let path = try safetensors("a.safetensors", padding: 60)
        try TestFiles.write(Array("old".utf8), to: file("a.safetensors.old-header"))
        let outcome = try assay("convert", path.string, "--in-place", "--set-metadata", "k=v")
        #expect(outcome.exitCode == 3)
        #expect(outcome.errors.contains("put it back with 'dd if="), "\(outcome.errors)")
        #expect(try assay("inspect", path.string).exitCode == 3)
        #expect(try TestFiles.bytes(file("a.safetensors.old-header")) == Array("old".utf8))
    }

    @Test func otherFormatsAreNotChangedInPlace() throws {
        let source = try safetensors("a.safetensors", padding: 0)
        let target = file("a.zplanes")
        #expect(try assay("convert", source.string, target.string, "--certificate", "none").exitCode == 0)
        let outcome = try assay("convert", target.string, "--in-place", "--set-metadata", "k=v")
        #expect(outcome.exitCode == 64)
        #expect(outcome.errors.contains("the header of a zplanes file cannot be changed in place"), "\(outcome.errors)")
    }
}

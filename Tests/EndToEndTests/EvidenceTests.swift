import AssayCheckpoints
import AssayFormats
import AssayTestSupport
import SystemPackage
import Testing

#if canImport(Glibc)
    import Glibc
#endif

private func sha256(_ path: FilePath) throws -> String {
    try TestFiles.bytes(path).withUnsafeBytes { "\(Digest.of($0))" }
}

@Suite struct CertificateDigests {
    /// The bytes do not tell where, when, how fast or on which processor they were made.
    @Test(arguments: [
        ["convert", "--dtype", "bf16"], ["convert", "--to", "zplanes"], ["quantize", "--scheme", "int8"],
        ["quantize", "--scheme", "q4_1"],
    ])
    func areTheSameWhereverTheyAreMade(_ command: [String]) throws {
        var files: [[UInt8]] = []
        for (threads, level) in [("1", "scalar"), ("4", nil), ("2", "avx2")] as [(String, String?)] {
            let (model, work) = (try TestModel(), try TemporaryFolder())
            let source = work.path.appending("source")
            try SystemCall.rename(model.folder.path, to: source, replacing: false)
            defer { SystemCall.removeTree(source) }
            let target = work.path.appending("target")
            let outcome = try AssayTool.run(
                [command[0], source.string, target.string, "--threads", threads] + command.dropFirst(),
                environment: level.map { ["ASSAY_CPU": $0] } ?? [:])
            // Not every machine has every level.
            if outcome.errors.contains("ASSAY_CPU") { continue }
            try #require(outcome.exitCode == 0, "\(outcome.errors)")
            files.append(try TestFiles.bytes(target.appending("certificate.json")))
        }
        #expect(files.count > 1 && files.allSatisfy { $0 == files[0] })
    }

    @Test func areThatOfTheFileAndOfEverySpellingOfIt() throws {
        let model = try TestModel()
        let target = model.folder.path.appending("x.safetensors")
        let path = FilePath(target.string + ".certificate.json")
        try make("quantize", model.path, model.folder.path.appending("q").string, "--scheme", "int8")
        try make("convert", model.weights.string, target.string)
        let quantized = model.folder.path.appending("q")
        for (subject, path) in [(target, path), (quantized, quantized.appending("certificate.json"))] {
            let digest = try sha256(path)
            let whole = try Verification(subject.string)
            #expect(whole.exitCode == 0 && whole.certificateDigests == [digest])
            #expect(whole.text.contains("\(path.lastComponent!.string), SHA-256 \(digest)"), "\(whole.text)")
            // In another order, indented, with other spellings of numbers and letters: read, and of the same digest.
            let value = try JSONValue(parsing: TestFiles.bytes(path))
            let text = backwards(value).prettyText.replacing("\"_type\"", "\"\\u005ftype\"")
            try TestFiles.write(Array((text + "\n\n").utf8), to: path)
            #expect(try sha256(path) != digest)
            let respelled = try Verification(subject.string)
            #expect(respelled.exitCode == 0, "\(respelled.text)")
            #expect(respelled.certificateDigests == [digest])
        }
    }

    /// One word more is another certificate, even where nothing reads it.
    @Test func tellEveryChange() throws {
        let model = try TestModel()
        let target = model.folder.path.appending("x.safetensors")
        try make("convert", model.weights.string, target.string)
        let path = FilePath(target.string + ".certificate.json")
        let digest = try sha256(path)
        try replace(#""predicate":{"#, #""predicate":{"remark":1,"#, in: path)
        let verification = try Verification(target.string)
        #expect(verification.certificateDigests != [digest] && verification.certificateDigests.count == 1)
    }

    /// What was done is part of what is checked: another plan is found by doing it.
    @Test(
        arguments: [
            (#""operation":"cast F32 to BF16""#, #""operation":"cast F32 to F16""#, 2, "this version cannot repeat"),
            (#""operation":"cast F32 to BF16""#, #""operation":"copy""#, 2, "this version cannot repeat"),
            (#""source":"transformer.h.0.ln_1.bias""#, #""source":"transformer.h.0.ln_2.bias""#, 3, "other bytes"),
            (
                #""source":"transformer.h.0.ln_1.bias""#, #""source":"transformer.h.0.ln_9.bias""#, 2,
                "missing: transformer.h.0.ln_9.bias"
            ),
        ] as [(String, String, Int32, String)])
    func tellAnotherPlan(_ old: String, _ new: String, _ code: Int32, _ words: String) throws {
        let model = try TestModel()
        let target = model.folder.path.appending("x.safetensors").string
        try make("convert", model.weights.string, target, "--dtype", "bf16")
        try replace(old, new, in: FilePath(target + ".certificate.json"))
        #expect(try Verification(target).exitCode == 0)
        let verification = try Verification(target, "--against", model.path)
        #expect(verification.exitCode == code, "\(verification.text)")
        #expect(verification.text.contains(words), "\(verification.text)")
        try Trials.certificates.record(1)
    }

    private func backwards(_ value: JSONValue) -> JSONValue {
        switch value {
        case .object(let object): .object(JSONObject(object.members.reversed().map { ($0.key, backwards($0.value)) }))
        case .array(let elements): .array(elements.map(backwards))
        default: value
        }
    }

    /// A source that cannot be quantized at all is not the one, and a step that is none is not done.
    @Test func tellAQuantizationThatCannotBeRepeated() throws {
        let model = try TestModel()
        let target = model.folder.path.appending("q").string
        try make("quantize", model.path, target, "--scheme", "int8")
        let certificate = FilePath(target).appending("certificate.json")
        let good = try TestFiles.bytes(certificate)
        try replace("quantize int8 with F32 scales", "quantize int8 with I8 scales", in: certificate)
        let unknown = try Verification(target, "--against", model.path)
        #expect(unknown.exitCode == 2 && unknown.text.contains("cannot repeat"), "\(unknown.text)\(unknown.errors)")
        try TestFiles.write(good, to: certificate)
        let reader = try Checkpoint.open(model.weights).reader
        let index = try #require(reader.contents.indexByName()["transformer.h.0.attn.c_attn.weight"])
        let place = try #require(try TestFiles.bytes(model.weights).firstRange(of: reader.bytes(of: index))).lowerBound
        var bytes = try TestFiles.bytes(model.weights)
        bytes.replaceSubrange(place..<place + 4, with: [0, 0, 0xC0, 0x7F])
        try TestFiles.write(bytes, to: model.weights)
        let other = try Verification(target, "--against", model.path)
        #expect(other.exitCode == 3 && other.text.contains("is NaN"), "\(other.text)\(other.errors)")
        try Trials.certificates.record(2)
    }

    /// What takes the source is said, and does not fail.
    @Test func sayWhatWasNotLookedAt() throws {
        let model = try TestModel()
        let target = model.folder.path.appending("x.safetensors").string
        try make("convert", model.weights.string, target)
        let alone = try Verification(target)
        #expect(alone.exitCode == 0 && alone.missing == ["--against SRC"])
        #expect(alone.text.contains("not checked it was made by the recorded transforms of model.safetensors"))
        #expect(try Verification(target, "--against", model.path).missing == [])
    }
}

extension String {
    fileprivate func replacing(_ old: String, _ new: String) -> String {
        split(separator: old, omittingEmptySubsequences: false).joined(separator: new)
    }
}

@Suite struct CertifiedComparisons {
    /// A model, what was made of it, and a certificate that says how far they are apart.
    private struct Pair {
        let model: TestModel
        let work: TemporaryFolder
        var made: String { work.path.appending("made").string }
        var certificate: FilePath { FilePath(made).appending("certificate.json") }

        init(_ command: [String], certify: [String]) throws {
            (model, work) = (try TestModel(), try TemporaryFolder())
            let outcome = try AssayTool.run(
                [command[0], model.path, work.path.appending("made").string] + command.dropFirst())
            try #require(outcome.exitCode == 0, "\(outcome.errors)")
            let diff = try AssayTool.run(["diff", model.path, made, "--certify"] + arguments(certify))
            try #require(diff.exitCode == 0, "\(diff.errors)")
        }

        func arguments(_ texts: [String]) -> [String] { texts.map { $0 == "TOKENS" ? model.tokens : $0 } }

        func comparisons() throws -> [JSONObject] {
            let value = try JSONValue(parsing: TestFiles.bytes(certificate))
            return (value.object?["predicate"]?.object?["comparisons"]?.array ?? []).compactMap(\.object)
        }
    }

    private static let bf16 = ["convert", "--dtype", "bf16"]

    @Test(arguments: [bf16, ["quantize", "--scheme", "int8"]], ["fast32", "ref64"])
    func areDoneAgainByWhoeverHasBothSidesAndTheTokens(_ command: [String], _ profile: String) throws {
        let pair = try Pair(command, certify: ["--tokens", "TOKENS", "--profile", profile, "--threads", "1"])
        let record = try #require(pair.comparisons().first)
        #expect(record["class"] == "storage" && record["profile"] == .string(profile))
        let diff = try assayJSON(
            "diff", pair.model.path, pair.made, "--tokens", pair.model.tokens, "--profile", profile)
        #expect(record["tokens"]?.object?["digest"] == diff.object?["tokens"]?.object?["digest"])
        let taps = try #require(diff.object?["taps"]?.array)
        #expect(record["taps"]?.array?.count == taps.count)
        #expect(
            record["taps"]?.array?.last?.object?["accumulated"]
                == taps.last?.object?["accumulated"]?.object?["relativeL2"])
        for level in ["scalar", nil] {
            let outcome = try AssayTool.run(
                ["verify", pair.made, "--against", pair.model.path, "--tokens", pair.model.tokens, "--threads", "3"],
                environment: level.map { ["ASSAY_CPU": $0] } ?? [:])
            #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errors)")
            #expect(outcome.output.contains("done again"), "\(outcome.output)")
        }
    }

    @Test func sayWhatTheyTake() throws {
        let pair = try Pair(Self.bf16, certify: ["--tokens", "TOKENS"])
        let tokens = try #require(pair.comparisons().first?["tokens"]?.object?["digest"]?.string)
        let alone = try Verification(pair.made)
        #expect(alone.exitCode == 0, "\(alone.text)")
        #expect(alone.missing.count == 3 && alone.missing[2] == "--tokens whose digest is \(tokens)")
        #expect(alone.text.contains("not checked the recorded comparison with"), "\(alone.text)")
        let sourceOnly = try Verification(pair.made, "--against", pair.model.path)
        #expect(sourceOnly.exitCode == 0 && sourceOnly.missing == ["--tokens whose digest is \(tokens)"])
        let both = try Verification(pair.made, "--against", pair.model.path, "--tokens", pair.model.tokens)
        #expect(both.exitCode == 0 && both.missing.isEmpty, "\(both.text)")
        let others = try pair.work.write("others.json", Array("[[1,2,3]]".utf8)).string
        let wrong = try AssayTool.run(["verify", pair.made, "--against", pair.model.path, "--tokens", others])
        #expect(wrong.exitCode == 64 && wrong.errors.contains("no comparison over these tokens"), "\(wrong.errors)")
    }

    @Test(
        arguments: [
            (#""class":"storage","logits""#, #""class":"arithmetic","logits""#, "class"),
            (#""flips":0"#, #""flips":1"#, "logits"), (#""storageFactor":2"#, #""storageFactor":3"#, "tolerance"),
            (#""taps":[{"accumulated":0.0"#, #""taps":[{"accumulated":0.9"#, "embed"),
        ])
    func falseFiguresAreFound(_ old: String, _ new: String, _ name: String) throws {
        let pair = try Pair(Self.bf16, certify: ["--tokens", "TOKENS"])
        try replace(old, new, in: pair.certificate)
        let verification = try Verification(pair.made, "--against", pair.model.path, "--tokens", pair.model.tokens)
        #expect(verification.exitCode == 3, "\(verification.text)")
        #expect(verification.names("other figures") == [name], "\(verification.text)")
        try Trials.certificates.record(1)
    }

    /// A limit that JSON has no number for is read as it was written.
    @Test func holdUnderNoLimitAtAll() throws {
        let pair = try Pair(Self.bf16, certify: ["--tokens", "TOKENS", "--tolerance", "inf"])
        let verification = try Verification(pair.made, "--against", pair.model.path, "--tokens", pair.model.tokens)
        #expect(verification.exitCode == 0, "\(verification.text)")
    }

    /// One file of a folder is not the model that was compared.
    @Test func takeTheWholeFolder() throws {
        let pair = try Pair(["convert", "--shard-size", "20kB"], certify: ["--tokens", "TOKENS"])
        let shard = FilePath(pair.made).appending("model-00001-of-00004.safetensors").string
        for tokens in [[], ["--tokens", pair.model.tokens]] {
            let verification = try Verification([shard, "--against", pair.model.path] + tokens)
            // What these tokens ask for could not be done; without them nobody asked.
            #expect(verification.exitCode == (tokens.isEmpty ? 0 : 2), "\(verification.text)\(verification.errors)")
            let missing = tokens.isEmpty ? verification.missing : verification.names("it takes")
            #expect(missing == ["all tensors that the certificate names"], "\(verification.text)")
            #expect(verification.text.contains("not checked the recorded comparison with"), "\(verification.text)")
        }
    }

    @Test func sayNothingToTheTerminal() throws {
        let pair = try Pair(Self.bf16, certify: ["--tokens", "TOKENS"])
        let text = try TestFiles.bytes(pair.certificate)
        let name = pair.model.folder.path.lastComponent!.string
        try replace(#""name":"\#(name)"},"taps""#, #""name":"x\u001b[2J"},"taps""#, in: pair.certificate)
        let outcome = try AssayTool.run(
            ["verify", pair.made, "--against", pair.model.path, "--tokens", pair.model.tokens])
        #expect(outcome.exitCode == 0 && outcome.output.contains("with x\\u001b[2J"), "\(outcome.output)")
        #expect(!outcome.output.utf8.contains(0x1B))
        // What was found is one of four words.
        try TestFiles.write(text, to: pair.certificate)
        try replace(#""class":"storage","logits""#, #""class":"st\u001b","logits""#, in: pair.certificate)
        let refused = try AssayTool.run(["verify", pair.made])
        #expect(refused.exitCode == 3 && refused.errors.contains("comparisons[0]"), "\(refused.errors)")
    }

    /// A later one over the same takes the place of the first; of other tokens, or of none, each stands by itself.
    @Test func standBesideEachOther() throws {
        let pair = try Pair(Self.bf16, certify: ["--tokens", "TOKENS"])
        let first = try TestFiles.bytes(pair.certificate)
        for (certify, count) in [
            (["--tokens", "TOKENS"], 1), ([], 2), (["--tokens", "TOKENS", "--profile", "ref32"], 3),
        ] {
            let diff = try AssayTool.run(
                ["diff", pair.model.path, pair.made, "--certify"] + pair.arguments(certify))
            #expect(diff.exitCode == 0, "\(diff.errors)")
            #expect(try pair.comparisons().count == count)
            if count == 1 { #expect(try TestFiles.bytes(pair.certificate) == first) }
        }
        let verification = try Verification(pair.made, "--against", pair.model.path, "--tokens", pair.model.tokens)
        #expect(verification.exitCode == 0 && verification.missing.isEmpty, "\(verification.text)")
    }

    /// What another version wrote into it would be lost.
    @Test func areNotPutIntoACertificateOfAnotherVersion() throws {
        let pair = try Pair(Self.bf16, certify: [])
        try replace(#""predicate":{"#, #""predicate":{"future":1,"#, in: pair.certificate)
        let before = try TestFiles.bytes(pair.certificate)
        let outcome = try AssayTool.run(["diff", pair.model.path, pair.made, "--certify"])
        #expect(outcome.exitCode == 64 && outcome.errors.contains("(predicate.future)"), "\(outcome)")
        #expect(try TestFiles.bytes(pair.certificate) == before)
    }

    /// The figures are those of the configuration that they name.
    @Test(.enabled(if: !AssayTool.isWatched)) func areOfTheConfigurationThatWasComputed() throws {
        let pair = try Pair(Self.bf16, certify: [])
        let before = try TestFiles.bytes(pair.certificate)
        let file = FilePath(pair.model.path).appending("config.json")
        let (old, log) = (try TestFiles.bytes(file), try TemporaryFolder())
        let text = String(decoding: old, as: UTF8.self)
        let new = Array(text.split(separator: "1e-05", maxSplits: 1).joined(separator: "1e-03").utf8)
        try #require(new != old)
        func start(_ orders: [String], log: FilePath? = nil) throws -> AssayTool.Running {
            try AssayTool.start(
                ["diff", pair.model.path, pair.made, "--tokens", pair.model.tokens, "--certify", "--threads", "1"],
                environment: FaultLibrary.environment(under: FilePath(pair.model.path), orders, log: log))
        }
        #expect(try start([], log: log.path.appending("all")).wait().exitCode == 0)
        let calls = try RecordedCall.all(in: log.path.appending("all"))
        // From its last reading for the models on.
        let reads = calls.filter { $0.paths == [file] && $0.name == "pread" }
        let first = try #require(reads.first).number
        for number in stride(from: first + 1, to: calls.count, by: max(1, calls.count / 8)) {
            try TestFiles.write(before, to: pair.certificate)
            try TestFiles.write(old, to: file)
            let running = try start(["\(number)=signal \(SIGSTOP)"])
            try #require(running.waitUntilStopped())
            try TestFiles.write(new, to: file)
            running.send(SIGCONT)
            let outcome = try running.wait()
            #expect(outcome.exitCode == 4, "\(number) of \(calls.count): \(outcome)")
            #expect(try TestFiles.bytes(pair.certificate) == before)
        }
        try TestFiles.write(old, to: file)
        let verified = try Verification(pair.made, "--against", pair.model.path)
        #expect(verified.exitCode == 0, "\(verified.text)")
    }

    @Test func areMadeOfWhatHoldsOnly() throws {
        let pair = try Pair(Self.bf16, certify: [])
        let before = try TestFiles.bytes(pair.certificate)
        func refuse(_ a: String, _ b: String, _ code: Int32, _ words: String) throws {
            let outcome = try AssayTool.run(["diff", a, b, "--certify"])
            #expect(outcome.exitCode == code, "\(outcome.errors)")
            #expect(outcome.errors.contains(words), "\(outcome.errors)")
        }
        try refuse(pair.made, pair.model.path, 64, "has no certificate of its own")
        let other = try TestModel("gpt2-inner-37")
        try refuse(other.path, pair.made, 64, "the structures differ")
        try flipBit(at: -1, of: FilePath(pair.made).appending("model.safetensors"))
        try refuse(pair.model.path, pair.made, 2, "does not hold")
        #expect(try TestFiles.bytes(pair.certificate) == before)
    }
}

import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

private let unrelated = TestFiles.fixtures.appending("golden").appending("safetensors").appending("many.safetensors")
    .string

@Suite struct VerifyingTensors {
    @Test func printsTheDigestOfWhatIsThere() throws {
        let model = try TestModel()
        let target = model.folder.path.appending("x.safetensors")
        try make("convert", model.weights.string, target.string)
        let whole = try Verification(target.string)
        #expect(whole.exitCode == 0)
        #expect(whole.text.contains("28 tensors; content digest as the certificate says"))
        try flipBit(at: -5, of: target)
        let damaged = try Verification(target.string)
        #expect(damaged.exitCode == 3)
        #expect(damaged.names("other bytes") == ["transformer.wte.weight"])
        let found = try assayJSON("inspect", target.string, "--digest").object?["contentDigest"]
        #expect(found != nil && damaged.json["contentDigest"] == found)
        #expect(!damaged.text.contains("as the certificate says"))
        let certified = whole.json["contentDigest"]?.string ?? ""
        #expect(damaged.text.contains("the certificate's content digest is \(certified)"), "\(damaged.text)")
        try Trials.certificates.record(1)
    }

    @Test func withoutACertificateThereIsNothingToVerify() throws {
        let model = try TestModel()
        let verification = try Verification(model.path)
        #expect(verification.exitCode == 2)
        for words in ["nothing to verify", "'assay convert'", "'assay quantize'", "--against SRC"] {
            #expect(verification.errors.contains(words), "\(verification.errors)")
        }
    }

    @Test func anotherConfigurationIsAnotherSource() throws {
        let model = try TestModel()
        let target = model.folder.path.appending("half").string
        try make("convert", model.path, target, "--dtype", "bf16")
        let config = FilePath(model.path).appending("config.json")
        var object = try #require(JSONValue(parsing: TestFiles.bytes(config)).object)
        object["n_positions"] = 99
        try TestFiles.write(Array(JSONValue.object(object).prettyText.utf8), to: config)
        for certificate in [[], ["--certificate", "none"]] {
            let verification = try Verification([target, "--against", model.path] + certificate)
            #expect(verification.exitCode == 2, "\(verification.text)")
            #expect(verification.names("other values") == ["n_positions"])
        }
    }

    /// How weights are packed is part of what they are, where nothing was packed or unpacked.
    @Test(arguments: [[], ["--certificate", "none"]])
    func anotherPackingIsAnotherSource(_ options: [String]) throws {
        let (model, work) = (try TestModel(), try TemporaryFolder())
        let (quantized, copy) = (work.path.appending("q"), work.path.appending("copy").string)
        try make("quantize", model.path, quantized.string, "--scheme", "int8")
        try make("convert", quantized.string, copy)
        if options.isEmpty {
            let made = try Verification(quantized.string, "--against", model.path)
            #expect(made.exitCode == 0, "\(made.text)")
            #expect(made.text.contains("not compared, as conversions change it: quantization_config"), "\(made.text)")
        }
        #expect(try Verification([copy, "--against", quantized.string] + options).exitCode == 0)
        let config = quantized.appending("config.json")
        var object = try #require(JSONValue(parsing: TestFiles.bytes(config)).object)
        object["quantization_config"] = nil
        try TestFiles.write(Array(JSONValue.object(object).prettyText.utf8), to: config)
        let verification = try Verification([copy, "--against", quantized.string] + options)
        #expect(verification.exitCode == 2, "\(verification.text)")
        #expect(verification.names("other values") == ["quantization_config"])
        SystemCall.removeIfPresent(config)
        let without = try Verification([copy, "--against", quantized.string] + options)
        #expect(without.exitCode == 2 && without.names("there is none") == [quantized.string], "\(without.text)")
    }

    /// The source's tokenizer may be another than the one that came along.
    @Test func otherFilesBesideTheWeightsAreAnotherSource() throws {
        let (model, work) = (try TestModel(), try TemporaryFolder())
        let copy = work.path.appending("copy").string
        let tokenizer = FilePath(model.path).appending("tokenizer.json")
        try TestFiles.write(Array("{}".utf8), to: tokenizer)
        try make("convert", model.path, copy)
        let whole = try Verification(copy, "--against", model.path)
        #expect(
            whole.exitCode == 0 && whole.text.contains("the files beside the weights are those of"), "\(whole.text)")
        try TestFiles.write(Array("{ }".utf8), to: tokenizer)
        let other = try Verification(copy, "--against", model.path)
        #expect(other.exitCode == 2 && other.names("other bytes") == ["tokenizer.json"], "\(other.text)")
        SystemCall.removeIfPresent(tokenizer)
        let absent = try Verification(copy, "--against", model.path)
        #expect(absent.exitCode == 2 && absent.names("not there") == ["tokenizer.json"], "\(absent.text)")
    }

    /// What another format makes of metadata is not followed, and what comes and goes is named.
    /// Neither the copy nor its certificate has it.
    @Test func filesOfTheSourceThatDidNotComeAlongAreNamed() throws {
        let (model, work) = (try TestModel(), try TemporaryFolder())
        let copy = work.path.appending("copy").string
        try make("convert", model.path, copy)
        #expect(try Verification(copy, "--against", model.path).exitCode == 0)
        try model.folder.write("special_tokens_map.json", Array("{}".utf8))
        let verification = try Verification(copy, "--against", model.path)
        #expect(verification.exitCode == 2, "\(verification.text)")
        #expect(verification.names("did not come along") == ["special_tokens_map.json"])
        try Trials.certificates.record(2)
    }

    @Test func metadataOfTheSourceIsCompared() throws {
        let work = try TemporaryFolder()
        let (source, target) = (work.path.appending("a.safetensors"), work.path.appending("b.safetensors").string)
        var checkpoint = MemoryCheckpoint(metadata: [("note", "yes")])
        checkpoint.set("a", [2], [1, 2])
        try checkpoint.write(to: source)
        try make("convert", source.string, target)
        let same = try Verification(target, "--against", source.string)
        #expect(same.exitCode == 0 && same.text.contains("the metadata is that of"), "\(same.text)")
        for (metadata, code, words) in [
            ([("note", "no")], 2, "other values: note"), ([], 0, "not checked its metadata says what that of"),
            ([("note", "yes"), ("more", "1")], 0, "(only one has more)"),
        ] as [([(String, String)], Int32, String)] {
            var other = MemoryCheckpoint(metadata: metadata)
            other.set("a", [2], [1, 2])
            try other.write(to: source)
            let verification = try Verification(target, "--against", source.string)
            #expect(verification.exitCode == code && verification.text.contains(words), "\(verification.text)")
        }
        let tree = work.path.appending("b.h5").string
        try make("convert", source.string, tree)
        let unfollowed = try Verification(tree, "--against", source.string)
        #expect(unfollowed.exitCode == 0 && unfollowed.text.contains("in another format"), "\(unfollowed.text)")
    }

    @Test func aContainerAloneProvesOnlyThatItIsWhole() throws {
        let model = try TestModel()
        let target = model.folder.path.appending("x.zplanes").string
        try make("convert", model.weights.string, target, "--certificate", "none")
        let verification = try Verification(target)
        #expect(verification.exitCode == 0)
        #expect(verification.text.contains("holds the container's own digests hold 28 tensors"))
        #expect(verification.text.contains("what this was made from is not recorded"))
    }

    @Test func nothingIsSaidOfNoTensors() throws {
        let folder = try TemporaryFolder()
        let source = try folder.write("empty.safetensors", SafetensorsBytes.file("{}")).string
        let target = folder.path.appending("x.safetensors").string
        try make("convert", source, target)
        for arguments in [["--against", source], ["--against", source, "--certificate", "none"]] {
            let verification = try Verification([target] + arguments)
            #expect(verification.exitCode == 2, "\(verification.text)")
            let results = verification.statements.filter { $0["unit"]?.string == "tensor" }.map { $0["result"]?.string }
            #expect(!results.isEmpty && results.allSatisfy { $0 == "not checked" }, "\(verification.text)")
        }
        let verification = try Verification(target)
        #expect(verification.exitCode == 2)
        #expect(
            verification.text.contains("not checked the tensors are the certificate's, byte for byte no tensor"),
            "\(verification.text)")
    }

    @Test func wholeFilesAreComparedUnderWhateverNameTheyHave() throws {
        let model = try TestModel()
        let (target, moved) = (
            model.folder.path.appending("x.safetensors"), model.folder.path.appending("y.safetensors")
        )
        try make("convert", model.weights.string, target.string, "--file-digest")
        for suffix in ["", ".certificate.json"] {
            try SystemCall.rename(
                FilePath(target.string + suffix), to: FilePath(moved.string + suffix), replacing: false)
        }
        let whole = try Verification(moved.string)
        #expect(whole.exitCode == 0 && whole.text.contains("SHA-256 1 file; y.safetensors"), "\(whole.text)")
        try flipBit(at: -1, of: moved)
        #expect(try Verification(moved.string).names("other bytes") == ["transformer.wte.weight", "y.safetensors"])
    }

    @Test func aForgedCertificateIsRefused() throws {
        let model = try TestModel()
        let target = model.folder.path.appending("x.safetensors")
        try make("convert", model.weights.string, target.string)
        let path = FilePath(target.string + ".certificate.json")
        var text = String(decoding: try TestFiles.bytes(path), as: UTF8.self)
        let first = try #require(text.firstRange(of: "\"sha256\":\"", after: "\"destination\""))
        text.replaceSubrange(first..<text.index(after: first), with: text[first] == "0" ? "1" : "0")
        try TestFiles.write(Array(text.utf8), to: path)
        let verification = try Verification(target.string)
        #expect(verification.exitCode == 3)
        #expect(verification.errors.contains("contentDigest"), "\(verification.errors)")
        try Trials.certificates.record(1)
    }
}

extension String {
    /// The index behind the first `part` behind the first `anchor`.
    fileprivate func firstRange(of part: String, after anchor: String) -> String.Index? {
        var start = startIndex
        for text in [anchor, part] {
            guard let found = self[start...].indices.first(where: { self[$0...].hasPrefix(text) }) else { return nil }
            start = index(found, offsetBy: text.count)
        }
        return start
    }
}

@Suite struct VerifyingAgainstASource {
    @Test(arguments: [[], ["--certificate", "none"]])
    func anUnrelatedOneIsOneFailureThatNamesWhatWentNowhere(_ options: [String]) throws {
        let model = try TestModel()
        let target = model.folder.path.appending("x.safetensors").string
        try make("convert", model.weights.string, target)
        let verification = try Verification([target, "--against", unrelated] + options)
        #expect(verification.exitCode == 2)
        #expect(verification.names("its own tensors went nowhere").count == 200)
        #expect(
            verification.text.contains(
                "its own tensors went nowhere: t000, t001, t002, t003, t004, ... (200 in all)"),
            "\(verification.text)")
        let about = verification.statements.filter { $0["result"]?.string != "holds" }
        #expect(about.count == 1)
        #expect(about.first?["checked"]?.int == 0)
        for words in ["transforms", "accounted for", "copied or cast"] {
            #expect(!verification.text.contains(words), "\(verification.text)")
        }
    }

    @Test func aChangedOneIsFound() throws {
        let model = try TestModel()
        let target = model.folder.path.appending("x.safetensors")
        try make("convert", model.weights.string, target.string, "--dtype", "bf16")
        try flipBit(at: -2, of: model.weights)
        let verification = try Verification(target.string, "--against", model.weights.string)
        #expect(verification.exitCode == 3)
        #expect(
            verification.text.contains("FAILS \(model.weights.string) holds the tensors that this was made of"),
            "\(verification.text)")
    }

    @Test func oneWhoseSecondNameIsATensorOfItsOwnIsFound() throws {
        let folder = try TemporaryFolder()
        let a = #""a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}"#
        let tied = try folder.write(
            "tied.safetensors", SafetensorsBytes.file(#"{"__metadata__":{"t":"a"},\#(a)}"#, data: [1, 2])
        ).string
        let own = #""t":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}"#
        let target = folder.path.appending("x.safetensors").string
        try make("convert", tied, target)
        #expect(try Verification(target, "--against", tied).exitCode == 0)
        for (data, code) in [([1, 2, 1, 2], 0), ([1, 2, 1, 3], 3)] as [([UInt8], Int32)] {
            let untied = try folder.write("untied.safetensors", SafetensorsBytes.file("{\(a),\(own)}", data: data))
            let verification = try Verification(target, "--against", untied.string)
            #expect(verification.exitCode == code, "\(verification.text)")
            // As a tensor of the source, and by what became of it.
            #expect(verification.names("other bytes") == (code == 0 ? [] : ["t", "t"]))
        }
    }

    @Test func oneWithMoreTensorsIsNotAccountedFor() throws {
        let model = try TestModel()
        let (part, target) = (
            model.folder.path.appending("part.safetensors").string,
            model.folder.path.appending("x.safetensors").string
        )
        try make("convert", model.weights.string, part, "--exclude", "*.bias")
        try make("convert", part, target)
        let verification = try Verification(target, "--against", model.weights.string)
        #expect(verification.exitCode == 2)
        #expect(verification.names("went nowhere").count == 13)
        // Dropped by a rule is accounted for.
        let dropped = try Verification(part, "--against", model.weights.string)
        #expect(dropped.exitCode == 0)
        #expect(dropped.text.contains("28 tensors; 13 dropped by rule, the certificate says"), "\(dropped.text)")
    }

    @Test func equalityIsProvedWithoutACertificateToo() throws {
        let model = try TestModel()
        let target = model.folder.path.appending("x.safetensors").string
        try make("convert", model.weights.string, target, "--dtype", "f16", "--certificate", "none")
        #expect(model.folder.names.filter { $0.contains("certificate") }.isEmpty)
        let verification = try Verification(target, "--against", model.weights.string)
        #expect(verification.exitCode == 0)
        #expect(verification.text.contains("note no certificate: only the tensors were compared"))
    }

    @Test func anotherConfigurationIsFoundWithoutACertificateToo() throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        let target = work.path.appending("bf16")
        try make("convert", model.path, target.string, "--dtype", "bf16", "--certificate", "none")
        #expect(try Verification(target.string, "--against", model.path).exitCode == 0)
        try replace("1e-05", "1e-06", in: target.appending("config.json"))
        let verification = try Verification(target.string, "--against", model.path)
        #expect(verification.exitCode == 2)
        #expect(verification.names("other values") == ["layer_norm_epsilon"], "\(verification.text)")
    }

    /// What `config.json` says counts, not how it is spelled.
    @Test(
        arguments: [
            (#"{"a":1e-05,"b":{"c":1,"d":2}}"#, #"{"b":{"d":2,"c":1.0},"a":0.00001}"#, 0, []),
            (#"{"a":"\u00e9"}"#, #"{"a":"e\u0301"}"#, 2, ["a"]), (#"{"a":[1,2]}"#, #"{"a":[2,1]}"#, 2, ["a"]),
            (#"{"a":null}"#, #"{"b":null}"#, 2, ["b", "a"]), ("{}", "{}", 0, []),
            (#"{"dtype":"float32"}"#, #"{"dtype":"bfloat16"}"#, 0, []),
        ] as [(String, String, Int32, [String])])
    func configurationsAreComparedByWhatTheySay(
        _ theirs: String, _ mine: String, _ code: Int32, _ keys: [String]
    ) throws {
        let work = try TemporaryFolder()
        for (name, configuration) in [("source", theirs), ("copy", mine)] {
            let folder = work.path.appending(name)
            try SystemCall.makeFolder(folder)
            try TestFiles.write(
                SafetensorsBytes.file(SafetensorsBytes.entry(), data: SafetensorsBytes.zeros(8)),
                to: folder.appending("model.safetensors"))
            try TestFiles.write(Array(configuration.utf8), to: folder.appending("config.json"))
        }
        let verification = try Verification(
            work.path.appending("copy").string, "--against", work.path.appending("source").string)
        #expect(verification.exitCode == code, "\(verification.text)")
        #expect(verification.names("other values") == keys)
    }

    /// Nobody needs to know how weights are packed to see that they are copied.
    @Test(arguments: [[], ["--certificate", "none"]])
    func copiesOfPackingsThatAreNotReadAreVerified(_ options: [String]) throws {
        let work = try TemporaryFolder()
        var packed = MemoryCheckpoint()
        packed.set("l.weight_packed", .u8, [2, 16], SafetensorsBytes.zeros(32))
        packed.set("l.weight_scale", .f8e4m3, [2, 2], SafetensorsBytes.zeros(4))
        packed.set("l.weight_global_scale", [1], [1])
        let (source, target) = (work.path.appending("source.safetensors"), work.path.appending("x.zplanes").string)
        try packed.write(to: source)
        try make("convert", source.string, target)
        let whole = try Verification([target, "--against", source.string] + options)
        #expect(whole.exitCode == 0, "\(whole.text)\(whole.errors)")
        // Of a tensor that is somewhere in there nothing is known.
        packed.remove("l.weight_packed")
        packed.set("l.weight", [2, 32], Array(repeating: 0, count: 64))
        try packed.write(to: source)
        let verification = try Verification(target, "--against", source.string, "--certificate", "none")
        #expect(verification.exitCode == 2, "\(verification.text)")
        #expect(verification.statements.allSatisfy { $0["result"]?.string != "fails" }, "\(verification.text)")
        #expect(
            verification.names("not there, and packed as this version does not read it") == ["l.weight_packed"],
            "\(verification.text)")
    }

    @Test func copiesOfQuantizedModelsAreVerified() throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        let (quantized, copy) = (work.path.appending("q").string, work.path.appending("copy").string)
        try make("quantize", model.path, quantized, "--scheme", "int8")
        try make("convert", quantized, copy, "--to", "zplanes")
        for options in [[], ["--certificate", "none"]] {
            let verification = try Verification([copy, "--against", quantized] + options)
            #expect(verification.exitCode == 0, "\(verification.text)\(verification.errors)")
        }
    }

    /// A bias or a norm of a quantized checkpoint, altered by hand.
    @Test(arguments: ["transformer.h.1.attn.c_attn.bias", "transformer.h.0.ln_2.weight"], [true, false])
    func anAlteredTensorOfAQuantizedModelIsNamed(_ name: String, _ hasCertificate: Bool) throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        let target = work.path.appending("q")
        try make("quantize", model.path, target.string, "--scheme", "int8")
        let weights = target.appending("model.safetensors")
        if !hasCertificate {
            SystemCall.removeIfPresent(target.appending("certificate.json"))
            // What was quantized cannot be proved, what was copied can.
            let whole = try Verification(target.string, "--against", model.path)
            #expect(whole.exitCode == 2 && whole.names("other bytes").isEmpty, "\(whole.text)")
            #expect(!whole.names("quantized, which only the certificate can prove (see assay diff)").isEmpty)
        }
        try alter(name, in: weights)
        let verification = try Verification(target.string, "--against", model.path)
        #expect(verification.exitCode == (hasCertificate ? 3 : 1), "\(verification.text)")
        #expect(Set(verification.names("other bytes")) == [name], "\(verification.text)")
    }

    /// Flips a bit of the first element of a tensor.
    private func alter(_ tensor: String, in file: FilePath) throws {
        let bytes = try TestFiles.bytes(file)
        let header = 8 + (0..<8).reduce(0) { $0 | Int(bytes[$1]) << (8 * $1) }
        let entry = try JSONValue(parsing: Array(bytes[8..<header])).object?[tensor]?.object
        let start = try #require(entry?["data_offsets"]?.array?.first?.int)
        try flipBit(at: header + start, of: file)
    }
}

@Suite struct VerifyingFolders {
    /// A model converted into shards, with its certificate.
    private func shards(_ model: TestModel, in work: TemporaryFolder) throws -> FilePath {
        let target = work.path.appending("shards")
        try make("convert", model.path, target.string, "--shard-size", "20kB")
        return target
    }

    @Test func theirCertificateSpeaksOfEachFileInThem() throws {
        let (model, work) = (try TestModel(), try TemporaryFolder())
        let folder = try shards(model, in: work)
        let certificate = folder.appending("certificate.json").string
        var names = try SystemCall.names(in: folder).filter { $0.hasSuffix(".safetensors") }
        #expect(names.count == 4)
        names.append("model.safetensors.index.json")
        for name in names {
            let verification = try Verification(folder.appending(name).string, "--against", model.path)
            #expect(verification.exitCode == 0, "\(verification.text)")
            #expect(verification.certificates == [certificate])
            // What lies in other files was not looked at.
            let isShard = !name.hasSuffix(".json")
            #expect(verification.text.contains(" more went into other files, the certificate says") == isShard)
        }
        // A bit of the last shard is nobody else's fault.
        try flipBit(at: -1, of: folder.appending(names[3]))
        for (name, code) in zip(names, [0, 0, 0, 3, 3] as [Int32]) {
            #expect(try Verification(folder.appending(name).string).exitCode == code, "\(name)")
        }
        let whole = try Verification(folder.string)
        #expect(whole.exitCode == 3)
        #expect(whole.text.contains("other bytes: transformer.wte.weight in \(names[3])"), "\(whole.text)")
    }

    @Test func theirCertificateDoesNotSpeakOfWhatItDoesNotName() throws {
        let (model, work) = (try TestModel(), try TemporaryFolder())
        let folder = try shards(model, in: work)
        let stranger = folder.appending("stranger.safetensors")
        try TestFiles.write(try TestFiles.bytes(model.weights), to: stranger)
        #expect(try Verification(stranger.string).errors.contains("nothing to verify"))
        let certificate = folder.appending("certificate.json").string
        let named = try Verification(stranger.string, "--certificate", certificate)
        #expect(named.exitCode == 2)
        #expect(named.errors.contains("does not name"), "\(named.errors)")
    }

    @Test func certificatesOfTheirFilesSpeakOfThem() throws {
        let (model, work) = (try TestModel(), try TemporaryFolder())
        let target = work.path.appending("model.safetensors")
        try make("convert", model.weights.string, target.string, "--dtype", "bf16")
        try TestFiles.write(
            try TestFiles.bytes(model.folder.path.appending("config.json")), to: work.path.appending("config.json"))
        let verification = try Verification(work.path.string, "--against", model.path)
        #expect(verification.exitCode == 0, "\(verification.text)")
        #expect(verification.certificates == [target.string + ".certificate.json"])
        #expect(verification.text.contains("note the certificate does not speak of config.json"))
        try flipBit(at: -1, of: target)
        #expect(try Verification(work.path.string).exitCode == 3)
    }

    @Test func certificatesOfTheirShardsAreJoined() throws {
        let (model, work) = (try TestModel(), try TemporaryFolder())
        let folder = try shards(model, in: work)
        SystemCall.removeIfPresent(folder.appending("certificate.json"))
        for name in try SystemCall.names(in: folder) where name.hasSuffix(".safetensors") {
            let copy = work.path.appending(name).string
            try make("convert", folder.appending(name).string, copy)
            try TestFiles.write(
                try TestFiles.bytes(FilePath(copy + ".certificate.json")),
                to: folder.appending(name + ".certificate.json"))
        }
        let verification = try Verification(folder.string, "--against", model.path)
        #expect(verification.exitCode == 0, "\(verification.text)")
        #expect(verification.certificates.count == 4)
        // Each speaks of what its own file was made of.
        let alone = try Verification(folder.string).unchecked.filter { $0.contains("the recorded transforms of") }
        #expect(alone.count == 4 && Set(alone).count == 4)
        for name in try SystemCall.names(in: folder) where name.hasSuffix(".safetensors") {
            let digest = try assayJSON("inspect", folder.appending(name).string, "--digest").object?["contentDigest"]
            let end = "of \(name) (safetensors), whose content digest is \(digest?.string ?? "")"
            #expect(alone.contains { $0.hasSuffix(end) }, "\(alone)")
        }
        let written = try SystemCall.names(in: folder).filter { $0.hasSuffix(".certificate.json") }.sorted()
        let (first, second) = (folder.appending(written[0]), folder.appending(written[1]))
        // Each speaks of its own file.
        let bytes = try (TestFiles.bytes(first), TestFiles.bytes(second))
        try TestFiles.write(bytes.1, to: first)
        try TestFiles.write(bytes.0, to: second)
        let exchanged = try Verification(folder.string)
        #expect(exchanged.exitCode == 3, "\(exchanged.text)")
        #expect(!exchanged.names("in another file than the certificate says").isEmpty, "\(exchanged.text)")
        try TestFiles.write(bytes.0, to: first)
        try TestFiles.write(bytes.1, to: second)
        SystemCall.removeIfPresent(first)
        let partly = try Verification(folder.string, "--against", model.path)
        #expect(partly.exitCode == 2)
        #expect(!partly.names("not in the certificate").isEmpty, "\(partly.text)")
    }

    @Test(arguments: [
        ["convert"], ["convert", "--dtype", "bf16"], ["convert", "--shard-size", "20kB"],
        ["convert", "--to", "zplanes"], ["quantize", "--scheme", "int8"],
    ])
    func everyFileThatWasWrittenIsCovered(_ command: [String]) throws {
        let (model, work) = (try TestModel(), try TemporaryFolder())
        let target = work.path.appending("made")
        let outcome = try AssayTool.run([command[0], model.path, target.string] + command.dropFirst())
        try #require(outcome.exitCode == 0, "\(outcome.errors)")
        let configuration = target.appending("config.json")
        let written = try TestFiles.bytes(configuration)
        #expect(try Verification(target.string, "--against", model.path).exitCode == 0)

        try TestFiles.write(written + [0x0A], to: configuration)
        let changed = try Verification(target.string)
        #expect(changed.exitCode == 3)
        #expect(changed.names("other bytes") == ["config.json"])
        let digests = [written + [0x0A], written].map { $0.withUnsafeBytes { Digest.of($0) } }
        #expect(
            changed.text.contains("config.json has \(digests[0]), the certificate says \(digests[1])"),
            "\(changed.text)")

        SystemCall.removeIfPresent(configuration)
        let missing = try Verification(target.string)
        #expect(missing.exitCode == 2)
        #expect(missing.names("missing") == ["config.json"])

        try TestFiles.write(written, to: configuration)
        try TestFiles.write(Array("{}".utf8), to: target.appending("tokenizer.json"))
        let added = try Verification(target.string)
        #expect(added.exitCode == 2)
        #expect(added.names("not in the certificate") == ["tokenizer.json"])

        SystemCall.removeIfPresent(target.appending("tokenizer.json"))
        try TestFiles.write([1], to: target.appending("README.md"))
        let noted = try Verification(target.string)
        #expect(noted.exitCode == 0)
        #expect(noted.text.contains("note the certificate does not speak of README.md"), "\(noted.text)")
    }

    /// Wherever a loader may find them.
    @Test(arguments: ["a/b/c/d/e/f/g/h/i/j/x.json", "linked/", ".cache/x.json", "._config.json", "a/.b/x.json"])
    func foreignConfigurationsAreFoundWhereverTheyLie(_ name: String) throws {
        let (model, work) = (try TestModel(), try TemporaryFolder())
        let target = work.path.appending("copy")
        try make("convert", model.path, target.string)
        if name.hasSuffix("/") {
            try SystemCall.link(target.appending("linked"), to: model.folder.path)
        } else {
            var folder = target
            for component in FilePath(name).removingLastComponent().components {
                folder.append(component)
                try SystemCall.makeFolder(folder)
            }
            try TestFiles.write(Array("{}".utf8), to: target.pushing(FilePath(name)))
        }
        let verification = try Verification(target.string)
        // Hidden ones are other programs' own: hubs put some into what is downloaded.
        let isHidden = name.contains("/.") || name.hasPrefix(".")
        #expect(verification.exitCode == (isHidden ? 0 : 2), "\(verification.text)")
        #expect(verification.names("not in the certificate") == (isHidden ? [] : [name]))
    }

    @Test func renamedWeightsAreNotTheCertificates() throws {
        let (model, work) = (try TestModel(), try TemporaryFolder())
        let target = work.path.appending("copy")
        try make("convert", model.path, target.string)
        try SystemCall.rename(
            target.appending("model.safetensors"), to: target.appending("other.safetensors"), replacing: false)
        let verification = try Verification(target.string)
        #expect(verification.exitCode == 2)
        #expect(verification.names("missing") == ["model.safetensors"])
    }

    @Test func aChangedIndexIsFound() throws {
        let (model, work) = (try TestModel(), try TemporaryFolder())
        let index = try shards(model, in: work).appending("model.safetensors.index.json")
        try replace("\"metadata\": {", "\"metadata\":  {", in: index)
        let verification = try Verification(index.string)
        #expect(verification.exitCode == 3)
        #expect(verification.names("other bytes") == ["model.safetensors.index.json"])
    }
}

/// What damage to the trained model's file is called, in every format.
@Suite struct VerifyingDamage {
    /// Where, and what must be said of it beside the file's name.
    struct Damage: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var file: String
        var words: String
        var harm: @Sendable (inout [UInt8]) -> Void
    }

    private static let tensor = "transformer.h.3.mlp.c_proj.weight"
    private static let damages = [
        Damage(testDescription: "safetensors data", file: "x.safetensors", words: tensor) { $0[3_000_000] ^= 1 },
        Damage(testDescription: "safetensors name", file: "x.safetensors", words: "transformer.h.0.attn.c_attn.bias") {
            $0[60] ^= 1
        },
        Damage(testDescription: "safetensors shape", file: "x.safetensors", words: "header: byte 83") { $0[83] ^= 8 },
        Damage(testDescription: "safetensors metadata", file: "x.safetensors", words: "other metadata") { $0[35] ^= 1 },
        Damage(testDescription: "safetensors cut", file: "x.safetensors", words: "'transformer.wte.weight'") {
            $0.removeLast()
        },
        Damage(testDescription: "HDF5 data", file: "x.h5", words: tensor) { $0[3_000_000] ^= 1 },
        Damage(testDescription: "HDF5 superblock", file: "x.h5", words: "libhdf5") { $0[9] ^= 1 },
        Damage(testDescription: "HDF5 cut", file: "x.h5", words: "truncated") { $0.removeLast() },
        Damage(testDescription: "zplanes chunk", file: "x.zplanes", words: "'transformer.h.4.mlp.c_fc.weight'") {
            $0[3_000_000] ^= 1
        },
        Damage(testDescription: "zplanes footer", file: "x.zplanes", words: "footer") { $0[$0.count - 2] ^= 1 },
        Damage(testDescription: "zplanes cut", file: "x.zplanes", words: "footer") { $0.removeLast() },
        Damage(
            testDescription: "shard", file: "shards/model-00002-of-00004.safetensors",
            words: "transformer.h.4.mlp.c_proj.bias in model-00002-of-00004.safetensors"
        ) { $0[$0.count - 9] ^= 1 },
        Damage(
            testDescription: "shard cut", file: "shards/model-00002-of-00004.safetensors",
            words: "model-00002-of-00004.safetensors: tensor"
        ) { $0.removeLast() },
    ]

    @Test(arguments: damages) func isExitCode3AndNamesTheFileAndTheTensor(_ damage: Damage) throws {
        let model = TestFiles.fixtures.appending("gpt2-kjv").string
        let work = try TemporaryFolder()
        let isShard = damage.file.hasPrefix("shards/")
        let target = work.path.appending(isShard ? "shards" : damage.file)
        let outcome = try AssayTool.run(
            ["convert", model, target.string, "--quiet"] + (isShard ? ["--shard-size", "2MB"] : []))
        try #require(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(try Verification(target.string).exitCode == 0)
        let file = work.path.pushing(FilePath(damage.file))
        var bytes = try TestFiles.bytes(file)
        damage.harm(&bytes)
        try TestFiles.write(bytes, to: file)
        let verification = try Verification(target.string)
        #expect(verification.exitCode == 3)
        let said = verification.text + verification.errors
        #expect(said.contains(damage.words), "\(said)")
        #expect(said.contains(file.lastComponent!.string), "\(said)")
        try Trials.certificates.record(1)
    }
}

import AssayCheckpoints
import AssayFormats
import AssayTestSupport
import SystemPackage
import Testing

private let golden = TestFiles.fixtures.appending("golden").appending("map")
private let source = golden.appending("source.safetensors").string
private let map = golden.appending("map.json").string

/// The tensors of a file by name, with their bytes.
private func tensors(_ path: FilePath) throws -> [String: MemoryTensor] {
    let reader = try Checkpoint.open(path, ReadingOptions(hdf5Helper: AssayTool.path)).reader
    return Dictionary(
        uniqueKeysWithValues: try reader.contents.tensors.enumerated().map { index, info in
            (
                info.name,
                MemoryTensor(
                    type: info.elementType.name, shape: info.shape.dimensions, digest: try reader.digest(of: index))
            )
        })
}

private struct MemoryTensor: Equatable {
    var type: String
    var shape: [Int]
    var digest: Digest
}

private func certificate(_ path: String) throws -> JSONObject {
    let value = try JSONValue(parsing: TestFiles.bytes(FilePath(path + ".certificate.json")))
    return try #require(value.object?["predicate"]?.object)
}

@Suite struct MappedConversions {
    /// What NumPy makes by the same map, through every format that holds the types.
    @Test(arguments: ["x.safetensors", "x.h5", "x.zplanes", "x.pt", "x.zt", "x.safetensors.zst"], ["1", "3"])
    func giveWhatNumPyGives(_ name: String, _ threads: String) throws {
        let work = try TemporaryFolder()
        let (first, target) = (work.path.appending(name).string, work.path.appending("mapped-" + name).string)
        // From the format as well as to it.
        try make("convert", source, first)
        try make("convert", first, target, "--map", map, "--threads", threads, "--memory", "1MB")
        #expect(try tensors(FilePath(target)) == tensors(golden.appending("mapped.safetensors")))
        for arguments in [[], ["--against", first], ["--against", source, "--map", map]] {
            let verification = try Verification([target] + arguments)
            #expect(verification.exitCode == 0, "\(verification.text)")
        }
        let plain = try Verification(target, "--against", source, "--map", map, "--certificate", "none")
        #expect(plain.exitCode == 0, "\(plain.text)")
    }

    @Test func areStatedTensorByTensor() throws {
        let work = try TemporaryFolder()
        let target = work.path.appending("x.safetensors").string
        try make("convert", source, target, "--map", map, "--dtype", "bf16")
        let transforms = try #require(certificate(target)["transforms"]?.array)
        func transform(_ output: String) -> String? {
            transforms.first { $0.object?["outputs"]?.array?.contains(.string(output)) == true }?.canonicalText
        }
        #expect(
            transform("new.10.norm.bias")
                == #"{"mapping":{"kind":"rename"},"operation":"cast F32 to BF16","outputs":["new.10.norm.bias"],"#
                + #""source":"old.10.norm.bias"}"#)
        #expect(
            transform("h.1.qkv.weight")
                == #"{"mapping":{"axis":0,"kind":"merge"},"operation":"copy","outputs":["h.1.qkv.weight"],"#
                + #""sources":["h.1.q.weight","h.1.k.weight","h.1.v.weight"]}"#)
        #expect(
            transform("h.0.attn.k")
                == #"{"mapping":{"axis":0,"kind":"split","slice":[4,8],"transpose":[1,0]},"operation":"cast F32 to BF16","#
                + #""outputs":["h.0.attn.k"],"source":"h.0.c_attn.weight"}"#)
        #expect(
            transform("turned0")
                == #"{"mapping":{"kind":"transpose","transpose":[0,2,1]},"operation":"copy","outputs":["turned0"],"#
                + #""source":"turn0"}"#)
        #expect(transform("untouched")?.contains("mapping") == false)
        let predicate = try certificate(target)
        #expect(predicate["source"]?.object?["tensors"]?.array?.count == 35)
        #expect(
            predicate["source"]?.object?["contentDigest"]
                == (try assayJSON("inspect", source, "--digest")).object?["contentDigest"])
        #expect(try Verification(target, "--against", source).exitCode == 0)
    }

    /// A dropped tensor is dropped under the name that it has in the source, before the map is applied.
    @Test func countOnTheNamesOfTheSource() throws {
        let work = try TemporaryFolder()
        let target = work.path.appending("x.safetensors").string
        try make("convert", source, target, "--map", map, "--exclude", "old.*.bias", "--exclude", "untouched")
        #expect(try tensors(FilePath(target)).count == tensors(golden.appending("mapped.safetensors")).count - 4)
        let verification = try Verification(target, "--against", source, "--map", map)
        #expect(verification.exitCode == 0, "\(verification.text)")
        let torn = try AssayTool.run(
            ["convert", source, work.path.appending("y.safetensors").string, "--map", map, "--exclude", "h.1.k.weight"])
        #expect(torn.exitCode == 2)
        #expect(torn.errors.contains("'h.1.k.weight' is missing"), "\(torn.errors)")
    }

    /// Row 'T04' of the catalogue.
    @Test func namesThatWouldBeEqualAreRefusedWithBothSources() throws {
        let work = try TemporaryFolder()
        let same = try work.write(
            "same.json", Array(#"{"assayMap":1,"rules":[{"from":"old.*.norm.weight","to":"h.*.qkv.weight"}]}"#.utf8))
        let both = try work.write(
            "both.json",
            Array(
                #"{"assayMap":1,"rules":[{"from":"turn0","to":"x"},{"from":"untouched","to":"turn1"}]}"#.utf8))
        let target = work.path.appending("x.safetensors").string
        try make("convert", source, target, "--map", same.string)
        let outcome = try AssayTool.run(["convert", source, target, "--overwrite", "--map", both.string])
        #expect(outcome.exitCode == 64)
        #expect(
            outcome.errors.contains("'turn1' and 'untouched' of \(source) would both be named 'turn1'")
                || outcome.errors.contains("'untouched' and 'turn1' of \(source) would both be named 'turn1'"),
            "\(outcome.errors)")
        #expect(work.names.sorted() == ["both.json", "same.json", "x.safetensors", "x.safetensors.certificate.json"])
    }

    @Test func secondNamesGoAlong() throws {
        let work = try TemporaryFolder()
        let a = #""a":{"dtype":"U8","shape":[2,2],"data_offsets":[0,4]}"#
        let tied = try work.write(
            "tied.safetensors", SafetensorsBytes.file(#"{"__metadata__":{"t":"a"},\#(a)}"#, data: [1, 2, 3, 4])
        ).string
        for (rules, names) in [
            (#"[{"from":"*","to":"m.*"}]"#, ["m.a", "m.t"]), (#"[{"from":"t","to":"u"}]"#, ["a", "u"]),
            (#"[{"from":"a","to":["b","c"],"axis":0}]"#, ["b", "c", "t"]),
            (#"[{"from":"t","to":"t","transpose":[1,0]}]"#, ["a", "t"]),
            (#"[{"from":["a","t"],"to":"at","axis":1}]"#, ["at"]),
        ] {
            let map = try work.write("map.json", Array(#"{"assayMap":1,"rules":\#(rules)}"#.utf8)).string
            let target = work.path.appending("x.safetensors").string
            try make("convert", tied, target, "--map", map, "--overwrite")
            #expect(try tensors(FilePath(target)).keys.sorted() == names)
            for arguments in [[], ["--map", map], ["--map", map, "--certificate", "none"]] {
                let verification = try Verification([target, "--against", tied] + arguments)
                #expect(verification.exitCode == 0, "\(rules): \(verification.text)")
            }
        }
    }

    @Test(
        arguments: [
            ("{", 3, "byte"), ("[]", 3, "an object"), (#"{"assayMap":2,"rules":[]}"#, 3, "assayMap"),
            (#"{"assayMap":1,"rules":[{"from":"nowhere","to":"x"}]}"#, 64, "'nowhere' is the name of no tensor"),
            (#"{"assayMap":1,"rules":[{"from":["untouched","turn0"],"to":"x","axis":0}]}"#, 2, "different types"),
        ] as [(String, Int32, String)])
    func badMapsAreOneSentence(_ text: String, _ code: Int32, _ words: String) throws {
        let work = try TemporaryFolder()
        let bad = try work.write("bad.json", Array(text.utf8)).string
        let target = work.path.appending("x.safetensors").string
        for arguments in [
            ["convert", source, target], ["verify", source, "--against", source, "--certificate", "none"],
        ] {
            let outcome = try AssayTool.run(arguments + ["--map", bad])
            #expect(outcome.exitCode == code, "\(outcome.errors)")
            #expect(outcome.errors.split(separator: "\n").count == 1 && outcome.errors.contains("bad.json"))
            #expect(outcome.errors.contains(words), "\(outcome.errors)")
        }
        #expect(work.names == ["bad.json"])
        try Trials.maps.record(2)
    }
}

@Suite struct VerifyingMappedTensors {
    /// A mapped file of which the certificate, or the map, is to be believed or not.
    private func made(_ work: TemporaryFolder, _ options: String...) throws -> FilePath {
        let target = work.path.appending("x.safetensors")
        let outcome = try AssayTool.run(["convert", source, target.string, "--map", map, "--quiet"] + options)
        try #require(outcome.exitCode == 0, "\(outcome.errors)")
        return target
    }

    @Test(arguments: [[], ["--certificate", "none"]])
    func namesWhatWentNowhereAndWhatCameFromNowhere(_ options: [String]) throws {
        let work = try TemporaryFolder()
        let target = try made(work)
        // The tensors of another converter: two are missing, one of them a part, and one is new.
        let reader = try Checkpoint.open(target).reader
        var other = try MemoryCheckpoint(copying: reader)
        for name in ["new.1.norm.bias", "cut1.3", "h.0.qkv.weight"] { other.remove(name) }
        other.set("strange", [1], [1])
        let file = work.path.appending("other.safetensors")
        try other.write(to: file)
        if options.isEmpty {
            try TestFiles.write(
                try TestFiles.bytes(FilePath(target.string + ".certificate.json")),
                to: FilePath(file.string + ".certificate.json"))
            let verification = try Verification([file.string, "--against", source])
            #expect(verification.exitCode == 2, "\(verification.text)")
            #expect(Set(verification.names("missing")) == ["new.1.norm.bias", "cut1.3", "h.0.qkv.weight"])
            #expect(verification.names("not in the certificate") == ["strange"])
        }
        let plain = try Verification([file.string, "--against", source, "--map", map, "--certificate", "none"])
        #expect(plain.exitCode == 2, "\(plain.text)")
        #expect(
            plain.names("its own tensors went nowhere") == [
                "old.1.norm.bias", "h.0.q.weight", "h.0.k.weight", "h.0.v.weight", "whole1 (4 to 7 of axis 1)",
            ])
        #expect(plain.names("not there, or of another shape") == ["strange"])
        try Trials.maps.record(4)
    }

    /// Certificates that say something else than what was done.
    @Test(
        arguments: [
            (
                #""sources":["h.1.q.weight","h.1.k.weight""#, #""sources":["h.1.q.weight","h.1.v.weight""#, 3,
                "other bytes"
            ),
            (#""kind":"split","slice":[4,8]"#, #""kind":"split","slice":[3,7]"#, 3, "other bytes"),
            (#""kind":"transpose","transpose":[0,2,1]"#, #""kind":"transpose","transpose":[0,1,2]"#, 2, "repeat"),
            (#""source":"old.1.norm.bias""#, #""source":"old.1.norm.weight""#, 3, "other bytes"),
            (#""source":"untouched""#, #""source":"nowhere""#, 2, "missing"),
        ] as [(String, String, Int32, String)])
    func findsAMappingThatWasNotDone(_ old: String, _ new: String, _ code: Int32, _ words: String) throws {
        let work = try TemporaryFolder()
        let target = try made(work)
        try replace(old, new, in: FilePath(target.string + ".certificate.json"))
        // What stands in the file is still what the certificate says of it.
        #expect(try Verification(target.string).exitCode == 0)
        let verification = try Verification(target.string, "--against", source)
        #expect(verification.exitCode == code, "\(verification.text)")
        #expect(verification.text.contains(words), "\(verification.text)")
        let mapped = try Verification(target.string, "--against", source, "--map", map)
        #expect(!mapped.names("from elsewhere, the certificate says").isEmpty, "\(mapped.text)")
        try Trials.maps.record(1)
    }

    /// Half a tensor that vanishes is found though its name is there.
    @Test func findsPartsThatWentNowhere() throws {
        let work = try TemporaryFolder()
        let target = work.path.appending("x.safetensors").string
        try make("convert", source, target, "--map", map)
        let rest = work.path.appending("rest.safetensors").string
        try make("convert", target, rest, "--exclude", "h.0.attn.k")
        // A certificate of the rest that speaks of the first source.
        var object = try #require(
            JSONValue(parsing: TestFiles.bytes(FilePath(target + ".certificate.json"))).object)
        let made = try #require(
            JSONValue(parsing: TestFiles.bytes(FilePath(rest + ".certificate.json"))).object)
        var predicate = try #require(object["predicate"]?.object)
        predicate["destination"] = made["predicate"]?.object?["destination"]
        predicate["transforms"] = .array(
            (predicate["transforms"]?.array ?? []).filter { $0.object?["outputs"] != ["h.0.attn.k"] })
        object["predicate"] = .object(predicate)
        object["subject"] = made["subject"]
        try TestFiles.write(
            Array(JSONValue.object(object).compactText.utf8), to: FilePath(rest + ".certificate.json"))
        #expect(try Verification(rest).exitCode == 0)
        let verification = try Verification(rest, "--against", source)
        #expect(verification.exitCode == 2, "\(verification.text)")
        #expect(verification.names("went nowhere in part") == ["h.0.c_attn.weight"])
    }

    @Test func aChangedByteIsFoundWhereverItWent() throws {
        let work = try TemporaryFolder()
        let target = try made(work)
        try flipBit(at: -1, of: target)
        for arguments in [[], ["--against", source], ["--against", source, "--map", map, "--certificate", "none"]] {
            let verification = try Verification([target.string] + arguments)
            #expect(verification.exitCode == (arguments.count > 3 ? 1 : 3), "\(verification.text)")
            #expect(!verification.names("other bytes").isEmpty)
        }
    }

    @Test func aMapWithoutSourceSaysNothing() throws {
        let outcome = try AssayTool.run(["verify", source, "--map", map])
        #expect(outcome.exitCode == 64)
        #expect(outcome.errors.contains("--against SRC"), "\(outcome.errors)")
    }
}

import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

#if canImport(Glibc)
    import Glibc
#endif

private let golden = TestFiles.fixtures.appending("golden").appending("model-signing")

/// The golden model folder in a temporary place, without its signature.
private struct SignedModel {
    let work: TemporaryFolder
    var folder: FilePath { work.path.appending("model") }
    var path: String { folder.string }

    init() throws {
        work = try TemporaryFolder()
        try SystemCall.makeFolder(folder)
        var made = NameSet()
        let source = golden.appending("model")
        for name in try SystemCall.tree(in: source).map(\.name) + [".hidden"] {
            let parents = FilePath(name).removingLastComponent().components
            for count in parents.indices.map({ parents[...$0].count }) {
                let parent = parents.prefix(count).map(\.string).joined(separator: "/")
                if made.insert(parent) { try SystemCall.makeFolder(folder.pushing(FilePath(parent))) }
            }
            try TestFiles.write(
                try TestFiles.bytes(source.pushing(FilePath(name))), to: folder.pushing(FilePath(name)))
        }
    }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        try TestFiles.write(bytes, to: folder.pushing(FilePath(name)))
    }

    /// Puts a signature where it is looked for.
    func sign(_ name: String) throws { try write("model.sig", try TestFiles.bytes(golden.appending(name))) }
}

private func signature(_ name: String) -> String { golden.appending(name).string }

/// The statement in a signature, and what the package found when it made it.
private func statement(_ name: String) throws -> JSONObject {
    let bundle = try #require(JSONValue(parsing: TestFiles.bytes(golden.appending(name))).object)
    let payload = try #require(bundle["dsseEnvelope"]?.object?["payload"]?.string)
    return try #require(JSONValue(parsing: [UInt8](base64: payload) ?? []).object)
}

private func facts() throws -> JSONObject {
    try #require(JSONValue(parsing: TestFiles.bytes(golden.appending("manifest.json"))).object)
}

@Suite struct VerifyingSignedFiles {
    @Test(arguments: ["model.sig", "shards.sig", "links.sig"])
    func holdsWhereThePackageSaysSo(_ name: String) throws {
        let model = try SignedModel()
        try model.sign(name)
        let verification = try Verification(model.path)
        #expect(verification.exitCode == 0, "\(verification.text)")
        let root = try #require(facts()["root"]?.object?[name]?.string)
        #expect(verification.text.contains("holds the files are those of the manifest in model.sig"))
        #expect(verification.statements.contains { $0["detail"]?.string == "root digest \(root)" })
        // The signature itself is another tool's matter, and that is said.
        #expect(
            verification.text.contains("who signed model.sig is not checked here; 'model_signing verify' does that"))
    }

    @Test func takesSignaturesFromElsewhereAndOfSingleFiles() throws {
        let model = try SignedModel()
        let file = model.folder.appending("model.safetensors").string
        #expect(try Verification(model.path, "--signature", signature("model.sig")).exitCode == 0)
        #expect(try Verification(file, "--signature", signature("file.sig")).exitCode == 0)
        try flipBit(at: -1, of: FilePath(file))
        let verification = try Verification(file, "--signature", signature("file.sig"))
        #expect(verification.exitCode == 3)
        #expect(verification.names("other bytes") == ["."])
    }

    @Test(arguments: ["model.sig", "shards.sig"]) func namesWhatIsOtherwise(_ name: String) throws {
        let model = try SignedModel()
        try model.sign(name)
        let ranges = name == "shards.sig"
        try flipBit(at: -1, of: model.folder.appending("model.safetensors"))
        let changed = try Verification(model.path)
        #expect(changed.exitCode == 3)
        #expect(changed.names("other bytes") == [ranges ? "model.safetensors:300:374" : "model.safetensors"])
        try flipBit(at: -1, of: model.folder.appending("model.safetensors"))

        try model.write("d/extra.bin", [1])
        let extra = try Verification(model.path)
        #expect(extra.exitCode == 2)
        #expect(extra.names("not in the manifest") == ["d/extra.bin"])
        SystemCall.removeIfPresent(model.folder.pushing("d/extra.bin"))

        SystemCall.removeIfPresent(model.folder.appending(".hidden"))
        let missing = try Verification(model.path)
        #expect(missing.exitCode == 2)
        #expect(missing.names("missing") == [ranges ? ".hidden:0:26" : ".hidden"])

        try model.write(".hidden", try TestFiles.bytes(golden.pushing("model/.hidden")) + [0x0A])
        let longer = try Verification(model.path)
        #expect(longer.exitCode == (ranges ? 2 : 3))
        #expect(longer.names(ranges ? "not whole in the manifest" : "other bytes") == [".hidden"])
        try Trials.manifests.record(4)
    }

    @Test func whatIsIgnoredMayBeAnything() throws {
        let model = try SignedModel()
        try model.sign("model.sig")
        try SystemCall.makeFolder(model.folder.appending(".git"))
        try model.write(".git/config", [1])
        try model.write(".gitattributes", [2])
        #expect(try Verification(model.path).exitCode == 0)
        try model.write(".gitmodules", [3])
        #expect(try Verification(model.path).names("not in the manifest") == [".gitmodules"])
    }

    @Test func linksAreFollowedOnlyWhereTheManifestSaysSo() throws {
        for (name, code) in [("model.sig", 2), ("links.sig", 0)] as [(String, Int32)] {
            let model = try SignedModel()
            let (inside, outside) = (model.folder.appending("config.json"), model.work.path.appending("blob"))
            try SystemCall.rename(inside, to: outside, replacing: false)
            try SystemCall.link(inside, to: outside)
            try model.sign(name)
            let verification = try Verification(model.path)
            #expect(verification.exitCode == code, "\(verification.text)")
            #expect(
                verification.names("links, which the manifest does not allow") == (code == 0 ? [] : ["config.json"]))
        }
    }

    /// A manifest that was changed after it was signed, or is none.
    @Test(
        arguments: [
            (#""digest": "04c7"#, #""digest": "14c7"#, 3, "which the digests of its files give"),
            (#""name": ".hidden""#, #""name": "../../.hidden""#, 3, "resources[0]"),
            (#""name": ".hidden""#, #""name": "/etc/passwd""#, 3, "resources[0]"),
            (#""name": "a.txt""#, #""name": "a-b.txt""#, 3, "each file once"),
            (#""method": "files""#, #""method": "trees""#, 3, "'files' or 'shards'"),
            (#""hash_type": "sha256""#, #""hash_type": "md5""#, 2, "digests are md5"),
            ("signature/v1.0", "signature/v9.0", 2, "predicateType"),
            (#"/Statement/v1""#, #"/Statement/v2""#, 3, "_type"), ("{\n  \"_type", "[\n  \"_type", 3, "payload, byte"),
        ] as [(String, String, Int32, String)])
    func aForgedManifestIsRefused(_ old: String, _ new: String, _ code: Int32, _ words: String) throws {
        let model = try SignedModel()
        var bundle = try #require(JSONValue(parsing: TestFiles.bytes(golden.appending("model.sig"))).object)
        var envelope = try #require(bundle["dsseEnvelope"]?.object)
        let payload = String(decoding: [UInt8](base64: envelope["payload"]?.string ?? "") ?? [], as: UTF8.self)
        let pieces = payload.split(separator: old, maxSplits: 1, omittingEmptySubsequences: false)
        try #require(pieces.count == 2, "\(payload)")
        envelope["payload"] = .string(base64(Array((pieces[0] + new + pieces[1]).utf8)))
        bundle["dsseEnvelope"] = .object(envelope)
        try model.write("model.sig", Array(JSONValue.object(bundle).compactText.utf8))
        let verification = try Verification(model.path)
        #expect(verification.exitCode == code, "\(verification.text)")
        #expect(
            verification.errors.contains("model.sig") && verification.errors.contains(words), "\(verification.errors)")
        try Trials.manifests.record(1)
    }

    @Test(
        arguments: [
            ("", 3, "a signature"), ("{}", 3, "_type"), (#"{"payload":"&&&","payloadType":"x"}"#, 3, "payloadType"),
            (#"{"payload":"&&&","payloadType":"application/vnd.in-toto+json"}"#, 3, "base64"), ("[1]", 3, "a list"),
        ] as [(String, Int32, String)])
    func whatIsNoSignatureIsRefused(_ text: String, _ code: Int32, _ words: String) throws {
        let model = try SignedModel()
        try model.write("model.sig", Array(text.utf8))
        let outcome = try AssayTool.run(["verify", model.path])
        #expect(outcome.exitCode == code)
        #expect(outcome.errors.contains("model.sig") && outcome.errors.contains(words), "\(outcome.errors)")
        // Left out, there is nothing to verify.
        let without = try AssayTool.run(["verify", model.path, "--signature", "none"])
        #expect(without.exitCode == 2 && without.errors.contains("nothing to verify"))
        try Trials.manifests.record(1)
    }

    @Test func otherDigestsAreNotChecked() throws {
        let model = try SignedModel()
        try model.sign("blake3.sig")
        let verification = try Verification(model.path)
        #expect(verification.exitCode == 2)
        #expect(verification.errors.contains("digests are blake3"), "\(verification.errors)")
        #expect(verification.errors.contains("'model_signing verify'"), "\(verification.errors)")
    }

    private func base64(_ bytes: [UInt8]) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = (0..<3).map { start + $0 < bytes.count ? Int(bytes[start + $0]) : 0 }
            let value = group[0] << 16 | group[1] << 8 | group[2]
            let count = min(3, bytes.count - start) + 1
            text += (0..<4).map { $0 < count ? digits[value >> (18 - 6 * $0) & 63] : UInt8(ascii: "=") }
        }
        return String(decoding: text, as: UTF8.self)
    }
}

@Suite struct WritingManifests {
    /// What the package signed, resource by resource, and its root digest.
    @Test func areThoseOfThePackage() throws {
        let model = try SignedModel()
        try model.sign("model.sig")
        let out = model.work.path.appending("to-sign.json")
        let outcome = try AssayTool.run(["verify", model.path, "--manifest", out.string])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        let written = try #require(JSONValue(parsing: TestFiles.bytes(out)).object)
        let signed = try statement("model.sig")
        #expect(written["_type"] == signed["_type"] && written["predicateType"] == signed["predicateType"])
        #expect(written["subject"]?.canonicalText == signed["subject"]?.canonicalText)
        let (mine, theirs) = (written["predicate"]?.object, signed["predicate"]?.object)
        #expect(mine?["resources"]?.canonicalText == theirs?["resources"]?.canonicalText)
        func serialization(_ predicate: JSONObject?) -> [String: String] {
            var object = predicate?["serialization"]?.object ?? JSONObject()
            let ignored = (object["ignore_paths"]?.array ?? []).compactMap(\.string).sorted()
            object["ignore_paths"] = .array(ignored.map { .string($0) })
            return Dictionary(uniqueKeysWithValues: object.members.map { ($0.key, $0.value.canonicalText) })
        }
        #expect(serialization(mine) == serialization(theirs))
        // It is read where a signature is, and says that it is none.
        let verification = try Verification(model.path, "--signature", out.string)
        #expect(verification.exitCode == 0)
        #expect(verification.text.contains("to-sign.json holds a manifest without a signature"), "\(verification.text)")
    }

    @Test func followLinksAndSaySo() throws {
        let model = try SignedModel()
        let (inside, outside) = (model.folder.appending("config.json"), model.work.path.appending("blob"))
        try SystemCall.rename(inside, to: outside, replacing: false)
        try SystemCall.link(inside, to: outside)
        let out = model.work.path.appending("to-sign.json")
        let outcome = try AssayTool.run([
            "verify", model.path, "--signature", signature("links.sig"), "--manifest", out.string,
        ])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        let written = try #require(JSONValue(parsing: TestFiles.bytes(out)).object)
        #expect(written["predicate"]?.object?["serialization"]?.object?["allow_symlinks"] == true)
        #expect(
            try written["subject"]?.array?.first?.object?["digest"]?.object?["sha256"]
                == facts()["root"]?.object?["links.sig"])
    }

    @Test func areWrittenOfWhatHoldsOnly() throws {
        let model = try SignedModel()
        let copy = model.work.path.appending("copy")
        try make("convert", model.path, copy.string)
        let out = model.work.path.appending("to-sign.json")
        #expect(try AssayTool.run(["verify", copy.string, "--manifest", out.string]).exitCode == 0)
        let written = String(decoding: try TestFiles.bytes(out), as: UTF8.self)
        #expect(written.contains(#""certificate.json""#) && written.contains(#""ignore_paths":"#))
        let again = try AssayTool.run(["verify", copy.string, "--manifest", out.string])
        #expect(again.exitCode == 64 && again.errors.contains("exists already"), "\(again.errors)")
        #expect(try AssayTool.run(["verify", copy.string, "--manifest", out.string, "--overwrite"]).exitCode == 0)
        // Nothing else is replaced, and nothing is written into the folder.
        let other = try model.work.write("other.json", [0x7B, 0x7D]).string
        let wrong = try AssayTool.run(["verify", copy.string, "--manifest", other, "--overwrite"])
        #expect(wrong.exitCode == 64 && wrong.errors.contains("is none itself"), "\(wrong.errors)")
        let inside = copy.appending("to-sign.json").string
        #expect(try AssayTool.run(["verify", copy.string, "--manifest", inside]).exitCode == 64)
        // Nothing is left where anything fails.
        SystemCall.removeIfPresent(out)
        try flipBit(at: -1, of: copy.appending("model.safetensors"))
        #expect(try AssayTool.run(["verify", copy.string, "--manifest", out.string]).exitCode == 3)
        #expect(try SystemCall.status(out) == nil)
    }

    /// A file that changes once it was verified does not get into the manifest.
    @Test(.enabled(if: !AssayTool.isWatched)) func areOfWhatWasVerified() throws {
        let (model, work) = (try TestModel(), try TemporaryFolder())
        let copy = work.path.appending("copy")
        try make("convert", model.path, copy.string)
        let digest = try InputFile(copy.appending("model.safetensors")).digest()
        let out = work.path.appending("to-sign.json")
        let run = try AssayTool.start(
            ["verify", copy.string, "--manifest", out.string],
            environment: FaultLibrary.environment(under: work.path, ["write=signal \(SIGSTOP)"]))
        try #require(run.waitUntilStopped())
        try flipBit(at: -1, of: copy.appending("model.safetensors"))
        run.send(SIGCONT)
        #expect(try run.wait().exitCode == 0)
        #expect(String(decoding: try TestFiles.bytes(out), as: UTF8.self).contains("\(digest)"))
    }

    /// Some files of a folder are no model.
    @Test func areOfFoldersAndOfSingleFiles() throws {
        let (model, work) = (try TestModel(), try TemporaryFolder())
        let shards = work.path.appending("shards")
        try make("convert", model.path, shards.string, "--shard-size", "20kB")
        let out = work.path.appending("to-sign.json").string
        let index = shards.appending("model.safetensors.index.json").string
        for option in [["--manifest", out], ["--signature", signature("model.sig")]] {
            let outcome = try AssayTool.run(["verify", index] + option)
            #expect(outcome.exitCode == 64 && outcome.errors.contains("name the folder"), "\(outcome.errors)")
        }
        let file = shards.appending("model-00001-of-00004.safetensors").string
        #expect(try AssayTool.run(["verify", file, "--manifest", out]).exitCode == 0)
        let manifest = String(decoding: try TestFiles.bytes(FilePath(out)), as: UTF8.self)
        #expect(manifest.contains(#""name":".""#) && manifest.contains("model-00001-of-00004.safetensors"))
    }

    /// A signature is of the very files beside it.
    @Test func signaturesStayBehindInConversions() throws {
        let model = try SignedModel()
        try model.sign("model.sig")
        let copy = model.work.path.appending("copy")
        let outcome = try AssayTool.run(["convert", model.path, copy.string, "--to", "zplanes"])
        #expect(outcome.exitCode == 0 && outcome.output.contains("model.sig"), "\(outcome.output)")
        #expect(try SystemCall.status(copy.appending("model.sig")) == nil)
        #expect(try Verification(copy.string, "--against", model.path).exitCode == 0)
    }
}

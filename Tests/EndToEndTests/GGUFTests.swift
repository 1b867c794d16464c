import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

/// GGUF files through the real binary.
@Suite struct GGUFFiles {
    static let folder = TestFiles.fixtures.appending("golden").appending("gguf")

    private static func path(_ name: String) -> String { folder.appending(name).string }

    @Test(arguments: ["blocks.gguf", "metadata.gguf"]) func throughZPlanesAndBackItIsTheVeryFile(_ name: String) throws
    {
        let work = try TemporaryFolder()
        let (middle, back) = (work.path.appending("x.zplanes").string, work.path.appending("x.gguf").string)
        #expect(try AssayTool.run(["convert", Self.path(name), middle]).exitCode == 0)
        #expect(try AssayTool.run(["convert", middle, back]).exitCode == 0)
        #expect(try TestFiles.bytes(FilePath(back)) == TestFiles.bytes(Self.folder.appending(name)))
        let outcome = try AssayTool.run(["verify", back, "--against", middle])
        #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errors)")
    }

    /// safetensors orders the tensors anew; the metadata comes back whole and in order.
    @Test(arguments: ["x.safetensors", "x.h5"]) func throughOtherFormatsTheMetadataComesBack(_ name: String) throws {
        let work = try TemporaryFolder()
        let (middle, back) = (work.path.appending(name).string, work.path.appending("x.gguf").string)
        #expect(try AssayTool.run(["convert", Self.path("no-tensors.gguf"), middle]).exitCode == 0)
        #expect(try AssayTool.run(["convert", middle, back]).exitCode == 0)
        #expect(try TestFiles.bytes(FilePath(back)) == TestFiles.bytes(Self.folder.appending("no-tensors.gguf")))
    }

    @Test func blocksAreDequantizedWhenAsked() throws {
        let work = try TemporaryFolder()
        let target = work.path.appending("x.safetensors").string
        var outcome = try AssayTool.run(["convert", Self.path("quantized.gguf"), target])
        #expect(outcome.exitCode == 64)
        #expect(
            outcome.errors.contains(
                "tensor 'q4_0': safetensors cannot hold the element type q4_0; --dtype f32, f16, bf16 would do: it"
                    + " dequantizes"))
        #expect(work.names == [])

        outcome = try AssayTool.run(["convert", Self.path("quantized.gguf"), target, "--dtype", "f32"])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(outcome.output.contains("1 × cast q4_0 to F32"))
        outcome = try AssayTool.run(["verify", target, "--against", Self.path("quantized.gguf")])
        #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errors)")
        let tensors = try assayJSON("inspect", target).object?["tensors"]?.array
        #expect(tensors?.allSatisfy { $0.object?["type"] == "F32" && $0.object?["shape"] == [24, 64] } == true)

        outcome = try AssayTool.run(["convert", Self.path("quantized.gguf"), target, "--dtype", "q4_0"])
        #expect(outcome.exitCode == 64)
        #expect(outcome.errors.contains("'q4_0' is a block type"))
    }

    @Test func blocksThatAreOnlyCarriedAreNamed() throws {
        let work = try TemporaryFolder()
        let target = work.path.appending("x.safetensors").string
        let outcome = try AssayTool.run(["convert", Self.path("blocks.gguf"), target, "--dtype", "f32"])
        #expect(outcome.exitCode == 64)
        #expect(outcome.errors.contains("tensor 'q8_K': cannot convert q8_K to F32: q8_K is carried as it is"))
        let some = ["--exclude", "q8_K", "--exclude", "q1_0"]
        #expect(
            try AssayTool.run(["convert", Self.path("blocks.gguf"), target, "--dtype", "bf16"] + some).exitCode == 0)
    }

    @Test func inspectShowsTheFormAndTheMetadata() throws {
        let outcome = try AssayTool.run(["inspect", Self.path("metadata.gguf")])
        #expect(outcome.exitCode == 0)
        for line in [
            "  version     3", "  alignment   64", "  metadata    general.name: metadata of every type",
            "  metadata    number.u64.greatest: u64 18446744073709551615",
            #"  metadata    tokenizer.ggml.tokens: string[45] ["<unk>", "", "▁the", "é", "#,
            "  tensors     10, 163 elements, 638 B: 3 F32 (496 B)",
        ] { #expect(outcome.output.contains(line), "\(line)\n\(outcome.output)") }
    }

    @Test func aModelGoesIntoNumberedPartsAndBack() throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        let (parts, back) = (work.path.appending("parts"), work.path.appending("back.safetensors").string)
        var outcome = try AssayTool.run(["convert", model.path, parts.string, "--to", "gguf", "--shard-size", "20kB"])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        let names = try SystemCall.names(in: parts)
        #expect(names.filter { $0.hasSuffix(".gguf") }.count == 4)
        #expect(names.contains("model-00001-of-00004.gguf") && !names.contains { $0.hasSuffix(".index.json") })
        outcome = try AssayTool.run(["verify", parts.string])
        #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errors)")
        #expect(try AssayTool.run(["convert", parts.string, back]).exitCode == 0)
        let digest = { (path: String) in try assayJSON("inspect", path, "--digest").object?["contentDigest"]?.string }
        #expect(try digest(back) == digest(model.path))
        #expect(try digest(parts.string) == digest(model.path))

        // By the name of any of them.
        for name in names where name.hasSuffix(".gguf") {
            #expect(try digest(parts.appending(name).string) == digest(model.path), "\(name)")
        }

        SystemCall.removeIfPresent(parts.appending("model-00003-of-00004.gguf"))
        outcome = try AssayTool.run(["inspect", parts.string])
        #expect(outcome.exitCode == 2)
        #expect(outcome.errors.contains("1 of 4 shards are missing: model-00003-of-00004.gguf"))
    }

    @Test func everyNameHasItsOwnBytes() throws {
        let folder = try TemporaryFolder()
        let tied = TestFiles.fixtures.appending("golden").appending("safetensors").appending("tied.safetensors").string
        let target = folder.path.appending("x.gguf").string
        #expect(try AssayTool.run(["convert", tied, target]).exitCode == 0)
        let tensors = try assayJSON("inspect", target).object?["tensors"]?.array ?? []
        #expect(tensors.compactMap { $0.object?["name"]?.string }.sorted() == ["lm_head.weight", "wte.weight"])
        #expect(tensors.allSatisfy { $0.object?["aliasOf"] == nil })
        let outcome = try AssayTool.run(["verify", target, "--against", tied])
        #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errors)")
    }

    @Test func aDamagedFileIsOneSentence() throws {
        let folder = try TemporaryFolder()
        let whole = try TestFiles.bytes(Self.folder.appending("quantized.gguf"))
        let path = try folder.write("cut.gguf", Array(whole.dropLast(600)))
        let outcome = try AssayTool.run(["inspect", path.string])
        #expect(outcome.exitCode == 3)
        #expect(outcome.errors.contains("tensor 'q8_0': expected 1632 bytes of data at byte"))
        #expect(outcome.errors.contains("the file is cut off"))
    }
}

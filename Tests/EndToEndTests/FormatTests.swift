import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

/// Every format through the real binary.
@Suite struct AllFormats {
    private static let goldens = TestFiles.fixtures.appending("golden")

    @Test(
        arguments: ["x.h5", "x.zplanes", "x.safetensors", "x.pt", "x.bin", "x.safetensors.zst", "x.zt"],
        [[], ["--threads", "1"]])
    func holdTheSameContentAndGiveTheOriginalBack(_ name: String, _ options: [String]) throws {
        for golden in ["all-types", "scalars-and-zero-size", "unaligned", "metadata", "many", "tied"] {
            let folder = try TemporaryFolder()
            let source = Self.goldens.appending("safetensors").appending(golden + ".safetensors").string
            let middle = folder.path.appending(name).string
            let back = folder.path.appending("back.safetensors").string
            var outcome = try AssayTool.run(["convert", source, middle] + options)
            #expect(outcome.exitCode == 0, "\(golden): \(outcome.errors)")
            outcome = try AssayTool.run(["convert", middle, back] + options)
            #expect(outcome.exitCode == 0, "\(golden): \(outcome.errors)")
            let digests = try [source, middle, back].map {
                try assayJSON("inspect", $0, "--digest").object?["contentDigest"]?.string
            }
            #expect(digests[0] != nil && Set(digests).count == 1, "\(golden)")
            for path in [middle, back] {
                outcome = try AssayTool.run(["verify", path, "--against", path == middle ? source : middle])
                #expect(outcome.exitCode == 0, "\(golden): \(outcome.output)\(outcome.errors)")
            }
            // Formats that keep the header of the source give the very file back.
            if ["x.zplanes", "x.safetensors", "x.safetensors.zst"].contains(name) {
                #expect(try TestFiles.bytes(FilePath(back)) == TestFiles.bytes(FilePath(source)))
            }
        }
    }

    @Test func whatNumPyLacksIsSaidAndStoredAnotherWay() throws {
        let folder = try TemporaryFolder()
        func path(_ name: String) -> String { folder.path.appending(name).string }
        let tied = Self.goldens.appending("safetensors/tied.safetensors").string
        var outcome = try AssayTool.run(["convert", tied, path("x.npz")])
        #expect(outcome.exitCode == 0 && outcome.errors.contains("stored once more: wte.weight"), "\(outcome.errors)")
        #expect(outcome.errors.contains("holds no metadata; left behind: format"))
        outcome = try AssayTool.run(["verify", path("x.npz"), "--against", tied])
        #expect(outcome.exitCode == 0, "\(outcome.output)")

        outcome = try AssayTool.run(["convert", path("x.npz"), path("one.npy")])
        #expect(outcome.exitCode == 64 && outcome.errors.contains("exactly 1 tensor"), "\(outcome.errors)")
        outcome = try AssayTool.run(["convert", tied, path("one.npy"), "--include", "wte*", "--dtype", "f16"])
        #expect(outcome.exitCode == 0 && outcome.errors.contains("becomes 'one'"), "\(outcome.errors)")
        outcome = try AssayTool.run(["verify", path("one.npy"), "--against", tied])
        #expect(outcome.exitCode == 0, "\(outcome.output)")
        outcome = try AssayTool.run(["convert", path("one.npy"), path("two.npy")])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")

        let all = Self.goldens.appending("safetensors/all-types.safetensors").string
        outcome = try AssayTool.run(["convert", all, path("all.npz")])
        #expect(
            outcome.exitCode == 64 && outcome.errors.contains("cannot hold the element type BF16"), "\(outcome.errors)")
        #expect(folder.names.allSatisfy { !$0.hasPrefix("all") })
    }

    @Test func modelFoldersInPyTorchFormRunAsTheOriginal() throws {
        let model = TestFiles.fixtures.appending("gpt2-kjv").string
        let folder = try TemporaryFolder()
        for (name, options, count) in [("one", [], 1), ("many", ["--shard-size", "2MB"], 4)]
            as [(String, [String], Int)]
        {
            let target = folder.path.appending(name)
            var outcome = try AssayTool.run(["convert", model, target.string, "--to", "pytorch"] + options)
            #expect(outcome.exitCode == 0, "\(outcome.errors)")
            let files = try SystemCall.names(in: target).filter { $0.hasSuffix(".bin") }
            #expect(files.count == count && files.allSatisfy { $0.hasPrefix("pytorch_model") })
            outcome = try AssayTool.run(["verify", target.string, "--against", model])
            #expect(outcome.exitCode == 0, "\(outcome.output)")
            outcome = try AssayTool.run(["diff", model, target.string, "--tokens", model + "/tokens-short.json"])
            #expect(outcome.exitCode == 0 && outcome.output.contains("identical"), "\(outcome.output)")
        }
    }

    @Test(arguments: [("pytorch", "zip-tied.bin"), ("numpy", "row-major.npy"), ("ztensor", "small.zt")])
    func refusedFilesAreOneSentenceAndNothingIsWritten(_ format: String, _ twin: String) throws {
        let folder = Self.goldens.appending(format)
        for name in try SystemCall.names(in: folder.appending("refuse")) {
            let path = folder.appending("refuse").appending(name)
            // Some are refused when their data are read.
            try EveryCommand.mustRefuse(path, words: [], twin: nil, at: .reading)
        }
        try EveryCommand.mustAccept(folder.appending(twin))
    }

    @Test func deflatedHDF5IsTheSameForAnyNumberOfThreads() throws {
        let model = try TestModel()
        var files: Set<[UInt8]> = []
        for threads in ["1", "3"] {
            let target = model.folder.path.appending("x\(threads).h5")
            let outcome = try AssayTool.run(
                ["convert", model.weights.string, target.string, "--deflate", "3", "--threads", threads])
            #expect(outcome.exitCode == 0, "\(outcome.errors)")
            files.insert(try TestFiles.bytes(target))
        }
        #expect(files.count == 1)
    }

    @Test func zstdWithoutATableIsOneSentenceThatSaysWhatToDo() throws {
        let folder = try TemporaryFolder()
        let name = "checksums.safetensors.zst"
        let twin = Self.goldens.appending("seekable-zstd").appending(name)
        let path = try folder.write(name, Array(TestFiles.bytes(twin).dropLast(4)))
        try EveryCommand.mustRefuse(path, words: ["unpack it with 'zstd -d'"], twin: twin)
    }

    @Test func zTensorIsVerifiedByItsOwnDigests() throws {
        let model = try TestModel()
        var files: Set<[UInt8]> = []
        for threads in ["1", "3"] {
            let target = model.folder.path.appending("x\(threads).zt")
            let outcome = try AssayTool.run(
                ["convert", model.weights.string, target.string, "--threads", threads, "--certificate", "none"])
            #expect(outcome.exitCode == 0, "\(outcome.errors)")
            files.insert(try TestFiles.bytes(target))
        }
        #expect(files.count == 1)
        var bytes = try #require(files.first)
        let whole = try AssayTool.run(["verify", model.folder.path.appending("x1.zt").string])
        #expect(whole.exitCode == 0 && whole.output.contains("the container's own digests hold"), "\(whole.errors)")
        bytes[65536 + 5] ^= 1
        let damaged = try model.folder.write("damaged.zt", bytes)
        for command in [["verify"], ["inspect", "--digest"], ["convert", damaged.string + ".safetensors"]] {
            let outcome = try AssayTool.run([command[0], damaged.string] + command.dropFirst())
            #expect(outcome.exitCode == 3 && outcome.errors.contains("bytes of the digest xxh3:"), "\(outcome.errors)")
        }
        #expect(!model.folder.names.contains { $0.contains("damaged.zt.safetensors") })
    }

    @Test func seekableZstdIsTheSameForAnyNumberOfThreads() throws {
        let model = try TestModel()
        var files: Set<[UInt8]> = []
        for threads in ["1", "3"] {
            let target = model.folder.path.appending("x\(threads).safetensors.zst")
            let outcome = try AssayTool.run(
                ["convert", model.weights.string, target.string, "--threads", threads])
            #expect(outcome.exitCode == 0, "\(outcome.errors)")
            files.insert(try TestFiles.bytes(target))
        }
        #expect(files.count == 1)
        // Nothing else is left: two files with their certificates, and what the model brought.
        #expect(!model.folder.names.contains { $0.hasSuffix(".plain") || $0.hasSuffix(".assay-partial") })
    }

    @Test func zplanesCutShortAnywhereIsRefused() throws {
        let model = try TestModel()
        let whole = model.folder.path.appending("x.zplanes")
        #expect(try AssayTool.run(["convert", model.weights.string, whole.string]).exitCode == 0)
        let bytes = try TestFiles.bytes(whole)
        for count in [bytes.count - 1, bytes.count / 2, 100, 9] {
            let cut = try model.folder.write("cut.zplanes", Array(bytes.prefix(count)))
            let outcome = try AssayTool.run(["inspect", cut.string])
            #expect(outcome.exitCode == 3, "\(count): \(outcome.errors)")
        }
    }
}

@Suite struct Comparing {
    @Test func identicalScaledAndRoundedModelsGetTheirVerdicts() throws {
        let model = TestFiles.fixtures.appending("gpt2-kjv").string
        let tokens = model + "/tokens-short.json"
        let work = try TemporaryFolder()
        let (copy, rounded, int4) = (
            work.path.appending("copy").string, work.path.appending("bf16").string, work.path.appending("int4").string
        )
        #expect(try AssayTool.run(["convert", model, copy]).exitCode == 0)
        #expect(try AssayTool.run(["convert", model, rounded, "--dtype", "bf16"]).exitCode == 0)
        #expect(try AssayTool.run(["quantize", model, int4, "--scheme", "int4-g32"]).exitCode == 0)
        for (path, words) in [(copy, "identical"), (rounded, "storage"), (int4, "storage")] {
            let outcome = try AssayTool.run(["diff", model, path, "--tokens", tokens])
            #expect(outcome.exitCode == 0, "\(outcome.output)")
            #expect(outcome.output.contains(words), "\(outcome.output)")
        }
        try scaleGain(in: FilePath(copy).appending("model.safetensors"))
        let report = work.path.appending("report.html")
        let outcome = try AssayTool.run(["diff", model, copy, "--tokens", tokens, "--report", report.string])
        #expect(outcome.exitCode == 1)
        // The sentence is broken into lines of 80 columns.
        let text = outcome.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        #expect(text.contains("it starts at layers.2.attn_norm"), "\(text)")
        #expect(text.contains("'transformer.h.2.ln_1.weight'"), "\(text)")
        let html = String(decoding: try TestFiles.bytes(report), as: UTF8.self)
        #expect(html.contains("layers.2.attn_norm") && html.contains("<svg"))
    }

    /// Multiplies one LayerNorm gain by 1.01.
    private func scaleGain(in file: FilePath) throws {
        var bytes = try TestFiles.bytes(file)
        let header = 8 + (0..<8).reduce(0) { $0 | Int(bytes[$1]) << (8 * $1) }
        let value = try JSONValue(parsing: Array(bytes[8..<header]))
        let entry = try #require(value.object?["transformer.h.2.ln_1.weight"]?.object)
        let offsets = (entry["data_offsets"]?.array ?? []).compactMap { $0.int }
        for start in stride(from: header + offsets[0], to: header + offsets[1], by: 4) {
            let bits = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[start + $1]) << UInt32(8 * $1) }
            let scaled = (Float(bitPattern: bits) * 1.01).bitPattern
            for byte in 0..<4 { bytes[start + byte] = UInt8(truncatingIfNeeded: scaled >> UInt32(8 * byte)) }
        }
        try TestFiles.write(bytes, to: file)
    }
}

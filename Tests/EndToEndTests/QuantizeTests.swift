import AssayCheckpoints
import AssayFormats
import AssayTestSupport
import SystemPackage
import Testing

@Suite struct Quantizing {
    @Test(arguments: ["int8", "int8-g32", "int4-g32", "int4-g32-asym"])
    func aModelIsReportedVerifiedAndLoads(_ scheme: String) throws {
        let model = try TestModel("gpt2-tied-stored-head")
        let work = try TemporaryFolder()
        let target = work.path.appending("q").string
        var outcome = try AssayTool.run(["quantize", model.path, target, "--scheme", scheme])
        // A golden model may have inputs that no group of 32 divides; the tool must say so.
        guard outcome.exitCode == 0 else {
            #expect(outcome.exitCode == 64 && outcome.errors.contains("is not a multiple of the group size"))
            return
        }
        #expect(outcome.output.contains("SQNR dB"))
        outcome = try AssayTool.run(["verify", target, "--against", model.path])
        #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errors)")
        outcome = try AssayTool.run(["run", target, "--tokens", model.tokens])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
    }

    @Test func whatDoesNotFitIsListed() throws {
        let model = try TestModel()  // hidden 24: no group of 32 divides it, inner 96 does.
        let work = try TemporaryFolder()
        let outcome = try AssayTool.run([
            "quantize", model.path, work.path.appending("q").string, "--scheme", "int4-g32",
        ])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(
            outcome.errors.contains(
                "tensor 'transformer.h.0.attn.c_attn.weight' stays as it is: its input dimension 24 is not a multiple of the group size 32"
            ),
            "\(outcome.errors)")
    }

    @Test(arguments: [
        ["int8", "--no-clipping"], ["int8", "--scale-type", "bf16"], ["int8", "--allow-non-finite", "--no-clipping"],
        ["q4_0"], ["q8_0"],
    ])
    func whateverWasChosenCanBeRepeated(_ choices: [String]) throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        let target = work.path.appending("q")
        let outcome = try AssayTool.run(["quantize", model.path, target.string, "--scheme"] + choices)
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        let verification = try Verification(target.string, "--against", model.path)
        #expect(verification.exitCode == 0 && verification.missing.isEmpty, "\(verification.text)")
        // The figures too are those that come of it.
        let certificate = target.appending("certificate.json")
        try replace(#""relativeL2":0."#, #""relativeL2":1."#, in: certificate)
        let forged = try Verification(target.string, "--against", model.path)
        #expect(forged.exitCode == 3 && forged.names("other figures").count == 1, "\(forged.text)")
    }

    /// Its configuration would speak of the second quantization alone.
    @Test func whatIsQuantizedAlreadyIsNotQuantizedAgain() throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        let (first, second) = (work.path.appending("first").string, work.path.appending("second").string)
        try make("quantize", model.path, first, "--scheme", "int8", "--keep", "*mlp*")
        let outcome = try AssayTool.run(["quantize", first, second, "--scheme", "int4-g32"])
        #expect(outcome.exitCode == 64 && outcome.errors.contains("is quantized already"), "\(outcome)")
        #expect(work.names == ["first"])
    }

    @Test func aBareFileNeedsToBeToldItsWeights() throws {
        let model = try TestModel()
        let target = model.folder.path.appending("q.safetensors").string
        let outcome = try AssayTool.run(["quantize", model.weights.string, target, "--scheme", "int8"])
        #expect(outcome.exitCode == 64)
        #expect(outcome.errors.contains("--include"))
    }

    @Test func isTheSameForAnyNumberOfThreadsAndAtEveryLevel() throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        var files: Set<[UInt8]> = []
        for (index, environment) in [["ASSAY_CPU": "scalar"], [:], [:]].enumerated() {
            let target = work.path.appending("q\(index)")
            let outcome = try AssayTool.run(
                ["quantize", model.path, target.string, "--scheme", "int8", "--threads", "\(index + 1)"],
                environment: environment)
            #expect(outcome.exitCode == 0, "\(outcome.errors)")
            files.insert(try TestFiles.bytes(target.appending("model.safetensors")))
        }
        #expect(files.count == 1)
    }

    /// The weight is quantized under one name, and stays what it was under the other.
    @Test(arguments: [("q.safetensors", "int8"), ("q.zplanes", "q8_0"), ("q.gguf", "q8_0")])
    func aSecondNameOfAWeightIsChosenByItself(_ name: String, _ scheme: String) throws {
        let work = try TemporaryFolder()
        var random = SeededRandom(seed: 3)
        let header =
            #"{"__metadata__":{"t.weight":"a.weight"},"#
            + #""a.weight":{"dtype":"F32","shape":[4,32],"data_offsets":[0,512]}}"#
        let data = random.floats(128, 1).withUnsafeBytes { Array($0) }
        let source = try work.write("a.safetensors", SafetensorsBytes.file(header, data: data)).string
        let target = work.path.appending(name)
        try make("quantize", source, target.string, "--scheme", scheme, "--include", "a.weight")
        let reader = try Checkpoint.open(target).reader
        let kept = try #require(reader.contents.indexByName()["t.weight"])
        #expect(try reader.bytes(of: kept) == data)
        let verification = try Verification(target.string, "--against", source)
        #expect(verification.exitCode == 0, "\(verification.text)")
    }

    // MARK: Blocks

    /// The rows that the gguf package quantized, quantized here: the same bytes. Three of them no block can hold.
    @Test(arguments: ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"])
    func blocksAreThoseOfThePackage(_ scheme: String) throws {
        let golden = try Checkpoint.open(GGUFFiles.folder.appending("quantized.gguf")).reader
        func rows(_ name: String) throws -> [ArraySlice<UInt8>] {
            let bytes = try golden.bytes(of: try #require(golden.contents.indexByName()[name]))
            let size = bytes.count / 24
            return (0..<24).filter { !(7...9).contains($0) }.map { bytes[$0 * size..<($0 + 1) * size] }
        }
        let work = try TemporaryFolder()
        let header = #"{"w":{"dtype":"F32","shape":[21,64],"data_offsets":[0,5376]}}"#
        let source = try work.write(
            "a.safetensors", SafetensorsBytes.file(header, data: Array(try rows("values").joined())))
        let target = work.path.appending("b.gguf")
        let outcome = try AssayTool.run([
            "quantize", source.string, target.string, "--scheme", scheme, "--include", "w",
        ])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(try Checkpoint.open(target).reader.bytes(of: 0) == Array(try rows(scheme).joined()))
        let verified = try AssayTool.run(["verify", target.string, "--against", source.string])
        #expect(verified.exitCode == 0, "\(verified.output)\(verified.errors)")
    }

    @Test func blocksOfAModelAreReportedVerifiedAndLoad() throws {
        let model = try TestModel()  // hidden 24, inner 96
        let work = try TemporaryFolder()
        let target = work.path.appending("q").string
        var outcome = try AssayTool.run(["quantize", model.path, target, "--scheme", "q8_0"])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(
            outcome.output.contains("SQNR dB") && outcome.output.contains("× cast F32 to q8_0"), "\(outcome.output)")
        #expect(
            outcome.errors.contains("stays as it is: its rows of 24 elements are no multiple of 32"),
            "\(outcome.errors)")
        #expect(outcome.errors.contains("their blocks run along the outputs"), "\(outcome.errors)")
        outcome = try AssayTool.run(["verify", target, "--against", model.path])
        #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errors)")
        outcome = try AssayTool.run(["run", target, "--tokens", model.tokens])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        let metadata = try assayJSON("inspect", target).object?["shownMetadata"]?.object
        #expect(metadata?["general.file_type"] == "u32 7" && metadata?["general.quantization_version"] == "u32 2")
        // Again from there: nothing is left to do.
        outcome = try AssayTool.run(["quantize", target, work.path.appending("r").string, "--scheme", "q8_0"])
        #expect(
            outcome.exitCode == 64 && outcome.errors.contains("no weight can be quantized with q8_0"),
            "\(outcome.errors)")
    }

    @Test(arguments: [
        (
            ["x.safetensors", "--scheme", "q4_0"], 64,
            "safetensors cannot hold q4_0; these can: zplanes, gguf, gguf.zst"
        ),
        (["x.gguf", "--scheme", "q4_0", "--scale-type", "f16"], 64, "--scale-type: has no effect with --scheme q4_0"),
        (["x.gguf", "--scheme", "q4_0", "--allow-non-finite"], 64, "--allow-non-finite: has no effect"),
        (["x.gguf", "--scheme", "q4_K"], 64, "'q4_K' is none; choose one of int8"),
    ]) func whatBlocksCannotBeIsRefused(_ arguments: [String], _ code: Int32, _ words: String) throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        let outcome = try AssayTool.run(
            ["quantize", model.path, work.path.appending(arguments[0]).string] + arguments.dropFirst())
        #expect(outcome.exitCode == code && outcome.errors.contains(words), "\(outcome.errors)")
        #expect(work.names == [])
    }

    /// One such element would make its whole block so; and so would a scale that float16 cannot hold.
    @Test(arguments: [
        ([0, 0, 0x80, 0x7F], "is Inf, which q5_0 cannot hold"), ([0, 0, 0xC0, 0xFF], "is NaN, which q5_0 cannot hold"),
        (
            [0, 0, 0, 0x7F],
            "is in a block whose range, 0.0 to 1.7014118e+38, is too wide for the scale of q5_0"
        ),
    ]) func blocksHoldNothingThatIsNotFinite(_ element: [UInt8], _ words: String) throws {
        let work = try TemporaryFolder()
        let header = #"{"w":{"dtype":"F32","shape":[2,32],"data_offsets":[0,256]}}"#
        var data = SafetensorsBytes.zeros(256)
        data.replaceSubrange(132..<136, with: element)
        let source = try work.write("a.safetensors", SafetensorsBytes.file(header, data: data))
        let outcome = try AssayTool.run([
            "quantize", source.string, work.path.appending("b.gguf").string, "--scheme", "q5_0", "--include", "w",
        ])
        #expect(outcome.exitCode == 1, "\(outcome.errors)")
        #expect(
            outcome.errors.contains("tensor 'w': element [1, ") && outcome.errors.contains(words), "\(outcome.errors)")
        #expect(outcome.errors.contains("a.safetensors: tensor 'w'"), "\(outcome.errors)")
        #expect(work.names == ["a.safetensors"])
    }

    /// A finite number of float64 that float32 lacks is lost before any scheme sees it, and no infinity.
    @Test(arguments: [
        ["int8"], ["int8", "--allow-non-finite"], ["int4-g32-asym", "--allow-non-finite"],
        ["int8", "--scale-type", "f16"],
        ["q8_0"],
    ]) func numbersBeyondFloat32AreNoInfinities(_ scheme: [String]) throws {
        let work = try TemporaryFolder()
        let header = #"{"w.weight":{"dtype":"F64","shape":[2,32],"data_offsets":[0,512]}}"#
        var data = SafetensorsBytes.zeros(512)
        data.replaceSubrange(264..<272, with: withUnsafeBytes(of: -1e300) { Array($0) })
        let source = try work.write("a.safetensors", SafetensorsBytes.file(header, data: data))
        let outcome = try AssayTool.run(
            ["quantize", source.string, work.path.appending("b").string, "--include", "w.weight", "--scheme"] + scheme)
        #expect(outcome.exitCode == 1, "\(outcome.errors)")
        #expect(
            outcome.errors.contains(
                "a.safetensors: tensor 'w.weight': element [1, 1] is -1e+300, which \(scheme[0]) cannot hold: it is made of"
                    + " F32, which ends at 3.4028235e+38"), "\(outcome.errors)")
        #expect(work.names == ["a.safetensors"])
    }

    @Test func whatWasReplacedIsTold() throws {
        let work = try TemporaryFolder()
        let header = #"{"w.weight":{"dtype":"F32","shape":[2,32],"data_offsets":[0,256]}}"#
        var data = SafetensorsBytes.zeros(256)
        data.replaceSubrange(132..<136, with: [0, 0, 0x80, 0x7F])
        let source = try work.write("a.safetensors", SafetensorsBytes.file(header, data: data))
        let outcome = try AssayTool.run([
            "quantize", source.string, work.path.appending("b").string, "--include", "w.weight", "--scheme", "int8",
            "--allow-non-finite",
        ])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(outcome.output.contains("replaced     1 element, not finite"), "\(outcome.output)")
    }

    /// What `quantize` cannot leave out it does not advise to.
    @Test func adviceIsWhatCanBeDone() throws {
        let work = try TemporaryFolder()
        let header =
            #"{"w":{"dtype":"F32","shape":[2,32],"data_offsets":[0,256]},"e":{"dtype":"F32","shape":[0,32],"data_offsets":[256,256]}}"#
        let source = try work.write(
            "a.safetensors", SafetensorsBytes.file(header, data: SafetensorsBytes.zeros(256)))
        let outcome = try AssayTool.run([
            "quantize", source.string, work.path.appending("b.gguf").string, "--scheme", "q8_0", "--include", "w",
        ])
        #expect(outcome.exitCode == 64, "\(outcome.errors)")
        #expect(
            outcome.errors.contains("choose another format, or let 'assay convert' leave it out before"),
            "\(outcome.errors)")
    }
}

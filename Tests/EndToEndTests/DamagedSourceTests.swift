import AssayCheckpoints
import AssayFormats
import AssayTestSupport
import SystemPackage
import Testing

/// Damage of which the container's own checksums tell, in every way in which the bytes may be read.
@Suite struct DamagedSources {
    private static let trials = Trials(
        "Catalogue",
        "a byte of data changed that a checksum of its container covers, read whole, cut, turned, and by rows",
        findings: [
            "damage in an archive passed where a map cut the tensor along an inner axis, or only rows of it were read",
            "damage in a zTensor file passed where no digests were taken, or a map turned the tensor",
        ])

    /// A tensor of 16 rows of 32, converted to a format, with a byte of its data changed.
    private func damaged(_ name: String, in folder: TemporaryFolder) throws -> FilePath {
        var random = SeededRandom(seed: 9)
        let data = random.floats(512, 1).withUnsafeBytes { Array($0) }
        let header = #"{"w.weight":{"dtype":"F32","shape":[16,32],"data_offsets":[0,2048]}}"#
        let source = try folder.write("source.safetensors", SafetensorsBytes.file(header, data: data))
        let path = folder.path.appending(name)
        try make("convert", source.string, path.string, "--certificate", "none")
        let bytes = try TestFiles.bytes(path)
        let place = try #require(bytes.firstRange(of: data)).lowerBound
        try flipBit(at: place + 101, of: path)
        return path
    }

    private static let maps: [String?] = [
        nil, #"{"assayMap":1,"rules":[{"from":"w.weight","to":["a","b"],"axis":1}]}"#,
        #"{"assayMap":1,"rules":[{"from":"w.weight","to":["a","b"],"axis":0}]}"#,
        #"{"assayMap":1,"rules":[{"from":"w.weight","to":"v","transpose":[1,0]}]}"#,
    ]

    @Test(
        arguments: ["x.npz", "x.pt", "x.zt"],
        [[], ["--certificate", "none"], ["--certificate", "none", "--no-verify"]])
    func areRefusedWhateverTheMap(_ name: String, _ options: [String]) throws {
        let folder = try TemporaryFolder()
        let path = try damaged(name, in: folder)
        for (number, map) in Self.maps.enumerated() {
            let target = folder.path.appending("made-\(number).safetensors")
            let words = try map.map { ["--map", try folder.write("map.json", Array($0.utf8)).string] } ?? []
            let outcome = try AssayTool.run(["convert", path.string, target.string] + options + words)
            #expect(outcome.exitCode == 3, "\(map ?? "no map"): \(outcome)")
            #expect(try SystemCall.status(target) == nil)
        }
        let blocks = folder.path.appending("q.gguf")
        let quantized = try AssayTool.run(
            ["quantize", path.string, blocks.string, "--scheme", "q8_0", "--include", "*"] + options)
        #expect(quantized.exitCode == 3, "\(quantized)")
        #expect(try SystemCall.status(blocks) == nil)
        try Self.trials.record(Self.maps.count + 1)
    }

    /// Rows of the embedding are all that a forward pass reads of it.
    @Test(arguments: ["npz", "bin"]) func areRefusedWhereRowsAreRead(_ format: String) throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        let copy = work.path.appending("copy")
        try make(
            "convert", model.path, copy.string, "--to", format == "bin" ? "pytorch" : format, "--certificate", "none")
        let reader = try Checkpoint.open(FilePath(model.path)).reader
        let index = try #require(reader.contents.indexByName()["transformer.wpe.weight"])
        let data = try reader.bytes(of: index)
        let name = try #require(try SystemCall.names(in: copy).first { $0.hasSuffix(format) })
        let place = try #require(try TestFiles.bytes(copy.appending(name)).firstRange(of: data)).lowerBound
        // In the last row, which nobody needs.
        try flipBit(at: place + data.count - 2, of: copy.appending(name))
        let outcome = try AssayTool.run(["run", copy.string, "--tokens", model.tokens])
        #expect(outcome.exitCode == 3 && outcome.errors.contains("CRC-32"), "\(outcome)")
        try Self.trials.record(1)
    }
}

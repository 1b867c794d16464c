import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

/// Files of Keras and transformers through the real binary.
@Suite struct KerasFiles {
    private static let folder = TestFiles.fixtures.appending("golden").appending("keras")
    private static let names = [
        "keras3.keras", "keras3-narrow.keras", "keras3.weights.h5", "keras3-model.h5", "keras2-weights.h5",
        "keras2-model.h5", "keras2.keras", "keras2-long-names.h5", "transformers/tf_model.h5", "transformers-sharded",
    ]

    @Test(arguments: names) func throughSafetensorsAndBack(_ name: String) throws {
        let work = try TemporaryFolder()
        let source = Self.folder.appending(name).string
        // A file goes to a file, a folder to a folder.
        let isFolder = !name.contains(".")
        let middle = work.path.appending(isFolder ? "middle" : "middle.safetensors").string
        let back = work.path.appending(isFolder ? "back" : "back.h5").string
        for (from, to, format) in [(source, middle, "safetensors"), (middle, back, "hdf5")] {
            var outcome = try AssayTool.run(["convert", from, to] + (isFolder ? ["--to", format] : []))
            #expect(outcome.exitCode == 0, "\(outcome.errors)")
            outcome = try AssayTool.run(["verify", to, "--against", from])
            #expect(outcome.exitCode == 0, "\(outcome.output)\(outcome.errors)")
        }
        let digests = try [source, middle, back].map {
            try assayJSON("inspect", $0, "--digest").object?["contentDigest"]?.string
        }
        #expect(digests[0] != nil && Set(digests).count == 1)
    }

    @Test func inspectSaysWhatAnArchiveIs() throws {
        let outcome = try AssayTool.run(["inspect", Self.folder.appending("keras3.keras").string])
        #expect(outcome.exitCode == 0)
        for line in ["  format      hdf5, 5", "  keras       3.15.1", "  class       Functional 'small'"] {
            #expect(outcome.output.contains(line), "\(line)\n\(outcome.output)")
        }
    }

    @Test func archivesAreNotWrittenAndThoseThatAreRefusedSayWhatToDo() throws {
        let work = try TemporaryFolder()
        let source = Self.folder.appending("keras3-narrow.weights.h5").string
        var outcome = try AssayTool.run(["convert", source, work.path.appending("out.keras").string])
        #expect(
            outcome.exitCode == 64 && outcome.errors.contains("cannot write Keras archives yet"), "\(outcome.errors)")
        let deflated = Self.folder.appending("refuse").appending("deflated.keras").string
        outcome = try AssayTool.run(["convert", deflated, work.path.appending("out.safetensors").string])
        #expect(
            outcome.exitCode == 3 && outcome.errors.contains("'unzip ARCHIVE model.weights.h5'"), "\(outcome.errors)")
        #expect(work.names.isEmpty)
    }

    /// One byte apart: a name in the list that no dataset has.
    @Test func aListedWeightThatIsNotThereIsADifferenceOfStructure() throws {
        let work = try TemporaryFolder()
        var bytes = try TestFiles.bytes(Self.folder.appending("keras2-weights.h5"))
        let name = Array("head/bias:0".utf8)
        let start = try #require(
            bytes.indices.dropLast(name.count).first { Array(bytes[$0..<$0 + name.count]) == name })
        let path = try work.write("x.h5", bytes)
        #expect(try AssayTool.run(["inspect", path.string]).exitCode == 0)
        bytes[start + 8] = UInt8(ascii: "z")
        try work.write("x.h5", bytes)
        for command in [["inspect"], ["verify"], ["convert", work.path.appending("out.safetensors").string]] {
            let outcome = try AssayTool.run([command[0], path.string] + command.dropFirst())
            #expect(outcome.exitCode == 2, "\(outcome.errors)")
            #expect(
                outcome.errors.contains(
                    "attribute 'weight_names' of group '/head/' names datasets that are not in the file (1):"
                        + " /head/head/biaz:0"), "\(outcome.errors)")
        }
        #expect(work.names == ["x.h5"])
    }
}

import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// Rows H04 to H24 of what HDF5 files must not get away with, through every command of the real binary; each with the nearest
/// file that is accepted.
@Suite struct HDF5Refusals {
    struct Row: Sendable, CustomTestStringConvertible {
        /// In `golden/hdf5/refuse`.
        var name: String
        /// What the sentence says.
        var words: [String]
        /// In `golden`.
        var twin: String
        var testDescription: String { name }

        init(_ name: String, _ words: String..., twin: String) {
            self.name = name + ".h5"
            self.words = words
            self.twin = twin
        }
    }

    private static let goldens = TestFiles.fixtures.appending("golden")
    private static let refused = goldens.appending("hdf5").appending("refuse")

    private static let filters = "expected the filters deflate, LZF, shuffle and fletcher32 alone"
    private static let numbers = "expected plain integers or floating-point numbers"

    static let rows: [Row] = [
        // Links and data out of the file; links that end nowhere.
        Row("external-link", "'/linked'", "an external link to 'elsewhere.h5:/secret'", twin: "hdf5/groups.h5"),
        Row("external-link-in-group", "'/group/linked'", "an external link", twin: "hdf5/groups.h5"),
        Row("external-storage", "'stolen'", "external storage in '/etc/passwd'", twin: "hdf5/layouts.h5"),
        Row("virtual", "'virtual'", "a virtual dataset over 'elsewhere.h5'", twin: "hdf5/chunked.h5"),
        Row("soft-link", "'/soft'", "a soft link to '/fine'", twin: "hdf5/groups.h5"),
        Row("soft-link-cycle", "'/s1'", "a soft link to '/s2'", twin: "hdf5/groups.h5"),
        Row("soft-link-dangling", "'/dangling'", "a soft link to '/nowhere'", twin: "hdf5/groups.h5"),
        // Declared, and not there.
        Row("16-pib-gzip", "'huge'", "18014398509481984 bytes declared and 0 stored", twin: "hdf5/fill-values.h5"),
        Row(
            "16-pib-contiguous", "'huge'", "18014398509481984 bytes declared and 0 stored", twin: "hdf5/fill-values.h5"),
        // Filters.
        Row("zstd", filters, "filter 32015 (zstd), which is not available", "h5repack", twin: "hdf5/lzf.h5"),
        Row("bitshuffle", filters, "filter 32008 (bitshuffle)", "h5repack", twin: "hdf5/lzf.h5"),
        Row("lz4", filters, "filter 32004 (lz4)", "h5repack", twin: "hdf5/lzf.h5"),
        Row("blosc2", filters, "filter 32026 (blosc2)", "h5repack", twin: "hdf5/lzf.h5"),
        Row("pytables-blosc", filters, "filter 32001 (blosc)", "h5repack", twin: "hdf5/pytables.h5"),
        Row("pytables-bzip2", filters, "filter 307 (bzip2)", "h5repack", twin: "hdf5/pytables.h5"),
        Row("scale-offset", filters, "filter 6 (scaleoffset)", "h5repack", twin: "hdf5/chunked.h5"),
        Row("corrupt-deflate", "'damaged'", "chunk [10, 0]", "damaged deflate data", twin: "hdf5/chunked.h5"),
        Row("corrupt-fletcher32", "'damaged'", "chunk [10, 0]", "the checksum 0x", twin: "hdf5/chunked.h5"),
        Row("corrupt-lzf", "'damaged'", "chunk [10, 0] to hold a stream of 800 bytes", twin: "hdf5/lzf.h5"),
        // What is no tensor.
        Row("compound", "'pair'", numbers, "a compound type of 8 bytes", twin: "hdf5/types.h5"),
        Row("complex128", "'z'", numbers, "a compound type of 16 bytes", twin: "hdf5/types.h5"),
        Row("pytables-table", "'rows'", numbers, "a compound type of 12 bytes", twin: "hdf5/pytables.h5"),
        Row("enum", "'colour'", numbers, "an enumeration that is not FALSE and TRUE", twin: "hdf5/types.h5"),
        Row("opaque", "'opaque'", numbers, "the type 'opaque'", twin: "keras/keras3-narrow.weights.h5"),
        Row("reference", "'pointer'", numbers, "the type 'reference'", twin: "hdf5/types.h5"),
        Row("array-type", "'array'", numbers, "the type 'array'", twin: "hdf5/types.h5"),
        Row("bitfield", "'bits'", numbers, "the type 'bit field'", twin: "hdf5/types.h5"),
        Row("pytables-bool", "'bits'", numbers, "the type 'bit field'", twin: "hdf5/pytables.h5"),
        Row("pytables-ragged", "'ragged'", numbers, "the type 'variable-length'", twin: "hdf5/pytables.h5"),
        Row("vlen-strings", "'words'", numbers, "the type 'string'", twin: "hdf5/attributes.h5"),
        Row("vlen-numbers", "'ragged'", numbers, "the type 'variable-length'", twin: "hdf5/attributes.h5"),
        Row("fixed-strings", "'words'", numbers, "the type 'string'", twin: "hdf5/attributes.h5"),
        Row("float80", "'long'", numbers, "a float of 80 bits in 16 bytes", "bias 16383", twin: "hdf5/types.h5"),
        Row("float-odd-bias", "'odd'", numbers, "bias 100", twin: "hdf5/small-floats.h5"),
        Row("int-odd-precision", "'odd'", numbers, "an integer of 24 bits in 4 bytes", twin: "hdf5/types.h5"),
    ]

    @Test(arguments: rows) func everyCommandRefusesTheFile(_ row: Row) throws {
        let path = Self.refused.appending(row.name)
        // Damage shows where data are read, which diff does of tensors that both sides have.
        let isDamage = row.name.hasPrefix("corrupt-")
        try EveryCommand.mustRefuse(
            path, words: row.words, twin: isDamage ? path : Self.goldens.appending(row.twin),
            at: isDamage ? .reading : .opening)
    }

    @Test(arguments: Set(rows.map(\.twin)).sorted()) func everyCommandAcceptsTheTwin(_ name: String) throws {
        try EveryCommand.mustAccept(Self.goldens.appending(name))
    }

    @Test func everyRefusedFileIsInTheTable() throws {
        // A group inside itself is visited once, with a warning.
        let names = try SystemCall.names(in: Self.refused).filter { $0 != "group-loop.h5" }
        #expect(Set(names) == Set(Self.rows.map(\.name)) && names.count == Self.rows.count)
        let outcome = try AssayTool.run(["inspect", Self.refused.appending("group-loop.h5").string, "--digest"])
        #expect(outcome.exitCode == 0 && outcome.output.contains("'/g/loop' is the group '/g', which"))
    }

    /// Whoever opened what lies there for reading would wait for ever.
    @Test func pluginsAreNotLookedFor() throws {
        let folder = try TemporaryFolder()
        #expect(mkfifo(folder.path.appending("libh5zstd.so").string, 0o600) == 0)
        let outcome = try AssayTool.run(
            ["inspect", Self.refused.appending("zstd.h5").string],
            environment: ["HDF5_PLUGIN_PATH": folder.path.string, "HDF5_PLUGIN_PRELOAD": "*"])
        #expect(outcome.exitCode == 3 && outcome.errors.contains("filter 32015 (zstd)"), "\(outcome.errors)")
    }

    /// A member of no bytes has made libhdf5 divide by nothing.
    @Test func aCompoundWithAMemberOfNoBytesIsRefused() throws {
        let folder = try TemporaryFolder()
        var bytes = try TestFiles.bytes(Self.refused.appending("compound.h5"))
        let float: [UInt8] = [0x11, 0x20, 0x1F, 0x00, 4, 0, 0, 0]
        let places = bytes.indices.dropLast(8).filter { Array(bytes[$0..<$0 + 8]) == float }
        try #require(!places.isEmpty)
        for place in places { bytes[place + 4] = 0 }
        let path = try folder.write("x.h5", bytes)
        let outcome = try AssayTool.run(["inspect", path.string, "--digest"])
        #expect(outcome.exitCode == 3, "\(outcome.exitCode) \(outcome.errors)")
        #expect(outcome.errors.contains("x.h5: "))
    }

    /// Code in a configuration is text like any other.
    @Test func configurationsAreNotCarriedOut() throws {
        let folder = try TemporaryFolder()
        let trace = folder.path.appending("trace").string
        let configuration = """
            {"class_name": "Lambda", "module": "os", "config": {"name": "system", "function": {"class_name":
             "__lambda__", "config": {"code": "__import__('os').system('touch \(trace)')"}}}}
            """
        let weights = try TestFiles.bytes(Self.goldens.appending("keras").appending("keras3-narrow.weights.h5"))
        let archive = ZipBytes([
            ZipBytes.Member("config.json", Array(configuration.utf8)), ZipBytes.Member("model.weights.h5", weights),
        ])
        let source = try folder.write("x.keras", archive.bytes).string
        let outcome = try AssayTool.run(["convert", source, folder.path.appending("x.safetensors").string])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(try AssayTool.run(["inspect", source]).output.contains("class       Lambda 'system'"))
        #expect(!folder.names.contains("trace") && folder.names.contains("x.safetensors"))
    }
}

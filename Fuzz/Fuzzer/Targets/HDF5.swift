import AssayCheckpoints

@testable import AssayFormats

extension FuzzTarget {
    /// The path as a whole: libhdf5 in a process of its own, what that says, and the bytes of the tensors. The fuzzer sees
    /// the near side of the wall only; what dies behind it costs a sentence.
    static let hdf5 = FuzzTarget(
        name: "hdf5", fixtures: ["golden/hdf5/*.h5", "golden/hdf5/refuse/*.h5", "golden/keras/*.h5"],
        maximumByteCount: 36_000
    ) { bytes in
        let file = try InputFile(UnnamedFile.holding(bytes))
        guard try HDF5.recognizes(file) else { return }
        try Reading.everything(of: HDF5.open(file, ReadingOptions(hdf5Helper: "/proc/self/exe")))
    }

    /// What the helper says of a file, a NUL, and the file: a helper that a file took over can say what it likes.
    static let hdf5Listing = FuzzTarget(
        name: "hdf5-listing",
        words: [
            "{\"dataset\":\"/", "\"type\":{\"class\":\"integer\",\"size\":", "\"order\":\"little\"", "\"precision\":",
            "\"signed\":true", "{\"class\":\"float\"", "\"shape\":[", "\"stored\":", "\"contiguous\":",
            "\"compact\":\"",
            "\"chunk\":[", "\"filters\":[[1,\"deflate\",[1]]", "[2,\"shuffle\",[4]]", "[3,\"fletcher32\",[]]",
            "[32000,\"lzf\",[4,261,64]]", "\"offsets\":[", "\"sizes\":[", "\"masks\":[", "\"fill\":\"",
            "\"attributes\":{",
            "{\"group\":\"/\",\"empty\":false,", "{\"alias\":\"/", "\"of\":\"/", "{\"warning\":\"", "{\"error\":[",
            "{\"end\":",
            "\"layer_names\":", "\"weight_names\":", "{\"type\":\"utf8[8]\",\"shape\":[],\"value\":",
        ],
        maximumByteCount: 12_000
    ) { bytes in
        let cut = bytes.firstIndex(of: 0) ?? bytes.endIndex
        let file = MemoryFile.holding(Array(bytes.dropFirst(cut + 1)))
        try Reading.everything(
            of: HDF5.reader(of: file, by: "helper", ReadingOptions()) { take in
                // In two pieces, as the end of a pipe may cut it.
                let middle = cut / 2
                try bytes[..<middle].withUnsafeBytes(take)
                try bytes[middle..<cut].withUnsafeBytes(take)
            })
    }

    /// Two bytes of length, and a stream.
    static let lzf = FuzzTarget(name: "lzf", maximumByteCount: 1024) { bytes in
        guard bytes.count >= 2 else { return }
        var result = [UInt8](repeating: 0, count: Int(bytes[0]) << 4 | Int(bytes[1]) >> 4)
        do {
            try result.withUnsafeMutableBytes { result in
                try bytes[2...].withUnsafeBytes { try LZF.decompress($0, into: result) }
            }
        } catch is HDF5FilterPipeline.Damage {}
    }

    static let keras = FuzzTarget(
        name: "keras", words: ["model.weights.h5", "config.json", "metadata.json", "class_name", "keras_version"]
    ) { bytes in
        let file = MemoryFile.holding(bytes)
        guard try KerasArchive.recognizes(file) else { return }
        let archive = try KerasArchive(file)
        for warning in archive.warnings { Judge.require(Judge.isSentence(warning), warning) }
        for detail in archive.details { Judge.require(Judge.isSentence(detail.value + "."), detail.value) }
        try archive.withWeights { _ = try $0.bytes(0..<$0.byteCount) }
    }
}

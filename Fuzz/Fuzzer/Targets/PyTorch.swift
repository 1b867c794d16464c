import AssayCheckpoints
import AssayFormats

extension FuzzTarget {
    static let torch = files(
        of: PyTorch.self, "torch", fixtures: ["golden/pytorch/*", "golden/pytorch/refuse/*"], words: words)

    /// A pickle, a NUL behind each of two lengths, and what the storages hold: the archive is put around it, so that the
    /// interpreter alone is in the way.
    static let pickle = FuzzTarget(name: "pickle", words: words, maximumByteCount: 4096) { bytes in
        let storage = [UInt8](repeating: 1, count: 64)
        let archive = StoredZip([
            ("a/data.pkl", bytes), ("a/version", Array("3\n".utf8)), ("a/byteorder", Array("little".utf8)),
            ("a/data/0", storage), ("a/data/1", Array(storage[..<4])), ("a/data/2", []),
        ])
        try Reading.everything(of: PyTorch.open(MemoryFile.holding(archive.bytes), ReadingOptions()))
    }

    private static let words = [
        "ctorch._utils\n_rebuild_tensor_v2\n", "ctorch._utils\n_rebuild_parameter\n", "ctorch\nFloatStorage\n",
        "ctorch\nHalfStorage\n", "ccollections\nOrderedDict\n", "ctorch.storage\nUntypedStorage\n",
        "cnumpy.core.multiarray\nscalar\n", "cnumpy\ndtype\n", "ctorch\nbfloat16\n", "X\u{7}\0\0\0storage",
        "X\u{3}\0\0\0cpu",
    ]
}

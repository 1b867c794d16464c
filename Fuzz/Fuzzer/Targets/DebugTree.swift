import AssayCheckpoints

@testable import AssayFormats

extension FuzzTarget {
    /// The tree of a forward pass that transformers writes beside its tensors.
    static let debugTree = FuzzTarget(
        name: "debug-tree",
        words: [
            "\"module_path\":", "\"inputs\":", "\"outputs\":", "\"children\":[", "\"args\":[", "\"kwargs\":{",
            "\"shape\":\"torch.Size([2, 7])\"", "\"dtype\":\"torch.float32\"", "\"value\":\"./a.safetensors\"", "A.b",
        ]
    ) { bytes in
        let tree = try DebugTree(of: MemoryFile.holding(bytes, named: "A_debug_tree_FULL_TENSORS.json"))
        Judge.require(NameSet(tree.values.map(\.name)).count == tree.values.count, "a name twice")
        for name in tree.values.map(\.fileName) {
            Judge.require(!name.utf8.contains(UInt8(ascii: "/")) && name != "..", "a file elsewhere: \(name)")
        }
    }
}

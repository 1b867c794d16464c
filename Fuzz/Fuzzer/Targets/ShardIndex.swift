import AssayCheckpoints

@testable import AssayFormats

extension FuzzTarget {
    static let shardIndex = FuzzTarget(
        name: "shard-index", fixtures: ["golden/*/sharded/*.index.json"],
        words: [
            "\"weight_map\":", "\"metadata\":", "\"total_size\":", ".safetensors", ".index.json", "-00001-of-00002",
        ],
        maximumByteCount: 2048
    ) { bytes in
        let index = try ShardIndex(of: MemoryFile.holding(bytes, named: "model.safetensors.index.json"))
        for name in index.files.map(\.name) {
            Judge.require(!name.utf8.contains(UInt8(ascii: "/")) && name != "..", name)
            if let part = PartName(name) {
                _ = try? PartName.paths(
                    of: "a", CheckpointPart(number: part.number, count: min(part.count, 9), tensorCount: nil),
                    suffix: part.suffix)
            }
        }
        let files = NameSet(index.files.map(\.name))
        Judge.require(files.count == index.files.count, "a file twice")
        let renamed = index.renamed { String($0.dropLast()) }
        Judge.require(renamed.tensorCount == index.tensorCount, "tensors lost")
        for name in try index.fileNames("model.safetensors.index.json").pairs.map(\.value) {
            Judge.require(files.contains(name), name)
        }
    }
}

import AssayCheckpoints
import SystemPackage

/// The index of a checkpoint in shards, as the Hugging Face libraries write it: `weight_map` from tensor name to the
/// file that holds it, `metadata.total_size` in bytes.
package struct ShardIndex {
    package static let fileSuffix = ".index.json"
    static let maximumByteCount = 256 << 20

    /// Each file once, in the order of their names.
    var fileNames: [String]
    /// The file of every tensor, a string each.
    private var weightMap: JSONObject
    /// As it stands there: other programs write all sorts of it.
    var totalSize: JSONValue?
    /// What else `metadata` says.
    var metadata: [(key: String, value: String)]

    /// - Throws: `CheckpointError` where the index is not one.
    init(of file: InputFile) throws {
        let value = try JSONValue(reading: file, "an index", atMost: Self.maximumByteCount)
        guard let map = value.object?["weight_map"]?.object else {
            throw CheckpointError(
                file.path, .part("weight_map"), expected: "an object from tensor names to file names",
                found: value.object?["weight_map"]?.kind ?? "none")
        }
        weightMap = map
        var known = NameSet()
        fileNames = []
        for (name, value) in map.members {
            let fileName = try Self.fileName(value, of: name, file.path)
            if known.insert(fileName) { fileNames.append(fileName) }
        }
        fileNames = fileNames.map { ExactName($0) }.sorted().map(\.text)
        let about = value.object?["metadata"]?.object
        totalSize = about?["total_size"]
        metadata = (about?.members ?? []).compactMap { key, value in
            guard key != "total_size" else { return nil }
            return (key, value.string ?? value.compactText)
        }
    }

    /// The file that a tensor is said to be in, or nil.
    func fileName(of tensor: String) -> String? { weightMap[tensor]?.string }

    /// All tensors that it lists.
    var tensorNames: [String] { weightMap.members.map(\.key) }

    /// How many tensors it lists.
    var tensorCount: Int { weightMap.members.count }

    /// The same with other names for some tensors; where that name is listed already, both stay.
    ///
    /// - Parameter name: the other name of a tensor, or nil.
    func renamed(_ name: (String) -> String?) -> ShardIndex {
        var result = self
        result.weightMap = JSONObject(
            weightMap.members.map { member in
                guard let other = name(member.key), weightMap[other] == nil else { return member }
                return (other, member.value)
            })
        return result
    }

    /// A plain file name inside the folder of the index; everything else could lead out of it.
    private static func fileName(_ value: JSONValue, of tensor: String, _ path: FilePath) throws -> String {
        func refuse(_ expected: String, _ found: String) -> CheckpointError {
            CheckpointError(
                path, .part("weight_map: '\(tensor.escapedForDisplay)'"), expected: expected, found: found)
        }
        guard let name = value.string else { throw refuse("a file name", value.kind) }
        guard !name.isEmpty, name != ".", name != "..",
            !name.utf8.contains(where: { $0 == 0 || $0 == UInt8(ascii: "/") })
        else {
            throw refuse("a plain file name beside the index", "'\(name.escapedForDisplay)'")
        }
        guard !name.hasSuffix(fileSuffix) else {
            throw refuse("a file of tensors", "another index, '\(name.escapedForDisplay)'")
        }
        return name
    }
}

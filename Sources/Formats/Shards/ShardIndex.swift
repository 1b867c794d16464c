import AssayCheckpoints
import SystemPackage

/// The index of a checkpoint in shards, as the Hugging Face libraries write it: `weight_map` from tensor name to the
/// file that holds it, `metadata.total_size` in bytes.
package struct ShardIndex {
    package static let fileSuffix = ".index.json"
    static let maximumByteCount = 256 << 20

    /// Each file once, in the order of their names.
    var fileNames: [String]
    /// The file of every tensor.
    var fileByTensor: NameMap<String>
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
        fileByTensor = NameMap()
        for (name, value) in map.members {
            fileByTensor[name] = try Self.fileName(value, of: name, file.path)
        }
        fileNames = Set(fileByTensor.pairs.map { ExactName($0.value) }).sorted().map(\.text)
        let about = value.object?["metadata"]?.object
        totalSize = about?["total_size"]
        metadata = (about?.members ?? []).compactMap { key, value in
            guard key != "total_size" else { return nil }
            return (key, value.string ?? value.compactText)
        }
    }

    /// A plain file name inside the folder of the index; everything else could lead out of it.
    private static func fileName(_ value: JSONValue, of tensor: String, _ path: FilePath) throws -> String {
        let place = CheckpointError.Place.part("weight_map: '\(tensor.escapedForDisplay)'")
        guard let name = value.string else {
            throw CheckpointError(path, place, expected: "a file name", found: value.kind)
        }
        guard !name.isEmpty, name != ".", name != "..",
            !name.utf8.contains(where: { $0 == 0 || $0 == UInt8(ascii: "/") })
        else {
            throw CheckpointError(
                path, place, expected: "a plain file name beside the index", found: "'\(name.escapedForDisplay)'")
        }
        guard !name.hasSuffix(fileSuffix) else {
            throw CheckpointError(
                path, place, expected: "a file of tensors", found: "another index, '\(name.escapedForDisplay)'")
        }
        return name
    }
}

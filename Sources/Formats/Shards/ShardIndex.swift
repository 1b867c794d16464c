import AssayCheckpoints
import SystemPackage

/// The index of a checkpoint in shards, as the Hugging Face libraries write it: `weight_map` from tensor name to the
/// file that holds it, `metadata.total_size` in bytes.
package struct ShardIndex {
    package static let fileSuffix = ".index.json"
    static let maximumByteCount = 256 << 20

    /// A file and the tensors that it is said to hold.
    struct File {
        var name: String
        /// As they stand in the index: a name may stand there twice.
        var tensors: [String]
    }

    /// Each file once, in the order of their names.
    private(set) var files: [File] = []
    /// As it stands there: other programs write all sorts of it.
    private(set) var totalSize: JSONValue?
    /// What else `metadata` says.
    private(set) var metadata: [(key: String, value: String)] = []

    /// - Throws: `CheckpointError` where the index is not one.
    init(of file: InputFile) throws {
        let bytes = try JSONValue.bytes(of: file, "an index", atMost: Self.maximumByteCount)
        do {
            try JSONScanner.scan(bytes) { try scan(&$0, file.path) }
        } catch let error as JSONError {
            throw CheckpointError(file.path, .byte(error.offset), expected: error.expected, found: error.found)
        }
        guard !files.isEmpty else {
            throw CheckpointError(
                file.path, .part("weight_map"), expected: "the file of at least one tensor", found: "none")
        }
        files.sort { ExactName($0.name) < ExactName($1.name) }
    }

    private mutating func scan(_ scanner: inout JSONScanner, _ path: FilePath) throws {
        var keys = NameSet()
        if scanner.peekValue() == "{" {
            try scanner.object { scanner, key, offset in
                guard keys.insert(key) else {
                    throw JSONError(
                        offset: offset, expected: "each key once", found: "'\(key.escapedForDisplay)' again")
                }
                switch key {
                case "weight_map" where scanner.peekValue() == "{": try scanWeightMap(&scanner, path)
                case "weight_map": throw Self.noMap(path, try scanner.value().kind)
                case "metadata": take(try scanner.value())
                default: _ = try scanner.value()
                }
            }
        } else {
            _ = try scanner.value()
        }
        guard keys.contains("weight_map") else { throw Self.noMap(path, "none") }
    }

    private static func noMap(_ path: FilePath, _ found: String) -> CheckpointError {
        CheckpointError(
            path, .part("weight_map"), expected: "an object from tensor names to file names", found: found)
    }

    /// It has as many members as the checkpoint has tensors: they go where they belong, without a value of JSON between.
    private mutating func scanWeightMap(_ scanner: inout JSONScanner, _ path: FilePath) throws {
        var positions = NameMap<Int>()
        var last: Int?
        try scanner.object { scanner, name, _ in
            guard scanner.peekValue() == "\"" else {
                throw Self.refusal(of: name, path, "a file name", try scanner.value().kind)
            }
            let fileName = try scanner.string()
            // Tensors of one file mostly stand together.
            if last.map({ ExactName(files[$0].name) == ExactName(fileName) }) != true { last = positions[fileName] }
            if last == nil {
                try Self.check(fileName, of: name, path)
                last = files.count
                positions[fileName] = last
                files.append(File(name: fileName, tensors: []))
            }
            files[last!].tensors.append(name)
        }
    }

    private mutating func take(_ metadata: JSONValue) {
        totalSize = metadata.object?["total_size"]
        self.metadata = (metadata.object?.members ?? []).compactMap { key, value in
            key == "total_size" ? nil : (key, value.string ?? value.compactText)
        }
    }

    /// How many tensors it lists.
    var tensorCount: Int { files.reduce(0) { $0 + $1.tensors.count } }

    /// Whether all names are known to be different, by digests of theirs: false says nothing.
    var hasNoNameTwice: Bool {
        var digests = Set<UInt64>(minimumCapacity: tensorCount)
        return files.allSatisfy { $0.tensors.allSatisfy { digests.insert(XXH3.hash(ofText: $0)).inserted } }
    }

    /// The file of every tensor.
    ///
    /// - Throws: `CheckpointError` where a tensor stands twice.
    func fileNames(_ path: FilePath) throws -> NameMap<String> {
        var result = NameMap<String>()
        for file in files {
            for tensor in file.tensors where result.updateValue(file.name, forKey: tensor) != nil {
                throw CheckpointError(
                    path, .part("weight_map"), expected: "each tensor once",
                    found: "'\(tensor.escapedForDisplay)' again")
            }
        }
        return result
    }

    /// The same with other names for some tensors; where that name is listed already, both stay.
    ///
    /// - Parameter name: the other name of a tensor, or nil.
    func renamed(_ name: (String) -> String?) -> ShardIndex {
        let listed = NameSet(files.lazy.flatMap(\.tensors))
        var result = self
        for position in files.indices {
            result.files[position].tensors = files[position].tensors.map { tensor in
                guard let other = name(tensor), !listed.contains(other) else { return tensor }
                return other
            }
        }
        return result
    }

    /// Requires a plain file name inside the folder of the index; everything else could lead out of it.
    private static func check(_ name: String, of tensor: String, _ path: FilePath) throws {
        guard !name.isEmpty, name != ".", name != "..",
            !name.utf8.contains(where: { $0 == 0 || $0 == UInt8(ascii: "/") })
        else {
            throw refusal(of: tensor, path, "a plain file name beside the index", "'\(name.escapedForDisplay)'")
        }
        guard !name.hasSuffix(fileSuffix) else {
            throw refusal(of: tensor, path, "a file of tensors", "another index, '\(name.escapedForDisplay)'")
        }
    }

    private static func refusal(
        of tensor: String, _ path: FilePath, _ expected: String, _ found: String
    ) -> CheckpointError {
        CheckpointError(
            path, .part("weight_map: '\(tensor.escapedForDisplay)'"), expected: expected, found: found)
    }
}

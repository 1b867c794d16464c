import AssayTensors

/// One SHA-256 for the tensors of a checkpoint, the same in every format and sharding.
///
/// It is the digest of a text: a line `assay-content/1`, then for every tensor (aliases too) one compact JSON array
/// `[name, type, [shape], "sha256 of the row-major little-endian bytes"]`, the lines sorted by the bytes of the name,
/// every line ended by a newline. Metadata is not part of it. The page `formats/content-digest.md` has a test vector.
public enum ContentDigest {
    /// - Parameters:
    ///   - tensors: in any order.
    ///   - digests: of their bytes, in the same order.
    public static func of(_ tensors: [TensorInfo], _ digests: [Digest]) -> Digest {
        precondition(tensors.count == digests.count)
        var hasher = DigestHasher()
        hasher.update("assay-content/1\n")
        for index in tensors.indices.sorted(by: { precedes(tensors[$0].name, tensors[$1].name) }) {
            hasher.update(line(tensors[index], digests[index]))
        }
        return hasher.finalize()
    }

    static func line(_ tensor: TensorInfo, _ digest: Digest) -> String {
        let shape = tensor.shape.dimensions.map(String.init).joined(separator: ",")
        return "[\(JSONValue.quoted(tensor.name)),\"\(tensor.elementType.name)\",[\(shape)],\"\(digest)\"]\n"
    }

    private static func precedes(_ a: String, _ b: String) -> Bool { ExactName(a) < ExactName(b) }
}

extension DigestHasher {
    /// Adds a text's UTF-8.
    public mutating func update(_ text: String) {
        var text = text
        text.withUTF8 { update(UnsafeRawBufferPointer($0)) }
    }
}

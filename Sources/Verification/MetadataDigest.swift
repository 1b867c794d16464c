import AssayCheckpoints

/// One SHA-256 for a file's metadata, whatever the format.
///
/// It is the digest of a text: a line `assay-metadata/1`, then for every entry one compact JSON array `[key, value]`,
/// the lines sorted by the bytes of the key, every line ended by a newline.
enum MetadataDigest {
    static func of(_ metadata: [(key: String, value: String)]) -> Digest {
        var hasher = DigestHasher()
        hasher.update("assay-metadata/1\n")
        for (key, value) in metadata.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
            hasher.update("[\(JSONValue.quoted(key)),\(JSONValue.quoted(value))]\n")
        }
        return hasher.finalize()
    }
}

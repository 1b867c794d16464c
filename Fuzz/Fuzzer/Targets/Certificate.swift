import AssayCheckpoints
import AssayVerification
import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

extension FuzzTarget {
    static let certificate = FuzzTarget(
        name: "certificate",
        words: [
            "\"_type\":", "\"subject\":", "\"predicateType\":", "\"predicate\":", "\"digest\":{\"sha256\":",
            "\"source\":",
            "\"destination\":", "\"tensors\":[", "\"transforms\":[", "\"checks\":", "\"files\":[",
            "\"metadataEdits\":[",
        ],
        maximumByteCount: 4096
    ) { bytes in
        let certificate = try Certificate(reading: UnnamedFile.holding(bytes))
        _ = certificate.sourceContentDigest
    }

    static let signature = FuzzTarget(
        name: "signature", fixtures: ["golden/model-signing/*.sig"],
        words: [
            "\"dsseEnvelope\":", "\"payload\":", "\"payloadType\":\"application/vnd.in-toto+json\"", "\"predicate\":",
            "\"serialization\":", "\"resources\":[", "\"ignore_paths\":", "\"method\":\"shards\"",
        ]
    ) { bytes in _ = try SignatureOnHand(reading: UnnamedFile.holding(bytes)) }
}

/// A file of the system that has no name.
enum UnnamedFile {
    /// - Returns: a path that leads to it, whose content are these bytes until the next call.
    static func holding(_ bytes: [UInt8]) -> FilePath {
        ftruncate(descriptor, off_t(bytes.count))
        pwrite(descriptor, bytes, bytes.count, 0)
        return FilePath("/proc/self/fd/\(descriptor)")
    }

    private static let descriptor = {
        var path = Array("/tmp/assay-fuzz-XXXXXX".utf8CString)
        let descriptor = mkstemp(&path)
        unlink(path)
        return descriptor
    }()
}

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
        Self.write(bytes)
        let certificate = try Certificate(reading: FilePath("/proc/self/fd/\(descriptor)"))
        _ = certificate.sourceContentDigest
    }

    /// A file of the system that has no name.
    private static let descriptor = {
        var path = Array("/tmp/assay-fuzz-XXXXXX".utf8CString)
        let descriptor = mkstemp(&path)
        unlink(path)
        return descriptor
    }()

    private static func write(_ bytes: [UInt8]) {
        ftruncate(descriptor, off_t(bytes.count))
        pwrite(descriptor, bytes, bytes.count, 0)
    }
}

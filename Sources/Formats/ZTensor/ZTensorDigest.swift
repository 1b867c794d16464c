import AssayCheckpoints
import SystemPackage

/// The digest that a part carries, checked against its bytes.
struct ZTensorDigest: ContentCheck {
    private let file: FilePath
    private let tensor: String
    private let expected: String
    /// One of the two; each in a place of its own, so that its state is changed where it is and not copied.
    private var xxh3: XXH3?
    private var sha256: DigestHasher?

    static let prefix = "xxh3:"

    /// - Returns: nil where nobody knows the algorithm: files may come to use others.
    init?(_ expected: String, of tensor: String, in file: FilePath) {
        switch expected.prefix(while: { $0 != ":" }) {
        case "xxh3": xxh3 = XXH3()
        case "sha256": sha256 = DigestHasher()
        default: return nil
        }
        self.expected = expected
        self.tensor = tensor
        self.file = file
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        xxh3?.update(bytes)
        sha256?.update(bytes)
    }

    func finish() throws {
        let found =
            xxh3.map { Self.prefix + $0.finalize().hexadecimal } ?? sha256.map { "sha256:\($0.finalize())" } ?? ""
        guard found == expected else {
            throw CheckpointError(
                file, .tensor(tensor), expected: "bytes of the digest \(expected)", found: "bytes of \(found)")
        }
    }
}

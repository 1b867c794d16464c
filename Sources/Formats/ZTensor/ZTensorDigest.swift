import AssayCheckpoints
import SystemPackage

/// The digest that a part carries, checked against its bytes.
struct ZTensorDigest: ContentCheck {
    private let file: FilePath
    private let tensor: String
    private let expected: String
    private var hasher: Hasher

    private enum Hasher: Sendable {
        case xxh3(XXH3)
        case sha256(DigestHasher)
    }

    static let prefix = "xxh3:"

    /// - Returns: nil where nobody knows the algorithm: files may come to use others.
    init?(_ expected: String, of tensor: String, in file: FilePath) {
        switch expected.prefix(while: { $0 != ":" }) {
        case "xxh3": hasher = .xxh3(XXH3())
        case "sha256": hasher = .sha256(DigestHasher())
        default: return nil
        }
        self.expected = expected
        self.tensor = tensor
        self.file = file
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        switch hasher {
        case .xxh3(var state):
            state.update(bytes)
            hasher = .xxh3(state)
        case .sha256(var state):
            state.update(bytes)
            hasher = .sha256(state)
        }
    }

    func finish() throws {
        let found =
            switch hasher {
            case .xxh3(let state): Self.prefix + state.finalize().hexadecimal
            case .sha256(let state): "sha256:\(state.finalize())"
            }
        guard found == expected else {
            throw CheckpointError(
                file, .tensor(tensor), expected: "bytes of the digest \(expected)", found: "bytes of \(found)")
        }
    }
}

import AssayCheckpoints
import SystemPackage

/// A file of a destination folder that holds no tensors.
struct SideFile: Sendable {
    enum Content: Sendable {
        case text(String)
        case copy(of: FilePath)
    }

    /// Relative to the folder.
    var name: String
    var content: Content

    /// Writes it into a folder under construction, and flushes it.
    ///
    /// - Returns: SHA-256 of what was meant.
    func write(into folder: FilePath) throws -> Digest {
        let output = try OutputFile(creating: folder.appending(name))
        var hasher = DigestHasher()
        func write(_ offset: Int, _ bytes: [UInt8]) throws {
            bytes.withUnsafeBytes { hasher.update($0) }
            try output.write(at: offset, bytes)
        }
        switch content {
        case .text(let text): try write(0, Array(text.utf8))
        case .copy(let path): try InputFile(path).forEachPiece(write)
        }
        try output.synchronize()
        return hasher.finalize()
    }

    /// SHA-256 of what is to be in it.
    func digest() throws -> Digest {
        switch content {
        case .text(let text): Digest.of(text)
        case .copy(let path): try InputFile(path).digest()
        }
    }
}

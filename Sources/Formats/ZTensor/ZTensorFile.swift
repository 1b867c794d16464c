import AssayCheckpoints

/// The frame of a zTensor file: a mark, blobs, the manifest among them, and a footer that says where that is.
enum ZTensorFile {
    static let mark: [UInt8] = [0x89, 0x5A, 0x54, 0x32, 0x0D, 0x0A, 0x1A, 0x0A]
    static let version: UInt32 = 2
    static let footerByteCount = 40
    static let leastByteCount = 48
    /// What every blob's offset is a multiple of.
    static let alignment = 4096
    static let maximumManifestByteCount = 1 << 30

    static func hasMark(_ file: InputFile) throws -> Bool {
        if try file.prefix(mark.count) == mark { return true }
        guard file.byteCount >= leastByteCount else { return false }
        return try file.bytes(file.byteCount - mark.count..<file.byteCount) == mark
    }

    /// Where the manifest lies, and its hash.
    struct Footer {
        var manifest: Range<Int>
        var hash: UInt64
    }

    /// Checks both ends of a file.
    ///
    /// - Returns: nil where it has no manifest: a shard of another file.
    /// - Throws: `CheckpointError`.
    static func footer(of file: InputFile) throws -> Footer? {
        guard file.byteCount >= leastByteCount else {
            throw CheckpointError(
                file.path, .file, expected: "a zTensor file of at least \(leastByteCount) bytes",
                found: "\(file.byteCount): it is cut off; download it again")
        }
        guard try file.prefix(mark.count) == mark else {
            throw CheckpointError(file.path, .byte(0), expected: "the mark of a zTensor file", found: "other bytes")
        }
        let start = file.byteCount - footerByteCount
        let bytes = try file.bytes(start..<file.byteCount)
        guard bytes.suffix(mark.count) == mark[...] else {
            throw CheckpointError(
                file.path, .byte(file.byteCount - mark.count), expected: "the mark of a zTensor file at its end",
                found: "other bytes: the file is cut off (download it again), or something stands behind it")
        }
        let found = UInt32(littleEndian: bytes[24..<28])
        guard found == version else {
            throw CheckpointError(
                file.path, .part("footer"), expected: "version \(version) of zTensor",
                found: "version \(found)" + (found > version ? ", made by a newer version of the format" : ""))
        }
        return try footer(
            offset: UInt64(littleEndian: bytes[0..<8]), length: UInt64(littleEndian: bytes[8..<16]),
            hash: UInt64(littleEndian: bytes[16..<24]), file)
    }

    private static func footer(offset: UInt64, length: UInt64, hash: UInt64, _ file: InputFile) throws -> Footer? {
        func fault(_ expected: String, _ found: String) -> CheckpointError {
            CheckpointError(file.path, .part("footer"), expected: expected, found: found)
        }
        guard length > 0 else {
            guard offset == 0, hash == 0 else {
                throw fault("an offset and a hash of 0, as there is no manifest", "offset \(offset), hash \(hash)")
            }
            return nil
        }
        guard length <= UInt64(maximumManifestByteCount) else {
            throw fault("a manifest of at most \(maximumManifestByteCount) bytes", "\(length)")
        }
        guard offset % UInt64(alignment) == 0, offset > 0 else {
            throw fault("a manifest at a multiple of \(alignment)", "byte \(offset)")
        }
        let end = UInt64(file.byteCount - footerByteCount)
        guard offset <= end, length <= end - offset else {
            throw fault("a manifest that ends by byte \(end), before the footer", "\(length.inBytes) at byte \(offset)")
        }
        return Footer(manifest: Int(offset)..<Int(offset + length), hash: hash)
    }

    /// Reads the manifest.
    ///
    /// - Throws: `CheckpointError`.
    static func manifest(of file: InputFile, _ footer: Footer) throws -> ZTensorManifest {
        let bytes = try file.bytes(footer.manifest)
        let hash = bytes.withUnsafeBytes { XXH3.hash(of: $0) }
        guard hash == footer.hash else {
            throw CheckpointError(
                file.path, .part("manifest"), expected: "XXH3 \(footer.hash.hexadecimal), as the footer says",
                found: hash.hexadecimal)
        }
        return try ZTensorManifest(parsing: bytes, file.path)
    }

    /// The footer's bytes.
    static func footerBytes(manifest: Range<Int>, hash: UInt64) -> [UInt8] {
        UInt64(manifest.lowerBound).littleEndianBytes + UInt64(manifest.count).littleEndianBytes
            + hash.littleEndianBytes + version.littleEndianBytes + UInt32(0).littleEndianBytes + mark
    }
}

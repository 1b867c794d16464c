import AssayCheckpoints

/// What a file that is no checkpoint looks like, so that the refusal can say so and what to do.
enum ForeignContent {
    /// Says what a file is, or what a zstd file holds.
    static func describe(_ file: InputFile) throws -> String {
        guard try SeekableZstdFile.isZstd(file), try SeekableZstdFile.hasSeekTable(file) else {
            return try describe(file.prefix(512), byteCount: file.byteCount)
        }
        let inner = try SeekableZstdFile.inflating(file)
        let found = try describe(inner.prefix(512), byteCount: inner.byteCount)
        return found.hasPrefix(unknown) ? found : "zstd data that holds \(found); unpack it with 'zstd -d'"
    }

    /// How the description begins of what nobody recognizes.
    static let unknown = "unknown content"

    /// - Parameter prefix: the first few hundred bytes.
    private static func describe(_ prefix: [UInt8], byteCount: Int) -> String {
        if let standIn = StandIn.describe(prefix) { return standIn }
        // Archives of the oldest PyTorch, before 0.1.10, among others.
        if prefix.dropFirst(257).starts(with: "ustar".utf8) {
            return "a tar archive; if PyTorch wrote it, load it there and save it again with torch.save"
        }
        for (magic, name) in magics where prefix.starts(with: magic) { return name }
        if byteCount < 8 { return "a file of \(byteCount.inBytes)" }
        if prefix.allSatisfy({ $0 >= 0x20 && $0 < 0x7F || $0 == 9 || $0 == 10 || $0 == 13 }) { return "a text file" }
        return "\(unknown) that begins with bytes \(Array(prefix.prefix(8)).spacedHexadecimal)"
    }

    private static let magics: [(magic: [UInt8], name: String)] = [
        (
            Array("PK\u{3}\u{4}".utf8), "a zip archive that holds no checkpoint that can be read here"
        ),
        ([0x89, 0x48, 0x44, 0x46], "an HDF5 file"),
        ([0x1F, 0x8B], "gzip data; unpack it first"),
        ([0x25, 0xB5, 0x2F, 0xFD], "data of zstd before version 0.8, which is no longer read"),
        (
            [0x28, 0xB5, 0x2F, 0xFD],
            "zstd data without a seek table at its end (cut off: download it again; or not compressed for reading in parts: unpack it with 'zstd -d')"
        ),
    ]
}

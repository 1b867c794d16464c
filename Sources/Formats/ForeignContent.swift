import AssayCheckpoints

/// What a file that is no checkpoint looks like, so that the refusal can say so and what to do.
enum ForeignContent {
    /// - Parameter prefix: the first few hundred bytes.
    static func describe(_ prefix: [UInt8], byteCount: Int) -> String {
        guard byteCount > 0 else { return "an empty file" }
        let text = String(decoding: prefix, as: UTF8.self)
        let lowered = text.drop { $0.isWhitespace }.lowercased()
        if text.hasPrefix("version https://git-lfs.github.com/spec/") {
            return "a Git LFS pointer, which stands for the real file; fetch that with 'git lfs pull'"
        }
        if lowered.hasPrefix("<!doctype html") || lowered.hasPrefix("<html") {
            return "an HTML page, most likely an error page of a failed download; download the file again"
        }
        // Archives of the oldest PyTorch, before 0.1.10, among others.
        if prefix.dropFirst(257).starts(with: "ustar".utf8) {
            return "a tar archive; if PyTorch wrote it, load it there and save it again with torch.save"
        }
        for (magic, name) in magics where prefix.starts(with: magic) { return name }
        if byteCount < 8 { return "a file of \(byteCount) bytes" }
        if prefix.allSatisfy({ $0 >= 0x20 && $0 < 0x7F || $0 == 9 || $0 == 10 || $0 == 13 }) { return "a text file" }
        return "unknown content that begins with bytes \(hexadecimal(prefix.prefix(8)))"
    }

    private static let magics: [(magic: [UInt8], name: String)] = [
        (
            Array("PK\u{3}\u{4}".utf8),
            "a zip archive without a PyTorch pickle or NumPy arrays in it (.keras files cannot be read yet)"
        ),
        ([0x1F, 0x8B], "gzip data; unpack it first"),
        ([0x25, 0xB5, 0x2F, 0xFD], "data of zstd before version 0.8, which is no longer read"),
        ([0x28, 0xB5, 0x2F, 0xFD], "zstd data that is no zplanes file; unpack it first"),
    ]

    private static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
    }
}

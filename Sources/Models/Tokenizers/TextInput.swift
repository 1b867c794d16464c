import AssayCheckpoints
import SystemPackage

/// A text file cut into tokens by a model's own tokenizer.
public enum TextInput {
    /// A book is 5 MB; whoever wants more cuts it into tokens beforehand.
    private static let maximumByteCount = 64 << 20

    /// - Throws: `CheckpointError` where the text is not UTF-8 or gives no tokens; what reading the tokenizer throws.
    public static func batch(
        _ path: FilePath, for spec: TransformerSpec, tokenizerIn folder: FilePath
    ) throws -> TokenBatch {
        let file = try InputFile(path)
        guard file.byteCount <= maximumByteCount else {
            throw CheckpointError(
                path, .file, expected: "a text of at most \(maximumByteCount) bytes", found: "\(file.byteCount)")
        }
        guard let text = String(validating: try file.bytes(0..<file.byteCount), as: UTF8.self) else {
            throw CheckpointError(path, .file, expected: "a text in UTF-8", found: "bytes that are not")
        }
        return try TokenizerFolder.tokenizer(in: folder).batch(of: text, for: spec, source: path)
    }
}

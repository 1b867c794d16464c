import AssayCheckpoints
import SystemPackage

/// Turns text into the token ids that a model was trained with.
public protocol Tokenizer: Sendable {
    /// The ids of a text, without what stands before and behind it. Truncation and padding are the caller's business,
    /// whatever the tokenizer's file says of them.
    func encode(_ text: String) -> [Int]

    /// What the model expects before every text: BERT's `[CLS]`.
    var prefix: [Int] { get }
    /// What the model expects behind every text: BERT's `[SEP]`.
    var suffix: [Int] { get }
}

extension Tokenizer {
    /// A text as a batch of sequences, each as long as the model has positions; the last is padded behind.
    ///
    /// - Throws: `CheckpointError` where the text has no tokens or the model has no room for any.
    public func batch(of text: String, for spec: TransformerSpec, source: FilePath) throws -> TokenBatch {
        let ids = encode(text)
        let room = spec.contextLength - prefix.count - suffix.count
        guard room > 0, !ids.isEmpty || !(prefix + suffix).isEmpty else {
            throw CheckpointError(
                source, .file, expected: "text that gives tokens, and a model with room for them",
                found: "\(ids.count) tokens for \(spec.contextLength) positions")
        }
        let step = max(1, min(room, ids.count))
        var sequences = stride(from: 0, to: max(ids.count, 1), by: step).map {
            prefix + ids[min($0, ids.count)..<min($0 + step, ids.count)] + suffix
        }
        let length = sequences[0].count
        let masks = sequences.map { sequence in (0..<length).map { $0 < sequence.count ? 1 : 0 } }
        for index in sequences.indices {
            sequences[index] += [Int](repeating: 0, count: length - sequences[index].count)
        }
        return try TokenBatch(inputIDs: sequences, attentionMask: masks, source: source)
    }
}

/// The tokenizer of a model folder.
public enum TokenizerFolder {
    /// Reads `tokenizer.json`; where it is missing, `vocab.json` with `merges.txt`, or `vocab.txt` (uncased).
    ///
    /// - Throws: `CheckpointError` where a file is damaged; `StructureError` where it is a tokenizer that we do not have;
    ///   `UsageError` where there is none.
    public static func tokenizer(in folder: FilePath) throws -> any Tokenizer {
        func bytes(_ name: String) throws -> (path: FilePath, bytes: [UInt8])? {
            let path = folder.appending(name)
            guard try SystemCall.status(path) != nil else { return nil }
            let file = try InputFile(path)
            guard file.byteCount <= maximumByteCount else {
                throw CheckpointError(
                    path, .file, expected: "at most \(maximumByteCount) bytes", found: "\(file.byteCount)")
            }
            return (path, try file.bytes(0..<file.byteCount))
        }
        if let file = try bytes("tokenizer.json") {
            return try tokenizer(of: TokenizerFile(parsing: file.bytes, file.path))
        }
        if let vocabulary = try bytes("vocab.json"), let merges = try bytes("merges.txt") {
            return try BytePairEncoding(
                vocabulary: TokenizerFile.vocabulary(parsing: vocabulary.bytes, vocabulary.path), vocabulary.path,
                merges: BytePairEncoding.merges(parsing: merges.bytes, merges.path), merges.path)
        }
        if let vocabulary = try bytes("vocab.txt") {
            return try WordPiece(vocabularyText: vocabulary.bytes, vocabulary.path)
        }
        throw UsageError(
            "\(folder.forDisplay): no tokenizer (tokenizer.json, vocab.json with merges.txt, or vocab.txt); use --tokens"
        )
    }

    static func tokenizer(of file: TokenizerFile) throws -> any Tokenizer {
        switch file.modelType {
        case "BPE": return try BytePairEncoding(file)
        case "WordPiece": return try WordPiece(file)
        default:
            throw file.unsupported(
                "model.type", "'\(file.modelType.escapedForDisplay)'", expected: "'BPE' or 'WordPiece'")
        }
    }

    /// Larger than any published tokenizer.
    private static let maximumByteCount = 1 << 28
}

/// Tokens that are found in the text before anything else: `<|endoftext|>`, `[MASK]`.
struct AddedTokens: Sendable {
    /// By the first byte, the longest first.
    private var byFirstByte: [UInt8: [(bytes: [UInt8], id: Int)]] = [:]

    init(_ tokens: [(content: String, id: Int)]) {
        for token in tokens where !token.content.isEmpty {
            let bytes = Array(token.content.utf8)
            byFirstByte[bytes[0], default: []].append((bytes, token.id))
        }
        for key in byFirstByte.keys { byFirstByte[key]?.sort { $0.bytes.count > $1.bytes.count } }
    }

    enum Piece {
        case text(ArraySlice<UInt8>)
        case token(Int)
    }

    /// Cuts a text at the tokens: the leftmost first, of several the longest.
    func split(_ text: [UInt8]) -> [Piece] {
        var pieces: [Piece] = []
        var start = 0
        var place = 0
        while place < text.count {
            let found = byFirstByte[text[place]]?.first { text[place...].starts(with: $0.bytes) }
            guard let found else {
                place += 1
                continue
            }
            if start < place { pieces.append(.text(text[start..<place])) }
            pieces.append(.token(found.id))
            place += found.bytes.count
            start = place
        }
        if start < text.count { pieces.append(.text(text[start...])) }
        return pieces
    }
}

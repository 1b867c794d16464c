import AssayCheckpoints
import SystemPackage

/// WordPiece as BERT has it: text is cleaned and cut into words, each word into the longest known pieces.
///
/// - Source: Devlin et al. 2018 and the `tokenizers` library. Categories of characters are those of the Swift library's
///   Unicode tables, which may be newer.
public struct WordPiece: Tokenizer {
    public let prefix: [Int]
    public let suffix: [Int]

    private let vocabulary: [[UInt8]: Int]
    private let unknownID: Int
    private let continuation: [UInt8]
    /// Longer words are unknown.
    private let longestWord: Int
    /// Bytes of the longest token: longer pieces need not be looked up.
    private let longestToken: Int
    private let cleaning: Cleaning
    private let addedTokens: AddedTokens

    private struct Cleaning {
        var cleansText = true
        var separatesChinese = true
        var stripsAccents = true
        var lowersCase = true
    }

    /// - Throws: `StructureError` where the file asks for what this tokenizer does not do; `CheckpointError` where tokens
    ///   are missing in its vocabulary.
    init(_ file: TokenizerFile) throws {
        try file.require("normalizer", "type", oneOf: ["BertNormalizer"])
        try file.require("pre_tokenizer", "type", oneOf: ["BertPreTokenizer"])
        vocabulary = file.vocabulary
        longestToken = file.vocabulary.keys.map(\.count).max() ?? 0
        unknownID = try Self.id(of: file.model["unk_token"]?.string ?? "[UNK]", vocabulary, file.path)
        continuation = Array((file.model["continuing_subword_prefix"]?.string ?? "##").utf8)
        longestWord = file.model["max_input_chars_per_word"]?.int ?? 100
        cleaning = try Self.cleaning(file)
        addedTokens = AddedTokens(file.addedTokens)
        (prefix, suffix) = try Self.ends(file)
    }

    /// From `vocab.txt`, a token a line: uncased, with BERT's own special tokens.
    init(vocabularyText: [UInt8], _ path: FilePath) throws {
        var table: [[UInt8]: Int] = [:]
        var lines = vocabularyText.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        for (id, line) in lines.enumerated() {
            let token = Array(line.last == UInt8(ascii: "\r") ? line.dropLast() : line)
            guard table.updateValue(id, forKey: token) == nil else {
                throw CheckpointError(
                    path, .part("line \(id + 1)"), expected: "each token once",
                    found: "'\(String(decoding: token.prefix(60), as: UTF8.self).escapedForDisplay)' again")
            }
        }
        vocabulary = table
        longestToken = table.keys.map(\.count).max() ?? 0
        unknownID = try Self.id(of: "[UNK]", table, path)
        continuation = Array("##".utf8)
        longestWord = 100
        cleaning = Cleaning()
        prefix = [try Self.id(of: "[CLS]", table, path)]
        suffix = [try Self.id(of: "[SEP]", table, path)]
        addedTokens = AddedTokens(
            ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].compactMap { name in
                table[Array(name.utf8)].map { (name, $0) }
            })
    }

    private static func id(of token: String, _ vocabulary: [[UInt8]: Int], _ path: FilePath) throws -> Int {
        guard let id = vocabulary[Array(token.utf8)] else {
            throw CheckpointError(
                path, .part("vocabulary"), expected: "the token '\(token.escapedForDisplay)'", found: "no such token")
        }
        return id
    }

    private static func cleaning(_ file: TokenizerFile) throws -> Cleaning {
        let normalizer = file.sections["normalizer"]?.object
        for key in ["clean_text", "handle_chinese_chars", "lowercase"] {
            try file.require("normalizer", key, oneOf: [true, false])
        }
        try file.require("normalizer", "strip_accents", oneOf: [true, false, .null])
        let lowersCase = normalizer?["lowercase"]?.bool ?? true
        return Cleaning(
            cleansText: normalizer?["clean_text"]?.bool ?? true,
            separatesChinese: normalizer?["handle_chinese_chars"]?.bool ?? true,
            stripsAccents: normalizer?["strip_accents"]?.bool ?? lowersCase, lowersCase: lowersCase)
    }

    /// The special tokens around a single text, in both forms of the post-processor.
    private static func ends(_ file: TokenizerFile) throws -> (prefix: [Int], suffix: [Int]) {
        let path = file.path
        guard let processor = file.sections["post_processor"]?.object else { return ([], []) }
        switch processor["type"]?.string {
        case "BertProcessing":
            guard let first = processor["cls"]?.array?.last?.int, let last = processor["sep"]?.array?.last?.int else {
                throw CheckpointError(path, .part("post_processor"), expected: "ids of cls and sep", found: "none")
            }
            return ([first], [last])
        case "TemplateProcessing":
            return try template(processor, file)
        default:
            throw file.unsupported(
                "post_processor.type", ConfigurationReader.show(processor["type"] ?? .null),
                expected: "'BertProcessing' or 'TemplateProcessing'")
        }
    }

    private static func template(
        _ processor: JSONObject, _ file: TokenizerFile
    ) throws -> (prefix: [Int], suffix: [Int]) {
        var prefix: [Int] = []
        var suffix: [Int] = []
        var isBehind = false
        for item in processor["single"]?.array ?? [] {
            if item.object?["Sequence"]?.object?["id"] == "A", !isBehind {
                isBehind = true
            } else if let name = item.object?["SpecialToken"]?.object?["id"]?.string {
                let ids = try ids(of: name, processor, file.path)
                if isBehind { suffix += ids } else { prefix += ids }
            } else {
                throw templateError(file.path, "special tokens and one sequence A", ConfigurationReader.show(item))
            }
        }
        guard isBehind else { throw templateError(file.path, "a sequence A", "none") }
        return (prefix, suffix)
    }

    /// What a template's special token stands for, which need not be what the vocabulary has under its name.
    private static func ids(of name: String, _ processor: JSONObject, _ path: FilePath) throws -> [Int] {
        let token = processor["special_tokens"]?.object?[name]?.object
        let ids = token?["ids"]?.array?.map { $0.int ?? -1 } ?? []
        guard !ids.isEmpty, ids.allSatisfy({ (0...Int(Int32.max)).contains($0) }) else {
            throw CheckpointError(
                path, .part("post_processor.special_tokens"), expected: "the ids of '\(name.escapedForDisplay)'",
                found: token.map { ConfigurationReader.show(.object($0)) } ?? "no such token")
        }
        return ids
    }

    private static func templateError(_ path: FilePath, _ expected: String, _ found: String) -> CheckpointError {
        CheckpointError(path, .part("post_processor.single"), expected: expected, found: found)
    }

    public func encode(_ text: String) -> [Int] {
        var ids: [Int] = []
        for piece in addedTokens.split(Array(text.utf8)) {
            switch piece {
            case .token(let id): ids.append(id)
            case .text(let bytes):
                for word in words(cleaned(String(decoding: bytes, as: UTF8.self))) { cut(word, into: &ids) }
            }
        }
        return ids
    }

    // MARK: Cleaning

    private func cleaned(_ text: String) -> [Unicode.Scalar] {
        var scalars = Array(text.unicodeScalars)
        if cleaning.cleansText {
            scalars = scalars.filter { !Self.isRemoved($0) }.map { $0.properties.isWhitespace ? " " : $0 }
        }
        if cleaning.separatesChinese { scalars = scalars.flatMap { Self.isChinese($0) ? [" ", $0, " "] : [$0] } }
        if cleaning.stripsAccents {
            scalars = CanonicalDecomposition.of(scalars).filter { $0.properties.generalCategory != .nonspacingMark }
        }
        if cleaning.lowersCase { scalars = scalars.flatMap { Array($0.properties.lowercaseMapping.unicodeScalars) } }
        return scalars
    }

    /// Control characters but for tab and line ends, private ones, and the replacement character; what is not assigned
    /// stays.
    private static func isRemoved(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "\t", "\n", "\r": return false
        case "\u{FFFD}": return true
        default: break
        }
        switch scalar.properties.generalCategory {
        case .control, .format, .privateUse, .surrogate: return true
        default: return false
        }
    }

    /// Ideographs, which stand without spaces between words.
    private static func isChinese(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x4E00...0x9FFF, 0x3400...0x4DBF, 0x20000...0x2A6DF, 0x2A700...0x2B73F, 0x2B740...0x2B81F,
            0x2B920...0x2CEAF,
            0xF900...0xFAFF, 0x2F800...0x2FA1F:
            true
        default: false
        }
    }

    // MARK: Words and pieces

    /// Words between spaces, punctuation characters alone.
    private func words(_ text: [Unicode.Scalar]) -> [[Unicode.Scalar]] {
        var words: [[Unicode.Scalar]] = []
        var word: [Unicode.Scalar] = []
        func finish() {
            if !word.isEmpty { words.append(word) }
            word = []
        }
        for scalar in text {
            if scalar.properties.isWhitespace {
                finish()
            } else if Self.isPunctuation(scalar) {
                finish()
                words.append([scalar])
            } else {
                word.append(scalar)
            }
        }
        finish()
        return words
    }

    private static func isPunctuation(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E: return true
        default: break
        }
        switch scalar.properties.generalCategory {
        case .connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation,
            .finalPunctuation, .otherPunctuation:
            return true
        default: return false
        }
    }

    /// The longest known pieces from the left; a word that does not come out even is unknown as a whole.
    private func cut(_ word: [Unicode.Scalar], into ids: inout [Int]) {
        guard word.count <= longestWord else { return ids.append(unknownID) }
        var pieces: [Int] = []
        var start = 0
        while start < word.count {
            guard let (id, end) = longestPiece(of: word, from: start) else { return ids.append(unknownID) }
            pieces.append(id)
            start = end
        }
        ids += pieces
    }

    private func longestPiece(of word: [Unicode.Scalar], from start: Int) -> (id: Int, end: Int)? {
        var bytes = start > 0 ? continuation : []
        var lengths: [Int] = []
        for scalar in word[start...] {
            bytes.append(contentsOf: UTF8.encode(scalar)!)
            guard bytes.count <= longestToken else { break }
            lengths.append(bytes.count)
        }
        for (index, length) in lengths.enumerated().reversed() {
            if let id = vocabulary[Array(bytes[..<length])] { return (id, start + index + 1) }
        }
        return nil
    }
}

import AssayCheckpoints
import SystemPackage
import Testing

@testable import AssayModels

/// A text and the ids that the `tokenizers` library gives for it.
struct TokenizerCase: Sendable, CustomTestStringConvertible {
    var text: String
    var ids: [Int]
    var testDescription: String { String(text.prefix(30)).escapedForDisplay }

    static let folder = Golden.root.removingLastComponent().appending("tokenizers")
    static let bpe = read(folder.appending("bpe"))
    static let wordpiece = read(folder.appending("wordpiece"))

    static func read(_ folder: FilePath, _ name: String = "cases.json") -> [TokenizerCase] {
        let file = try! InputFile(folder.appending(name))
        return try! JSONValue(parsing: file.bytes(0..<file.byteCount)).array!.map { value in
            TokenizerCase(text: value.object!["text"]!.string!, ids: value.object!["ids"]!.array!.map { $0.int! })
        }
    }
}

@Suite struct TokenizerTests {
    @Test(arguments: TokenizerCase.bpe) func bytePairsAreThoseOfTheLibrary(_ expected: TokenizerCase) throws {
        let tokenizer = try TokenizerFolder.tokenizer(in: TokenizerCase.folder.appending("bpe"))
        #expect(tokenizer.prefix + tokenizer.encode(expected.text) + tokenizer.suffix == expected.ids)
    }

    @Test(arguments: TokenizerCase.bpe) func vocabularyAndMergesGiveTheSame(_ expected: TokenizerCase) throws {
        let folder = TokenizerCase.folder.appending("bpe")
        let vocabulary = try InputFile(folder.appending("vocab.json"))
        let merges = try InputFile(folder.appending("merges.txt"))
        let tokenizer = try BytePairEncoding(
            vocabulary: TokenizerFile.vocabulary(parsing: vocabulary.bytes(0..<vocabulary.byteCount), vocabulary.path),
            vocabulary.path,
            merges: BytePairEncoding.merges(parsing: merges.bytes(0..<merges.byteCount), merges.path), merges.path)
        #expect(tokenizer.encode(expected.text) == expected.ids)
    }

    @Test(arguments: TokenizerCase.wordpiece) func wordPiecesAreThoseOfTheLibrary(_ expected: TokenizerCase) throws {
        let tokenizer = try TokenizerFolder.tokenizer(in: TokenizerCase.folder.appending("wordpiece"))
        #expect(tokenizer.prefix + tokenizer.encode(expected.text) + tokenizer.suffix == expected.ids)
    }

    @Test(arguments: TokenizerCase.wordpiece) func vocabularyTextGivesTheSame(_ expected: TokenizerCase) throws {
        let file = try InputFile(TokenizerCase.folder.appending("wordpiece").appending("vocab.txt"))
        let tokenizer = try WordPiece(vocabularyText: file.bytes(0..<file.byteCount), file.path)
        #expect(tokenizer.prefix + tokenizer.encode(expected.text) + tokenizer.suffix == expected.ids)
    }

    @Test func textBecomesSequencesOfTheModelsLength() throws {
        let tokenizer = try TokenizerFolder.tokenizer(in: TokenizerCase.folder.appending("wordpiece"))
        var spec = try Golden.named("bert-mlm").model().spec
        spec.contextLength = 6
        let ids = tokenizer.encode("a b c d e f g h i")
        #expect(ids.count == 9)
        let batch = try tokenizer.batch(of: "a b c d e f g h i", for: spec, source: "t.txt")
        #expect(batch.inputIDs.map { Array($0[1..<5]) } == [Array(ids[..<4]), Array(ids[4..<8]), [ids[8], 3, 0, 0]])
        #expect(batch.inputIDs.allSatisfy { $0.first == 2 && $0.count == 6 })
        #expect(batch.attentionMask == [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]])
        let short = try tokenizer.batch(of: "a", for: spec, source: "t.txt")
        #expect(short.inputIDs == [[2, ids[0], 3]])
        spec.contextLength = 2
        #expect(throws: CheckpointError.self) { try tokenizer.batch(of: "a", for: spec, source: "t.txt") }
    }

    /// Of the WordPiece file, whose post-processor, compact, is put in its place.
    private static func wordPiece(_ change: (String) -> String) throws -> any Tokenizer {
        let file = try InputFile(TokenizerCase.folder.appending("wordpiece").appending("tokenizer.json"))
        var object = try #require(try JSONValue(parsing: file.bytes(0..<file.byteCount)).object)
        let text = try #require(object["post_processor"]).compactText
        object["post_processor"] = try JSONValue(parsing: Array(change(text).utf8))
        let bytes = Array(JSONValue.object(object).compactText.utf8)
        return try TokenizerFolder.tokenizer(of: TokenizerFile(parsing: bytes, "t.json"))
    }

    /// The ids are those of the template, whatever the vocabulary has under the names.
    @Test func templatesHaveTheirOwnIDs() throws {
        let plain = try Self.wordPiece { $0 }
        #expect(plain.prefix == [2] && plain.suffix == [3])
        let other = try Self.wordPiece { $0.replacing(#""ids":[2]"#, with: #""ids":[7,9]"#) }
        #expect(other.prefix == [7, 9] && other.suffix == [3])
    }

    @Test(
        arguments: [
            (#""ids":[2]"#, #""ids":[]"#, "the ids of '[CLS]'"), (#""ids":[2]"#, #""ids":[-1]"#, "the ids of '[CLS]'"),
            (
                #"{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"[SEP]","type_id":0}}],"pair""#,
                #"{}],"pair""#,
                "special tokens and one sequence A"
            ),
            (
                #"{"id":"A","type_id":0}},{"SpecialToken":{"id":"[SEP]","type_id":0}}],"pair""#,
                #"{"id":"A","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair""#,
                "special tokens and one sequence A"
            ),
            (
                #"{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"[SEP]","type_id":0}}],"pair""#,
                #"{"SpecialToken":{"id":"[SEP]","type_id":0}}],"pair""#, "a sequence A, found none"
            ),
        ])
    func templatesThatSayOtherwiseAreRefused(_ old: String, _ new: String, _ words: String) throws {
        let error = #expect(throws: CheckpointError.self) {
            try Self.wordPiece { text in
                #expect(text.contains(old))
                return text.replacing(old, with: new)
            }
        }
        #expect(error.map { "\($0)".contains(words) } ?? false, "\(error.map { "\($0)" } ?? "")")
    }

    static let broken: [(change: @Sendable (String) -> String, sentence: String)] = [
        (
            { $0.replacing("\"type\": \"BPE\"", with: "\"type\": \"Unigram\"") },
            "t.json: model.type: expected 'BPE' or 'WordPiece', found 'Unigram'"
        ),
        (
            { $0.replacing("\"normalizer\": null", with: "\"normalizer\": {\"type\": \"NFC\"}") },
            "t.json: normalizer: expected null, found an object of 1"
        ),
        (
            { $0.replacing("\"byte_fallback\": false", with: "\"byte_fallback\": true") },
            "t.json: model.byte_fallback: expected null or false, found true"
        ),
        (
            { $0.replacing("\"lstrip\": false", with: "\"lstrip\": true") },
            "t.json: added_tokens: lstrip: expected false, found true"
        ),
        (
            { $0.replacing("\"content\": \"<|endoftext|>\"", with: "\"content\": \"!\"") },
            "t.json: added_tokens: expected '!' with the vocabulary's id 0, found 480"
        ),
        (
            { $0.replacing("      \"!\": 0,\n", with: "") },
            "t.json: vocabulary: expected a token for every byte, found none for byte 33"
        ),
    ]

    @Test(arguments: broken.indices) func whatIsNotDoneIsRefusedByName(_ index: Int) throws {
        let file = try InputFile(TokenizerCase.folder.appending("bpe").appending("tokenizer.json"))
        let text = String(decoding: try file.bytes(0..<file.byteCount), as: UTF8.self)
        let changed = Self.broken[index].change(text)
        #expect(changed != text)
        let error = #expect(throws: (any Error).self) {
            try TokenizerFolder.tokenizer(of: TokenizerFile(parsing: Array(changed.utf8), "t.json"))
        }
        #expect(error.map { "\($0)" } == Self.broken[index].sentence)
    }
}

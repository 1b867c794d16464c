import AssayCheckpoints
import Testing

@testable import AssayModels

struct BadTokens: Sendable, CustomTestStringConvertible {
    var text: String
    var sentence: String
    var testDescription: String { sentence }

    init(_ text: String, _ sentence: String) {
        self.text = text
        self.sentence = "t.json: " + sentence
    }

    /// For a BERT with 47 tokens, 18 positions and 3 kinds.
    static let all: [BadTokens] = [
        .init("", "byte 0: expected a value, found the end of the text"),
        .init("7", "expected a list of lists of token ids, or an object with input_ids, found the number 7"),
        .init("[]", "input_ids: expected at least one token, found none"),
        .init("[[]]", "input_ids: expected at least one token, found none"),
        .init("[1, 2]", "input_ids: expected lists of whole numbers, found the number 1"),
        .init("[[1, \"2\"]]", "input_ids: expected lists of whole numbers, found a string"),
        .init("[[1, 2.0]]", "input_ids: expected lists of whole numbers, found the number 2.0"),
        .init("[[1, 1e30]]", "input_ids: expected lists of whole numbers, found the number 1e30"),
        .init("[[1, null]]", "input_ids: expected lists of whole numbers, found null"),
        .init("[[1, 2], [3]]", "input_ids: expected 2 numbers in every sequence, found 1 in sequence 1"),
        .init("{}", "expected input_ids, found no such member"),
        .init(
            "{\"input_ids\": [[1]], \"labels\": [[1]]}",
            "expected only input_ids, attention_mask, token_type_ids, position_ids, decoder_input_ids, decoder_attention_mask, segment_length, memory_length, found 'labels'"
        ),
        .init(
            "{\"input_ids\": [[1]], \"attention_mask\": [[1], [1]]}", "attention_mask: expected 1 sequences, found 2"),
        .init(
            "{\"input_ids\": [[1, 2]], \"token_type_ids\": [[1]]}",
            "token_type_ids: expected 2 numbers in every sequence, found 1 in sequence 0"),
        .init(
            "{\"input_ids\": [[1, 2]], \"attention_mask\": [[1, 2]]}",
            "attention_mask: expected numbers from 0 to 1 (a mask of 0 and 1), found 2 in sequence 0 at position 1"),
        .init(
            "{\"input_ids\": [[1, 2]], \"attention_mask\": [[0, 0]]}",
            "attention_mask: expected a position that is read in every sequence, found none in sequence 0"),
        .init(
            "[[0, 46], [1, 47]]",
            "input_ids: expected numbers from 0 to 46 (vocab_size), found 47 in sequence 1 at position 1"),
        .init(
            "[[0, -1]]", "input_ids: expected numbers from 0 to 46 (vocab_size), found -1 in sequence 0 at position 1"),
        .init(
            "[[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]]",
            "input_ids: expected at most 18 tokens a sequence, as the model has positions, found 19"),
        .init(
            "{\"input_ids\": [[1]], \"position_ids\": [[18]]}",
            "position_ids: expected numbers from 0 to 17 (the model's positions), found 18 in sequence 0 at position 0"),
        .init(
            "{\"input_ids\": [[1]], \"token_type_ids\": [[3]]}",
            "token_type_ids: expected numbers from 0 to 2 (type_vocab_size), found 3 in sequence 0 at position 0"),
        .init(
            "{\"input_ids\": [[1]], \"decoder_input_ids\": [[3]]}",
            "decoder_input_ids: expected none, as bert has no decoder, found some"),
        .init(
            "{\"input_ids\": [[1]], \"decoder_attention_mask\": [[1]]}",
            "decoder_attention_mask: expected decoder_input_ids beside it, found no such member"),
        .init(
            "{\"input_ids\": [[1]], \"decoder_input_ids\": [[3], [4]]}",
            "decoder_input_ids: expected 1 sequences, found 2"),
        .init(
            "{\"input_ids\": [[1]], \"segment_length\": [[2]]}",
            "segment_length: expected a whole number, found a list"),
        .init(
            "{\"input_ids\": [[1]], \"segment_length\": 0}",
            "segment_length: expected a whole number from 1 to 2147483647, found 0"),
        .init(
            "{\"input_ids\": [[1]], \"memory_length\": -1}",
            "memory_length: expected a whole number from 0 to 2147483647, found -1"),
        .init(
            "{\"input_ids\": [[1]], \"segment_length\": 2}",
            "segment_length: expected none, as bert remembers nothing between segments, found some"),
        .init(
            "{\"input_ids\": [[1]], \"memory_length\": 2}",
            "memory_length: expected none, as bert has no memory, found some"),
    ]

    /// For a Transformer-XL whose positions see as many others each.
    static let withMemory: [BadTokens] = [
        .init(
            "{\"input_ids\": [[1, 2]], \"attention_mask\": [[1, 0]]}",
            "attention_mask: expected none, as transfo-xl knows no padding, found some"),
        .init(
            "{\"input_ids\": [[1, 2]], \"position_ids\": [[1, 0]]}",
            "position_ids: expected none, as transfo-xl knows distances alone, found some"),
        .init(
            "{\"input_ids\": [[1, 2]], \"memory_length\": 0}",
            "memory_length: expected at least 1, as a position sees no more (same_length), found 0"),
    ]
}

@Suite struct TokensTests {
    @Test(arguments: BadTokens.all) func badTokensAreRefusedInOneSentence(_ bad: BadTokens) throws {
        let model = try Golden.named("bert-mlm").model()
        let error = #expect(throws: CheckpointError.self) {
            let tokens = try TokensFile.parse(Array(bad.text.utf8), "t.json")
            try tokens.check(against: model.spec)
        }
        #expect(error?.description == bad.sentence)
    }

    @Test(arguments: BadTokens.withMemory) func modelsWithAMemoryRefuseWhatTheyDoNotKnow(_ bad: BadTokens) throws {
        let spec = try Golden.named("transfo-xl-same-length").model().spec
        let error = #expect(throws: CheckpointError.self) {
            try TokensFile.parse(Array(bad.text.utf8), "t.json").check(against: spec)
        }
        #expect(error?.description == bad.sentence)
    }

    /// Zeros neither: transformers would add the embedding of token 0.
    @Test(arguments: [0, 1]) func gpt2TakesNoTokenTypes(_ kind: Int) throws {
        let tokens = try TokensFile.parse(
            Array("{\"input_ids\":[[1]],\"token_type_ids\":[[\(kind)]]}".utf8), "t.json")
        let spec = try Golden.named("gpt2-odd-heads").model().spec
        let error = #expect(throws: CheckpointError.self) { try tokens.check(against: spec) }
        #expect(
            error?.description
                == "t.json: token_type_ids: expected none, as gpt2 has no token types; leave the member out,"
                + " found some")
    }

    /// Computed with Python's hashlib over the text that `TokenBatch.digest` documents.
    @Test func digestIsOfTheTokensNotOfTheFile() throws {
        let plain = try TokensFile.parse(Array("[[1,2,3],[4,5,6]]".utf8), "a.json")
        let wordy = try TokensFile.parse(
            Array(
                """
                { "token_type_ids": [[0,0,0],[0,0,0]], "input_ids": [[1, 2, 3], [4, 5, 6]],
                  "attention_mask": [[1,1,1],[1,1,1]], "position_ids": [[0,1,2],[0,1,2]] }
                """.utf8), "b.json")
        #expect(plain.digest.description == "f67524060619a1347e8dcb72e230d2215e6c2bee53331617d0392f134f710610")
        #expect(wordy.digest == plain.digest)
        let masked = try TokensFile.parse(
            Array("{\"input_ids\":[[1,2,3],[4,5,6]],\"attention_mask\":[[1,1,1],[0,1,1]]}".utf8), "c.json")
        let cut = try plain.cut(into: .init(length: 2)).cut(into: .init(memoryLength: 0))
        #expect(cut.digest.description == "b9fcc3189389bf0b5583b8d1ce8b53d35590e2afadb163156d13f187b96b2bbc")
        #expect(masked.digest.description == "9e68d67f36c44590e73491eb671ff3c4939512ff9bb88f3612a4e4f7da1a3ebe")
    }
}

@Suite struct TapPatternTests {
    static let cases: [(String, String, Bool)] = [
        ("*", "layers.0.q", true), ("layers.*.out", "layers.11.out", true),
        ("layers.*.out", "layers.0.attn_out", false),
        ("layers.?.out", "layers.11.out", false), ("logits,pooler", "pooler", true), ("logits,pooler", "log", false),
        ("*attn*", "layers.0.attn_norm", true), ("*.q", "layers.0.q", true), ("*.q", "q", false),
        ("embed", "embed", true),
        ("embed?", "embed", false), ("*out*out", "layers.0.attn_out", false), ("**", "", true), ("?", "", false),
    ]

    @Test(arguments: cases.indices) func patternsMatchWholeNames(_ index: Int) throws {
        let (pattern, name, isMatch) = Self.cases[index]
        #expect(try TapPattern(pattern).matches(name) == isMatch, "\(pattern) \(name)")
    }

    @Test(arguments: ["", ",", "a,,b", String(repeating: "*", count: 5000)]) func badPatternsAreRefused(_ text: String)
    {
        #expect(throws: UsageError.self) { try TapPattern(text) }
    }

    @Test func manyStarsTakeNoTime() throws {
        let pattern = try TapPattern(String(repeating: "*a", count: 2000) + "b")
        #expect(!pattern.matches(String(repeating: "a", count: 4000)))
    }
}

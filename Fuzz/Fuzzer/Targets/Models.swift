import AssayCheckpoints
import AssayFormats
import AssayTensors
import SystemPackage

@testable import AssayModels

extension FuzzTarget {
    /// A configuration beside tensors that may suit it; where they do, the model runs.
    static let configuration = FuzzTarget(
        name: "configuration", fixtures: ["golden/models/*/config.json", "golden/compressed-tensors/*/config.json"],
        words: [
            "\"model_type\":\"gpt2\"", "\"model_type\":\"bert\"", "\"n_head\":", "\"n_layer\":", "\"n_embd\":",
            "\"n_inner\":",
            "\"vocab_size\":", "\"activation_function\":", "\"layer_norm_epsilon\":", "\"quantization_config\":",
            "\"quant_method\":\"compressed-tensors\"", "\"config_groups\":", "\"num_bits\":", "\"group_size\":",
            "\"strategy\":", "\"targets\":", "\"ignore\":", "\"format\":", "\"hidden_act\":", "\"type_vocab_size\":",
            "\"tie_word_embeddings\":", "\"architectures\":[", "\"reorder_and_upcast_attn\":",
            "\"position_embedding_type\":",
            "\"scale_attn_by_inverse_layer_idx\":", "\"torch_dtype\":", "\"num_attention_heads\":",
        ],
        maximumByteCount: 2048
    ) { bytes in
        guard let configuration = try JSONValue(parsing: bytes, in: "config.json").object else { return }
        let weights = TinyWeights(of: configuration["model_type"]?.string)
        let model = try Model(weights, configuration: configuration, name: "model")
        for sentence in model.report.sentences { Judge.require(Judge.isSentence(sentence), sentence) }
        guard model.report.isSound else { return }
        let batch = try TokenBatch(inputIDs: [[1, 0]])
        try batch.check(against: model.spec)
        try ForwardPass.run(BlockRunner(model, tokens: batch)) { _ in }
    }

    static let tokens = FuzzTarget(
        name: "tokens", fixtures: ["golden/models/*/tokens.json"],
        words: ["\"input_ids\":", "\"attention_mask\":", "\"token_type_ids\":", "\"position_ids\":", "[[1,2]]"],
        maximumByteCount: 1024
    ) { bytes in
        let batch = try TokensFile.parse(bytes, "tokens.json")
        Judge.require(batch.inputIDs.allSatisfy { $0.count == batch.length }, "a batch that is no rectangle")
        for sequence in 0..<batch.batchCount { _ = batch.isRead(sequence: sequence, position: batch.length - 1) }
    }

    /// A file of tensors with ids, pixels or mel spectrograms.
    static let inputs = FuzzTarget(
        name: "inputs", fixtures: ["golden/models/*/tokens.safetensors"],
        words: [
            "\"input_ids\":", "\"attention_mask\":", "\"pixel_values\":", "\"input_features\":",
            "\"decoder_input_ids\":", "\"dtype\":\"F16\"", "\"dtype\":\"I64\"", "\"shape\":[1,1,2,2]",
            "\"data_offsets\":",
        ],
        maximumByteCount: 4096
    ) { bytes in
        let file = MemoryFile.holding(bytes, named: "tokens.safetensors")
        let batch = try TokenBatch(Safetensors.open(file, ReadingOptions()), source: "tokens.safetensors")
        Judge.require(batch.batchCount > 0, "a batch of nothing")
        Judge.require(batch.digest == (try batch.part(0..<batch.batchCount)).digest, "a part that is another")
    }

    /// A `tokenizer.json`, and a text for it.
    static let tokenizer = FuzzTarget(
        name: "tokenizer", fixtures: ["golden/tokenizers/*/tokenizer.json"],
        words: [
            "\"model\":", "\"type\":\"BPE\"", "\"type\":\"WordPiece\"", "\"vocab\":{", "\"merges\":[",
            "\"added_tokens\":[",
            "\"content\":", "\"id\":", "\"normalizer\":{\"type\":\"BertNormalizer\"}", "\"unk_token\":\"[UNK]\"",
            "\"[CLS]\"",
            "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}", "\"post_processor\":",
            "\"continuing_subword_prefix\":",
            "\"max_input_chars_per_word\":", "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false}",
        ],
        maximumByteCount: 20_000
    ) { bytes in
        let tokenizer = try TokenizerFolder.tokenizer(of: TokenizerFile(parsing: bytes, "tokenizer.json"))
        encode(with: tokenizer)
    }

    /// The older files: a byte says which.
    static let vocabulary = FuzzTarget(
        name: "vocabulary", words: ["[UNK]\n", "[CLS]\n", "[SEP]\n", "##a\n", "#version: 0.2\n", "\u{120}t"],
        maximumByteCount: 4096
    ) { bytes in
        guard let kind = bytes.first else { return }
        let rest = Array(bytes.dropFirst())
        switch kind % 3 {
        case 0: encode(with: try WordPiece(vocabularyText: rest, "vocab.txt"))
        case 1: _ = try BytePairEncoding.merges(parsing: rest, "merges.txt")
        default: _ = try TokenizerFile.vocabulary(parsing: rest, "vocab.json")
        }
    }

    private static func encode(with tokenizer: any Tokenizer) {
        for text in [
            "In the beginning, e\u{301}\u{65}\u{4e2d} don't\0 <|endoftext|>[MASK] \u{1F600}", "", "aaaaaaaaaaaaaaaa",
        ] {
            Judge.require(tokenizer.encode(text).allSatisfy { $0 >= 0 }, "a negative token")
        }
    }
}

/// The weights of a GPT-2 or a BERT, small and all 0, as the fixtures' configurations describe them.
private struct TinyWeights: CheckpointReader {
    let contents: CheckpointContents

    init(of modelType: String?) {
        contents = CheckpointContents(
            formatName: "memory",
            tensors: (modelType == "bert" ? Self.bert : Self.gpt2).map {
                TensorInfo(name: $0.name, elementType: .f32, shape: Shape($0.shape)!)!
            })
    }

    func read(_ tensor: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) {
        buffer.initializeMemory(as: UInt8.self, repeating: 0)
    }

    private typealias Entry = (name: String, shape: [Int])

    private static func linear(_ name: String, _ shape: [Int], bias: Int) -> [Entry] {
        [("\(name).weight", shape), ("\(name).bias", [bias])]
    }

    private static let gpt2: [Entry] = {
        var entries: [Entry] = [("transformer.wte.weight", [53, 12]), ("transformer.wpe.weight", [20, 12])]
        for layer in 0..<2 {
            let block = "transformer.h.\(layer)."
            for norm in ["ln_1", "ln_2"] { entries += linear(block + norm, [12], bias: 12) }
            entries += linear(block + "attn.c_attn", [12, 36], bias: 36)
            entries += linear(block + "attn.c_proj", [12, 12], bias: 12)
            entries += linear(block + "mlp.c_fc", [12, 48], bias: 48)
            entries += linear(block + "mlp.c_proj", [48, 12], bias: 12)
        }
        return entries + linear("transformer.ln_f", [12], bias: 12)
    }()

    private static let bert: [Entry] = {
        var entries: [Entry] = []
        for (name, count) in [("word", 47), ("position", 18), ("token_type", 3)] {
            entries.append(("embeddings.\(name)_embeddings.weight", [count, 24]))
        }
        entries += linear("embeddings.LayerNorm", [24], bias: 24)
        for layer in 0..<2 {
            let block = "encoder.layer.\(layer)."
            for name in ["self.query", "self.key", "self.value", "output.dense"] {
                entries += linear(block + "attention." + name, [24, 24], bias: 24)
            }
            entries += linear(block + "attention.output.LayerNorm", [24], bias: 24)
            entries += linear(block + "intermediate.dense", [40, 24], bias: 40)
            entries += linear(block + "output.dense", [24, 40], bias: 24)
            entries += linear(block + "output.LayerNorm", [24], bias: 24)
        }
        return entries + linear("pooler.dense", [24, 24], bias: 24)
    }()
}

import AssayCheckpoints
import AssayTensors
import AssayTestSupport
import Testing

@testable import AssayModels

/// Tensors that are no input of a model, and the sentence that says so.
struct BadTensors: Sendable, CustomTestStringConvertible {
    typealias Tensor = (name: String, type: ElementType, shape: [Int], bytes: [UInt8])
    var golden: String
    var tensors: [Tensor]
    var sentence: String
    var testDescription: String { "\(golden): \(sentence)" }

    init(_ golden: String, _ tensors: [Tensor], _ sentence: String) {
        self.golden = golden
        self.tensors = tensors
        self.sentence = "t.safetensors: " + sentence
    }

    static func numbers(_ name: String, _ shape: [Int], _ change: (inout [Float]) -> Void = { _ in }) -> Tensor {
        var values = (0..<shape.reduce(1, *)).map { Float($0 % 7) - 3 }
        change(&values)
        return (name, .f32, shape, values.withUnsafeBytes { Array($0) })
    }

    static func ids(_ name: String, _ shape: [Int], _ values: [Int64]) -> Tensor {
        (name, .i64, shape, values.withUnsafeBytes { Array($0) })
    }

    static let pixels = numbers("pixel_values", [2, 3, 7, 10])
    static let mel = numbers("input_features", [1, 7, 12])
    static let spoken = ids("decoder_input_ids", [1, 2], [1, 5])
    static let text = ids("input_ids", [1, 3], [44, 9, 45])

    static let all = ofPixels + ofSound + ofPairs + ofTokens

    private static let ofPixels: [BadTensors] = [
        .init("vit-classifier", [], "expected input_ids, input_features or pixel_values, found none of them"),
        .init(
            "vit-classifier", [numbers("pixels", [2, 3, 7, 10])],
            "expected only tensors named input_ids, attention_mask, token_type_ids, position_ids, decoder_input_ids, "
                + "decoder_attention_mask, segment_length, memory_length, input_features, pixel_values, found 'pixels'"),
        .init(
            "vit-classifier", [numbers("pixel_values", [3, 7, 10])],
            "pixel_values: expected [batch, channels, height, width], each at least 1, found [3, 7, 10]"),
        .init(
            "vit-classifier", [numbers("pixel_values", [0, 3, 7, 10])],
            "pixel_values: expected [batch, channels, height, width], each at least 1, found [0, 3, 7, 10]"),
        .init(
            "vit-classifier", [numbers("pixel_values", [2, 3, 10, 7])],
            "pixel_values: expected [batch, 3, 7, 10], as vit reads them, found [2, 3, 10, 7]"),
        .init(
            "vit-classifier", [numbers("pixel_values", [2, 7, 10, 3])],
            "pixel_values: expected [batch, 3, 7, 10], as vit reads them, found [2, 7, 10, 3]"),
        .init(
            "vit-classifier", [numbers("pixel_values", [2, 1, 7, 10])],
            "pixel_values: expected [batch, 3, 7, 10], as vit reads them, found [2, 1, 7, 10]"),
        .init(
            "vit-classifier", [numbers("pixel_values", [2, 3, 7, 10]) { $0[215] = .nan }],
            "pixel_values: expected finite numbers, found NaN in input 1"),
        .init(
            "vit-classifier", [numbers("pixel_values", [2, 3, 7, 10]) { $0[0] = -.infinity }],
            "pixel_values: expected finite numbers, found infinity in input 0"),
        .init(
            "vit-classifier", [ids("pixel_values", [1, 1, 1, 1], [7])],
            "tensor 'pixel_values': expected F32, F64, F16 or BF16 numbers, found I64"),
        .init(
            "vit-classifier", [text],
            "pixel_values: expected [batch, 3, 7, 10] in a file of tensors, as vit reads images, found no such member"),
        .init(
            "vit-classifier", [numbers("input_features", [1, 7, 12])],
            "input_features: expected no such member, as vit reads images, pixel_values, found some"),
        .init(
            "vit-classifier", [pixels, ids("input_ids", [2, 1], [4, 5])],
            "input_ids: expected no such member, as vit reads images, found some"),
        .init(
            "vit-classifier", [pixels, numbers("input_features", [2, 7, 12])],
            "pixel_values: expected no input_features beside it, found both"),
        .init(
            "vit-classifier", [pixels, ids("attention_mask", [2, 1], [1, 1])],
            "attention_mask: expected input_ids beside it, found no such member"),
        .init(
            "vit-classifier", [pixels, ids("position_ids", [2, 1], [1, 1])],
            "position_ids: expected input_ids beside it, found no such member"),
        .init(
            "vit-classifier", [pixels, ids("decoder_input_ids", [2, 1], [1, 1])],
            "decoder_input_ids: expected none, as vit has no decoder, found some"),
    ]

    private static let ofSound: [BadTensors] = [
        .init(
            "whisper-plain", [mel],
            "decoder_input_ids: expected what the decoder is fed, as whisper is an encoder and a decoder, "
                + "found no such member"),
        .init(
            "whisper-plain", [numbers("input_features", [1, 7, 11]), spoken],
            "input_features: expected [batch, 7, 12], as whisper reads them, found [1, 7, 11]"),
        .init(
            "whisper-plain", [numbers("input_features", [1, 12, 7]), spoken],
            "input_features: expected [batch, 7, 12], as whisper reads them, found [1, 12, 7]"),
        .init(
            "whisper-plain", [numbers("input_features", [7, 12]), spoken],
            "input_features: expected [batch, mel bins, frames], each at least 1, found [7, 12]"),
        .init(
            "whisper-plain", [mel, ids("decoder_input_ids", [2, 1], [1, 5])],
            "decoder_input_ids: expected 1 sequences, found 2"),
        .init(
            "whisper-plain", [mel, ids("decoder_input_ids", [1, 2], [1, 47])],
            "decoder_input_ids: expected numbers from 0 to 46 (vocab_size), found 47 in sequence 0 at position 1"),
        .init(
            "whisper-plain", [mel, ids("decoder_input_ids", [1, 10], [Int64](repeating: 3, count: 10))],
            "decoder_input_ids: expected at most 9 tokens a sequence, as the model has positions, found 10"),
        .init(
            "whisper-plain", [mel, ids("decoder_input_ids", [2], [1, 5])],
            "tensor 'decoder_input_ids': expected whole numbers, [batch, time] (I64 or I32), found I64 [2]"),
        .init(
            "whisper-plain", [mel, numbers("decoder_input_ids", [1, 2])],
            "tensor 'decoder_input_ids': expected whole numbers, [batch, time] (I64 or I32), found F32 [1, 2]"),
        .init(
            "whisper-plain", [mel, ids("decoder_attention_mask", [1, 2], [1, 1])],
            "decoder_attention_mask: expected decoder_input_ids beside it, found no such member"),
        .init(
            "whisper-plain", [mel, spoken, ids("decoder_attention_mask", [1, 2], [0, 0])],
            "decoder_attention_mask: expected a position that is read in every sequence, found none in sequence 0"),
        .init(
            "whisper-plain", [spoken],
            "expected input_ids, input_features or pixel_values, found none of them"),
        .init(
            "whisper-plain", [text, ids("decoder_input_ids", [1, 2], [1, 5])],
            "input_features: expected [batch, 7, 12] in a file of tensors, as whisper reads spectrograms, "
                + "found no such member"),
    ]

    private static let ofPairs: [BadTensors] = [
        .init(
            "clip-both", [text],
            "pixel_values: expected [batch, 3, 7, 7] in a file of tensors, as clip reads images, found no such member"),
        .init(
            "clip-both", [numbers("pixel_values", [1, 3, 7, 7])],
            "input_ids: expected token ids, as clip reads tokens, found no such member"),
        .init(
            "clip-both", [text, numbers("pixel_values", [1, 3, 7, 8])],
            "pixel_values: expected [batch, 3, 7, 7], as clip reads them, found [1, 3, 7, 8]"),
        .init(
            "clip-both", [ids("input_ids", [1, 1], [47]), numbers("pixel_values", [1, 3, 7, 7])],
            "input_ids: expected numbers from 0 to 46 (vocab_size), found 47 in sequence 0 at position 0"),
        .init(
            "clip-both", [text, numbers("pixel_values", [1, 3, 7, 7]), ids("token_type_ids", [1, 3], [0, 0, 0])],
            "token_type_ids: expected none, as clip has no token types; leave the member out, found some"),
        .init(
            "clip-vision", [text, numbers("pixel_values", [1, 3, 7, 7])],
            "input_ids: expected no such member, as clip_vision_model reads images, found some"),
        .init(
            "clip-text", [text, numbers("pixel_values", [1, 3, 7, 7])],
            "pixel_values: expected no such member, as clip_text_model reads tokens, found some"),
    ]

    private static let ofTokens: [BadTensors] = [
        .init(
            "gpt2-odd-heads", [numbers("pixel_values", [1, 3, 7, 7])],
            "pixel_values: expected no such member, as gpt2 reads tokens, found some"),
        .init(
            "gpt2-odd-heads", [numbers("input_features", [1, 7, 12])],
            "input_features: expected no such member, as gpt2 reads tokens, found some"),
        .init(
            "gpt2-odd-heads", [ids("input_ids", [1, 2], [-1, 3])],
            "input_ids: expected numbers from 0 to 52 (vocab_size), found -1 in sequence 0 at position 0"),
        .init(
            "gpt2-odd-heads", [ids("input_ids", [1, 2], [1, 3]), ids("attention_mask", [1, 1], [1])],
            "attention_mask: expected 2 numbers in every sequence, found 1 in sequence 0"),
        .init(
            "t5-plain", [numbers("input_features", [1, 7, 12]), spoken],
            "input_features: expected no such member, as t5 reads tokens, found some"),
    ]
}

@Suite struct SenseInputTests {
    @Test(arguments: BadTensors.all) func badTensorsAreRefusedInOneSentence(_ bad: BadTensors) throws {
        let model = try Golden.named(bad.golden).model()
        let error = #expect(throws: CheckpointError.self) {
            let tokens = try TokenBatch(MemoryCheckpoint(bad.tensors), source: "t.safetensors")
            try tokens.check(against: model.spec)
        }
        #expect(error?.description == bad.sentence)
    }

    /// The nearest that is right.
    @Test(arguments: [
        ("vit-classifier", [BadTensors.pixels]), ("whisper-plain", [BadTensors.mel, BadTensors.spoken]),
        ("clip-both", [BadTensors.text, BadTensors.numbers("pixel_values", [2, 3, 7, 7])]),
        ("clip-text", [BadTensors.text]), ("gpt2-odd-heads", [BadTensors.ids("input_ids", [1, 3], [4, 9, 5])]),
    ]) func whatIsRightIsTaken(_ golden: String, _ tensors: [BadTensors.Tensor]) throws {
        let tokens = try TokenBatch(MemoryCheckpoint(tensors), source: "t.safetensors")
        try tokens.check(against: Golden.named(golden).model().spec)
    }

    @Test func jsonHoldsNoNumbers() throws {
        let error = #expect(throws: CheckpointError.self) {
            try TokensFile.parse(Array(#"{"input_ids": [[1]], "pixel_values": [[1]]}"#.utf8), "t.json")
        }
        #expect(error?.description.hasSuffix("found 'pixel_values'") == true)
        let model = try Golden.named("vit-classifier").model()
        let json = try TokensFile.parse(Array("[[1]]".utf8), "t.json")
        #expect(throws: CheckpointError.self) { try json.check(against: model.spec) }
    }

    /// Computed with Python's hashlib over the text that `TokenBatch.digest` documents.
    @Test func theDigestIsOfTheNumbersNotOfTheirType() throws {
        let values: [Float] = [0, 1, -2, 0.5, 3, 4, 5, -0.25]
        func digest(_ type: ElementType) throws -> Digest {
            var file = MemoryCheckpoint()
            file.set("pixel_values", [1, 2, 2, 2], values)
            return try TokenBatch(file.cast(to: type), source: "t").digest
        }
        let found = try digest(.f32)
        #expect(found.description == "3cba68b2908c08008325dfcebf46f5d8ef64cf1bf89d2feb08166a9d842d515c")
        for type in [ElementType.f64, .f16, .bf16] { #expect(try digest(type) == found, "\(type)") }
        let wide: [Double] = [0.1, 0.2]
        let file = MemoryCheckpoint([("pixel_values", .f64, [1, 1, 1, 2], wide.withUnsafeBytes { Array($0) })])
        #expect(
            try TokenBatch(file, source: "t").digest.description
                == "529d87d99fbee9b21f495a901bf36ecd449469a0e51206d1b9b21d78ae9a1a4f")
        let pair = MemoryCheckpoint([BadTensors.mel, BadTensors.spoken])
        #expect(
            try TokenBatch(pair, source: "t").digest.description
                == "b5f1d2740832ff1fa3678ccb8dffafa5f89a152c5425a09477400bc336bf8ba2")
    }

    @Test func idsOf32BitsAreIds() throws {
        let values: [Int32] = [3, 1, 4]
        let file = MemoryCheckpoint([("input_ids", .i32, [1, 3], values.withUnsafeBytes { Array($0) })])
        #expect(try TokenBatch(file, source: "t").inputIDs == [[3, 1, 4]])
    }
}

/// Configurations as they are published, whose keys say more than a forward pass asks.
@Suite struct PublishedSenseConfigurations {
    private static let generation: [(String, JSONValue)] = [
        ("add_cross_attention", false), ("architectures", .null), ("bad_words_ids", .null), ("bos_token_id", 0),
        ("chunk_size_feed_forward", 0), ("cross_attention_hidden_size", .null), ("diversity_penalty", 0),
        ("do_sample", false), ("dropout", 0), ("early_stopping", false), ("id2label", ["0": "a", "1": "b"]),
        ("is_decoder", false), ("is_encoder_decoder", false), ("label2id", ["a": 0, "b": 1]), ("length_penalty", 1),
        ("max_length", 20), ("num_beams", 1), ("output_attentions", false), ("pad_token_id", 1), ("prefix", .null),
        ("pruned_heads", .object(JSONObject([]))), ("return_dict", true), ("sep_token_id", .null),
        ("tie_encoder_decoder", false), ("tie_word_embeddings", true), ("tokenizer_class", .null), ("top_k", 50),
        ("torch_dtype", .null), ("torchscript", false), ("typical_p", 1), ("use_bfloat16", false),
        ("initializer_factor", 1), ("initializer_range", .init(0.02)), ("transformers_version", "4.16.0.dev0"),
    ]

    private func adding(_ keys: [(String, JSONValue)], to object: JSONObject?) -> JSONObject {
        var result = object ?? JSONObject([])
        for (key, value) in keys where result[key] == nil { result[key] = value }
        return result
    }

    @Test func ofCLIP() throws {
        let golden = Golden.named("clip-both")
        let plain = try golden.model().spec
        let wordy = try golden.model(editingConfiguration: { configuration in
            for key in ["text_config", "vision_config"] {
                configuration[key] = .object(adding(Self.generation, to: configuration[key]?.object))
                configuration[key + "_dict"] = .null
            }
            configuration["transformers_version"] = .null
        })
        #expect(wordy.spec == plain)
        // Older ones say it twice; what the first does not say is the library's default.
        let twice = try golden.model(editingConfiguration: { configuration in
            var text = configuration["text_config"]?.object ?? JSONObject([])
            text["eos_token_id"] = nil
            configuration["text_config_dict"] = .object(text)
        })
        #expect(twice.spec[.text]?.pooling?.position == .firstToken(49407))
    }

    @Test func ofWhisper() throws {
        let golden = Golden.named("whisper-plain")
        let wordy = try golden.model(editingConfiguration: { configuration in
            configuration["forced_decoder_ids"] = [[1, 4], [2, 5]]
            configuration["suppress_tokens"] = [1, 2]
            configuration["max_length"] = 9
            configuration["num_hidden_layers"] = 2
            configuration["torch_dtype"] = "float32"
            configuration["scale_embedding"] = true
        })
        #expect(try wordy.spec == golden.model().spec)
    }

    @Test func ofViT() throws {
        let golden = Golden.named("vit-older-keys")
        let bare = try golden.model(editingConfiguration: { configuration in
            for key in ["pooler_act", "pooler_output_size", "encoder_stride", "qkv_bias", "num_channels", "id2label"] {
                configuration[key] = nil
            }
        })
        #expect(try bare.spec == golden.model().spec)
    }
}

/// The same bits for any number of threads, any dispatch level, and for an input alone or among others.
@Suite struct SenseBitsTests {
    static let goldens = Golden.all.filter { golden in
        ["vit", "whisper", "clip"].contains { golden.name.hasPrefix($0) }
    }

    @Test(arguments: goldens, Profile.allCases)
    func threadsAndLevelsChangeNothing(_ golden: Golden, _ profile: Profile) throws {
        let (model, tokens) = try (golden.model(), golden.tokens())
        let one = try Trace(model, tokens, RunSettings(profile: profile, threads: 1))
        for level in DispatchLevel.allCases where level.isAvailable {
            let trace = try Trace(model, tokens, RunSettings(profile: profile, threads: 3, level: level))
            #expect(trace == one, "\(level)")
        }
    }

    @Test(arguments: goldens.filter { !["clip-both", "clip-greatest"].contains($0.name) })
    func aBatchChangesNothing(_ golden: Golden) throws {
        let (model, tokens) = try (golden.model(), golden.tokens())
        let whole = try Trace(model, tokens, RunSettings(profile: .fast32, threads: 2))
        for index in 0..<tokens.batchCount {
            let alone = try Trace(model, tokens.part(index..<index + 1), RunSettings(profile: .fast32, threads: 2))
            for tap in alone.taps {
                let bytes = try #require(whole[tap.name]).bytes
                let part = bytes[index * tap.bytes.count..<(index + 1) * tap.bytes.count]
                #expect(part.elementsEqual(tap.bytes), "\(tap.name) of input \(index)")
            }
        }
    }

    /// Windows enough that threads share them.
    @Test(arguments: Profile.allCases) func manyPatchesHaveTheBitsOfFew(_ profile: Profile) throws {
        let model = try MadeUpModel.vit()
        let tokens = try MadeUpModel.images(5)
        let one = try Trace(model, tokens, RunSettings(profile: profile, threads: 1))
        for threads in [2, 5] {
            #expect(try Trace(model, tokens, RunSettings(profile: profile, threads: threads)) == one)
        }
        let alone = try Trace(model, tokens.part(4..<5), RunSettings(profile: profile, threads: 2))
        for tap in alone.taps {
            #expect(try #require(one[tap.name]).bytes.suffix(tap.bytes.count).elementsEqual(tap.bytes), "\(tap.name)")
        }
    }
}

extension MadeUpModel {
    fileprivate static let imageSize = 64

    fileprivate static func vit() throws -> Model {
        let configuration = JSONObject([
            ("model_type", "vit"), ("hidden_size", 60), ("num_attention_heads", 5), ("num_hidden_layers", 1),
            ("intermediate_size", 130), ("image_size", .init(imageSize)), ("patch_size", 4),
        ])
        var checkpoint = MemoryCheckpoint()
        var numbers = SeededRandom(seed: 21)
        func fill(_ name: String, _ shape: [Int]) {
            checkpoint.set(name, shape, (0..<shape.reduce(1, *)).map { _ in numbers.float(0.5) })
        }
        fill("embeddings.cls_token", [1, 1, 60])
        fill("embeddings.position_embeddings", [1, 257, 60])
        fill("embeddings.patch_embeddings.projection.weight", [60, 3, 4, 4])
        fill("embeddings.patch_embeddings.projection.bias", [60])
        let layer = "encoder.layer.0."
        for (name, shape) in [
            ("attention.attention.query", [60, 60]), ("attention.attention.key", [60, 60]),
            ("attention.attention.value", [60, 60]), ("attention.output.dense", [60, 60]),
            ("intermediate.dense", [130, 60]), ("output.dense", [60, 130]), ("layernorm_before", [60]),
            ("layernorm_after", [60]),
        ] {
            fill(layer + name + ".weight", shape)
            fill(layer + name + ".bias", [shape[0]])
        }
        fill("layernorm.weight", [60])
        fill("layernorm.bias", [60])
        return try Model(checkpoint, configuration: configuration, name: "made-up vit")
    }

    fileprivate static func images(_ count: Int) throws -> TokenBatch {
        var numbers = SeededRandom(seed: 22)
        let shape = [count, 3, imageSize, imageSize]
        let values = (0..<shape.reduce(1, *)).map { _ in numbers.float(0.5) }
        return try TokenBatch(features: InputFeatures(.pixels, shape: shape, .float32(values), source: "made up"))
    }
}

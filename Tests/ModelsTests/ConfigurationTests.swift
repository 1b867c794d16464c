import AssayCheckpoints
import Testing

@testable import AssayModels

/// A configuration that cannot be computed, and the sentence that says so.
struct BadConfiguration: Sendable, CustomTestStringConvertible {
    var golden: String
    var changes: [(String, JSONValue)]
    var sentence: String
    var testDescription: String { sentence }

    init(_ changes: [(String, JSONValue)], _ sentence: String) {
        self.init("gpt2-odd-heads", changes, sentence)
    }

    init(_ golden: String, _ changes: [(String, JSONValue)], _ sentence: String) {
        self.golden = golden
        self.changes = changes
        self.sentence = sentence
    }

    static let activations =
        "gelu, gelu_fast, gelu_new, gelu_python, gelu_pytorch_tanh, quick_gelu, relu, relu2, silu, swish, tanh"

    static let modelTypes = ArchitectureRegistry.all.map { $0.modelType }.sorted().joined(separator: ", ")

    static let all = ofGPT2AndBERT + ofTheGPTLine + ofExperts + ofEncoders + ofSenses + ofTheLibrary + ofPublished

    private static let ofGPT2AndBERT: [BadConfiguration] = [
        .init(
            [("model_type", "gpt5")],
            "config.json: model_type: expected one of \(modelTypes), found 'gpt5'"),
        .init(
            [("model_type", .null)],
            "config.json: model_type: expected one of \(modelTypes), found no such key"
        ),
        .init(
            [("model_type", 2)],
            "config.json: model_type: expected one of \(modelTypes), found 2"),
        .init([("n_head", 5)], "config.json: n_head: expected a divisor of n_embd 24, found 5"),
        .init([("n_head", 0)], "config.json: n_head: expected a whole number from 1 to 2147483647, found 0"),
        .init([("n_head", -3)], "config.json: n_head: expected a whole number from 1 to 2147483647, found -3"),
        .init([("n_head", "3")], "config.json: n_head: expected a whole number from 1 to 2147483647, found '3'"),
        .init([("n_head", true)], "config.json: n_head: expected a whole number from 1 to 2147483647, found true"),
        .init([("n_head", .null)], "config.json: n_head: expected a whole number from 1 on, found no such key"),
        .init([("n_head", .init(2.5))], "config.json: n_head: expected a whole number from 1 to 2147483647, found 2.5"),
        .init([("n_head", [3])], "config.json: n_head: expected a whole number from 1 to 2147483647, found [3]"),
        .init(
            [("n_embd", .init(1 << 40))],
            "config.json: n_embd: expected a whole number from 1 to 2147483647, found 1099511627776"),
        .init([("n_inner", 0)], "config.json: n_inner: expected a whole number from 1 to 2147483647, found 0"),
        .init([("hidden_size", 25)], "config.json: hidden_size: expected 24 as in n_embd, found 25"),
        .init([("n_ctx", 21)], "config.json: n_ctx: expected n_positions 20, found 21"),
        .init(
            [("n_layer", 1_000_000_000)],
            "config.json: expected at most as many layers as gpt2-odd-heads has tensors (28), found 1000000000 layers"),
        .init(
            [("layer_norm_epsilon", .init(-1e-5))],
            "config.json: layer_norm_epsilon: expected a number above 0, found -1e-05"),
        .init(
            [("layer_norm_epsilon", .init(Double.nan))],
            "config.json: layer_norm_epsilon: expected a number above 0, found 'NaN'"),
        .init(
            [("layer_norm_epsilon", "1e-5")],
            "config.json: layer_norm_epsilon: expected a number above 0, found '1e-5'"),
        .init(
            [("activation_function", "gelu_10")],
            "config.json: activation_function: expected one of \(activations), found 'gelu_10'"),
        .init(
            [("activation_function", 1)], "config.json: activation_function: expected one of \(activations), found 1"),
        .init([("scale_attn_weights", "yes")], "config.json: scale_attn_weights: expected true or false, found 'yes'"),
        .init(
            [("reorder_and_upcast_attn", 1)], "config.json: reorder_and_upcast_attn: expected true or false, found 1"),
        .init(
            [("add_cross_attention", true)],
            "config.json: add_cross_attention: expected false (cross attention is not supported), found true"),
        .init(
            [("is_encoder_decoder", true)],
            "config.json: is_encoder_decoder: expected false (this architecture is a decoder), found true"),
        .init(
            [("pruned_heads", ["0"])],
            "config.json: pruned_heads: expected nothing in it (pruned heads are not supported), found ['0']"),
        .init(
            [("architectures", ["GPT2ForSequenceClassification"])],
            "config.json: architectures: expected a list with one of GPT2LMHeadModel, GPT2Model, "
                + "found ['GPT2ForSequenceClassification']"),
        .init(
            [("rope_theta", 10000)],
            "config.json: rope_theta: expected only keys that are known for this architecture, found 10000"
        ),
        .init(
            [("auto_map\u{1b}", ["a": "b"])],
            "config.json: auto_map\\u001b: expected only keys that are known for this architecture, found an object of 1"
        ),
        .init(
            [("model_type", "xlnet")],
            "config.json: model_type: expected another model (its two streams of attention are not supported), "
                + "found 'xlnet'"),
        .init(
            "transfo-xl-whole", [("attn_type", 2)],
            "config.json: attn_type: expected 0 (other kinds of attention stand in no published model), found 2"),
        .init(
            "transfo-xl-whole", [("sample_softmax", 16)],
            "config.json: sample_softmax: expected none (a sampled softmax is not supported), found 16.0"),
        .init(
            "transfo-xl-whole", [("ext_len", 8)],
            "config.json: ext_len: expected 0 (an extended context is not supported), found 8"),
        .init(
            "transfo-xl-whole", [("cutoffs", [20, 10])],
            "config.json: cutoffs: expected ascending numbers between 0 and vocab_size 47, found [20, 10]"),
        .init(
            "transfo-xl-whole", [("cutoffs", [10, 47])],
            "config.json: cutoffs: expected ascending numbers between 0 and vocab_size 47, found [10, 47]"),
        .init(
            "transfo-xl-whole", [("div_val", 50)],
            "config.json: div_val: expected a divisor that leaves the last of 3 bins a feature, found 50"),
        .init(
            "transfo-xl-whole", [("tie_projs", [false, true])],
            "config.json: tie_projs: expected true or false for each of 3 bins, found [false, true]"),
        .init(
            "transfo-xl-whole", [("initial_memory", "none")],
            "config.json: initial_memory: expected 'empty' or 'zeros', found 'none'"),
        .init(
            "transfo-xl-same-length", [("mem_len", 0)],
            "config.json: mem_len: expected at least 1, as same_length lets a position see no more, found 0"),
        .init(
            "transfo-xl-whole", [("clamp_len", .init(2.5))],
            "config.json: clamp_len: expected a whole number, found 2.5"),
        .init(
            "transfo-xl-whole", [("d_model", 21)],
            "config.json: d_model: expected an even number, half of them sines, found 21"),
        .init(
            "transformer-paper", [("positions", "learned")],
            "config.json: positions: expected 'interleaved' or 'halves', found 'learned'"),
        .init(
            "transformer-paper", [("nhead", 3)],
            "config.json: nhead: expected a divisor of d_model 20, found 3"),
        .init(
            "transformer-paper", [("tgt_vocab_size", 44)],
            "config.json: tgt_vocab_size: expected src_vocab_size 43, as both share a table, found 44"),
        .init(
            "transformer-paper", [("custom_encoder", true)],
            "config.json: custom_encoder: expected only keys that are known for this architecture, found true"
        ),
        .init(
            "bert-mlm", [("num_attention_heads", 4)],
            "config.json: num_attention_heads: expected a divisor of hidden_size 18, found 4"),
        .init(
            "bert-mlm", [("is_decoder", true)],
            "config.json: is_decoder: expected false (only the encoder is supported), found true"),
        .init(
            "bert-mlm", [("add_cross_attention", true)],
            "config.json: add_cross_attention: expected false (cross attention is not supported), found true"),
        .init(
            "bert-mlm", [("position_embedding_type", "relative_key")],
            "config.json: position_embedding_type: expected 'absolute' (relative positions are not supported), "
                + "found 'relative_key'"),
        .init(
            "bert-mlm", [("hidden_act", "mish")],
            "config.json: hidden_act: expected one of \(activations), found 'mish'"),
        .init(
            "bert-mlm", [("layer_norm_eps", .init(-1.0))],
            "config.json: layer_norm_eps: expected a number above 0, found -1"),
        .init(
            "bert-mlm", [("type_vocab_size", 0)],
            "config.json: type_vocab_size: expected a whole number from 1 to 2147483647, found 0"),
        .init(
            "bert-mlm", [("architectures", ["BertForMaskedLM", "BertModel"])],
            "config.json: architectures: expected a list with one of BertModel, BertForMaskedLM, BertForPreTraining, "
                + "found ['BertForMaskedLM', 'BertModel']"),
        .init(
            "bert-mlm", [("embedding_size", 128)],
            "config.json: embedding_size: expected only keys that are known for this architecture, found 128"
        ),
    ]
}

@Suite struct ConfigurationTests {
    @Test(arguments: BadConfiguration.all) func whatCannotBeComputedIsRefusedByKeyAndValue(_ bad: BadConfiguration)
        throws
    {
        let error = #expect(throws: StructureError.self) {
            try Golden.named(bad.golden).model(editingConfiguration: { object in
                for (key, value) in bad.changes { object[key] = value }
            })
        }
        #expect(error?.description == bad.sentence)
        #expect(error?.exitStatus == .structureDiffers)
    }

    /// What says the same in another way, or nothing about the function.
    static let harmless =
        ofGPT2AndBERT + harmlessInTheGPTLine + harmlessWithExperts + BadConfiguration.harmlessInTheLibrary
        + BadConfiguration.harmlessInPublished

    private static let ofGPT2AndBERT: [(String, [(String, JSONValue)])] = [
        ("gpt2-odd-heads", [("n_inner", .null), ("torch_dtype", "float32"), ("dtype", .null)]),
        ("gpt2-odd-heads", [("n_inner", 96), ("n_ctx", 20), ("hidden_size", 24), ("unknown_but_null", .null)]),
        ("gpt2-odd-heads", [("scale_attn_weights", .null), ("layer_norm_epsilon", .init(0.00001))]),
        ("gpt2-odd-heads", [("architectures", .null), ("pruned_heads", .object(JSONObject())), ("is_decoder", true)]),
        ("gpt2-odd-heads", [("task_specific_params", ["text-generation": ["do_sample": true]]), ("n_special", 0)]),
        ("bert-mlm", [("position_embedding_type", "absolute"), ("gradient_checkpointing", false)]),
        ("bert-mlm", [("architectures", .null), ("pooler_fc_size", 768), ("directionality", "bidi")]),
    ]

    @Test(arguments: harmless.indices) func whatChangesNothingIsTaken(_ index: Int) throws {
        let (name, changes) = Self.harmless[index]
        let golden = Golden.named(name)
        let model = try golden.model(editingConfiguration: { object in
            for (key, value) in changes { object[key] = value }
        })
        #expect(try model.spec == golden.model().spec)
    }

    @Test func bothGenerationsOfSizesAreRead() throws {
        let golden = Golden.named("gpt2-odd-heads")
        let model = try golden.model(editingConfiguration: { object in
            for (old, new) in [
                ("n_embd", "hidden_size"), ("n_head", "num_attention_heads"), ("n_layer", "num_hidden_layers"),
                ("n_positions", "max_position_embeddings"),
            ] {
                object[new] = object[old]
                object[old] = nil
            }
        })
        #expect(try model.spec == golden.model().spec)
    }

    @Test func aMillionLayersAreRefusedBeforeANameIsMade() throws {
        let clock = ContinuousClock()
        let elapsed = clock.measure {
            #expect(throws: StructureError.self) {
                try Golden.named("bert-mlm").model(editingConfiguration: { $0["num_hidden_layers"] = 2_000_000_000 })
            }
        }
        #expect(elapsed < .seconds(1))
    }
}

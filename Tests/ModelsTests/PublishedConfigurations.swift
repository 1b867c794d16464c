import AssayCheckpoints
import AssayTensors
import AssayTestSupport
import Testing

@testable import AssayModels

#if canImport(Glibc)
    import Glibc
#endif

// Keys that published configurations hold and the library does not read, and those values of them that would mean something.

extension BadConfiguration {
    static let ofPublished: [BadConfiguration] =
        otherValues.map { golden, key, value, expected, found in
            .init(golden, [(key, value)], "config.json: \(key): expected \(expected), found \(found)")
        } + [
            .init(
                "llama-grouped", [("rope_parameters", ["rope_type": "default", "attn_factor": 2])],
                "config.json: rope_parameters.attn_factor: expected 1 (the library ignores it, other programs multiply"
                    + " attention by it), found 2.0"),
            .init(
                "llama-grouped",
                [("rope_parameters", ["rope_type": "linear", "factor": 2, "mrope_section": [2, 1, 1]])],
                "config.json: rope_parameters.mrope_section: expected only keys that are known here, found [2, 1, 1]"),
        ]

    private static let noOther = "the library's model has no other"
    private static let bothWays = "only attention both ways is supported"

    private static let otherValues: [(String, String, JSONValue, String, String)] = [
        ("llama-grouped", "is_decoder", true, "false (this architecture has no such switch)", "true"),
        ("llama-grouped", "add_cross_attention", true, "false (cross attention is not supported)", "true"),
        ("llama-grouped", "is_encoder_decoder", true, "false (this is no encoder with a decoder)", "true"),
        ("llama-grouped", "pruned_heads", ["0"], "nothing in it (pruned heads are not supported)", "['0']"),
        (
            "llama-grouped", "adapters", ["adapters": ["a": "b"]], "none listed (adapters are not supported)",
            "an object of 1"
        ),
        (
            "llama-grouped", "auto_map", ["AutoModel": "a.B"], "only keys that are known for this architecture",
            "an object of 1"
        ),
        ("llama-grouped", "rope_interleaved", true, "false (the library's model turns halves)", "true"),
        ("llama-grouped", "activation", "geglu", "'swiglu' (which is hidden_act 'silu')", "'geglu'"),
        ("qwen2-grouped", "use_mrope", true, "false (positions of images are not supported)", "true"),
        (
            "qwen2-grouped", "dual_chunk_attention_config", ["chunk_size": 8],
            "only keys that are known for this architecture", "an object of 1"
        ),
        ("qwen3-moe-grouped", "qkv_bias", true, "false (\(noOther))", "true"),
        ("qwen3-moe-grouped", "use_qk_norm", false, "true (\(noOther))", "false"),
        ("qwen3-moe-grouped", "shared_expert_intermediate_size", 8, "0 (\(noOther))", "8"),
        ("phi3-plain", "full_attn_mod", 2, "1 (\(noOther))", "2"),
        ("phi3-plain", "interpolate_factor", 2, "1 (\(noOther))", "2"),
        ("phi3-plain", "lm_head_bias", true, "false (\(noOther))", "true"),
        ("phi3-plain", "mlp_bias", true, "false (\(noOther))", "true"),
        ("gemma2-windows", "sliding_window_size", 6, "5 (as in sliding_window)", "6"),
        ("falcon-new", "ff_factor", 3, "what makes 96 of hidden_size 24", "3"),
        ("modernbert-windows", "causal_mask", true, "false (\(bothWays))", "true"),
        ("modernbert-windows", "is_causal", true, "false (\(bothWays))", "true"),
        (
            "transfo-xl-whole", "tie_weight", false,
            "true (an older name of tie_word_embeddings, which the library goes by)", "false"
        ),
        ("opt-before", "learned_embeddings", false, "true (\(noOther))", "false"),
        ("opt-before", "scale_embeddings", true, "false (\(noOther))", "true"),
        ("transformer-paper", "is_encoder_decoder", false, "true (the module has both stacks)", "false"),
    ]

    /// Of any model.
    private static let anywhere: [(String, JSONValue)] = [
        ("unsloth_fixed", true), ("unsloth_version", "2025.1.1"), ("transformers.js_config", ["dtype": "q4"]),
        ("xla_device", true), ("custom_pipelines", ["text-generation": ["pt": "AutoModelForCausalLM"]]),
        ("_flash_attn_2_enabled", true), ("neftune_noise_alpha", 5), ("tokenizer_padding_side", "left"),
        ("tokenizer_model_max_length", 4096), ("loss_type", "ForCausalLM"), ("language", "english"), ("name", "Bert"),
        ("tf_legacy_loss", false), ("adapters", ["adapters": .object(JSONObject()), "config_map": []]),
        ("add_cross_attention", false), ("pruned_heads", .object(JSONObject())),
    ]

    private static let absences: [(String, JSONValue)] = [("is_decoder", false), ("is_encoder_decoder", false)]

    static let harmlessInPublished: [(String, [(String, JSONValue)])] =
        [
            "llama-grouped", "mistral-whole", "qwen3-grouped", "gemma2-windows", "phi-plain", "gpt2-odd-heads",
            "gptneox-parallel", "bloom-odd-heads", "bert-mlm", "distilbert-mlm", "vit-classifier", "clip-both",
        ].map { ($0, anywhere + absences) } + ["bart-plain", "t5-plain", "whisper-plain"].map { ($0, anywhere) }
        + ofArchitectures + rotations

    private static let ofArchitectures: [(String, [(String, JSONValue)])] = [
        (
            "llama-grouped",
            [
                ("is_llama_config", true), ("rope_interleaved", false), ("max_sequence_length", 2048),
                ("activation", "swiglu"),
            ]
        ),
        ("mistral-whole", [("max_sequence_length", 32_768)]),
        (
            "whisper-plain",
            [
                ("alignment_heads", [[0, 1]]), ("is_multilingual", true), ("lang_ids", [50_259]),
                ("lang_to_id", ["<|en|>": 50_259]), ("max_initial_timestamp_index", 50),
                ("no_timestamps_token_id", 50_363), ("prev_sot_token_id", 50_361), ("return_timestamps", false),
                ("task_to_id", ["transcribe": 50_359]),
            ]
        ),
        ("qwen2-grouped", [("use_mrope", false)]),
        (
            "qwen3-moe-grouped",
            [("qkv_bias", false), ("shared_expert_intermediate_size", 0), ("use_qk_norm", true)]
        ),
        (
            "phi3-plain",
            [("full_attn_mod", 1), ("interpolate_factor", 1), ("lm_head_bias", false), ("mlp_bias", false)]
        ),
        ("cohere-normed", [("model_max_length", 131_072), ("pretraining_tp", 1)]),
        ("smollm3-still", [("max_window_layers", 28)]),
        ("gemma2-windows", [("sliding_window_size", 5)]),
        ("falcon-new", [("ff_factor", 4)]),
        ("bart-plain", [("force_bos_token_to_be_generated", true), ("replacing_rate", 0), ("save_step", 58)]),
        ("marian-shared", [("force_bos_token_to_be_generated", false), ("save_step", 1)]),
        (
            "modernbert-windows",
            [("position_embedding_type", "sans_pos"), ("causal_mask", false), ("is_causal", false)]
        ),
        ("transfo-xl-whole", [("tie_weight", true)]),
        ("opt-before", [("learned_embeddings", true), ("scale_embeddings", false)]),
        ("deberta-v3", [("summary_type", "first"), ("padding_idx", 0), ("z_steps", 2)]),
        ("electra-generator", [("generator_size", "0.25")]),
        (
            "bert-mlm",
            [
                ("cell", .object(JSONObject())), ("emb_size", 312), ("structure", []), ("pre_trained", ""),
                ("training", ""),
            ]
        ),
    ]

    private static let rotations: [(String, [(String, JSONValue)])] = [
        (
            "qwen2-grouped",
            [
                (
                    "rope_parameters",
                    [
                        "rope_type": "default", "type": "default", "mrope_section": [1, 1, 1], "finetuned": true,
                        "attn_factor": .init(1.0),
                    ]
                )
            ]
        )
    ]
}

/// Marian's tables of positions may stand in a file, and hold what is computed.
@Suite struct PositionTableTests {
    @Test(arguments: [ElementType.f32, .f16]) func tablesOfSinesAndCosinesAreTaken(_ type: ElementType) throws {
        try run(type) { _ in }
    }

    @Test(arguments: [0, 5, 29]) func otherTablesAreRefusedByName(_ place: Int) throws {
        let error = #expect(throws: StructureError.self) { try run(.f32) { $0[place * 24 + 23] += 0.01 } }
        #expect(
            error?.description
                == "marian-shared: tensor 'model.decoder.embed_positions.weight': expected the sines and cosines that the"
                + " architecture computes in its place, found others")
    }

    private func run(_ type: ElementType, _ spoil: (inout [Float]) -> Void) throws {
        let golden = Golden.named("marian-shared")
        let model = try golden.model(editingWeights: { reader in
            var checkpoint = try MemoryCheckpoint(copying: reader)
            // By the C library, not by what is computed in its place.
            var table = (0..<30).flatMap { place in
                (0..<24).map { column in
                    let angle = Double(place) / pow(10_000, Double(column % 12 * 2) / 24)
                    return Float(column < 12 ? sin(angle) : cos(angle))
                }
            }
            spoil(&table)
            var bytes = [UInt8](repeating: 0, count: type.byteCount(of: Shape([30, 24])!)!)
            let conversion = try #require(ElementConversion(from: .f32, to: type))
            _ = table.withUnsafeBytes { table in
                bytes.withUnsafeMutableBytes { conversion.convert(table, to: $0, count: 30 * 24) }
            }
            checkpoint.set("model.decoder.embed_positions.weight", type, [30, 24], bytes)
            return checkpoint
        })
        #expect(model.report.isSound)
        _ = try BlockRunner(model, tokens: golden.tokens())
    }
}

import AssayCheckpoints

extension BadConfiguration {
    static let ofTheGPTLine: [BadConfiguration] = [
        .init(
            "gptneox-parallel", [("hidden_size", 25)],
            "config.json: num_attention_heads: expected a divisor of hidden_size 25, found 3"),
        .init(
            "gptneox-parallel", [("rope_theta", 10000)],
            "config.json: rope_theta: expected only keys that are known for this architecture, found 10000"
        ),
        .init(
            "gptneox-older-keys", [("rotary_pct", .init(0.3))],
            "config.json: rotary_pct: expected an even number of a head's 10 features to be turned, found 3"),
        .init(
            "gptneox-sequential",
            [("rope_parameters", ["rope_type": "default", "rope_theta": 500, "partial_rotary_factor": .init(1.25)])],
            "config.json: rope_parameters.partial_rotary_factor: expected at most 1, found 1.25"),
        .init(
            "gptj-partial", [("rotary_dim", 5)],
            "config.json: rotary_dim: expected an even number up to a head's 8 features, found 5"),
        .init(
            "gptj-partial", [("rotary_dim", 10)],
            "config.json: rotary_dim: expected an even number up to a head's 8 features, found 10"),
        .init(
            "gptj-partial", [("rotary_dim", .null)],
            "config.json: rotary_dim: expected a whole number from 1 on, found no such key"),
        .init(
            "gptj-partial", [("rotary", false)],
            "config.json: rotary: expected true (the library's model has no other positions), found false"),
        .init(
            "gptj-partial", [("scale_attn_weights", false)],
            "config.json: scale_attn_weights: expected true (the library's model always scales), found false"),
        .init(
            "phi-plain", [("num_key_value_heads", 2)],
            "config.json: num_key_value_heads: expected a divisor of num_attention_heads 3, found 2"),
        .init(
            "opt-before", [("word_embed_proj_dim", 0)],
            "config.json: word_embed_proj_dim: expected a whole number from 1 to 2147483647, found 0"),
        .init(
            "opt-before", [("ffn_dim", .null)],
            "config.json: ffn_dim: expected a whole number from 1 on, found no such key"),
        .init(
            "bloom-odd-heads", [("slow_but_exact", true), ("pretraining_tp", 2)],
            "config.json: slow_but_exact: expected false where pretraining_tp is above 1 (sums over slices are not "
                + "supported), found true"),
        .init(
            "bloom-odd-heads", [("n_inner", 100)],
            "config.json: n_inner: expected 96 (the library's model has no other), found 100"),
        .init(
            "bloom-odd-heads", [("n_embed", 30)],
            "config.json: n_embed: expected 24 as in hidden_size, found 30"),
        .init(
            "falcon-new", [("num_kv_heads", 5)],
            "config.json: num_kv_heads: expected a divisor of num_attention_heads 6, found 5"),
        .init(
            "falcon-new", [("parallel_attn", false)],
            "config.json: parallel_attn: expected true (the newer architecture has no other), found false"),
        .init(
            "falcon-multi-query", [("num_ln_in_parallel_attn", 2)],
            "config.json: num_ln_in_parallel_attn: expected 1 without new_decoder_architecture, found 2"),
        .init(
            "falcon-sequential-alibi", [("num_kv_heads", 2)],
            "config.json: num_kv_heads: expected num_attention_heads 6, found 2"),
        .init(
            "gptneo-window", [("attention_types", [[["global", "local"], 2]])],
            "config.json: attention_types: expected lists of 'global' and 'local', and how many times, for 2 layers, "
                + "found [['global', 'local'], 2]"),
        .init(
            "gptneo-window", [("attention_types", [[["local"], 1]])],
            "config.json: attention_types: expected 2 layers, as many as num_layers, found 1"),
        .init(
            "gptneo-window", [("attention_types", [[["sparse"], 2]])],
            "config.json: attention_types: expected lists of 'global' and 'local', and how many times, for 2 layers, "
                + "found [['sparse'], 2]"),
        .init(
            "gptneo-window", [("attention_types", .null)],
            "config.json: attention_types: expected a list of kinds of layers and how many times they come in turn, "
                + "found no such key"),
        .init(
            "gptneo-window", [("num_layers", 2_000_000_000), ("attention_types", [[["local"], 2_000_000_000]])],
            "config.json: num_layers: expected at most 65536, found 2000000000"),
        .init(
            "gptneo-window", [("attention_layers", ["local", "global"])],
            "config.json: attention_layers: expected what attention_types says, found ['local', 'global']"),
        .init(
            "gpt1-plain", [("afn", "gelu_new")],
            "config.json: afn: expected one of gelu, relu, silu, swish, found 'gelu_new'"),
        .init(
            "gptbigcode-multi-query", [("add_cross_attention", true)],
            "config.json: add_cross_attention: expected false (cross attention is not supported), found true"),
        .init(
            "gpt3-banded", [("attention_pattern", ["dense", "sparse"])],
            "config.json: attention_pattern: expected a list of dense, banded, found ['dense', 'sparse']"),
        .init(
            "gpt3-banded", [("attention_pattern", [[[[["dense"]], 1]], "banded"])],
            "config.json: attention_pattern: expected a list of dense, banded, found [[[a list of 1, 1]], 'banded']"),
        .init(
            "gpt3-banded", [("attention_pattern", .array([]))],
            "config.json: attention_pattern: expected at least one kind of layer, found []"),
        .init(
            "gpt3-banded", [("band", 0)],
            "config.json: band: expected a whole number from 1 to 2147483647, found 0"),
        .init(
            "gpt3-banded", [("n_head", 5)],
            "config.json: n_head: expected a divisor of n_embd 24, or head_dim, found 5"),
        .init(
            "gpt3-banded", [("head_dim", 2_147_483_647)],
            "config.json: head_dim: expected at most 715827882 for each of 3 heads, found 2147483647"),
        .init(
            "llama-grouped", [("head_dim", 2_147_483_647)],
            "config.json: head_dim: expected at most 357913941 for each of 6 heads, found 2147483647"),
    ]
}

extension ConfigurationTests {
    /// The keys of published configurations that our goldens lack, and defaults said aloud.
    static let harmlessInTheGPTLine: [(String, [(String, JSONValue)])] = [
        (
            "gptneox-parallel",
            [
                ("attention_probs_dropout_prob", 0), ("hidden_dropout_prob", 0), ("use_parallel_residual", .null),
                ("rope_parameters", .null), ("rotary_emb_base", 10000), ("rotary_pct", .init(0.25)),
                ("rope_scaling", .null),
            ]
        ),
        (
            "gptj-whole",
            [
                ("summary_type", "cls_index"), ("summary_use_proj", true), ("gradient_checkpointing", false),
                ("num_hidden_layers", 2), ("n_inner", .null),
            ]
        ),
        ("phi-plain", [("auto_map", ["AutoConfig": "configuration_phi.PhiConfig"]), ("qk_layernorm", .null)]),
        ("phi-plain", [("rope_parameters", .null), ("rope_theta", 10000)]),
        ("opt-before", [("activation_dropout", 0), ("prefix", "</s>"), ("word_embed_proj_dim", .null)]),
        (
            "bloom-odd-heads",
            [
                ("n_inner", 96), ("offset_alibi", 100), ("bias_dropout_fusion", true), ("masked_softmax_fusion", true),
                ("skip_bias_add", true), ("skip_bias_add_qkv", false), ("attention_softmax_in_fp32", true),
                ("pretraining_tp", 4), ("num_attention_heads", 3),
            ]
        ),
        ("bloom-odd-heads", [("hidden_size", .null), ("n_embed", 24)]),
        (
            "falcon-multi-query",
            [
                ("apply_residual_connection_post_layernorm", false), ("num_kv_heads", 1), ("alibi", .null),
                ("auto_map", ["AutoModel": "modeling_falcon.FalconModel"]),
            ]
        ),
        ("gptneo-window", [("attention_layers", ["global", "local"]), ("summary_type", "cls_index")]),
        ("gpt1-plain", [("n_ctx", 32), ("n_special", 0), ("predict_special_tokens", true), ("afn", .null)]),
        (
            "gptbigcode-multi-query",
            [
                ("inference_runner", 0), ("pad_key_length", true), ("pre_allocate_kv_cache", false),
                ("validate_runner_input", true), ("num_key_value_heads", 1),
            ]
        ),
        ("gpt3-banded", [("attention_pattern", .null), ("head_dim", 8)]),
    ]
}

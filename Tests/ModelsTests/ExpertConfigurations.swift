import AssayCheckpoints

// What cannot be computed of models with experts, and what changes nothing.

extension BadConfiguration {
    static let ofExperts: [BadConfiguration] = [
        .init(
            "mixtral-grouped", [("num_experts_per_tok", 6)],
            "config.json: num_experts_per_tok: expected at most 5 experts, found 6"),
        .init(
            "mixtral-grouped", [("num_local_experts", 1_000_000_000)],
            "config.json: expected at most as many experts as mixtral-grouped has tensors (47), found more"),
        .init(
            "mixtral-grouped", [("num_experts", 4)],
            "config.json: num_experts: expected 5 as in num_local_experts, found 4"),
        .init(
            "gpt-oss-windows", [("swiglu_alpha", .init(1.5))],
            "config.json: swiglu_alpha: expected 1.702 (the sigmoid of a gate is that of 1.702 times it), found 1.5"),
        .init(
            "gpt-oss-windows", [("hidden_act", "gelu")],
            "config.json: hidden_act: expected 'silu' (experts have a gate of their own), found 'gelu'"),
        .init(
            "gpt-oss-windows", [("sliding_window", .null)],
            "config.json: sliding_window: expected a whole number from 1 on, found null"),
        .init(
            "gpt-oss-windows", [("quantization_config", ["quant_method": "mxfp4"])],
            "gpt-oss-windows: quantization_config: expected a quant_method that is known ('compressed-tensors'), found"
                + " \"mxfp4\"; unpack the experts first: transformers reads the folder with"
                + " Mxfp4Config(dequantize=True), and save_pretrained writes it plainly"),
        .init(
            "deepseek-v2-greedy", [("topk_method", "noaux_tc")],
            "config.json: topk_method: expected one of greedy, group_limited_greedy, found 'noaux_tc'"),
        .init(
            "deepseek-v2-greedy", [("norm_topk_prob", true)],
            "config.json: norm_topk_prob: expected false (the library leaves it unread, and DeepSeek's own code does"
                + " not), found true"),
        .init(
            "deepseek-v2-greedy", [("num_key_value_heads", 1)],
            "config.json: num_key_value_heads: expected num_attention_heads 5, found 1"),
        .init(
            "deepseek-v2-greedy", [("num_experts_per_tok", .null)],
            "config.json: num_experts_per_tok: expected a whole number from 1 on, found no such key"),
        .init(
            "deepseek-v2-groups", [("topk_group", .null)],
            "config.json: topk_group: expected at most 3 groups, which hold 3 experts, found null"),
        .init(
            "deepseek-v3-groups", [("n_group", 3)],
            "config.json: n_group: expected a divisor of 8 experts that leaves 2 to a group, found 3"),
        .init(
            "deepseek-v3-groups", [("n_group", 8)],
            "config.json: n_group: expected a divisor of 8 experts that leaves 2 to a group, found 8"),
        .init(
            "deepseek-v3-groups", [("topk_group", 1)],
            "config.json: topk_group: expected at most 4 groups, which hold 3 experts, found 1"),
        .init(
            "deepseek-v3-groups", [("scoring_func", "softmax")],
            "config.json: scoring_func: expected 'sigmoid' (the library knows no other), found 'softmax'"),
        .init(
            "deepseek-v3-groups", [("qk_nope_head_dim", 2_147_483_647)],
            "config.json: qk_nope_head_dim: expected at most 2147483643, found 2147483647"),
        .init(
            "deepseek-v3-groups", [("num_nextn_predict_layers", 65)],
            "config.json: num_nextn_predict_layers: expected at most 64, found 65"),
    ]
}

extension ConfigurationTests {
    static let harmlessWithExperts: [(String, [(String, JSONValue)])] = [
        ("mixtral-grouped", [("router_jitter_noise", .init(0.1)), ("router_aux_loss_coef", 1)]),
        ("mixtral-grouped", [("sliding_window", .null), ("num_experts", 5)]),
        ("qwen3-moe-grouped", [("max_window_layers", 28), ("sliding_window", 4096), ("num_experts", 6)]),
        ("gpt-oss-windows", [("initial_context_length", 4096), ("experts_per_token", 2), ("hidden_act", .null)]),
        (
            "deepseek-v2-greedy",
            [("scoring_func", "softmax"), ("seq_aux", true), ("ep_size", 1), ("n_group", 1), ("topk_group", 1)]
        ),
        ("deepseek-v3-groups", [("topk_method", "noaux_tc"), ("scoring_func", "sigmoid"), ("moe_layer_freq", 1)]),
        ("deepseek-v3-groups", [("head_dim", 4), ("qk_head_dim", .null)]),
    ]
}

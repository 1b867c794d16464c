import AssayCheckpoints
import AssayModels
import AssayTestSupport

extension MadeUpModel {
    /// DeepSeek V3's layers, of sizes that let several threads and blocks be at work.
    static func deepSeek() throws -> Model {
        let configuration = JSONObject([
            ("model_type", "deepseek_v3"), ("hidden_size", 120), ("num_attention_heads", 3), ("num_key_value_heads", 3),
            ("num_hidden_layers", 2), ("intermediate_size", 190), ("vocab_size", .init(vocabulary)),
            ("max_position_embeddings", .init(context)), ("q_lora_rank", 50), ("kv_lora_rank", 40),
            ("qk_nope_head_dim", 20), ("qk_rope_head_dim", 12), ("v_head_dim", 29), ("n_routed_experts", 12),
            ("num_experts_per_tok", 3), ("n_group", 4), ("topk_group", 2), ("moe_intermediate_size", 70),
            ("first_k_dense_replace", 1),
        ])
        var checkpoint = MemoryCheckpoint()
        var numbers = SeededRandom(seed: 9)
        func fill(_ name: String, _ shape: [Int], _ scale: Float) {
            checkpoint.set(name + ".weight", shape, numbers.floats(shape.reduce(1, *), scale))
        }
        func fillNorm(_ name: String, _ size: Int) {
            checkpoint.set(name + ".weight", [size], numbers.floats(size, 0.5).map { $0 + 1 })
        }
        func fillGated(_ name: String, _ inner: Int) {
            fill(name + ".gate_proj", [inner, 120], 0.2)
            fill(name + ".up_proj", [inner, 120], 0.2)
            fill(name + ".down_proj", [120, inner], 0.2)
        }
        fill("model.embed_tokens", [vocabulary, 120], 1)
        for layer in 0..<2 {
            let at = "model.layers.\(layer)."
            fillNorm(at + "input_layernorm", 120)
            fill(at + "self_attn.q_a_proj", [50, 120], 0.2)
            fillNorm(at + "self_attn.q_a_layernorm", 50)
            fill(at + "self_attn.q_b_proj", [96, 50], 0.2)
            fill(at + "self_attn.kv_a_proj_with_mqa", [52, 120], 0.2)
            fillNorm(at + "self_attn.kv_a_layernorm", 40)
            fill(at + "self_attn.kv_b_proj", [147, 40], 0.2)
            fill(at + "self_attn.o_proj", [120, 87], 0.2)
            fillNorm(at + "post_attention_layernorm", 120)
        }
        fillGated("model.layers.0.mlp", 190)
        fill("model.layers.1.mlp.gate", [12, 120], 0.2)
        checkpoint.set("model.layers.1.mlp.gate.e_score_correction_bias", [12], numbers.floats(12, 0.2))
        for expert in 0..<12 { fillGated("model.layers.1.mlp.experts.\(expert)", 70) }
        fillGated("model.layers.1.mlp.shared_experts", 70)
        fillNorm("model.norm", 120)
        fill("lm_head", [vocabulary, 120], 0.2)
        return try Model(checkpoint, configuration: configuration, name: "made-up deepseek")
    }
}

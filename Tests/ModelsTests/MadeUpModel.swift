import AssayCheckpoints
import AssayModels
import AssayTensors
import AssayTestSupport

/// Models large enough that several threads, pieces of weights, blocks of keys and pieces of logits are at work.
enum MadeUpModel {
    static let vocabulary = 700
    static let context = 300

    static func gpt2() throws -> Model { try gpt2(configuration: [("model_type", "gpt2")]) }

    /// The same weights; a layer that sees everything, then one that sees a band.
    static func gpt3(band: Int = 40, pattern: JSONValue = ["dense", "banded"]) throws -> Model {
        try gpt2(configuration: [
            ("model_type", "gpt3"), ("attention_pattern", pattern), ("band", .init(band)),
        ])
    }

    private static func gpt2(configuration: [(String, JSONValue)]) throws -> Model {
        let configuration: JSONObject = JSONObject(
            configuration + [
                ("n_embd", 280), ("n_head", 5), ("n_layer", 2), ("vocab_size", .init(vocabulary)),
                ("n_positions", .init(context)),
            ])
        var checkpoint = MemoryCheckpoint()
        var numbers = SeededRandom(seed: 7)
        fill(&checkpoint, &numbers, "wte", [vocabulary, 280], bias: nil, 1)
        fill(&checkpoint, &numbers, "wpe", [context, 280], bias: nil, 1)
        for layer in 0..<2 {
            for norm in ["ln_1", "ln_2"] { fillNorm(&checkpoint, &numbers, "h.\(layer).\(norm)", 280) }
            fill(&checkpoint, &numbers, "h.\(layer).attn.c_attn", [280, 840], bias: 840, 0.2)
            fill(&checkpoint, &numbers, "h.\(layer).attn.c_proj", [280, 280], bias: 280, 0.1)
            fill(&checkpoint, &numbers, "h.\(layer).mlp.c_fc", [280, 1120], bias: 1120, 0.1)
            fill(&checkpoint, &numbers, "h.\(layer).mlp.c_proj", [1120, 280], bias: 280, 0.1)
        }
        fillNorm(&checkpoint, &numbers, "ln_f", 280)
        return try Model(checkpoint, configuration: configuration, name: "made-up gpt2")
    }

    static func bloom() throws -> Model {
        let configuration: JSONObject = JSONObject([
            ("model_type", "bloom"), ("hidden_size", 280), ("n_head", 7), ("n_layer", 2),
            ("vocab_size", .init(vocabulary)),
        ])
        var checkpoint = MemoryCheckpoint()
        var numbers = SeededRandom(seed: 9)
        fill(&checkpoint, &numbers, "word_embeddings", [vocabulary, 280], bias: nil, 1)
        fillNorm(&checkpoint, &numbers, "word_embeddings_layernorm", 280)
        for layer in 0..<2 {
            for norm in ["input_layernorm", "post_attention_layernorm"] {
                fillNorm(&checkpoint, &numbers, "h.\(layer).\(norm)", 280)
            }
            fill(&checkpoint, &numbers, "h.\(layer).self_attention.query_key_value", [840, 280], bias: 840, 0.2)
            fill(&checkpoint, &numbers, "h.\(layer).self_attention.dense", [280, 280], bias: 280, 0.1)
            fill(&checkpoint, &numbers, "h.\(layer).mlp.dense_h_to_4h", [1120, 280], bias: 1120, 0.1)
            fill(&checkpoint, &numbers, "h.\(layer).mlp.dense_4h_to_h", [280, 1120], bias: 280, 0.1)
        }
        fillNorm(&checkpoint, &numbers, "ln_f", 280)
        return try Model(checkpoint, configuration: configuration, name: "made-up bloom")
    }

    static func bert() throws -> Model {
        let configuration: JSONObject = JSONObject([
            ("model_type", "bert"), ("hidden_size", 280), ("num_attention_heads", 7), ("num_hidden_layers", 2),
            ("intermediate_size", 530), ("vocab_size", .init(vocabulary)), ("max_position_embeddings", .init(context)),
        ])
        var checkpoint = MemoryCheckpoint()
        var numbers = SeededRandom(seed: 8)
        fill(&checkpoint, &numbers, "embeddings.word_embeddings", [vocabulary, 280], bias: nil, 1)
        fill(&checkpoint, &numbers, "embeddings.position_embeddings", [context, 280], bias: nil, 1)
        fill(&checkpoint, &numbers, "embeddings.token_type_embeddings", [2, 280], bias: nil, 1)
        fillNorm(&checkpoint, &numbers, "embeddings.LayerNorm", 280)
        for layer in 0..<2 {
            let at = "encoder.layer.\(layer)."
            for part in ["query", "key", "value"] {
                fill(&checkpoint, &numbers, at + "attention.self.\(part)", [280, 280], bias: 280, 0.2)
            }
            fill(&checkpoint, &numbers, at + "attention.output.dense", [280, 280], bias: 280, 0.1)
            fillNorm(&checkpoint, &numbers, at + "attention.output.LayerNorm", 280)
            fill(&checkpoint, &numbers, at + "intermediate.dense", [530, 280], bias: 530, 0.1)
            fill(&checkpoint, &numbers, at + "output.dense", [280, 530], bias: 280, 0.1)
            fillNorm(&checkpoint, &numbers, at + "output.LayerNorm", 280)
        }
        fill(&checkpoint, &numbers, "pooler.dense", [280, 280], bias: 280, 0.1)
        fill(&checkpoint, &numbers, "cls.predictions.transform.dense", [280, 280], bias: 280, 0.1)
        fillNorm(&checkpoint, &numbers, "cls.predictions.transform.LayerNorm", 280)
        checkpoint.set("cls.predictions.bias", [vocabulary], numbers.floats(vocabulary, 1))
        return try Model(checkpoint, configuration: configuration, name: "made-up bert")
    }

    static func modernBERT() throws -> Model {
        let configuration: JSONObject = JSONObject([
            ("model_type", "modernbert"), ("hidden_size", 96), ("num_attention_heads", 6), ("num_hidden_layers", 2),
            ("intermediate_size", 130), ("vocab_size", .init(vocabulary)), ("local_attention", 41),
        ])
        var checkpoint = MemoryCheckpoint()
        var numbers = SeededRandom(seed: 9)
        func gain(_ name: String) { checkpoint.set(name, [96], numbers.floats(96, 0.5).map { $0 + 1 }) }
        fill(&checkpoint, &numbers, "embeddings.tok_embeddings", [vocabulary, 96], bias: nil, 1)
        for norm in ["embeddings.norm", "layers.0.mlp_norm", "layers.1.attn_norm", "layers.1.mlp_norm", "final_norm"] {
            gain(norm + ".weight")
        }
        for layer in 0..<2 {
            fill(&checkpoint, &numbers, "layers.\(layer).attn.Wqkv", [288, 96], bias: nil, 0.2)
            fill(&checkpoint, &numbers, "layers.\(layer).attn.Wo", [96, 96], bias: nil, 0.1)
            fill(&checkpoint, &numbers, "layers.\(layer).mlp.Wi", [260, 96], bias: nil, 0.1)
            fill(&checkpoint, &numbers, "layers.\(layer).mlp.Wo", [96, 130], bias: nil, 0.1)
        }
        fill(&checkpoint, &numbers, "head.dense", [96, 96], bias: nil, 0.1)
        gain("head.norm.weight")
        checkpoint.set("decoder.bias", [vocabulary], numbers.floats(vocabulary, 1))
        return try Model(checkpoint, configuration: configuration, name: "made-up modernbert")
    }

    static func deberta() throws -> Model {
        let configuration: JSONObject = JSONObject([
            ("model_type", "deberta-v2"), ("hidden_size", 96), ("num_attention_heads", 4), ("num_hidden_layers", 2),
            ("intermediate_size", 130), ("vocab_size", .init(vocabulary)), ("max_position_embeddings", .init(context)),
            ("relative_attention", true), ("position_buckets", 40), ("share_att_key", true),
            ("pos_att_type", "p2c|c2p"),
            ("norm_rel_ebd", "layer_norm"), ("position_biased_input", false),
        ])
        var checkpoint = MemoryCheckpoint()
        var numbers = SeededRandom(seed: 10)
        fill(&checkpoint, &numbers, "embeddings.word_embeddings", [vocabulary, 96], bias: nil, 1)
        fillNorm(&checkpoint, &numbers, "embeddings.LayerNorm", 96)
        fill(&checkpoint, &numbers, "encoder.rel_embeddings", [80, 96], bias: nil, 1)
        fillNorm(&checkpoint, &numbers, "encoder.LayerNorm", 96)
        for layer in 0..<2 {
            let at = "encoder.layer.\(layer)."
            for part in ["query", "key", "value"] {
                fill(&checkpoint, &numbers, at + "attention.self.\(part)_proj", [96, 96], bias: 96, 0.2)
            }
            fill(&checkpoint, &numbers, at + "attention.output.dense", [96, 96], bias: 96, 0.1)
            fillNorm(&checkpoint, &numbers, at + "attention.output.LayerNorm", 96)
            fill(&checkpoint, &numbers, at + "intermediate.dense", [130, 96], bias: 130, 0.1)
            fill(&checkpoint, &numbers, at + "output.dense", [96, 130], bias: 96, 0.1)
            fillNorm(&checkpoint, &numbers, at + "output.LayerNorm", 96)
        }
        fill(&checkpoint, &numbers, "cls.predictions.transform.dense", [96, 96], bias: 96, 0.1)
        fillNorm(&checkpoint, &numbers, "cls.predictions.transform.LayerNorm", 96)
        checkpoint.set("cls.predictions.bias", [vocabulary], numbers.floats(vocabulary, 1))
        return try Model(checkpoint, configuration: configuration, name: "made-up deberta")
    }

    static func ids(_ count: Int, seed: UInt64) -> [Int] {
        var numbers = SeededRandom(seed: seed)
        return (0..<count).map { _ in numbers.next(below: vocabulary) }
    }

    private static func fill(
        _ checkpoint: inout MemoryCheckpoint, _ numbers: inout SeededRandom, _ name: String, _ shape: [Int],
        bias: Int?,
        _ scale: Float
    ) {
        checkpoint.set(name + ".weight", shape, numbers.floats(shape.reduce(1, *), scale))
        if let bias { checkpoint.set(name + ".bias", [bias], numbers.floats(bias, 0.5)) }
    }

    private static func fillNorm(
        _ checkpoint: inout MemoryCheckpoint, _ numbers: inout SeededRandom, _ name: String, _ size: Int
    ) {
        checkpoint.set(name + ".weight", [size], numbers.floats(size, 0.5).map { $0 + 1 })
        checkpoint.set(name + ".bias", [size], numbers.floats(size, 0.5))
    }
}

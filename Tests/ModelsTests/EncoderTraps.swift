import AssayTestSupport

@testable import AssayModels

extension Trap {
    /// Those of the encoders.
    static let encoders = roberta + narrowEmbeddings + modernBERT + deberta

    private static let roberta: [Trap] = [
        Trap(
            testDescription: "positions a row too far", golden: "roberta-padded-right", tap: "embed",
            spec: { $0.embedding.positions?.offset += 1 }),
        Trap(
            testDescription: "padding counted among positions", golden: "roberta-padded-left", tap: "embed",
            spec: { $0.embedding.positions?.counting = .places }),
        Trap(
            testDescription: "positions counted by the mask", golden: "roberta-unmasked-padding", tap: "embed",
            spec: { $0.embedding.positions?.counting = .readPlaces }),
        Trap(
            testDescription: "given positions counted from the offset", golden: "roberta-position-ids", tap: "embed",
            spec: { $0.embedding.positions?.counting = .places }),
        Trap(
            testDescription: "another token for padding", golden: "xlm-roberta-mlm", tap: "embed",
            spec: { $0.embedding.positions?.counting = .placesOfTokens(except: 40) }),
        Trap(
            testDescription: "the blocks' activation in the head", golden: "roberta-unmasked-padding", tap: "logits",
            spec: { $0.head?.transform?.activation = .relu }),
        Trap(testDescription: "epsilon of RoBERTa", golden: "roberta-padded-left", tap: "embed") {
            $0["layer_norm_eps"] = .init(1e-12)
        },
        Trap(testDescription: "tanh for erf in DistilBERT", golden: "distilbert-mlm", tap: "layers.0.mlp_act") {
            $0["activation"] = "gelu_new"
        },
        Trap(
            testDescription: "the two norms of a block exchanged", golden: "distilbert-body", tap: "layers.0.attn_norm",
            weights: { $0.exchange("transformer.layer.0.sa_layer_norm", "transformer.layer.0.output_layer_norm") }),
    ]

    private static let narrowEmbeddings: [Trap] = [
        Trap(
            testDescription: "bias of the embeddings' projection", golden: "electra-discriminator", tap: "embed",
            spec: { $0.embedding.projection?.hasBias = false }),
        Trap(
            testDescription: "the blocks' activation in the generator", golden: "electra-generator", tap: "logits",
            spec: { $0.head?.transform?.activation = .silu }),
        Trap(
            testDescription: "erf in the discriminator", golden: "electra-discriminator", tap: "logits",
            spec: { $0.head?.transform?.activation = .geluErf }),
        Trap(
            testDescription: "norm behind the projection", golden: "albert-pretraining", tap: "embed",
            spec: { $0.embedding.projection?.place = .beforeNorm }),
        Trap(testDescription: "erf for tanh in ALBERT", golden: "albert-one-group", tap: "layers.0.mlp_act") {
            $0["hidden_act"] = "gelu"
        },
        Trap(
            testDescription: "groups in turn", golden: "albert-groups", tap: "layers.2.q",
            spec: { $0.blocks.sharing?.sets = [0, 1, 2, 3, 0, 1, 2, 3, 0, 1] }),
        Trap(
            testDescription: "the first layer of a group twice", golden: "albert-groups", tap: "layers.1.q",
            spec: { $0.blocks.sharing?.sets = [0, 0, 0, 0, 0, 0, 2, 2, 2, 2] }),
    ]

    private static let modernBERT: [Trap] = [
        Trap(testDescription: "window less one", golden: "modernbert-windows", tap: "layers.1.attn_out") {
            $0["local_attention"] = 6
        },
        Trap(testDescription: "half a window rounded up", golden: "modernbert-odd-window", tap: "layers.1.attn_out") {
            $0["local_attention"] = 8
        },
        Trap(
            testDescription: "a whole window on either side", golden: "modernbert-windows", tap: "layers.1.attn_out",
            spec: { $0.blocks.kinds[1].attention.window = 9 }),
        Trap(
            testDescription: "a window before only", golden: "modernbert-windows", tap: "layers.1.attn_out",
            spec: { $0.blocks.kinds[1].attention.isCausal = true }),
        Trap(testDescription: "whole layers at the end", golden: "modernbert-older-keys", tap: "layers.0.attn_out") {
            $0["layer_types"] = .array((0..<5).map { $0 % 2 == 0 ? "sliding_attention" : "full_attention" })
        },
        Trap(testDescription: "base of the whole layers", golden: "modernbert-older-keys", tap: "layers.0.attn_out") {
            $0["global_rope_theta"] = 50
        },
        Trap(testDescription: "base of the windows", golden: "modernbert-older-keys", tap: "layers.1.attn_out") {
            $0["local_rope_theta"] = 500
        },
        Trap(
            testDescription: "neighbours as pairs", golden: "modernbert-windows", tap: "layers.0.attn_out",
            spec: { spec in
                for kind in spec.blocks.kinds.indices { spec.blocks.kinds[kind].attention.rotary?.isInterleaved = true }
            }),
        Trap(
            testDescription: "gate and input exchanged", golden: "modernbert-windows", tap: "layers.0.mlp_act",
            weights: {
                let values = $0["model.layers.0.mlp.Wi.weight"]
                let half = values.count / 2
                $0["model.layers.0.mlp.Wi.weight"] = Array(values[half...] + values[..<half])
            }),
        Trap(
            testDescription: "padding far from tokens sees nothing", golden: "modernbert-odd-window",
            tap: "layers.0.attn_out",
            spec: { spec in
                for kind in spec.blocks.kinds.indices { spec.blocks.kinds[kind].attention.isPaddingBlind = true }
            }),
        Trap(
            testDescription: "the blocks' activation in ModernBERT's head", golden: "modernbert-odd-window",
            tap: "logits"
        ) {
            $0["classifier_activation"] = "silu"
        },
    ]

    private static let deberta: [Trap] = [
        Trap(
            testDescription: "scale without the terms of distances", golden: "deberta-v3", tap: "layers.0.attn_out",
            spec: { $0.blocks.kinds[0].attention.baseScale = 0.5 }),
        Trap(
            testDescription: "scale without a term that is not computed", golden: "deberta-v2-absolute",
            tap: "layers.0.attn_out", spec: { $0.blocks.kinds[0].attention.baseScale = 0.5 }),
        Trap(
            testDescription: "no buckets", golden: "deberta-v3", tap: "layers.0.attn_out",
            spec: { $0.embedding.distances?.buckets = nil }),
        Trap(
            testDescription: "buckets to the greatest distance and one more", golden: "deberta-v3",
            tap: "layers.0.attn_out", spec: { $0.embedding.distances?.buckets?.greatest += 1 }),
        Trap(
            testDescription: "distances not normed", golden: "deberta-v3", tap: "layers.0.attn_out",
            spec: { $0.embedding.distances?.norm = nil }),
        Trap(
            testDescription: "no distances as keys", golden: "deberta-v3", tap: "layers.0.attn_out",
            spec: { $0.blocks.kinds[0].attention.disentangled?.hasDistanceKeys = false }),
        Trap(
            testDescription: "no distances as queries", golden: "deberta-v3", tap: "layers.0.attn_out",
            spec: { $0.blocks.kinds[0].attention.disentangled?.hasDistanceQueries = false }),
        Trap(
            testDescription: "distances as keys and as queries exchanged", golden: "deberta-v2-own-projections",
            tap: "layers.0.attn_out",
            weights: {
                let at = "encoder.layer.0.attention.self."
                $0.exchange(at + "pos_key_proj", at + "pos_query_proj")
            }),
        Trap(
            testDescription: "distances from keys to queries", golden: "deberta-v2-p2c", tap: "layers.0.attn_out",
            weights: {
                let rows = $0.shape("encoder.rel_embeddings.weight")[0]
                let values = $0["encoder.rel_embeddings.weight"]
                let width = values.count / rows
                $0["encoder.rel_embeddings.weight"] = (0..<values.count).map { place in
                    values[(rows - place / width) % rows * width + place % width]
                }
            }),
        Trap(
            testDescription: "padding sees what is read", golden: "deberta-v2-absolute", tap: "layers.0.attn_out",
            spec: { $0.blocks.kinds[0].attention.isPaddingBlind = false }),
        Trap(
            testDescription: "padding enters as it is", golden: "deberta-v2-absolute", tap: "embed",
            spec: { $0.embedding.isZeroAtPadding = false }),
        Trap(testDescription: "positions not added", golden: "deberta-v2-p2c", tap: "embed") {
            $0["position_biased_input"] = false
        },
        Trap(testDescription: "epsilon of DeBERTa", golden: "deberta-v2-p2c", tap: "embed") {
            $0["layer_norm_eps"] = .init(1e-7)
        },
    ]
}

extension MemoryCheckpoint {
    /// Exchanges the weights and biases of two modules of one shape.
    mutating func exchange(_ a: String, _ b: String) {
        for part in [".weight", ".bias"] {
            let values = self[a + part]
            self[a + part] = self[b + part]
            self[b + part] = values
        }
    }
}

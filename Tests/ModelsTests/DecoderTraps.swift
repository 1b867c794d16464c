@testable import AssayModels

// What ports of today's decoders and of encoder-decoder models get wrong.

extension Trap {
    /// A specification that is wrong in one place.
    /// One in what the specification says.
    static func wrong(
        _ description: String, _ golden: String, _ tap: String,
        _ spec: @escaping @Sendable (inout TransformerSpec) -> Void
    ) -> Trap {
        Trap(testDescription: description, golden: golden, tap: tap, spec: spec)
    }

    static let decoders: [Trap] = [
        wrong("a gain without 1", "gemma-grouped", "layers.0.attn_norm") {
            $0.blocks.kinds[0].attentionNorms.before?.gainOffset = 0
        },
        wrong("embeddings not scaled", "gemma-grouped", "embed") { $0.embedding.scale = nil },
        wrong("erf for tanh in a gate", "gemma-grouped", "layers.0.mlp_act") {
            $0.blocks.kinds[0].feedForward.activation = .geluErf
        },
        wrong("the head's width for the scalar", "gemma2-windows", "layers.0.attn_out") {
            $0.blocks.kinds[1].attention.baseScale = 1 / 10.0.squareRoot()
        },
        wrong("no cap of scores", "gemma2-windows", "layers.0.attn_out") {
            $0.blocks.kinds[1].attention.softCap = nil
        },
        wrong("no cap of logits", "gemma2-windows", "logits") { $0.head?.softCap = nil },
        wrong("no norm behind attention", "gemma2-windows", "layers.0.mlp_norm") {
            $0.blocks.kinds[1].attentionNorms.after = nil
        },
        wrong("windows in the other layers", "gemma2-windows", "layers.0.attn_out") { $0.blocks.order = [0, 1, 0] },
        wrong("the window one shorter", "mistral-window", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.window = 4
        },
        wrong("the window one longer", "mistral-window", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.window = 6
        },
        wrong("no window", "starcoder2-window", "layers.0.attn_out") { $0.blocks.kinds[0].attention.window = nil },
        wrong("one base for all layers", "gemma3-windows", "layers.0.attn_out") {
            let rotary = $0.blocks.kinds[0].attention.rotary
            $0.blocks.kinds[1].attention.rotary = rotary
        },
        wrong("no stretching of whole layers", "gemma3-windows", "layers.1.attn_out") {
            $0.blocks.kinds[0].attention.rotary?.scaling = .none
        },
        wrong("neighbours turned for halves", "llama-grouped", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.rotary?.isInterleaved = true
        },
        wrong("halves turned for neighbours", "cohere-normed", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.rotary?.isInterleaved = false
        },
        wrong("another base", "llama-grouped", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.rotary?.base = 500_000
        },
        wrong("nothing turned", "qwen2-grouped", "layers.0.attn_out") { $0.blocks.kinds[0].attention.rotary = nil },
        wrong("Llama 3's stretching forgotten", "llama-rope-llama3", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.rotary?.scaling = .none
        },
        wrong("dynamic stretching forgotten", "llama-rope-dynamic", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.rotary?.scaling = .none
        },
        wrong("yarn's factor of cosines forgotten", "llama-rope-yarn", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.rotary?.scaling = .yarn(
                factor: 4, fast: 32, slow: 1, originalLength: 16, isTruncated: true, attentionFactor: 1)
        },
        wrong("yarn truncated", "qwen3-rope-yarn", "layers.0.attn_out") {
            guard
                case .yarn(let factor, let fast, let slow, let length, _, let attentionFactor) = $0.blocks.kinds[0]
                    .attention.rotary?.scaling
            else { return }
            $0.blocks.kinds[0].attention.rotary?.scaling = .yarn(
                factor: factor, fast: fast, slow: slow, originalLength: length, isTruncated: true,
                attentionFactor: attentionFactor)
        },
        wrong("short factors for a long text", "phi3-long", "layers.0.attn_out") {
            guard case .longRope(let short, _, let length, let factor) = $0.blocks.kinds[0].attention.rotary?.scaling
            else { return }
            $0.blocks.kinds[0].attention.rotary?.scaling = .longRope(
                short: short, long: short, originalLength: length, attentionFactor: factor)
        },
        wrong("a whole head turned", "phi3-plain", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.rotary?.dimension = 4
        },
        wrong("a still layer turned", "smollm3-still", "layers.3.attn_out") {
            let rotary = $0.blocks.kinds[0].attention.rotary
            $0.blocks.kinds[1].attention.rotary = rotary
        },
        wrong("biases forgotten", "qwen2-grouped", "layers.0.q") { $0.blocks.kinds[0].attention.hasInputBias = false },
        wrong("epsilon of the heads' norm", "qwen3-grouped", "layers.0.q_norm") {
            $0.blocks.kinds[0].attention.headNorm?.norm.epsilon = 1e-2
        },
        wrong("no norm of heads", "qwen3-grouped", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.headNorm = nil
        },
        wrong("all heads normed together", "cohere-normed", "layers.0.q_norm") {
            $0.blocks.kinds[0].attention.headNorm?.gains = .ofAllHeads
        },
        wrong("sublayers one behind the other", "cohere-normed", "layers.0.mlp_act") {
            $0.blocks.kinds[0].arrangement = .sequential
        },
        wrong("logits not scaled", "cohere-normed", "logits") { $0.head?.scale = nil },
        wrong("residuals not scaled", "granite-scaled", "layers.0.mlp_norm") { $0.blocks.kinds[0].residualScale = nil },
        wrong("the head's width for the multiplier", "granite-scaled", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.baseScale = 1 / 6.0.squareRoot()
        },
        wrong("logits multiplied instead of divided", "granite-scaled", "logits") { $0.head?.scale = 2.7 },
        wrong("the mean taken off", "llama-grouped", "layers.0.attn_norm") {
            $0.blocks.kinds[0].attentionNorms.before = NormSpec(.layer, epsilon: 1e-5, hasBias: false)
        },
        wrong("the mean left", "starcoder2-unbiased", "layers.0.attn_norm") {
            $0.blocks.kinds[0].attentionNorms.before?.kind = .rootMeanSquare
            $0.blocks.kinds[0].attentionNorms.before?.hasBias = false
        },
        Trap(
            testDescription: "gate and input exchanged", golden: "llama-grouped", tap: "layers.0.mlp_act",
            weights: {
                let (gate, up) = ("model.layers.0.mlp.gate_proj.weight", "model.layers.0.mlp.up_proj.weight")
                ($0[gate], $0[up]) = ($0[up], $0[gate])
            }),
        Trap(
            testDescription: "heads of keys interleaved", golden: "llama-grouped", tap: "layers.0.k",
            weights: { $0.exchangeHalves("model.layers.0.self_attn.k_proj.weight") }),
    ]

    static let translators: [Trap] = [
        wrong("scores scaled", "t5-plain", "encoder.layers.0.attn_out") {
            $0[.encoder]?.blocks.kinds[0].attention.baseScale = 1 / 6.0.squareRoot()
        },
        wrong("no biases of distances", "t5-plain", "decoder.layers.0.attn_out") {
            $0.blocks.kinds[0].attention.relativeBias = nil
        },
        wrong("a decoder's buckets for both sides", "t5-long", "decoder.layers.0.attn_out") {
            $0.blocks.kinds[0].attention.relativeBias?.isBidirectional = true
        },
        wrong("an encoder's buckets for one side", "t5-plain", "encoder.layers.0.attn_out") {
            $0[.encoder]?.blocks.kinds[0].attention.relativeBias?.isBidirectional = false
        },
        wrong("another greatest distance", "t5-long", "encoder.layers.0.attn_out") {
            $0[.encoder]?.blocks.kinds[0].attention.relativeBias?.maximumDistance = 128
        },
        wrong("biases of distances in cross attention too", "t5-plain", "decoder.layers.0.cross_attn_out") {
            let bias = $0.blocks.kinds[0].attention.relativeBias
            $0.blocks.kinds[0].cross?.attention.relativeBias = bias
        },
        wrong("logits not scaled", "t5-plain", "logits") { $0.head?.scale = nil },
        wrong("logits scaled where the file says not", "t5-gated-padded", "logits") { $0.head?.scale = 0.5 },
        wrong("erf for tanh in the gate", "t5-gated-padded", "encoder.layers.0.mlp_act") {
            $0[.encoder]?.blocks.kinds[0].feedForward.activation = .geluErf
        },
        wrong("a decoder that sees what comes", "t5-plain", "decoder.layers.0.attn_out") {
            $0.blocks.kinds[0].attention.isCausal = false
        },
        wrong("causal cross attention", "bart-plain", "decoder.layers.0.cross_attn_out") {
            $0.blocks.kinds[0].cross?.attention.isCausal = true
        },
        wrong("positions from row 0", "bart-plain", "encoder.embed") { $0[.encoder]?.embedding.positions?.offset = 0 },
        wrong("no norm behind embeddings", "bart-plain", "decoder.embed") { $0.embedding.norm = nil },
        wrong("embeddings not scaled", "bart-scaled-padded", "encoder.embed") { $0[.encoder]?.embedding.scale = nil },
        wrong("sines and cosines alternating", "marian-shared", "encoder.embed") {
            $0[.encoder]?.embedding.sinusoids?.isInterleaved = true
        },
        wrong("the head's row of biases forgotten", "marian-shared", "logits") { $0.head?.hasBiasRow = false },
        wrong("all sines first", "transformer-post-norm", "encoder.embed") {
            $0[.encoder]?.embedding.sinusoids?.isInterleaved = false
        },
        wrong("sines and cosines alternating in the decoder", "transformer-halves-padded", "decoder.embed") {
            $0.embedding.sinusoids?.isInterleaved = true
        },
        wrong("tokens not times the root of the width", "transformer-paper", "encoder.embed") {
            $0[.encoder]?.embedding.scale = nil
        },
        wrong("norms before for behind", "transformer-post-norm", "encoder.layers.0.attn_norm") {
            let norm = $0.finalNorm
            $0[.encoder]?.blocks.kinds[0].attentionNorms = .init(before: norm)
        },
        wrong("norms behind for before", "transformer-pre-norm", "encoder.layers.0.q") {
            let norm = $0.finalNorm
            $0[.encoder]?.blocks.kinds[0].attentionNorms = .init(afterResidual: norm)
        },
        wrong("no norm behind the encoder", "transformer-post-norm", "decoder.layers.0.cross_k") {
            $0[.encoder]?.finalNorm = nil
        },
        wrong("tanh for erf in the encoder", "transformer-pre-norm", "encoder.layers.0.mlp_act") {
            $0[.encoder]?.blocks.kinds[0].feedForward.activation = .geluTanh
        },
        Trap(
            testDescription: "keys and values of a joined cross attention exchanged", golden: "transformer-post-norm",
            tap: "decoder.layers.1.cross_k",
            weights: {
                let name = "transformer.decoder.layers.1.multihead_attn.in_proj_weight"
                let values = $0[name]
                let part = values.count / 3
                $0[name] = Array(values[..<part] + values[(2 * part)...] + values[part..<2 * part])
            }),
        Trap(
            testDescription: "the encoder's padding forgotten", golden: "bart-scaled-padded",
            tap: "encoder.layers.0.attn_out",
            tokens: { try TokenBatch(inputIDs: $0.inputIDs, decoder: $0.decoder) }),
        Trap(
            testDescription: "the decoder's padding forgotten", golden: "t5-padded-before",
            tap: "decoder.layers.0.attn_out",
            tokens: {
                try TokenBatch(
                    inputIDs: $0.inputIDs, attentionMask: $0.attentionMask,
                    decoder: .init(inputIDs: $0.decoder!.inputIDs))
            }),
        Trap(
            testDescription: "keys and values of cross attention exchanged", golden: "marian-shared",
            tap: "decoder.layers.0.cross_k",
            weights: {
                let layer = "model.decoder.layers.0.encoder_attn."
                for part in [".weight", ".bias"] {
                    let (key, value) = (layer + "k_proj" + part, layer + "v_proj" + part)
                    ($0[key], $0[value]) = ($0[value], $0[key])
                }
            }),
    ]
}

import AssayCheckpoints
import AssayTestSupport

@testable import AssayModels

extension Trap {
    /// A trap that edits the specification, most often its first kind of block.
    private init(
        _ testDescription: String, _ golden: String, _ tap: String,
        _ spec: @escaping @Sendable (inout TransformerSpec) -> Void
    ) {
        self.init(testDescription: testDescription, golden: golden, tap: tap, spec: spec)
    }

    static let gptLine = ofGPTNeoX + ofGPTJAndPhi + ofOPT + ofBLOOMAndFalcon + ofGPTNeo + ofTheOthers

    private static let ofGPTNeoX = [
        Trap("parallel sublayers one after the other", "gptneox-parallel", "layers.0.mlp_norm") {
            $0.blocks.kinds[0].arrangement = .sequential
        },
        Trap("sublayers side by side that follow one another", "gptneox-sequential", "layers.0.mlp_norm") {
            $0.blocks.kinds[0].arrangement = .parallel
        },
        Trap("one norm for two", "gptneox-parallel", "layers.0.mlp_act") {
            $0.blocks.kinds[0].feedForwardNorms.before = nil
        },
        Trap("queries, keys and values in thirds", "gptneox-parallel", "layers.0.q") {
            $0.blocks.kinds[0].attention.projection = .joined
        },
        Trap("whole heads turned", "gptneox-parallel", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.rotary?.dimension = 8
        },
        Trap("neighbours turned", "gptneox-sequential", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.rotary?.isInterleaved = true
        },
        Trap("another base", "gptneox-sequential", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.rotary?.base = 10_000
        },
        Trap(testDescription: "default share of a head", golden: "gptneox-older-keys", tap: "layers.0.attn_out") {
            $0["rotary_pct"] = .init(0.25)
        },
        Trap(testDescription: "older base forgotten", golden: "gptneox-older-keys", tap: "layers.0.attn_out") {
            $0["rotary_emb_base"] = .null
        },
        Trap(testDescription: "older scaling forgotten", golden: "gptneox-older-keys", tap: "layers.0.attn_out") {
            $0["rope_scaling"] = .null
        },
        Trap(
            testDescription: "head of the embedding", golden: "gptneox-lm-head", tap: "logits",
            weights: { $0["lm_head.weight"] = $0["gpt_neox.embed_in.weight"] }),
    ]

    private static let ofGPTJAndPhi = [
        Trap("halves turned for neighbours", "gptj-partial", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.rotary?.isInterleaved = false
        },
        Trap(testDescription: "fewer features turned", golden: "gptj-partial", tap: "layers.0.attn_out") {
            $0["rotary_dim"] = 4
        },
        Trap("feed-forward behind attention", "gptj-partial", "layers.0.mlp_act") {
            $0.blocks.kinds[0].arrangement = .sequential
        },
        Trap("bias of the head forgotten", "gptj-whole", "logits") { $0.head?.hasBias = false },
        Trap("norm of queries and keys forgotten", "phi-normed", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.headNorm = nil
        },
        Trap(testDescription: "share of a head forgotten", golden: "phi-older-keys", tap: "layers.0.attn_out") {
            $0["partial_rotary_factor"] = .null
        },
        Trap("bias of Phi's head forgotten", "phi-plain", "logits") { $0.head?.hasBias = false },
    ]

    private static let ofOPT = [
        Trap("positions from row 1", "opt-before", "embed") { $0.embedding.positions?.offset = 1 },
        Trap("positions of padding counted", "opt-left-padding", "embed") {
            $0.embedding.positions?.counting = .places
        },
        Trap("positions of holes counted", "opt-holes", "embed") { $0.embedding.positions?.counting = .places },
        Trap("norms before that stand behind", "opt-behind-projected", "layers.0.attn_norm") {
            let norm = $0.blocks.kinds[0].attentionNorms.afterResidual
            $0.blocks.kinds[0].attentionNorms = BlockSpec.Norms(before: norm)
        },
        Trap("no norm at the end", "opt-before", "logits") { $0.finalNorm = nil },
        Trap("gain of the norm at the end forgotten", "opt-projected-normed", "final_norm") {
            $0.finalNorm?.hasGain = false
        },
        Trap("gelu for relu", "opt-before", "layers.0.mlp_act") {
            $0.blocks.kinds[0].feedForward.activation = .geluErf
        },
    ]

    private static let ofBLOOMAndFalcon = [
        Trap("no linear bias", "bloom-odd-heads", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.linearBias = nil
        },
        Trap("bias scaled with the scores", "bloom-odd-heads", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.linearBias?.isScaled = true
        },
        Trap("norm of the embedding forgotten", "bloom-left-padding", "embed") { $0.embedding.norm = nil },
        Trap("plain residual for the normed", "bloom-normed-residual", "layers.0.mlp_norm") {
            $0.blocks.kinds[0].residual = .entering
        },
        Trap("normed residual for the plain", "bloom-odd-heads", "layers.0.mlp_norm") {
            $0.blocks.kinds[0].residual = .normed
        },
        Trap("bias beside the scale", "falcon-sequential-alibi", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.linearBias?.isScaled = false
        },
        Trap("bias not rounded to bfloat16", "falcon-alibi-long", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.linearBias?.isRoundedToBFloat16 = false
        },
        Trap("one norm for Falcon's two", "falcon-new", "layers.0.mlp_act") {
            $0.blocks.kinds[0].feedForwardNorms.before = nil
        },
        Trap("groups in a row", "falcon-new", "layers.0.q") { $0.blocks.kinds[0].attention.projection = .joined },
        Trap("rotations left out", "falcon-multi-query", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.rotary = nil
        },
    ]

    private static let ofGPTNeo = [
        Trap("scaled scores", "gptneo-window", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.baseScale = 1 / 8.0.squareRoot()
        },
        Trap("window too long by one", "gptneo-window", "layers.1.attn_out") {
            $0.blocks.kinds[1].attention.window = 5
        },
        Trap("window too short by one", "gptneo-window", "layers.1.attn_out") {
            $0.blocks.kinds[1].attention.window = 3
        },
        Trap("local layers first", "gptneo-window", "layers.0.attn_out") { $0.blocks.order = [1, 0] },
        Trap("what padding attends to", "gptneo-left-padding", "layers.0.attn_out") {
            for kind in $0.blocks.kinds.indices { $0.blocks.kinds[kind].attention.whenBlind = .everything }
        },
        Trap("what padding behind a window attends to", "gptneo-right-padding", "layers.1.attn_out") {
            $0.blocks.kinds[1].attention.whenBlind = .everything
        },
    ]

    private static let ofTheOthers = [
        Trap("what padding beyond a window attends to", "mistral-window-padded", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.whenBlind = .readKeys
        },
        Trap("gelu that means gelu", "gpt1-plain", "layers.0.mlp_act") {
            $0.blocks.kinds[0].feedForward.activation = .geluErf
        },
        Trap("what GPT-1's padding attends to", "gpt1-left-padding", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.whenBlind = .everything
        },
        Trap("norms before GPT-1's sublayers", "gpt1-plain", "layers.0.attn_norm") {
            let norm = $0.blocks.kinds[0].attentionNorms.afterResidual
            $0.blocks.kinds[0].attentionNorms = BlockSpec.Norms(before: norm)
        },
        Trap("heads in thirds", "gptbigcode-by-head", "layers.0.q") {
            $0.blocks.kinds[0].attention.projection = .joined
        },
        Trap("scaled where nothing is", "gptbigcode-unscaled", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.baseScale = 1 / 8.0.squareRoot()
        },
        Trap(testDescription: "band too long by one", golden: "gpt3-banded", tap: "layers.1.attn_out") {
            $0["band"] = 5
        },
        Trap(testDescription: "band too short by one", golden: "gpt3-banded", tap: "layers.1.attn_out") {
            $0["band"] = 3
        },
        Trap(testDescription: "bands first", golden: "gpt3-banded", tap: "layers.0.attn_out") {
            $0["attention_pattern"] = ["banded", "dense"]
        },
        Trap(testDescription: "pattern that ends", golden: "gpt3-wide-heads", tap: "layers.1.attn_out") {
            $0["attention_pattern"] = ["banded"]
        },
        Trap("scale of a share of the width", "gpt3-wide-heads", "layers.0.attn_out") {
            for kind in $0.blocks.kinds.indices { $0.blocks.kinds[kind].attention.baseScale = 1 / 7.0.squareRoot() }
        },
    ]
}

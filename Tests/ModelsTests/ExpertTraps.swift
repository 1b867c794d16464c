import AssayCheckpoints
import AssayTestSupport

@testable import AssayModels

// What ports of models with experts, and of those with latent attention, get wrong.

extension Trap {
    /// One kind of block that is wrong in one place.
    private static func inBlock(
        _ description: String, _ golden: String, _ tap: String, kind: Int = 0,
        _ edit: @escaping @Sendable (inout BlockSpec) -> Void
    ) -> Trap {
        Trap(testDescription: description, golden: golden, tap: tap, spec: { edit(&$0.blocks.kinds[kind]) })
    }

    static let ofExperts = ofMixtralAndQwen + ofGPTOSS + ofDeepSeek

    private static let ofMixtralAndQwen: [Trap] = [
        inBlock("weights of all experts' softmax", "mixtral-grouped", "layers.0.mlp_out") {
            $0.experts?.isNormalized = false
        },
        inBlock("one expert fewer", "mixtral-grouped", "layers.0.mlp_out") { $0.experts?.chosenCount = 1 },
        inBlock("weights not in the end", "mixtral-grouped", "layers.0.mlp_out") { $0.experts?.weightScale = 0.5 },
        Trap(
            testDescription: "gate and input of experts exchanged", golden: "mixtral-grouped", tap: "layers.0.mlp_out",
            weights: {
                for expert in 0..<5 {
                    let stem = "model.layers.0.block_sparse_moe.experts.\(expert)."
                    ($0[stem + "w1.weight"], $0[stem + "w3.weight"]) = ($0[stem + "w3.weight"], $0[stem + "w1.weight"])
                }
            }),
        Trap(
            testDescription: "experts in another order", golden: "mixtral-grouped", tap: "layers.0.mlp_out",
            weights: {
                let stem = "model.layers.0.block_sparse_moe.experts."
                for part in ["w1.weight", "w2.weight", "w3.weight"] {
                    ($0[stem + "0." + part], $0[stem + "1." + part]) = ($0[stem + "1." + part], $0[stem + "0." + part])
                }
            }),
        Trap(
            testDescription: "the router's outputs in another order", golden: "mixtral-grouped", tap: "layers.1.router",
            weights: {
                let name = "model.layers.1.block_sparse_moe.gate.weight"
                let width = $0.shape(name)[1]
                $0[name] = Array($0[name].dropFirst(width) + $0[name].prefix(width))
            }),
        inBlock("gate and input by turns in a stack of halves", "mixtral-stacked", "layers.0.mlp_out") {
            $0.feedForward.gating = .alternating
        },
        inBlock("no window over experts", "mixtral-window-tied", "layers.0.attn_out") { $0.attention.window = nil },
        inBlock("weights not normalised", "qwen3-moe-grouped", "layers.1.mlp_out", kind: 1) {
            $0.experts?.isNormalized = false
        },
        inBlock("weights normalised", "qwen3-moe-biased", "layers.1.mlp_out", kind: 1) {
            $0.experts?.isNormalized = true
        },
    ]

    private static let ofGPTOSS: [Trap] = [
        inBlock("sinks forgotten", "gpt-oss-windows", "layers.0.attn_out", kind: 1) { $0.attention.hasSinks = false },
        Trap(
            testDescription: "windows in the odd layers", golden: "gpt-oss-windows", tap: "layers.0.attn_out",
            spec: { $0.blocks.order = [0, 1, 0] }),
        inBlock("the ramp's ends made whole", "gpt-oss-windows", "layers.0.attn_out", kind: 1) {
            guard
                case .yarn(let factor, let fast, let slow, let length, _, let attention) = $0.attention.rotary!.scaling
            else { return }
            $0.attention.rotary?.scaling = .yarn(
                factor: factor, fast: fast, slow: slow, originalLength: length, isTruncated: true,
                attentionFactor: attention)
        },
        Trap(
            testDescription: "the router's bias forgotten", golden: "gpt-oss-windows", tap: "layers.0.router",
            spec: { for kind in 0..<2 { $0.blocks.kinds[kind].experts?.hasRouterBias = false } }),
        inBlock("softmax over all experts", "gpt-oss-windows", "layers.0.mlp_out", kind: 1) {
            $0.experts?.scoring = .softmax
        },
        inBlock("halves for turns", "gpt-oss-windows", "layers.0.mlp_out", kind: 1) { $0.feedForward.gating = .joined },
        inBlock("no clamp", "gpt-oss-windows", "layers.0.mlp_out", kind: 1) { $0.feedForward.clamp = nil },
        inBlock("no 1 added to inputs", "gpt-oss-windows", "layers.0.mlp_out", kind: 1) {
            $0.feedForward.inputOffset = 0
        },
        inBlock("silu for 1.702", "gpt-oss-windows", "layers.0.mlp_out", kind: 1) { $0.feedForward.activation = .silu },
        inBlock("experts' biases forgotten", "gpt-oss-windows", "layers.0.mlp_out", kind: 1) {
            $0.feedForward.hasBias = false
        },
    ]

    private static let ofDeepSeek: [Trap] = [
        inBlock("the scale of a stretched model forgotten", "deepseek-v3-groups", "layers.0.attn_out") {
            $0.attention.baseScale = 1 / 10.0.squareRoot()
        },
        inBlock("the scale of values' width", "deepseek-v2-greedy", "layers.0.attn_out") {
            $0.attention.baseScale = 1 / 7.0.squareRoot()
        },
        inBlock("halves turned for neighbours in V2", "deepseek-v2-greedy", "layers.0.attn_out") {
            $0.attention.rotary?.isInterleaved = false
        },
        inBlock("halves turned for neighbours in V3", "deepseek-v3-groups", "layers.0.attn_out") {
            $0.attention.rotary?.isInterleaved = false
        },
        inBlock("neighbours turned for halves in V3", "deepseek-v3-halves", "layers.0.attn_out", kind: 1) {
            $0.attention.rotary?.isInterleaved = true
        },
        inBlock("the first features turned, not the last", "deepseek-v2-greedy", "layers.0.attn_out") {
            $0.attention.rotary?.offset = 0
        },
        inBlock("the configuration's epsilon in norms of latents", "deepseek-v3-groups", "layers.0.q_latent") {
            $0.attention.latent?.norm.epsilon = 1e-3
        },
        inBlock("the same without latent queries", "deepseek-v2-greedy", "layers.0.kv_latent") {
            $0.attention.latent?.norm.epsilon = 1e-3
        },
        Trap(
            testDescription: "the correction forgotten", golden: "deepseek-v3-groups", tap: "layers.1.mlp_out",
            weights: {
                for layer in 1..<3 {
                    $0["model.layers.\(layer).mlp.gate.e_score_correction_bias"] = .init(repeating: 0, count: 8)
                }
            }),
        inBlock("all groups", "deepseek-v3-groups", "layers.1.mlp_out", kind: 1) { $0.experts?.groups = nil },
        inBlock("groups by their best expert", "deepseek-v3-groups", "layers.1.mlp_out", kind: 1) {
            $0.experts?.groups?.bestCount = 1
        },
        inBlock("a softmax for sigmoids", "deepseek-v3-groups", "layers.1.mlp_out", kind: 1) {
            $0.experts?.scoring = .softmax
        },
        inBlock("V3's weights not normalised", "deepseek-v3-groups", "layers.1.mlp_out", kind: 1) {
            $0.experts?.isNormalized = false
        },
        inBlock("V3's weights not scaled", "deepseek-v3-groups", "layers.1.mlp_out", kind: 1) {
            $0.experts?.weightScale = nil
        },
        inBlock("V2's weights normalised", "deepseek-v2-greedy", "layers.1.mlp_out", kind: 1) {
            $0.experts?.isNormalized = true
        },
        inBlock("V2's weights not scaled", "deepseek-v2-greedy", "layers.1.mlp_out", kind: 1) {
            $0.experts?.weightScale = nil
        },
        inBlock("V2's groups forgotten", "deepseek-v2-groups", "layers.1.mlp_out", kind: 1) {
            $0.experts?.groups = nil
        },
        inBlock("the shared expert forgotten", "deepseek-v2-greedy", "layers.1.mlp_out", kind: 1) {
            $0.experts?.shared = nil
        },
    ]
}

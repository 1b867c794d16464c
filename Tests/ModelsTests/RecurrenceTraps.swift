@testable import AssayModels

/// Traps of Transformer-XL: who is remembered, what distances are, in which order clusters stand.
extension Trap {
    private static func memory(
        _ description: String, _ golden: String, _ change: @escaping @Sendable (inout RecurrenceSpec) -> Void
    ) -> Trap {
        Trap(
            testDescription: description, golden: golden, tap: "layers.0.attn_out",
            spec: { spec in
                guard var recurrence = spec.blocks.kinds[0].attention.recurrence else { return }
                change(&recurrence)
                spec.blocks.kinds[0].attention.recurrence = recurrence
            })
    }

    static let recurrences: [Trap] = [
        memory("a memory one position shorter", "transfo-xl-segments") { $0.memoryLength -= 1 },
        memory("a memory one position longer", "transfo-xl-original") { $0.memoryLength += 1 },
        memory("no memory", "transfo-xl-original") { $0.memoryLength = 0 },
        memory("nothing before the first segment for zeros", "transfo-xl-whole") { $0.start = .empty },
        memory("zeros before the first segment for nothing", "transfo-xl-original") { $0.start = .zeros },
        memory("zeros that the norm does not pass", "transfo-xl-pre-norm") { $0.start = .empty },
        memory("the same length forgotten", "transfo-xl-same-length") { $0.isSameLength = false },
        memory("the same length where it is not", "transfo-xl-original") { $0.isSameLength = true },
        wrong("distances not clamped", "transfo-xl-no-memory", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.sinusoidalDistances?.greatest = nil
        },
        wrong("distances clamped one too early", "transfo-xl-segments", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.sinusoidalDistances?.greatest = 3
        },
        wrong("sines and cosines alternating", "transfo-xl-whole", "layers.0.attn_out") {
            $0.blocks.kinds[0].attention.sinusoidalDistances?.isInterleaved = true
        },
        wrong("norms behind for before", "transfo-xl-pre-norm", "layers.0.q") {
            let norm = $0.blocks.kinds[0].attentionNorms.before
            $0.blocks.kinds[0].attentionNorms = .init(afterResidual: norm)
        },
        wrong("epsilon", "transfo-xl-one-table", "layers.0.attn_norm") {
            $0.blocks.kinds[0].attentionNorms.afterResidual?.epsilon = 1e-5
        },
        wrong("embeddings not scaled", "transfo-xl-whole", "embed") { $0.embedding.scale = nil },
        wrong("clusters ascending", "transfo-xl-original", "logprobs") {
            $0.head?.adaptive?.clusterOrder = .ascending
        },
        wrong("clusters descending", "transfo-xl-whole", "logprobs") { $0.head?.adaptive?.clusterOrder = .descending },
        Trap(
            testDescription: "the first projection shared too", golden: "transfo-xl-one-table", tap: "logprobs",
            weights: { $0["crit.out_projs.0"] = $0["transformer.word_emb.emb_projs.0"] }),
        Trap(
            testDescription: "contents' and distances' vectors exchanged", golden: "transfo-xl-whole",
            tap: "layers.1.attn_out",
            weights: {
                let (u, v) = ("transformer.layers.1.dec_attn.r_w_bias", "transformer.layers.1.dec_attn.r_r_bias")
                ($0[u], $0[v]) = ($0[v], $0[u])
            }),
        Trap(
            testDescription: "longer segments", golden: "transfo-xl-original", tap: "layers.0.attn_out",
            tokens: { try $0.cut(into: .init(length: 5)) }),
        Trap(
            testDescription: "one segment", golden: "transfo-xl-segments", tap: "layers.0.attn_out",
            tokens: { try TokenBatch(inputIDs: $0.inputIDs) }),
    ]
}

import AssayCheckpoints
import AssayTestSupport
import Testing

@testable import AssayModels

/// Every trap of a port, built in on purpose: the comparison with the golden must name the tap where it is.
struct Trap: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var golden: String
    /// The first tap that leaves the tolerance.
    var tap: String
    var configuration: @Sendable (inout JSONObject) -> Void = { _ in }
    var spec: @Sendable (inout TransformerSpec) -> Void = { _ in }
    var weights: @Sendable (inout MemoryCheckpoint) -> Void = { _ in }
    var tokens: @Sendable (TokenBatch) throws -> TokenBatch = { $0 }

    static let all =
        common + decoders + translators + gptLine + ofExperts + encoders + recurrences + ofSenses

    private static let common: [Trap] = [
        Trap(testDescription: "erf for tanh in gelu", golden: "gpt2-odd-heads", tap: "layers.0.mlp_act") {
            $0["activation_function"] = "gelu"
        },
        Trap(testDescription: "tanh for erf in gelu", golden: "bert-pooler", tap: "layers.0.mlp_act") {
            $0["hidden_act"] = "gelu_new"
        },
        Trap(testDescription: "quick gelu", golden: "gpt2-odd-heads", tap: "layers.0.mlp_act") {
            $0["activation_function"] = "quick_gelu"
        },
        Trap(testDescription: "epsilon of a norm before", golden: "gpt2-inner-37", tap: "layers.0.attn_norm") {
            $0["layer_norm_epsilon"] = .init(1e-5)
        },
        Trap(testDescription: "epsilon of a norm after", golden: "bert-no-pooler", tap: "embed") {
            $0["layer_norm_eps"] = .init(1e-12)
        },
        Trap(testDescription: "no scale", golden: "gpt2-odd-heads", tap: "layers.0.attn_out") {
            $0["scale_attn_weights"] = false
        },
        Trap(testDescription: "inverse layer scale forgotten", golden: "gpt2-inverse-layer", tap: "layers.1.attn_out") {
            $0["scale_attn_by_inverse_layer_idx"] = false
        },
        Trap(
            testDescription: "scale of the whole width", golden: "gpt2-odd-heads", tap: "layers.0.attn_out",
            spec: { $0.blocks.kinds[0].attention.baseScale = 1 / Double($0.hiddenSize).squareRoot() }),
        Trap(
            testDescription: "no causal mask", golden: "gpt2-odd-heads", tap: "layers.0.attn_out",
            spec: { $0.blocks.kinds[0].attention.isCausal = false }),
        Trap(
            testDescription: "causal encoder", golden: "bert-pooler", tap: "layers.0.attn_out",
            spec: { $0.blocks.kinds[0].attention.isCausal = true }),
        Trap(
            testDescription: "padding mask forgotten", golden: "bert-mlm", tap: "layers.0.attn_out",
            tokens: { try TokenBatch(inputIDs: $0.inputIDs) }),
        Trap(
            testDescription: "padding before forgotten", golden: "gpt2-left-padding", tap: "layers.0.attn_out",
            tokens: { try TokenBatch(inputIDs: $0.inputIDs) }),
        Trap(
            testDescription: "positions forgotten", golden: "gpt2-position-ids", tap: "embed",
            tokens: { try TokenBatch(inputIDs: $0.inputIDs, attentionMask: $0.attentionMask) }),
        Trap(
            testDescription: "token types forgotten", golden: "bert-pooler", tap: "embed",
            tokens: { try TokenBatch(inputIDs: $0.inputIDs, attentionMask: $0.attentionMask) }),
        Trap(
            testDescription: "queries and keys exchanged", golden: "gpt2-odd-heads", tap: "layers.0.q",
            weights: { $0.permuteColumnBlocks("transformer.h.0.attn.c_attn", [1, 0, 2]) }),
        Trap(
            testDescription: "keys and values exchanged", golden: "gpt2-odd-heads", tap: "layers.0.k",
            weights: { $0.permuteColumnBlocks("transformer.h.0.attn.c_attn", [0, 2, 1]) }),
        Trap(
            testDescription: "a square matrix transposed", golden: "gpt2-odd-heads", tap: "layers.1.attn_out",
            weights: { $0.transpose("transformer.h.1.attn.c_proj.weight") }),
        Trap(
            testDescription: "heads cut otherwise", golden: "gpt2-odd-heads", tap: "layers.0.attn_out",
            spec: {
                $0.blocks.kinds[0].attention.headCount = 6
                $0.blocks.kinds[0].attention.keyValueHeadCount = 6
                $0.blocks.kinds[0].attention.headDimension = 4
                $0.blocks.kinds[0].attention.baseScale = 1 / 8.0.squareRoot()
            }),
        Trap(
            testDescription: "one gain off by a hundredth", golden: "gpt2-odd-heads", tap: "layers.1.mlp_norm",
            weights: { $0["transformer.h.1.ln_2.weight"][3] *= 1.01 }),
        Trap(
            testDescription: "tied head replaced", golden: "gpt2-untied", tap: "logits",
            weights: { $0["lm_head.weight"] = $0["transformer.wte.weight"] }),
        Trap(
            testDescription: "bias of the head's level above", golden: "bert-mlm-untied", tap: "logits",
            weights: { $0.remove("cls.predictions.decoder.bias") }),
        Trap(
            testDescription: "final norm's bias", golden: "gpt2-body-only", tap: "final_norm",
            weights: { $0["ln_f.bias"][0] += 0.01 }),
    ]
}

@Suite struct NegativeControlTests {
    @Test(arguments: Trap.all, [Profile.fast32, .ref32])
    func theFirstWrongTapIsWhereTheTrapIs(_ trap: Trap, _ profile: Profile) throws {
        let golden = Golden.named(trap.golden)
        var model = try golden.model(editingConfiguration: trap.configuration) { reader in
            var checkpoint = try MemoryCheckpoint(copying: reader)
            trap.weights(&checkpoint)
            return checkpoint
        }
        trap.spec(&model.spec)
        let trace = try Trace(model, trap.tokens(golden.tokens()), RunSettings(profile: profile, threads: 2))
        let taps = try golden.taps("taps.safetensors")
        #expect(trace.firstDifference(from: taps, tolerance: 1e-5) == trap.tap)
    }
}

extension MemoryCheckpoint {
    /// Reorders three equal blocks of a matrix's columns, and of its bias.
    mutating func permuteColumnBlocks(_ module: String, _ order: [Int]) {
        for part in [".weight", ".bias"] {
            var values = self[module + part]
            let columns = shape(module + part).last!
            let width = columns / order.count
            let old = values
            for row in 0..<values.count / columns {
                for (to, from) in order.enumerated() {
                    for column in 0..<width {
                        values[row * columns + to * width + column] = old[row * columns + from * width + column]
                    }
                }
            }
            self[module + part] = values
        }
    }

    mutating func transpose(_ name: String) {
        let values = self[name]
        let (rows, columns) = (shape(name)[0], shape(name)[1])
        let result = (0..<values.count).map { values[$0 % rows * columns + $0 / rows] }
        set(name, [columns, rows], result)
    }

    /// Exchanges the first half of a tensor's rows and the second.
    mutating func exchangeHalves(_ name: String) {
        let values = self[name]
        self[name] = Array(values[(values.count / 2)...] + values[..<(values.count / 2)])
    }
}

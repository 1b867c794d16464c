import AssayTestSupport
import Testing

@testable import AssayComparison
@testable import AssayModels

/// A mistake that is made on purpose, and what must be found.
struct KnownMistake: Sendable, CustomTestStringConvertible {
    var testDescription: String { mistake + ", " + golden }
    let mistake: String
    let golden: String
    let tap: String
    var spec: @Sendable (inout TransformerSpec) -> Void = { _ in }
    var weights: @Sendable (inout MemoryCheckpoint) -> Void = { _ in }

    private static func block(
        _ mistake: String, _ golden: String, _ point: String, kind: Int = 0, layer: Int = 0,
        _ change: @escaping @Sendable (inout BlockSpec) -> Void
    ) -> KnownMistake {
        KnownMistake(mistake: mistake, golden: golden, tap: "layers.\(layer).\(point)") {
            change(&$0.blocks.kinds[kind])
        }
    }

    private static func exchanged(
        _ mistake: String, _ golden: String, _ tap: String, _ a: String, _ b: String
    ) -> KnownMistake {
        KnownMistake(mistake: mistake, golden: golden, tap: tap, weights: { ($0[a], $0[b]) = ($0[b], $0[a]) })
    }

    static let all: [KnownMistake] = [
        block("GELU approximated by tanh for the model's activation", "gpt2-act-gelu", "mlp_act") {
            $0.feedForward.activation = .geluTanh
        },
        block("GELU with the error function for the model's activation", "gpt2-odd-heads", "mlp_act") {
            $0.feedForward.activation = .geluErf
        },
        block("GELU approximated by a sigmoid for the model's activation", "gpt2-odd-heads", "mlp_act") {
            $0.feedForward.activation = .quickGELU
        },
        block("SiLU for the model's activation", "gemma-grouped", "mlp_act") { $0.feedForward.activation = .silu },
        block("ReLU for the model's activation", "gpt2-odd-heads", "mlp_act") { $0.feedForward.activation = .relu },
        exchanged(
            "the gate's matrix and the input's exchanged", "llama-grouped", "layers.0.mlp_act",
            "model.layers.0.mlp.gate_proj.weight", "model.layers.0.mlp.up_proj.weight"),
        KnownMistake(
            mistake: "the halves of the joined gate and input exchanged", golden: "phi3-plain", tap: "layers.0.mlp_act",
            weights: {
                let name = "model.layers.0.mlp.gate_up_proj.weight"
                let values = $0[name]
                $0[name] = Array(values[(values.count / 2)...] + values[..<(values.count / 2)])
            }),
        block(
            "the feed-forward reading what the other sublayer left, not what entered", "cohere-normed", "mlp_act"
        ) { $0.arrangement = .sequential },
        block("another epsilon", "gpt2-inner-37", "attn_norm") { $0.attentionNorms.before?.epsilon = 1e-5 },
        block("the gain without the 1 that is added to it", "gemma-grouped", "attn_norm") {
            $0.attentionNorms.before?.gainOffset = 0
        },
        block("1 added to the gain", "llama-grouped", "attn_norm") { $0.attentionNorms.before?.gainOffset = 1 },
        block("the mean not taken off", "cohere-normed", "attn_norm") {
            $0.attentionNorms.before?.kind = .rootMeanSquare
        },
        block("the mean taken off", "llama-grouped", "attn_norm") { $0.attentionNorms.before?.kind = .layer },
        block("what a sublayer gives not multiplied before it is added", "granite-scaled", "mlp_norm") {
            $0.residualScale = nil
        },
        block("scores not scaled", "gpt2-odd-heads", "attn_out") { $0.attention.baseScale = 1 },
        block("scores divided by the root of the head's width", "gemma2-windows", "attn_out", kind: 1) {
            $0.attention.baseScale = 1 / 10.0.squareRoot()
        },
        block("scores divided by the root of all heads' width", "gpt2-odd-heads", "attn_out") {
            $0.attention.baseScale = 1 / 24.0.squareRoot()
        },
        block("scores not divided by the number of the layer", "gpt2-inverse-layer", "attn_out", layer: 1) {
            $0.attention.isScaledByInverseLayer = false
        },
        block("scores without their soft cap", "gemma2-windows", "attn_out", kind: 1) { $0.attention.softCap = nil },
        block("every position seeing what comes after it", "gpt2-odd-heads", "attn_out") {
            $0.attention.isCausal = false
        },
        block("positions seeing nothing of what comes after them", "bert-pooler", "attn_out") {
            $0.attention.isCausal = true
        },
        block("a window one position shorter", "mistral-window", "attn_out") { $0.attention.window = 4 },
        block("a window one position longer", "mistral-window", "attn_out") { $0.attention.window = 6 },
        block("no window", "starcoder2-window", "attn_out") { $0.attention.window = nil },
        block("attention without its sinks", "gpt-oss-windows", "attn_out", kind: 1) { $0.attention.hasSinks = false },
        block("queries and keys not normed", "qwen3-grouped", "attn_out") { $0.attention.headNorm = nil },
        KnownMistake(
            mistake: "the block of another layer's kind", golden: "gemma2-windows", tap: "layers.1.attn_out",
            spec: { $0.blocks.order = [1, 1, 1] }),
        block("neighbours turned where halves are, or halves where neighbours are", "llama-grouped", "attn_out") {
            $0.attention.rotary?.isInterleaved = true
        },
        block("nothing turned by positions", "llama-grouped", "attn_out") { $0.attention.rotary = nil },
        block("another base of rotations", "llama-grouped", "attn_out") { $0.attention.rotary?.base = 500_000 },
        block("rotations not stretched", "llama-rope-llama3", "attn_out") { $0.attention.rotary?.scaling = .none },
        block("whole heads turned", "gptneox-parallel", "attn_out") {
            $0.attention.rotary?.dimension = $0.attention.headDimension
        },
        KnownMistake(
            mistake: "no biases of queries, keys and values", golden: "qwen2-grouped", tap: "layers.0.q",
            spec: { $0.blocks.kinds[0].attention.hasInputBias = false }),
        KnownMistake(
            mistake: "embeddings not scaled", golden: "gemma-grouped", tap: "embed", spec: { $0.embedding.scale = nil }),
        KnownMistake(
            mistake: "positions counted from another row", golden: "bart-plain", tap: "encoder.embed",
            spec: { $0[.encoder]?.embedding.positions?.offset = 0 }),
        KnownMistake(
            mistake: "no norm behind the embeddings", golden: "bart-plain", tap: "decoder.embed",
            spec: { $0.embedding.norm = nil }),
        KnownMistake(
            mistake: "sines and cosines in the other order", golden: "marian-shared", tap: "encoder.embed",
            spec: { $0[.encoder]?.embedding.sinusoids?.isInterleaved.toggle() }),
        KnownMistake(
            mistake: "logits not scaled", golden: "cohere-normed", tap: "logits", spec: { $0.head?.scale = nil }),
        KnownMistake(
            mistake: "logits without their soft cap", golden: "gemma2-windows", tap: "logits",
            spec: { $0.head?.softCap = nil }),
        KnownMistake(
            mistake: "scores without the learned biases of distances", golden: "t5-plain",
            tap: "decoder.layers.0.attn_out", spec: { $0.blocks.kinds[0].attention.relativeBias = nil }),
        KnownMistake(
            mistake: "queries and keys in the order of other rotations (halves to neighbours)", golden: "llama-grouped",
            tap: "layers.0.q",
            weights: { $0.reorderHeads("model.layers.0.self_attn.q_proj.weight", width: 8) { $0 % 4 * 2 + $0 / 4 } }),
        KnownMistake(
            mistake: "queries and keys in the order of other rotations (neighbours to halves)", golden: "llama-grouped",
            tap: "layers.0.q",
            weights: { $0.reorderHeads("model.layers.0.self_attn.q_proj.weight", width: 8) { $0 % 2 * 4 + $0 / 2 } }),
        KnownMistake(
            mistake: "the axes of a convolution's window in another order", golden: "vit-classifier", tap: "embed",
            weights: { $0.turnWindows("vit.embeddings.patch_embeddings.projection.weight") }),
        KnownMistake(
            mistake: "the axes of a convolution's window in another order", golden: "whisper-plain",
            tap: "encoder.embed", weights: { $0.turnWindows("model.encoder.conv2.weight") }),
        KnownMistake(
            mistake: "a convolution's window read from its end", golden: "whisper-plain", tap: "encoder.embed",
            weights: {
                let values = $0["model.encoder.conv1.weight"]
                $0["model.encoder.conv1.weight"] = values.indices.map { values[$0 / 3 * 3 + 2 - $0 % 3] }
            }),
        KnownMistake(
            mistake: "GELU approximated by tanh behind the convolutions", golden: "whisper-plain",
            tap: "encoder.embed",
            spec: {
                for index in 0..<2 { $0[.encoder]?.embedding.features?.convolutions[index].activation = .geluTanh }
            }),
        KnownMistake(
            mistake: "ReLU behind the convolutions", golden: "whisper-padded", tap: "encoder.embed",
            spec: {
                for index in 0..<2 { $0[.encoder]?.embedding.features?.convolutions[index].activation = .relu }
            }),
        KnownMistake(
            mistake: "no activation behind the convolutions", golden: "whisper-padded", tap: "encoder.embed",
            spec: {
                for index in 0..<2 { $0[.encoder]?.embedding.features?.convolutions[index].activation = nil }
            }),
        KnownMistake(
            mistake: "no positions added", golden: "vit-pooler", tap: "embed", spec: { $0.embedding.positions = nil }),
        KnownMistake(
            mistake: "another position pooled", golden: "clip-text", tap: "pooler",
            spec: { $0.pooling?.position = .greatestToken }),
        KnownMistake(
            mistake: "the pooled row not normed", golden: "clip-vision", tap: "pooler", spec: { $0.pooling?.norm = nil }
        ),
        KnownMistake(
            mistake: "another epsilon", golden: "clip-vision", tap: "pooler",
            spec: { $0.pooling?.norm?.epsilon = 1e-3 }),
        KnownMistake(
            mistake: "another activation of the pooler", golden: "vit-pooler", tap: "pooler",
            spec: { $0.pooling?.layer?.activation = .relu }),
        KnownMistake(
            mistake: "the pooled row not divided by its length", golden: "clip-both", tap: "text.embeds",
            spec: { $0[.text]?.pooling?.projection?.isNormalized = false }),
        exchanged(
            "keys' and values' matrices exchanged", "llama-grouped", "layers.0.k",
            "model.layers.0.self_attn.k_proj.weight", "model.layers.0.self_attn.v_proj.weight"),
    ]
}

@Suite struct DiagnosisTests {
    @Test(arguments: KnownMistake.all)
    func theCauseIsNamedAndProved(_ known: KnownMistake) throws {
        let golden = Models.Golden(name: known.golden)
        let result = try compare(golden, try golden.model(known.weights), known.spec)
        #expect(result.firstOutside?.name == known.tap)
        let diagnosis = try #require(result.diagnosis, "\(known.mistake)")
        #expect(diagnosis.tap == known.tap)
        #expect(([diagnosis.mistake] + diagnosis.alternatives).contains(known.mistake), "\(diagnosis)")
        #expect(diagnosis.after < diagnosis.before / 4)
    }

    /// Damage that is none of the known mistakes is not called one.
    @Test func whatIsUnknownIsNotNamed() throws {
        let golden = Models.Golden(name: "llama-grouped")
        let damaged = try golden.model { weights in
            for index in stride(from: 0, to: weights["model.layers.1.mlp.up_proj.weight"].count, by: 7) {
                weights["model.layers.1.mlp.up_proj.weight"][index] *= -1
            }
        }
        let result = try compare(golden, damaged)
        #expect(result.firstOutside?.name == "layers.1.mlp_act")
        #expect(result.diagnosis == nil)
    }

    private func compare(
        _ golden: Models.Golden, _ test: Model, _ change: (inout TransformerSpec) -> Void = { _ in }
    ) throws -> ComparisonResult {
        var model = test
        change(&model.spec)
        var options = ComparisonOptions(threads: 2)
        options.tokens = try golden.tokens()
        return try Comparison(.model(golden.model()), .model(model), options).run()
    }
}

extension Models.Golden {
    func model(_ edit: (inout MemoryCheckpoint) -> Void = { _ in }) throws -> Model {
        var weights = try weights()
        edit(&weights)
        return try Model(weights, configuration: configuration(), name: name)
    }
}

extension MemoryCheckpoint {
    /// Puts the channels of every window, [outputs, channels, ...], behind its other axes.
    mutating func turnWindows(_ name: String) {
        let shape = shape(name)
        let (channels, window) = (shape[1], shape[2...].reduce(1, *))
        let values = self[name]
        self[name] = values.indices.map { index in
            let place = index % (channels * window)
            return values[index - place + place % channels * window + place / channels]
        }
    }

    /// Puts row `order(r)` of every head into row r.
    mutating func reorderHeads(_ name: String, width: Int, _ order: (Int) -> Int) {
        let values = self[name]
        let columns = shape(name).last!
        self[name] = (0..<values.count).map { index in
            let row = index / columns
            return values[(row / width * width + order(row % width)) * columns + index % columns]
        }
    }
}

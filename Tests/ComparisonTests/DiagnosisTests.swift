import AssayTestSupport
import Testing

@testable import AssayComparison
@testable import AssayModels

/// A mistake that is made on purpose, and what must be found.
struct KnownMistake: Sendable, CustomTestStringConvertible {
    var testDescription: String { mistake + ", " + golden }
    let mistake: String
    let golden: String
    /// Where it shows; nil for the output of the first feed-forward with experts.
    let tap: String?
    var spec: @Sendable (inout TransformerSpec) -> Void = { _ in }
    var weights: @Sendable (inout MemoryCheckpoint) -> Void = { _ in }
    /// Whether the mistaken side is what it left in a file: models of other norms are not walked side by side.
    var isCaptured = false

    private static func block(
        _ mistake: String, _ golden: String, _ point: String, kind: Int = 0, layer: Int = 0,
        _ change: @escaping @Sendable (inout BlockSpec) -> Void
    ) -> KnownMistake {
        KnownMistake(mistake: mistake, golden: golden, tap: "layers.\(layer).\(point)") {
            change(&$0.blocks.kinds[kind])
        }
    }

    /// - Parameter parts: what is exchanged of two modules.
    private static func exchanged(
        _ mistake: String, _ golden: String, _ tap: String, _ a: String, _ b: String, parts: [String] = [""]
    ) -> KnownMistake {
        KnownMistake(
            mistake: mistake, golden: golden, tap: tap,
            weights: { weights in
                for part in parts { (weights[a + part], weights[b + part]) = (weights[b + part], weights[a + part]) }
            })
    }

    static let all = first + ofRecurrence + ofExperts + others

    private static let ofRecurrence: [KnownMistake] = [
        memory("nothing remembered between segments", "transfo-xl-original") { $0.memoryLength = 0 },
        memory("nothing before the first segment, not zeros", "transfo-xl-whole") { $0.start = .empty },
        memory("zeros before the first segment, not nothing", "transfo-xl-original") { $0.start = .zeros },
        memory("positions seeing all of their segment and the memory, not as many each", "transfo-xl-same-length") {
            $0.isSameLength = false
        },
        memory("every position seeing as many others", "transfo-xl-original") { $0.isSameLength = true },
        block("distances not held to the greatest", "transfo-xl-no-memory", "attn_out") {
            $0.attention.sinusoidalDistances?.greatest = nil
        },
        block("sines and cosines of distances in the other order", "transfo-xl-whole", "attn_out") {
            $0.attention.sinusoidalDistances?.isInterleaved = true
        },
        exchanged(
            "the vectors added to queries for contents and for distances exchanged", "transfo-xl-whole",
            "layers.0.attn_out", "transformer.layers.0.dec_attn.r_w_bias", "transformer.layers.0.dec_attn.r_r_bias"),
        KnownMistake(
            mistake: "clusters of the vocabulary in the other order", golden: "transfo-xl-original", tap: "logprobs",
            spec: { $0.head?.adaptive?.clusterOrder = .ascending }),
        KnownMistake(
            mistake: "the projections of the first bin that of the embeddings", golden: "transfo-xl-one-table",
            tap: "logprobs", weights: { $0["crit.out_projs.0"] = $0["transformer.word_emb.emb_projs.0"] }),
    ]

    private static func memory(
        _ mistake: String, _ golden: String, _ change: @escaping @Sendable (inout RecurrenceSpec) -> Void
    ) -> KnownMistake {
        block(mistake, golden, "attn_out") { block in
            guard var recurrence = block.attention.recurrence else { return }
            change(&recurrence)
            block.attention.recurrence = recurrence
        }
    }

    private static let ofExperts: [KnownMistake] = [
        routed("weights of the chosen experts that do not sum to 1", "mixtral-grouped") { $0.isNormalized = false },
        routed("weights of the chosen experts divided by their sum", "qwen3-moe-biased") { $0.isNormalized = true },
        routed("a softmax over all experts, not over the chosen", "gpt-oss-windows") { $0.scoring = .softmax },
        routed("a softmax over the chosen experts, not over all", "qwen3-moe-biased") { $0.scoring = .softmaxOfChosen },
        routed("a softmax in place of the experts' sigmoids", "deepseek-v3-groups") { $0.scoring = .softmax },
        routed("experts chosen without the correction of their scores", "deepseek-v3-groups") {
            $0.hasCorrection = false
        },
        routed("experts chosen from all groups", "deepseek-v3-groups") { $0.groups = nil },
        routed("weights of experts not multiplied in the end", "deepseek-v3-groups") { $0.weightScale = nil },
        routed("one expert fewer", "mixtral-grouped") { $0.chosenCount -= 1 },
        routed("no expert that every token passes", "deepseek-v3-groups") { $0.shared = nil },
    ]

    /// A mistake in the first layer that has experts.
    private static func routed(
        _ mistake: String, _ golden: String, _ change: @escaping @Sendable (inout ExpertsSpec) -> Void
    ) -> KnownMistake {
        KnownMistake(mistake: mistake, golden: golden, tap: nil) { spec in
            for kind in spec.blocks.kinds.indices {
                guard var experts = spec.blocks.kinds[kind].experts else { continue }
                change(&experts)
                spec.blocks.kinds[kind].experts = experts
            }
        }
    }

    private static let others: [KnownMistake] = [
        KnownMistake(
            mistake: "the norm behind attention left out", golden: "gemma2-windows", tap: "layers.0.mlp_norm",
            spec: { $0.blocks.kinds[1].attentionNorms.after = nil }, isCaptured: true),
        KnownMistake(
            mistake: "the norm behind the feed-forward left out", golden: "gemma2-windows", tap: "layers.0.out",
            spec: { $0.blocks.kinds[1].feedForwardNorms.after = nil }, isCaptured: true),
        KnownMistake(
            mistake: "no norm behind the last block", golden: "gpt2-odd-heads", tap: "logits",
            spec: { $0.finalNorm = nil }, isCaptured: true),
        block("scores without the linear biases of positions", "bloom-odd-heads", "attn_out") {
            $0.attention.linearBias = nil
        },
        KnownMistake(
            mistake: "buckets of distances for both sides", golden: "t5-long", tap: "decoder.layers.0.attn_out",
            spec: { $0.blocks.kinds[0].attention.relativeBias?.isBidirectional = true }),
        block("rotations stretched linearly", "llama-grouped", "attn_out") {
            $0.attention.rotary?.scaling = .linear(factor: 4)
        },
        exchanged(
            "queries' and keys' matrices exchanged", "bert-pooler", "layers.0.q",
            "encoder.layer.0.attention.self.query", "encoder.layer.0.attention.self.key",
            parts: [".weight", ".bias"]),
        exchanged(
            "queries' and values' matrices exchanged", "bert-pooler", "layers.0.q",
            "encoder.layer.0.attention.self.query", "encoder.layer.0.attention.self.value",
            parts: [".weight", ".bias"]),
        exchanged(
            "keys' and values' matrices of cross attention exchanged", "bart-plain", "decoder.layers.0.cross_k",
            "model.decoder.layers.0.encoder_attn.k_proj", "model.decoder.layers.0.encoder_attn.v_proj",
            parts: [".weight", ".bias"]),
        block("queries, keys and values joined in another order", "gptneox-parallel", "q") {
            $0.attention.projection = .joined
        },
        block("no bias of attention's output", "gpt2-odd-heads", "attn_out") { $0.attention.hasOutputBias = false },
        block("no biases of the feed-forward", "gpt2-odd-heads", "mlp_act") { $0.feedForward.hasBias = false },
        KnownMistake(
            mistake: "places counted, padded or not", golden: "opt-left-padding", tap: "embed",
            spec: { $0.embedding.positions?.counting = .places }),
        KnownMistake(
            mistake: "logits without their bias", golden: "phi-plain", tap: "logits",
            spec: { $0.head?.hasBias = false }),
        KnownMistake(
            mistake: "the head tied to the embeddings", golden: "gpt2-untied", tap: "logits",
            weights: { $0["lm_head.weight"] = $0["transformer.wte.weight"] }),
    ]

    private static let first: [KnownMistake] = [
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
        let result = try compare(golden, try golden.model(known.weights), known.spec, isCaptured: known.isCaptured)
        let tap = try #require(result.firstOutside?.name)
        #expect(known.tap.map { $0 == tap } ?? tap.hasSuffix(".mlp_out"), "\(tap)")
        let diagnosis = try #require(result.diagnosis, "\(known.mistake)")
        #expect(diagnosis.tap == tap)
        #expect(([diagnosis.mistake] + diagnosis.alternatives).contains(known.mistake), "\(diagnosis)")
        #expect(diagnosis.after < diagnosis.before / 4)
    }

    /// A number that no list of causes holds is the configuration's.
    @Test func whatTheConfigurationSaysIsACause() throws {
        let golden = Models.Golden(name: "llama-grouped")
        let result = try compare(golden, golden.model()) { spec in
            for kind in spec.blocks.kinds.indices { spec.blocks.kinds[kind].attention.rotary?.base = 12345 }
        }
        let diagnosis = try #require(result.diagnosis)
        #expect(diagnosis.tap == "layers.0.attn_out")
        #expect(
            diagnosis.mistake.hasPrefix("another configuration (attention rotary base 12345"), "\(diagnosis.mistake)")
    }

    /// A cause without a test is a guess.
    @Test func everyCauseHasATest() {
        let made = Set(KnownMistake.all.map(\.mistake))
        #expect(Causes.all.map(\.mistake).filter { !made.contains($0) } == [])
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
        _ golden: Models.Golden, _ test: Model, _ change: (inout TransformerSpec) -> Void = { _ in },
        isCaptured: Bool = false
    ) throws -> ComparisonResult {
        var model = test
        change(&model.spec)
        var options = ComparisonOptions(threads: 2)
        options.tokens = try golden.tokens()
        let side = isCaptured ? try captured(model, options.tokens!) : .model(model)
        return try Comparison(.model(golden.model()), side, options).run()
    }

    private func captured(_ model: Model, _ tokens: TokenBatch) throws -> ComparisonSide {
        var taps = MemoryCheckpoint()
        try ForwardPass.run(BlockRunner(model, tokens: tokens, settings: RunSettings(threads: 2))) { values in
            guard case .float32(let numbers) = values.values else { fatalError("fast32 gives float32") }
            #expect(values.rows.count == values.tap.rowCount)
            taps.set(values.tap.name, values.tap.shape, Array(numbers))
        }
        return .capture(try CapturedActivations(taps, name: "captured"))
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

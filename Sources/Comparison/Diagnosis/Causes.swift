import AssayModels
import AssayPackings

/// The known causes, an entry each; those of one tap are tried in this order.
///
/// - Source: the mistakes that were found in published ports and converters of these models.
enum Causes {
    static let all =
        activations + norms + scores + memories + rotations + projections + experts + inputs + embeddings + pooling
        + heads

    private static let normPoints: Set<String> = [
        "embed", "attn_norm", "attn_post_norm", "mlp_norm", "mlp_post_norm", "cross_attn_norm", "q_norm", "k_norm",
        "final_norm", "pooler",
    ]

    // MARK: Feed-forward

    private static let activations: [Cause] = [
        activation("GELU approximated by tanh", .geluTanh), activation("GELU with the error function", .geluErf),
        activation("GELU approximated by a sigmoid", .quickGELU), activation("SiLU", .silu),
        activation("ReLU", .relu),
        .exchanged(
            "the gate's matrix and the input's exchanged", at: ["mlp_act"], .feedForwardGate, .feedForwardInput),
        Cause(mistake: "the halves of the joined gate and input exchanged", points: ["mlp_act"]) { model, place in
            turned(model, place, .feedForwardGateInput) { rows in Array(rows / 2..<rows) + Array(0..<rows / 2) }
        },
        .block("the feed-forward reading what the other sublayer left, not what entered", at: ["mlp_act", "mlp_norm"]) {
            [changed($0) { $0.arrangement = $0.arrangement == .parallel ? .sequential : .parallel }]
        },
    ]

    private static func activation(_ name: String, _ activation: Activation) -> Cause {
        .block("\(name) for the model's activation", at: ["mlp_act"]) {
            [changed($0) { $0.feedForward.activation = activation }]
        }
    }

    // MARK: Norms

    private static let norms: [Cause] = [
        norm("another epsilon") { norm in [1e-5, 1e-6, 1e-8, 1e-12, 1e-3].map { changed(norm, \.epsilon, $0) } },
        norm("the gain without the 1 that is added to it") { [changed($0, \.gainOffset, 0)] },
        norm("1 added to the gain") { [changed($0, \.gainOffset, 1)] },
        norm("the mean not taken off") { norm in
            guard !norm.hasBias else { return [] }
            return [changed(norm, \.kind, .rootMeanSquare)]
        },
        norm("the mean taken off") { [changed($0, \.kind, .layer)] },
        .block("the norm behind attention left out", at: ["mlp_norm", "mlp_act", "out"]) {
            [changed($0) { $0.attentionNorms.after = nil }]
        },
        .block("the norm behind the feed-forward left out", at: ["out"]) {
            [changed($0) { $0.feedForwardNorms.after = nil }]
        },
        .block("what a sublayer gives not multiplied before it is added", at: ["mlp_norm", "mlp_act", "out"]) {
            [changed($0) { $0.residualScale = nil }]
        },
    ]

    /// A mistake in the norm at whose tap it shows, and in all others of its kind.
    private static func norm(_ mistake: String, _ variants: @escaping @Sendable (NormSpec) -> [NormSpec]) -> Cause {
        Cause(mistake: mistake, points: normPoints) { model, place in
            guard let stack = model.spec[place.role] else { return [] }
            let norm: NormSpec? =
                place.layer.map { stack.blocks[$0].norm(at: place.point) }
                ?? (place.point == "embed"
                    ? stack.embedding.norm : place.point == "pooler" ? stack.pooling?.norm : stack.finalNorm)
            guard let norm else { return [] }
            return variants(norm).filter { $0 != norm }.compactMap { variant in
                var spec = model.spec
                spec.replaceNorms(norm, with: variant)
                return model.computing(spec)
            }
        }
    }

    // MARK: Attention

    private static let scores: [Cause] = [
        .block("scores not scaled", at: ["attn_out"]) { [changed($0) { $0.attention.baseScale = 1 }] },
        .block("scores divided by the root of the head's width", at: ["attn_out"]) { block in
            [changed(block) { $0.attention.baseScale = 1 / Double(block.attention.headDimension).squareRoot() }]
        },
        .block("scores divided by the root of all heads' width", at: ["attn_out"]) { block in
            [changed(block) { $0.attention.baseScale = 1 / Double(block.attention.queryWidth).squareRoot() }]
        },
        .block("scores not divided by the number of the layer", at: ["attn_out"]) {
            [changed($0) { $0.attention.isScaledByInverseLayer = false }]
        },
        .block("scores without their soft cap", at: ["attn_out"]) { [changed($0) { $0.attention.softCap = nil }] },
        .block("every position seeing what comes after it", at: ["attn_out"]) {
            [changed($0) { $0.attention.isCausal = false }]
        },
        .block("positions seeing nothing of what comes after them", at: ["attn_out"]) {
            [changed($0) { $0.attention.isCausal = true }]
        },
        .block("a window one position shorter", at: ["attn_out"]) { window($0) { $0 - 1 } },
        .block("a window one position longer", at: ["attn_out"]) { window($0) { $0 + 1 } },
        .block("no window", at: ["attn_out"]) { [changed($0) { $0.attention.window = nil }] },
        .block("attention without its sinks", at: ["attn_out"]) { [changed($0) { $0.attention.hasSinks = false }] },
        .block("scores without the linear biases of positions", at: ["attn_out"]) {
            [changed($0) { $0.attention.linearBias = nil }]
        },
        .block("scores without the learned biases of distances", at: ["attn_out"]) {
            [changed($0) { $0.attention.relativeBias = nil }]
        },
        .block("buckets of distances for both sides", at: ["attn_out"]) {
            [changed($0) { $0.attention.relativeBias?.isBidirectional = true }]
        },
        .block("queries and keys not normed", at: ["attn_out"]) { [changed($0) { $0.attention.headNorm = nil }] },
        Cause(mistake: "the block of another layer's kind", points: ["attn_out"]) { model, place in
            guard let layer = place.layer, let stack = model.spec[place.role] else { return [] }
            return stack.blocks.kinds.compactMap { kind in
                var spec = model.spec
                var pattern = stack.blocks
                pattern.order = (0..<stack.layerCount).map { pattern.order[$0 % pattern.order.count] }
                guard let index = stack.blocks.kinds.firstIndex(of: kind), pattern.order[layer] != index else {
                    return nil
                }
                pattern.order[layer] = index
                spec[place.role]?.blocks = pattern
                return model.computing(spec)
            }
        },
    ]

    private static let memories: [Cause] = [
        memory("nothing remembered between segments") {
            $0.isSameLength = false
            $0.memoryLength = 0
        },
        memory("nothing before the first segment, not zeros") { $0.start = .empty },
        memory("zeros before the first segment, not nothing") { $0.start = .zeros },
        memory("positions seeing all of their segment and the memory, not as many each") { $0.isSameLength = false },
        memory("every position seeing as many others") { $0.isSameLength = $0.memoryLength > 0 },
        .block("distances not held to the greatest", at: ["attn_out"]) {
            [changed($0) { $0.attention.sinusoidalDistances?.greatest = nil }]
        },
        .exchanged(
            "the vectors added to queries for contents and for distances exchanged", at: ["attn_out"], .contentBias,
            .distanceBias),
        .block("sines and cosines of distances in the other order", at: ["attn_out"]) {
            [changed($0) { $0.attention.sinusoidalDistances?.isInterleaved.toggle() }]
        },
    ]

    private static func memory(
        _ mistake: String, _ change: @escaping @Sendable (inout RecurrenceSpec) -> Void
    ) -> Cause {
        .block(mistake, at: ["attn_out"]) { block in
            guard var recurrence = block.attention.recurrence else { return [] }
            change(&recurrence)
            return [changed(block) { $0.attention.recurrence = recurrence }]
        }
    }

    private static func window(_ block: BlockSpec, _ change: (Int) -> Int) -> [BlockSpec] {
        guard let window = block.attention.window, change(window) > 0 else { return [] }
        return [changed(block) { $0.attention.window = change(window) }]
    }

    private static let rotations: [Cause] = [
        .block("neighbours turned where halves are, or halves where neighbours are", at: ["attn_out"]) {
            [changed($0) { $0.attention.rotary?.isInterleaved.toggle() }]
        },
        .block("nothing turned by positions", at: ["attn_out"]) { [changed($0) { $0.attention.rotary = nil }] },
        .block("another base of rotations", at: ["attn_out"]) { block in
            [10_000, 500_000, 1_000_000].map { base in changed(block) { $0.attention.rotary?.base = base } }
        },
        .block("rotations not stretched", at: ["attn_out"]) {
            [changed($0) { $0.attention.rotary?.scaling = .none }]
        },
        .block("rotations stretched linearly", at: ["attn_out"]) { block in
            [2.0, 4, 8].map { factor in changed(block) { $0.attention.rotary?.scaling = .linear(factor: factor) } }
        },
        .block("whole heads turned", at: ["attn_out"]) { block in
            // Factors of their own are as many as pairs.
            if case .longRope = block.attention.rotary?.scaling { return [] }
            guard block.attention.headDimension % 2 == 0 else { return [] }
            return [changed(block) { $0.attention.rotary?.dimension = block.attention.headDimension }]
        },
        Cause(mistake: "queries and keys in the order of other rotations (neighbours to halves)", points: ["q", "k"]) {
            reordered($0, $1) { width in (0..<width).map { $0 % 2 * (width / 2) + $0 / 2 } }
        },
        Cause(mistake: "queries and keys in the order of other rotations (halves to neighbours)", points: ["q", "k"]) {
            reordered($0, $1) { width in (0..<width).map { $0 % (width / 2) * 2 + $0 / (width / 2) } }
        },
    ]

    // MARK: Projections

    private static let projections: [Cause] = [
        .exchanged("queries' and keys' matrices exchanged", at: ["q", "k"], .query, .key),
        .exchanged("keys' and values' matrices exchanged", at: ["k", "v"], .key, .value),
        .exchanged("queries' and values' matrices exchanged", at: ["q", "v"], .query, .value),
        .exchanged(
            "keys' and values' matrices of cross attention exchanged", at: ["cross_k", "cross_v"], .crossKey,
            .crossValue),
        .block("queries, keys and values joined in another order", at: ["q", "k", "v"]) { block in
            [AttentionSpec.Projection.joined, .joinedByHead].map { projection in
                changed(block) {
                    if $0.attention.projection != .separate { $0.attention.projection = projection }
                }
            }
        },
        .block("no biases of queries, keys and values", at: ["q", "k", "v"]) {
            [changed($0) { $0.attention.hasInputBias = false }]
        },
        .block("no bias of attention's output", at: ["attn_out"]) {
            [changed($0) { $0.attention.hasOutputBias = false }]
        },
        .block("no biases of the feed-forward", at: ["mlp_act", "mlp_out"]) {
            [changed($0) { $0.feedForward.hasBias = false }]
        },
    ]

    // MARK: Experts

    private static let experts: [Cause] = [
        routed("weights of the chosen experts that do not sum to 1") { $0.isNormalized = false },
        routed("weights of the chosen experts divided by their sum") { $0.isNormalized = true },
        routed("a softmax over all experts, not over the chosen") { $0.scoring = .softmax },
        routed("a softmax over the chosen experts, not over all") { $0.scoring = .softmaxOfChosen },
        routed("a softmax in place of the experts' sigmoids") { $0.scoring = .softmax },
        routed("experts chosen without the correction of their scores") { $0.hasCorrection = false },
        routed("experts chosen from all groups") { $0.groups = nil },
        routed("weights of experts not multiplied in the end") { $0.weightScale = nil },
        routed("one expert fewer") { $0.chosenCount = max(1, $0.chosenCount - 1) },
        routed("no expert that every token passes") { $0.shared = nil },
    ]

    private static func routed(
        _ mistake: String, _ change: @escaping @Sendable (inout ExpertsSpec) -> Void
    ) -> Cause {
        .block(mistake, at: ["mlp_out"]) { block in
            guard var experts = block.experts else { return [] }
            change(&experts)
            return [changed(block) { $0.experts = experts }]
        }
    }

    // MARK: Ends

    private static let embeddings: [Cause] = [
        embedding("embeddings not scaled") { $0.scale = nil },
        .model("positions counted from another row", at: ["embed"]) { spec, role in
            guard var stack = spec[role], let positions = stack.embedding.positions else { return [] }
            // Where padding has a row, it is the one before.
            let least = positions.counting == .places ? 0 : 1
            guard positions.offset > least else { return [] }
            // The table stays as long as it is.
            stack.embedding.positions?.offset = least
            stack.contextLength += positions.offset - least
            return [changed(spec) { $0[role] = stack }]
        },
        embedding("no positions added") { $0.positions = nil },
        embedding("places counted, padded or not") { $0.positions?.counting = .places },
        embedding("no norm behind the embeddings") { $0.norm = nil },
        embedding("sines and cosines in the other order") { $0.sinusoids?.isInterleaved.toggle() },
    ]

    private static func embedding(_ mistake: String, _ change: @escaping @Sendable (inout EmbeddingSpec) -> Void)
        -> Cause
    {
        .model(mistake, at: ["embed"]) { spec, role in
            var result = spec
            guard var stack = result[role] else { return [] }
            change(&stack.embedding)
            result[role] = stack
            return [result]
        }
    }

    /// Of what is read instead of tokens.
    private static let inputs: [Cause] =
        [
            Cause(mistake: "the axes of a convolution's window in another order", points: ["embed"]) { model, place in
                FeatureSpec.modules.flatMap { windows(model, WeightSlot($0, in: place.role), Self.turnedWindows) }
            },
            Cause(mistake: "a convolution's window read from its end", points: ["embed"]) { model, place in
                FeatureSpec.modules.flatMap { windows(model, WeightSlot($0, in: place.role), Self.reversedWindows) }
            },
        ]
        + [(Activation?.none, "no activation"), (.geluTanh, "GELU approximated by tanh"), (.relu, "ReLU")].map {
            activation, name in
            embedding("\(name) behind the convolutions") {
                for index in ($0.features?.convolutions ?? []).indices {
                    $0.features?.convolutions[index].activation = activation
                }
            }
        }

    /// The numbers of a window, [channels, kernel...], with its axes in every other order.
    private static func turnedWindows(_ shape: [Int]) -> [[Int]] {
        orders(Array(shape.indices)).dropFirst().map { order in
            let strides = shape.indices.map { shape[($0 + 1)...].reduce(1, *) }
            return order.reduce([0]) { places, axis in
                places.flatMap { place in (0..<shape[axis]).map { place + $0 * strides[axis] } }
            }
        }
    }

    /// The same with every channel's window from its end.
    private static func reversedWindows(_ shape: [Int]) -> [[Int]] {
        let width = shape.dropFirst().reduce(1, *)
        return [(0..<shape[0]).flatMap { channel in (0..<width).reversed().map { channel * width + $0 } }]
    }

    /// All orders of a few numbers, the given one first.
    private static func orders(_ numbers: [Int]) -> [[Int]] {
        guard numbers.count > 1 else { return [numbers] }
        return numbers.flatMap { first in orders(numbers.filter { $0 != first }).map { [first] + $0 } }
    }

    /// The model with the numbers of a convolution's windows in other orders.
    private static func windows(
        _ model: Model, _ slot: WeightSlot, _ orders: (_ shape: [Int]) -> [[Int]]
    ) -> [Model] {
        guard let weight = model.tensor(slot) else { return [] }
        return orders(Array(weight.shape.dimensions.dropFirst())).map { columns in
            model.replacing { $0.name == weight.name ? RearrangedTensor($0, $0, columns: columns) : nil }
        }
    }

    /// Of the row that is made of a sequence.
    private static let pooling: [Cause] = [
        pooled("another position pooled", at: ["pooler"]) { pooling, stack in
            guard stack.embedding.features == nil else { return [] }
            return [.first, .greatestToken].map { position in changed(pooling) { $0.position = position } }
        },
        pooled("the pooled row not normed", at: ["pooler"]) { pooling, _ in [changed(pooling) { $0.norm = nil }] },
        pooled("another activation of the pooler", at: ["pooler"]) { pooling, _ in
            Activation.allCases.map { activation in changed(pooling) { $0.layer?.activation = activation } }
        },
        pooled("the pooled row not divided by its length", at: ["embeds"]) { pooling, _ in
            [changed(pooling) { $0.projection?.isNormalized = false }]
        },
    ]

    private static func pooled(
        _ mistake: String, at points: Set<String>,
        _ variants: @escaping @Sendable (PoolingSpec, StackSpec) -> [PoolingSpec]
    ) -> Cause {
        .model(mistake, at: points) { spec, role in
            guard let stack = spec[role], let pooling = stack.pooling else { return [] }
            return variants(pooling, stack).map { variant in
                changed(spec) { spec in spec[role] = changed(stack) { $0.pooling = variant } }
            }
        }
    }

    private static let heads: [Cause] = [
        .model("logits not scaled", at: ["logits"]) { spec, _ in [changed(spec) { $0.head?.scale = nil }] },
        .model("logits without their soft cap", at: ["logits"]) { spec, _ in [changed(spec) { $0.head?.softCap = nil }]
        },
        .model("logits without their bias", at: ["logits"]) { spec, _ in
            [changed(spec) { $0.head?.hasBias = false }, changed(spec) { $0.head?.hasBiasRow = false }]
        },
        .model("no norm behind the last block", at: ["logits"]) { spec, _ in [changed(spec) { $0.finalNorm = nil }] },
        .model("the head tied to the embeddings", at: ["logits"]) { spec, _ in
            [changed(spec) { $0.head?.isTied = true }]
        },
        .model("clusters of the vocabulary in the other order", at: ["logprobs"]) { spec, _ in
            AdaptiveSoftmax.ClusterOrder.allCases.map { order in
                changed(spec) { $0.head?.adaptive?.clusterOrder = order }
            }
        },
        .model("the projections of the first bin that of the embeddings", at: ["logprobs"]) { spec, _ in
            [changed(spec) { $0.head?.adaptive?.tiedProjections?[0] = true }]
        },
    ]

    // MARK: Tools

    private static func changed<T>(_ value: T, _ change: (inout T) -> Void) -> T {
        var result = value
        change(&result)
        return result
    }

    private static func changed<T>(_ norm: NormSpec, _ member: WritableKeyPath<NormSpec, T>, _ value: T) -> NormSpec {
        changed(norm) { $0[keyPath: member] = value }
    }

    /// A module's outputs in another order, its bias's too.
    private static func turned(
        _ model: Model, _ place: Cause.Place, _ module: Module, _ order: (_ rows: Int) -> [Int]
    ) -> [Model] {
        guard let layer = place.layer else { return [] }
        let names = [WeightSlot.Part.weight, .bias].compactMap {
            model.tensor(WeightSlot(module, in: place.role, layer: layer, $0))?.name
        }
        // Outputs are rows of [out, in] only.
        guard !names.isEmpty, model.table[WeightSlot(module, in: place.role, layer: layer)]?.orientation == .outputInput
        else { return [] }
        return [
            model.replacing {
                names.contains($0.name) ? RearrangedTensor($0, $0, order: order($0.shape.rowCount)) : nil
            }
        ]
    }

    /// The features of every head of the queries, or of the keys, in another order.
    private static func reordered(
        _ model: Model, _ place: Cause.Place, _ order: (_ width: Int) -> [Int]
    ) -> [Model] {
        guard let layer = place.layer, let attention = model.spec[place.role]?.blocks[layer].attention,
            attention.projection == .separate, attention.headDimension % 2 == 0
        else { return [] }
        let one = order(attention.headDimension)
        return turned(model, place, place.point == "q" ? .query : .key) { rows in
            (0..<rows).map { $0 / one.count * one.count + one[$0 % one.count] }
        }
    }
}

extension BlockSpec {
    /// The norm whose result a tap is.
    fileprivate func norm(at point: String) -> NormSpec? {
        switch point {
        case "attn_norm": attentionNorms.before ?? attentionNorms.afterResidual
        case "attn_post_norm": attentionNorms.after
        case "mlp_norm": feedForwardNorms.before ?? feedForwardNorms.afterResidual
        case "mlp_post_norm": feedForwardNorms.after
        case "cross_attn_norm": cross?.norms.before ?? cross?.norms.afterResidual
        case "q_norm", "k_norm": attention.headNorm?.norm
        default: nil
        }
    }
}

extension TransformerSpec {
    /// Puts one norm in the place of every one that equals another.
    fileprivate mutating func replaceNorms(_ norm: NormSpec, with other: NormSpec) {
        func replaced(_ found: NormSpec?) -> NormSpec? { found == norm ? other : found }
        func replaced(_ norms: BlockSpec.Norms) -> BlockSpec.Norms {
            BlockSpec.Norms(
                before: replaced(norms.before), after: replaced(norms.after),
                afterResidual: replaced(norms.afterResidual))
        }
        for stack in stacks {
            var stack = stack
            stack.embedding.norm = replaced(stack.embedding.norm)
            stack.finalNorm = replaced(stack.finalNorm)
            if let pooled = stack.pooling { stack.pooling?.norm = replaced(pooled.norm) }
            for index in stack.blocks.kinds.indices {
                var block = stack.blocks.kinds[index]
                block.attentionNorms = replaced(block.attentionNorms)
                block.feedForwardNorms = replaced(block.feedForwardNorms)
                if let cross = block.cross { block.cross?.norms = replaced(cross.norms) }
                if let own = block.attention.headNorm?.norm { block.attention.headNorm?.norm = replaced(own) ?? own }
                stack.blocks.kinds[index] = block
            }
            self[stack.role] = stack
        }
    }
}

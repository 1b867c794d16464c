import AssayModels

/// A model in words: which layers see what, the block as a drawing of two lines, and as equations with its numbers.
enum Explanation {

    // MARK: Attention

    /// "layers 0, 2, 4: window 4,096; layers 1, 3, 5: all" — one part a kind of attention, in the order of layers.
    static func attentionPattern(_ stack: StackSpec) -> String {
        var groups: [(sight: String, layers: [Int])] = []
        for layer in 0..<stack.layerCount {
            let attention = stack.blocks[layer].attention
            let span = attention.window.map { "a window of \(Quantities.count($0))" } ?? "all"
            let sight =
                attention.recurrence.map(sight)
                ?? (attention.isCausal ? "\(span) before" : attention.window == nil ? "all" : span)
            if let index = groups.firstIndex(where: { $0.sight == sight }) {
                groups[index].layers.append(layer)
            } else {
                groups.append((sight, [layer]))
            }
        }
        if groups.count == 1 { return "every layer sees \(groups[0].sight)" }
        return groups.map { group in
            group.layers.count == 1
                ? "layer \(group.layers[0]) sees \(group.sight)" : "\(group.layers.shownAsRuns) see \(group.sight)"
        }.joined(separator: "; ")
    }

    private static func sight(_ recurrence: RecurrenceSpec) -> String {
        let length = Quantities.count(recurrence.memoryLength)
        if recurrence.isSameLength { return "\(length) positions, itself among them, of its segment and the memory" }
        return recurrence.memoryLength == 0 ? "its segment before" : "its segment before and \(length) remembered"
    }

    /// "encoder: ", where there is more than one stack.
    static func role(_ stack: StackSpec) -> String { stack.role == .only ? "" : stack.role.rawValue + ": " }

    /// "head tied", "5 classes", "no head", "images against texts".
    static func head(_ summary: ModelSummary) -> String {
        guard let head = summary.spec.head else { return "no head" }
        if head.comparesStacks { return "images compared with texts" }
        if head.isOfPooled { return Quantities.plural(summary.spec.logitCount, "class", "classes") }
        return summary.isHeadTied ? "head tied" : "head untied"
    }

    /// "images [batch, 3, 224, 224]: 196 positions and the class, a convolution of 16 × 16 every 16 × 16".
    static func reading(_ features: FeatureSpec) -> String {
        let count = features.positionCount - (features.hasClassVector ? 1 : 0)
        return "\(features.kind.noun) \(features.described): \(Quantities.plural(count, "position"))"
            + (features.hasClassVector ? " and the class" : "") + ", "
            + features.convolutions.map(words).joined(separator: ", then ")
    }

    private static func words(_ convolution: ConvolutionSpec) -> String {
        let function = convolution.activation.map { ", " + words($0) } ?? ""
        return "a convolution of \(size(convolution.kernel)) every \(size(convolution.stride))\(function)"
    }

    private static func size(_ numbers: [Int]) -> String { numbers.map(String.init).joined(separator: " × ") }

    /// What makes the vectors of positions, as equations.
    static func equations(_ embedding: EmbeddingSpec, _ features: FeatureSpec) -> [String] {
        var lines: [String] = []
        var channels = features.channelCount
        for (index, convolution) in features.convolutions.enumerated() {
            let input = index == 0 ? "input" : "c"
            let window = convolution.kernel.reduce(1, *)
            let padding = convolution.padding.contains { $0 > 0 } ? " - \(size(convolution.padding))" : ""
            let place = "p · \(size(convolution.stride)) + t\(padding)"
            let sum = "sum over channels k, window t of W_kt \(input)_k(\(place))" + (convolution.hasBias ? " + b" : "")
            lines.append(
                "c(p) = " + (convolution.activation.map { "\(words($0))(\(sum))" } ?? sum)
                    + "   [\(channels) · \(window) -> \(convolution.outputCount)]")
            channels = convolution.outputCount
        }
        let positions = embedding.positions == nil ? "" : " + position"
        lines.append("x = " + (features.hasClassVector ? "(class, c(0), c(1), ...)" : "(c(0), c(1), ...)") + positions)
        _ = norm(embedding.norm, "x", "x", &lines)
        return lines
    }

    // MARK: Drawing

    /// The block as chains from x back to x, a line a sublayer.
    static func drawing(_ block: BlockSpec) -> [String] {
        func chain(_ norms: BlockSpec.Norms, _ sublayer: String) -> String {
            var parts = ["x"]
            if let norm = norms.before { parts.append(name(norm)) }
            parts.append(sublayer)
            if let norm = norms.after { parts.append(name(norm)) }
            if let scale = block.residualScale { parts.append("times \(number(scale))") }
            parts.append("+ x")
            if let norm = norms.afterResidual { parts.append(name(norm)) }
            return parts.joined(separator: " -> ")
        }
        var lines = [chain(block.attentionNorms, name(block.attention))]
        if let cross = block.cross { lines.append(chain(cross.norms, "cross " + name(cross.attention))) }
        lines.append(chain(block.feedForwardNorms, name(block.feedForward, block.experts)))
        if block.arrangement == .parallel { lines.append("both read the same x, and both are added to it") }
        return lines
    }

    private static func name(_ norm: NormSpec) -> String { norm.kind == .layer ? "layer norm" : "RMS norm" }

    private static func name(_ attention: AttentionSpec) -> String {
        let keys = attention.keyValueHeadCount == attention.headCount ? "" : ", \(attention.keyValueHeadCount) of keys"
        var positions = ""
        if attention.rotary != nil { positions += ", rotary" }
        if attention.linearBias != nil { positions += ", linear biases" }
        if attention.relativeBias != nil { positions += ", learned biases of distances" }
        if attention.sinusoidalDistances != nil { positions += ", sinusoidal distances" }
        if attention.hasSinks { positions += ", sinks" }
        return "attention (\(attention.headCount) heads of \(attention.headDimension)\(keys)\(positions))"
    }

    private static func name(_ spec: FeedForwardSpec, _ experts: ExpertsSpec?) -> String {
        let gate = spec.gating == .none ? "" : "gated "
        let one = "\(gate)\(words(spec.activation)) of \(Quantities.count(spec.innerSize))"
        guard let experts else { return one }
        let shared = experts.shared.map { " and one of \(Quantities.count($0.innerSize)) for all" } ?? ""
        return "\(experts.chosenCount) of \(experts.count) experts (\(one))\(shared)"
    }

    private static func words(_ activation: Activation) -> String {
        switch activation {
        case .geluErf: "GELU"
        case .geluTanh: "GELU by tanh"
        case .quickGELU: "GELU by a sigmoid"
        case .relu: "ReLU"
        case .reluSquared: "squared ReLU"
        case .silu: "SiLU"
        case .tanh: "tanh"
        }
    }

    // MARK: Equations

    /// A block as equations, the vectors being rows.
    static func equations(_ block: BlockSpec, hidden: Int) -> [String] {
        let isParallel = block.arrangement == .parallel
        var lines = attention(block, hidden, input: "x", output: isParallel ? "a" : "x")
        if let cross = block.cross { lines += self.cross(cross, hidden) }
        lines += feedForward(block, hidden, isParallel: isParallel)
        return lines
    }

    private static func attention(_ block: BlockSpec, _ hidden: Int, input: String, output: String) -> [String] {
        let attention = block.attention
        var lines: [String] = []
        let entering = norm(block.attentionNorms.before, input, "n", &lines)
        let bias = attention.hasInputBias ? attention.hasKeyBias ? " + b" : " + b, of keys none" : ""
        let (q, k, v) = (attention.queryWidth, attention.keyWidth, attention.valueWidth)
        if let latent = attention.latent {
            let rank = latent.keyValueRank
            lines.append("[c, r] = \(entering) Wd\(bias)   [\(hidden) -> \(rank) + \(latent.sharedWidth)]")
            lines.append("k, v = norm(c) Wu, r beside k   [\(rank) -> \(k) and \(v)]")
            lines.append(
                latent.queryRank.map { "q = norm(\(entering) Wa) Wb   [\(hidden) -> \($0) -> \(q)]" }
                    ?? "q = \(entering) Wq   [\(hidden) -> \(q)]")
        } else {
            lines.append("q, k, v = \(entering) W\(bias)   [\(hidden) -> \(q), \(k), \(v)]")
        }
        if let own = attention.headNorm { lines.append("q, k = \(name(own.norm))(q), \(name(own.norm))(k)") }
        if let rotary = attention.rotary {
            let pairs = rotary.isInterleaved ? "neighbours" : "halves"
            lines.append(
                "q_i, k_i turned by i · \(number(rotary.base))^(-2m / \(rotary.dimension)), pairs of \(pairs)"
                    + (rotary.scaling == .none ? "" : ", stretched"))
        }
        lines.append(scores(attention))
        let sink = attention.hasSinks ? ", a sink beside them" : ""
        var result = "softmax_j(s_ij\(sink)) v_j Wo" + (attention.hasOutputBias ? " + b" : "")
        result = wrapped(result, block.attentionNorms, block.residualScale)
        lines.append(
            output == "x"
                ? residual(result, block.attentionNorms) + "   [\(attention.outputWidth) -> \(hidden)]"
                : "a = " + result)
        return lines
    }

    private static func scores(_ attention: AttentionSpec) -> String {
        var score = "q_i · k_j · \(number(attention.baseScale))"
        if let distances = attention.sinusoidalDistances {
            let distance = distances.greatest.map { "min(i - j, \($0))" } ?? "i - j"
            score = "((q_i + u) · k_j + (q_i + v) · r(\(distance)) Wr) · \(number(attention.baseScale))"
        }
        if attention.isScaledByInverseLayer { score += " / layer" }
        if let cap = attention.softCap { score = "\(number(cap)) tanh(\(score) / \(number(cap)))" }
        if attention.linearBias != nil { score += " + slope · j" }
        if attention.relativeBias != nil { score += " + b(j - i)" }
        let sight =
            attention.window.map { ", \(attention.isCausal ? "0 <= i - j" : "|i - j|") < \($0)" }
            ?? (attention.isCausal ? ", j <= i" : "")
        return "s_ij = \(score)\(sight)"
    }

    private static func cross(_ cross: BlockSpec.Cross, _ hidden: Int) -> [String] {
        var lines: [String] = []
        let entering = norm(cross.norms.before, "x", "n", &lines)
        let attention = cross.attention
        let bias = attention.hasInputBias ? " + b" : ""
        let keys = attention.hasInputBias && !attention.hasKeyBias ? ", of keys none" : ""
        lines.append(
            "q = \(entering) W\(bias), k, v = m W\(bias)\(keys)   [\(hidden) -> \(attention.queryWidth)], m the encoder's"
        )
        lines.append(scores(attention))
        lines.append(residual("softmax_j(s_ij) v_j Wo" + (attention.hasOutputBias ? " + b" : ""), cross.norms))
        return lines
    }

    private static func feedForward(_ block: BlockSpec, _ hidden: Int, isParallel: Bool) -> [String] {
        let spec = block.feedForward
        var lines: [String] = []
        var entering = "x"
        if isParallel, block.feedForwardNorms.before == nil {
            entering = block.attentionNorms.before == nil ? "x" : "n"
        } else {
            entering = norm(block.feedForwardNorms.before, "x", "n", &lines)
        }
        let function = words(spec.activation)
        let bias = spec.hasBias ? " + b" : ""
        let inner =
            spec.gating == .none
            ? "\(function)(\(entering) Wi\(bias))"
            : "\(function)(\(entering) Wg\(bias)) · (\(entering) Wi\(bias))"
        let width = "[\(hidden) -> \(spec.innerSize) -> \(hidden)]"
        var result = "(\(inner)) Wo" + bias
        if let experts = block.experts {
            lines.append(
                "w = \(weights(experts))(\(entering) Wr), the \(experts.chosenCount) greatest of \(experts.count)")
            result = "sum over the chosen e of w_e ((\(inner)) Wo\(bias))"
            if experts.shared != nil { result += " + shared(\(entering))" }
        }
        result = wrapped(result, block.feedForwardNorms, block.residualScale)
        lines.append((isParallel ? "x = x + a + \(result)" : residual(result, block.feedForwardNorms)) + "   " + width)
        return lines
    }

    private static func weights(_ experts: ExpertsSpec) -> String {
        switch experts.scoring {
        case .softmax, .softmaxOfChosen: "softmax"
        case .sigmoid: "sigmoid"
        }
    }

    /// Adds the line of a norm, and gives the name of what leaves it.
    private static func norm(_ norm: NormSpec?, _ input: String, _ output: String, _ lines: inout [String]) -> String {
        guard let norm else { return input }
        let gain = norm.gainOffset == 0 ? "g" : "(\(number(norm.gainOffset)) + g)"
        let numerator = norm.kind == .layer ? "(\(input) - mean)" : input
        let square = norm.kind == .layer ? "variance" : "mean(\(input)²)"
        lines.append(
            "\(output) = \(numerator) / sqrt(\(square) + \(norm.epsilon)) · \(gain)" + (norm.hasBias ? " + b" : ""))
        return output
    }

    private static func wrapped(_ result: String, _ norms: BlockSpec.Norms, _ scale: Double?) -> String {
        let normed = norms.after.map { "\(name($0))(\(result))" } ?? result
        return scale.map { "\(number($0)) · " + normed } ?? normed
    }

    private static func residual(_ result: String, _ norms: BlockSpec.Norms) -> String {
        norms.afterResidual.map { "x = \(name($0))(x + \(result))" } ?? "x = x + \(result)"
    }

    private static func number(_ value: Double) -> String { Quantities.figure(value) }
}

extension [Int] {
    /// "layers 0-4, 6-10": runs of numbers; of many, the first few.
    fileprivate var shownAsRuns: String {
        var runs: [ClosedRange<Int>] = []
        for number in self {
            if let last = runs.last, last.upperBound + 1 == number {
                runs[runs.count - 1] = last.lowerBound...number
            } else {
                runs.append(number...number)
            }
        }
        let shown = runs.prefix(8).map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
        return "layers " + shown.joined(separator: ", ") + (runs.count > 8 ? ", ... (\(count))" : "")
    }
}

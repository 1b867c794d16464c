import AssayCheckpoints
import AssayModels
import AssayPackings
import AssayTensors

/// How two sides differ in what they are, before any number is looked at. Element types and packings are no structure.
public struct StructureFindings: Sendable {
    /// A fact of the configuration that differs: "activation", "geluTanh", "geluErf".
    public struct Fact: Sendable, Equatable {
        public var name: String
        public var reference: String
        public var test: String
    }

    init() {}

    public struct Misshapen: Sendable, Equatable {
        public var name: String
        public var reference: Shape
        public var test: Shape
    }

    public internal(set) var facts: [Fact] = []
    /// Tensors of the reference that the test lacks.
    public internal(set) var missing: [String] = []
    /// Tensors of the test that the reference lacks.
    public internal(set) var extra: [String] = []
    public internal(set) var misshapen: [Misshapen] = []
    /// What is wrong with a side by its own configuration, sentences.
    public internal(set) var faults: [String] = []
    /// Taps that only one side has, or in another shape.
    public internal(set) var taps: [String] = []

    public var differs: Bool {
        !(facts.isEmpty && missing.isEmpty && extra.isEmpty && misshapen.isEmpty && faults.isEmpty && taps.isEmpty)
    }

    /// A sentence for each finding.
    public var sentences: [String] {
        faults + facts.map { "\($0.name): \($0.reference) in A, \($0.test) in B" }
            + missing.map { "tensor '\($0.escapedForDisplay)' is missing in B" }
            + extra.map { "tensor '\($0.escapedForDisplay)' is only in B" }
            + misshapen.map { "tensor '\($0.name.escapedForDisplay)': \($0.reference) in A, \($0.test) in B" } + taps
    }
}

extension StructureFindings {
    /// Compares the checkpoints of two sides.
    init(_ reference: ComparisonSide, _ test: ComparisonSide) {
        switch (reference, test) {
        case (.model(let a), .model(let b)): self.init(a, b)
        default:
            guard let a = reference.checkpoint, let b = test.checkpoint else {
                self.init()
                return
            }
            self.init(a, b)
        }
    }

    private init(_ a: LogicalCheckpoint, _ b: LogicalCheckpoint) {
        for tensor in a.tensors {
            guard let other = b[tensor.name] else {
                missing.append(tensor.name)
                continue
            }
            if !WeightPair.fit(tensor, other) {
                misshapen.append(Misshapen(name: tensor.name, reference: tensor.shape, test: other.shape))
            }
        }
        extra = b.tensors.map(\.name).filter { a[$0] == nil }
    }

    /// Two models are compared weight by weight by what each is for, so prefixes and old spellings of names are no
    /// difference.
    private init(_ a: Model, _ b: Model) {
        for model in [a, b] where !model.report.isSound {
            faults += model.report.sentences.map { "\(model.name): \($0)" }
        }
        let testFacts = b.spec.facts
        facts = zip(a.spec.facts, testFacts).compactMap { own, other in
            own.value == other.value ? nil : Fact(name: own.name, reference: own.value, test: other.value)
        }
        guard facts.isEmpty, faults.isEmpty else { return }
        for (own, other) in zip(a.table.entries, b.table.entries) {
            if case .tied = own.presence { continue }
            switch (own.isStored(in: a), other.isStored(in: b)) {
            case (true, false): missing.append(own.name)
            case (false, true): extra.append(other.name)
            default: break
            }
        }
    }
}

extension TensorTable.Entry {
    fileprivate func isStored(in model: Model) -> Bool { names.contains { model.checkpoint[$0] != nil } }
}

extension TransformerSpec {
    /// Every fact of the specification, in an order that is the same for all.
    var facts: [(name: String, value: String)] {
        var facts: [(name: String, value: String)] = [
            ("architecture", architecture), ("layers", "\(layerCount)"), ("hidden size", "\(hiddenSize)"),
            ("vocabulary size", "\(vocabularySize)"), ("context length", "\(contextLength)"),
            ("learned positions", "\(embedding.hasLearnedPositions)"),
            ("token types", "\(embedding.tokenTypeCount)"),
            ("embedding scale", embedding.scale.map { "\($0)" } ?? "none"),
            ("embedding norm", Self.show(embedding.norm)),
            ("kinds of blocks", "\(blocks.kinds.count)"), ("order of blocks", blocks.order.shown),
        ]
        for (number, block) in blocks.kinds.enumerated() {
            let kind = blocks.kinds.count == 1 ? "" : " of kind \(number + 1)"
            facts += block.facts.map { ($0.name + kind, $0.value) }
        }
        facts.append(("final norm", Self.show(finalNorm)))
        facts.append(("pooler", poolerActivation?.rawValue ?? "none"))
        facts.append(("head", head == nil ? "none" : head!.isTied ? "tied" : "untied"))
        facts.append(("head bias", head.map { "\($0.hasBias)" } ?? "none"))
        let transform = head?.transform.map { "\($0.activation.rawValue), \(Self.show($0.norm))" }
        facts.append(("head transform", transform ?? "none"))
        return facts
    }

    fileprivate static func show(_ norm: NormSpec?) -> String {
        guard let norm else { return "none" }
        let kind = norm.kind == .layer ? "layer" : "root mean square"
        return "\(kind), epsilon \(norm.epsilon)" + (norm.gainOffset == 0 ? "" : ", gain + \(norm.gainOffset)")
    }

    /// The first fact that keeps hidden states of one from entering the blocks of the other, so that no activations can be
    /// compared; nil where they can.
    func obstacle(to other: TransformerSpec) -> String? {
        let facts: [(name: String, isSame: Bool)] = [
            ("the number of layers", layerCount == other.layerCount), ("hidden size", hiddenSize == other.hiddenSize),
            ("vocabulary size", vocabularySize == other.vocabularySize),
            ("norm placement", widths { $0.normPlacement } == other.widths { $0.normPlacement }),
            ("inner size", widths { [$0.feedForward.innerSize] } == other.widths { [$0.feedForward.innerSize] }),
            ("the width of attention", widths(\.attention.widths) == other.widths(\.attention.widths)),
            ("the final norm", (finalNorm == nil) == (other.finalNorm == nil)),
        ]
        return facts.first { !$0.isSame }?.name
    }
}

extension TransformerSpec {
    /// What every layer says of itself.
    fileprivate func widths<T>(_ say: (BlockSpec) -> T) -> [T] { (0..<layerCount).map { say(blocks[$0]) } }
}

extension AttentionSpec {
    fileprivate var widths: [Int] { [queryWidth, keyValueWidth] }
}

extension BlockSpec {
    /// Which norms there are.
    fileprivate var normPlacement: [Bool] {
        [attentionNorms, feedForwardNorms].flatMap { [$0.before != nil, $0.after != nil, $0.afterResidual != nil] }
    }

    fileprivate var facts: [(name: String, value: String)] {
        [
            ("attention norms", attentionNorms.shown), ("heads", "\(attention.headCount)"),
            ("heads of keys and values", "\(attention.keyValueHeadCount)"),
            ("head dimension", "\(attention.headDimension)"), ("attention scale", "\(attention.baseScale)"),
            ("scale divided by layer", "\(attention.isScaledByInverseLayer)"), ("causal", "\(attention.isCausal)"),
            ("window", attention.window.map { "\($0)" } ?? "none"),
            ("joined query, key, value", "\(attention.hasFusedProjection)"),
            ("attention biases", "\(attention.hasInputBias), \(attention.hasOutputBias)"),
            ("norm of queries and keys", attention.headNorm.map { $0.shown } ?? "none"),
            ("rotary positions", attention.rotary.map { $0.shown } ?? "none"),
            ("feed-forward norms", feedForwardNorms.shown), ("inner size", "\(feedForward.innerSize)"),
            ("activation", feedForward.activation.rawValue), ("gated", "\(feedForward.isGated)"),
            ("feed-forward biases", "\(feedForward.hasBias)"),
        ]
    }
}

extension BlockSpec.Norms {
    fileprivate var shown: String {
        let places = [
            ("before the sublayer", before), ("before the residual", after), ("after the residual", afterResidual),
        ]
        return places.filter { $0.1 != nil }.map { "\($0.0): \(TransformerSpec.show($0.1))" }.joined(separator: "; ")
    }
}

extension AttentionSpec.HeadNorm {
    fileprivate var shown: String { TransformerSpec.show(norm) + (isPerHead ? ", every head" : ", all heads") }
}

extension RotarySpec {
    fileprivate var shown: String {
        "base \(base), \(dimension) features, \(isInterleaved ? "neighbours" : "halves"), scaling \(scaling)"
    }
}

extension [Int] {
    fileprivate var shown: String { map { "\($0 + 1)" }.joined(separator: " ") }
}

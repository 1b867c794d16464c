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
        facts = Self.differences(a.spec.facts, b.spec.facts)
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

    private typealias Facts = [(name: String, value: String)]

    private static func differences(_ own: Facts, _ others: Facts) -> [Fact] {
        func values(_ facts: Facts) -> [String: String] {
            Dictionary(facts.map { ($0.name, $0.value) }, uniquingKeysWith: { first, _ in first })
        }
        let (reference, test) = (values(own), values(others))
        let names = own.map(\.name) + others.map(\.name).filter { reference[$0] == nil }
        return names.compactMap { name in
            let (a, b) = (reference[name] ?? "none", test[name] ?? "none")
            return a == b ? nil : Fact(name: name, reference: a, test: b)
        }
    }
}

extension TensorTable.Entry {
    fileprivate func isStored(in model: Model) -> Bool { names.contains { model.checkpoint[$0] != nil } }
}

extension TransformerSpec {
    /// The first fact that keeps hidden states of one from entering the blocks of the other, so that no activations can be
    /// compared; nil where they can.
    func obstacle(to other: TransformerSpec) -> String? {
        let facts: [(name: String, isSame: Bool)] = [
            ("the stacks", stacks.map(\.role) == other.stacks.map(\.role)),
            ("the number of layers", each(\.layerCount) == other.each(\.layerCount)),
            ("hidden size", each(\.hiddenSize) == other.each(\.hiddenSize)),
            ("what is read", each(\.embedding.features?.described) == other.each(\.embedding.features?.described)),
            ("vocabulary size", each(\.vocabularySize) == other.each(\.vocabularySize)),
            ("norm placement", widths { $0.normPlacement } == other.widths { $0.normPlacement }),
            ("inner size", widths { [$0.feedForward.innerSize] } == other.widths { [$0.feedForward.innerSize] }),
            ("the number of experts", widths { $0.experts?.count } == other.widths { $0.experts?.count }),
            ("the width of attention", widths(\.attention.widths) == other.widths(\.attention.widths)),
            ("the final norm", each { $0.finalNorm == nil } == other.each { $0.finalNorm == nil }),
            ("what is pooled", each(\.pooling?.widths) == other.each(\.pooling?.widths)),
        ]
        return facts.first { !$0.isSame }?.name
    }
}

extension TransformerSpec {
    /// What every stack says of itself.
    fileprivate func each<T>(_ say: (StackSpec) -> T) -> [T] { stacks.map(say) }

    /// What every layer says of itself.
    fileprivate func widths<T>(_ say: (BlockSpec) -> T) -> [T] {
        stacks.flatMap { stack in (0..<stack.layerCount).map { say(stack.blocks[$0]) } }
    }
}

extension AttentionSpec {
    fileprivate var widths: [Int] {
        [queryWidth, keyWidth, valueWidth, latent?.queryRank ?? 0, latent?.keyValueRank ?? 0]
    }
}

extension PoolingSpec {
    fileprivate var widths: [Int?] { [layer == nil ? 0 : layer?.outputSize, projection?.outputSize] }
}

extension BlockSpec {
    /// Which norms there are.
    fileprivate var normPlacement: [Bool] {
        [attentionNorms, cross?.norms ?? Norms(), feedForwardNorms].flatMap {
            [$0.before != nil, $0.after != nil, $0.afterResidual != nil]
        }
            + [cross != nil]
    }
}

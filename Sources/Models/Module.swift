import AssayPackings

/// A part of a model that has weights, by its function; an architecture's file says what it is called.
public enum Module: String, CaseIterable, Sendable {
    case convolution, secondConvolution, classVector
    case tokenEmbedding, embeddingProjection, positionEmbedding, tokenTypeEmbedding, embeddingNorm, relativeBias
    case distanceEmbedding, distanceNorm, distanceKey, distanceQuery
    case contentBias, distanceBias, sharedContentBias, sharedDistanceBias
    case attentionNorm, queryKeyValue, query, key, value, queryNorm, keyNorm, attentionSinks, attentionOutput
    case attentionPostNorm
    case crossNorm, crossQueryKeyValue, crossQuery, crossKey, crossValue, crossOutput
    case queryDown, queryLatentNorm, queryUp, keyValueDown, keyValueLatentNorm, keyValueUp
    case feedForwardNorm, feedForwardGate, feedForwardGateInput, feedForwardInput, feedForwardOutput,
        feedForwardPostNorm
    case router, routerCorrection, expertGate, expertInput, expertOutput, expertGateInput
    case sharedGate, sharedInput, sharedOutput
    case finalNorm, pooledNorm, pooler, pooledProjection
    case headTransform, headNorm, headProjection, head, headClusters, headBiasRow, logitScale, nextSentence

    /// Whether it stands behind the stacks rather than in one.
    var isBehindStacks: Bool {
        switch self {
        case .pooler, .headTransform, .headNorm, .headProjection, .head, .headClusters, .headBiasRow, .logitScale,
            .nextSentence:
            true
        default: false
        }
    }
}

/// One weight of a model: a module's matrix or gain, or its bias.
public struct WeightSlot: Hashable, Sendable {
    public enum Part: String, Sendable { case weight, bias }

    public var module: Module
    /// The stack it belongs to.
    public var role: StackSpec.Role
    /// The block it belongs to, or where layers share weights the set of weights; nil outside blocks.
    public var layer: Int?
    /// The expert it belongs to; nil for what is no expert's, or all experts' together.
    public var expert: Int?
    /// The bin of the vocabulary it belongs to; nil for what is all tokens'.
    public var bin: Int?
    public var part: Part

    public init(
        _ module: Module, in role: StackSpec.Role = .only, layer: Int? = nil, expert: Int? = nil, bin: Int? = nil,
        _ part: Part = .weight
    ) {
        self.module = module
        self.role = role
        self.layer = layer
        self.expert = expert
        self.bin = bin
        self.part = part
    }

    /// The bias of the same module.
    var bias: WeightSlot { WeightSlot(module, in: role, layer: layer, expert: expert, bin: bin, .bias) }
    /// The tensor that holds it together with those of the other experts.
    var ofAllExperts: WeightSlot { WeightSlot(module, in: role, layer: layer, part) }

    /// Without a stack where the module stands behind them all.
    public var standing: WeightSlot { of(role) }

    /// The same in another stack; without one where it stands behind them all.
    func of(_ role: StackSpec.Role) -> WeightSlot {
        WeightSlot(module, in: module.isBehindStacks ? .only : role, layer: layer, expert: expert, bin: bin, part)
    }
}

extension TransformerSpec {
    /// The slot of a layer's weight: that of the set which the layer shares with others.
    public func shared(_ slot: WeightSlot) -> WeightSlot {
        guard let layer = slot.layer, let stack = self[slot.role] else { return slot }
        var slot = slot
        slot.layer = stack.blocks.weightSet(of: layer)
        return slot
    }
}

/// What a tensor is for; what may be done to it depends on it.
public enum TensorRole: String, Sendable {
    case embedding, position, norm, bias, linear, router, head, buffer
}

/// What a module's tensors are called, one column a layout. What experts have may have two names: one of each expert's
/// own, and one of the tensor that holds all of them.
public struct ModuleName: Sendable {
    public var module: Module
    /// The stack it belongs to.
    public var role: StackSpec.Role
    /// In checkpoints of transformers, without prefix and without `.weight`; `{i}` stands for the layer, `{g}` and `{k}` for
    /// the group of layers and the place in it, `{e}` for the expert, `{b}` for the bin of the vocabulary, 0 where there
    /// is one.
    public var hf: String
    /// What the library calls the module that runs, in the same manner, where no tensor says it: `layers.{i}.attention.q_proj`
    /// of ViT. Read for captures alone.
    public var running: String?
    /// Whether the prefix of bodies inside larger models never stands before it.
    public var isOutsidePrefix: Bool
    /// Whether it is a lone parameter: its weight's name is the module's, without `.weight`, its bias's ends with `_bias`.
    public var isParameter: Bool
    /// What stands between the module's name and that of a part of it; "_" where both are parameters of the module around
    /// it: `self_attn.in_proj_weight`.
    public var joint: String
    /// How its matrix lies; nil for as linear layers' do.
    public var orientation: WeightOrientation?
    /// Dimensions of 1 that its tensors have before those of the weight.
    public var leadingAxes: Int
    /// Whether the name is one block's, or that of blocks that share it.
    let isOfBlock: Bool
    /// Whether the name is one expert's.
    let isOfOneExpert: Bool

    init(
        _ module: Module, in role: StackSpec.Role = .only, hf: String, running: String? = nil,
        isOutsidePrefix: Bool = false, isParameter: Bool = false, joint: String = ".",
        orientation: WeightOrientation? = nil, leadingAxes: Int = 0
    ) {
        self.module = module
        self.role = role
        self.hf = hf
        self.running = running
        self.isOutsidePrefix = isOutsidePrefix
        self.isParameter = isParameter
        self.joint = joint
        self.orientation = orientation
        self.leadingAxes = leadingAxes
        isOfBlock = hf.firstRange(of: "{i}") != nil || hf.firstRange(of: "{k}") != nil
        isOfOneExpert = hf.firstRange(of: "{e}") != nil
    }
}

/// The names of an architecture's tensors.
public struct Naming: Sendable {
    /// What stands before the body's names in the checkpoint of a model with a head: "transformer.". Bare bodies, and
    /// many published files, lack it.
    public var prefix: String
    public var modules: [ModuleName]
    /// How matrices of linear layers lie; the head and the embeddings are [vocabulary, hidden] anyway.
    public var linearOrientation: WeightOrientation
    /// Other spellings: a name that ends with the first may end with the second instead.
    public var otherEndings: [(ending: String, other: String)] = []
    /// Tensors that are no weights and may stand or not, without prefix.
    public var buffers: [String] = []
    /// Those of them that hold sines and cosines of positions, which the forward pass computes, and must hold the same.
    public var positionTables: [StackSpec.Role: String] = [:]
    /// Tensors of heads that are not computed and may stand or not, the names whole.
    public var uncomputed: [String] = []
    /// Layers whose names have one group.
    public var layersPerGroup = 1

    /// The names a weight may bear in the `hf` layout, the preferred one first; none where the architecture lacks the
    /// module.
    func names(of slot: WeightSlot, prefixed: Bool) -> [String] {
        guard let module = name(of: slot) else { return [] }
        let stem = Self.fill(
            module.hf, layer: slot.layer, perGroup: layersPerGroup, expert: slot.expert, bin: slot.bin ?? 0)
        let name =
            (prefixed && !module.isOutsidePrefix ? prefix : "") + stem
            + (module.isParameter ? (slot.part == .bias ? "_bias" : "") : module.joint + slot.part.rawValue)
        return [name]
            + otherEndings.filter { name.hasSuffix($0.ending) }.map { name.dropLast($0.ending.count) + $0.other }
    }

    /// What a module may be called while it runs, as patterns without prefix: as its weight is, under any of its spellings,
    /// or as the library has it.
    func paths(of module: ModuleName) -> [String] {
        let weight = ".weight"
        let spellings = otherEndings.filter { ending, other in
            (module.hf + weight).hasSuffix(ending) && ending.hasSuffix(weight) && other.hasSuffix(weight)
        }.map { (module.hf + weight).dropLast($0.ending.count) + $0.other.dropLast(weight.count) }
        return [module.hf] + (module.running.map { [$0] } ?? []) + spellings.map { String($0) }
    }

    /// How the matrix of a slot lies.
    func orientation(of slot: WeightSlot) -> WeightOrientation { name(of: slot)?.orientation ?? linearOrientation }

    /// Dimensions of 1 before those of a slot's weight.
    func leadingAxes(of slot: WeightSlot) -> Int { name(of: slot)?.leadingAxes ?? 0 }

    /// Whether any layer of a checkpoint may hold a module in one tensor for all experts.
    func isStacked(_ module: Module, _ names: some Sequence<String>) -> Bool {
        guard let pattern = name(of: WeightSlot(module))?.hf, let place = pattern.firstRange(of: "{i}") else {
            return false
        }
        let end = pattern[place.upperBound...]
        return names.contains { $0.hasSuffix(end) }
    }

    private func name(of slot: WeightSlot) -> ModuleName? {
        modules.first {
            $0.module == slot.module && $0.role == slot.role && $0.isOfOneExpert == (slot.expert != nil)
        }
    }

    static func fill(
        _ pattern: String, layer: Int?, perGroup: Int = 1, expert: Int? = nil, bin: Int = 0
    ) -> String {
        let numbers = [
            ("{i}", layer), ("{g}", layer.map { $0 / perGroup }), ("{k}", layer.map { $0 % perGroup }), ("{e}", expert),
            ("{b}", bin),
        ]
        return numbers.reduce(pattern) { name, part in
            guard let number = part.1, let place = name.firstRange(of: part.0) else { return name }
            return name.replacingCharacters(of: place, with: String(number))
        }
    }
}

extension String {
    fileprivate func firstRange(of part: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(part) { return start..<index(start, offsetBy: part.count) }
            start = index(after: start)
        }
        return nil
    }

    fileprivate func replacingCharacters(of range: Range<Index>, with text: String) -> String {
        String(self[..<range.lowerBound]) + text + String(self[range.upperBound...])
    }
}

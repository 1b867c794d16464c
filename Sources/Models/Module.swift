import AssayPackings

/// A part of a model that has weights, by its function; an architecture's file says what it is called.
public enum Module: String, CaseIterable, Sendable {
    case tokenEmbedding, embeddingProjection, positionEmbedding, tokenTypeEmbedding, embeddingNorm, relativeBias
    case attentionNorm, queryKeyValue, query, key, value, queryNorm, keyNorm, attentionSinks, attentionOutput
    case attentionPostNorm
    case crossNorm, crossQuery, crossKey, crossValue, crossOutput
    case feedForwardNorm, feedForwardGate, feedForwardGateInput, feedForwardInput, feedForwardOutput,
        feedForwardPostNorm
    case finalNorm, pooler
    case headTransform, headNorm, headProjection, head, headBiasRow, nextSentence

    /// Whether it stands behind the stacks rather than in one.
    var isBehindStacks: Bool {
        switch self {
        case .pooler, .headTransform, .headNorm, .headProjection, .head, .headBiasRow, .nextSentence: true
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
    /// The block it belongs to; nil outside blocks.
    public var layer: Int?
    public var part: Part

    public init(_ module: Module, in role: StackSpec.Role = .only, layer: Int? = nil, _ part: Part = .weight) {
        self.module = module
        self.role = role
        self.layer = layer
        self.part = part
    }

    /// Without a stack where the module stands behind them all.
    public var standing: WeightSlot { of(role) }

    /// The same in another stack; without one where it stands behind them all.
    func of(_ role: StackSpec.Role) -> WeightSlot {
        WeightSlot(module, in: module.isBehindStacks ? .only : role, layer: layer, part)
    }
}

/// What a tensor is for; what may be done to it depends on it.
public enum TensorRole: String, Sendable {
    case embedding, position, norm, bias, linear, head, buffer
}

/// What a module's tensors are called, one column a layout.
public struct ModuleName: Sendable {
    public var module: Module
    /// The stack it belongs to.
    public var role: StackSpec.Role
    /// In checkpoints of transformers, without prefix and without `.weight`; `{i}` stands for the layer.
    public var hf: String
    /// Whether the prefix of bodies inside larger models never stands before it.
    public var isOutsidePrefix: Bool
    /// Whether it is a lone parameter: its weight's name is the module's, without `.weight`.
    public var isParameter: Bool

    init(
        _ module: Module, in role: StackSpec.Role = .only, hf: String, isOutsidePrefix: Bool = false,
        isParameter: Bool = false
    ) {
        self.module = module
        self.role = role
        self.hf = hf
        self.isOutsidePrefix = isOutsidePrefix
        self.isParameter = isParameter
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

    /// The names a weight may bear in the `hf` layout, the preferred one first; none where the architecture lacks the
    /// module.
    func names(of slot: WeightSlot, prefixed: Bool) -> [String] {
        guard let module = modules.first(where: { $0.module == slot.module && $0.role == slot.role }) else { return [] }
        let stem = Self.fill(module.hf, layer: slot.layer)
        let name =
            (prefixed && !module.isOutsidePrefix ? prefix : "") + stem
            + (module.isParameter ? "" : "." + slot.part.rawValue)
        return [name]
            + otherEndings.filter { name.hasSuffix($0.ending) }.map { name.dropLast($0.ending.count) + $0.other }
    }

    static func fill(_ pattern: String, layer: Int?) -> String {
        guard let layer, let place = pattern.firstRange(of: "{i}") else { return pattern }
        return pattern.replacingCharacters(of: place, with: String(layer))
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

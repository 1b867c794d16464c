import AssayPackings

/// A part of a model that has weights, by its function; an architecture's file says what it is called.
public enum Module: String, CaseIterable, Sendable {
    case tokenEmbedding, positionEmbedding, tokenTypeEmbedding, embeddingNorm, embeddingProjection
    case distanceEmbedding, distanceNorm, distanceKey, distanceQuery
    case attentionNorm, queryKeyValue, query, key, value, queryNorm, keyNorm, attentionSinks, attentionOutput
    case attentionPostNorm
    case feedForwardNorm, feedForwardGate, feedForwardGateInput, feedForwardInput, feedForwardOutput,
        feedForwardPostNorm
    case finalNorm, pooler
    case headTransform, headNorm, head, nextSentence
}

/// One weight of a model: a module's matrix or gain, or its bias.
public struct WeightSlot: Hashable, Sendable {
    public enum Part: String, Sendable { case weight, bias }

    public var module: Module
    /// The block it belongs to, or where layers share weights the set of weights; nil outside blocks.
    public var layer: Int?
    public var part: Part

    public init(_ module: Module, layer: Int? = nil, _ part: Part = .weight) {
        self.module = module
        self.layer = layer
        self.part = part
    }
}

extension TransformerSpec {
    /// The slot of a layer's weight: that of the set which the layer shares with others.
    public func shared(_ slot: WeightSlot) -> WeightSlot {
        var slot = slot
        slot.layer = slot.layer.map(blocks.weightSet)
        return slot
    }
}

/// What a tensor is for; what may be done to it depends on it.
public enum TensorRole: String, Sendable {
    case embedding, position, norm, bias, linear, head, buffer
}

/// What a module's tensors are called, one column a layout.
public struct ModuleName: Sendable {
    public var module: Module
    /// In checkpoints of transformers, without prefix and without `.weight`; `{i}` stands for the layer, `{g}` and `{k}` for
    /// the group of layers and the place in it.
    public var hf: String
    /// Whether the prefix of bodies inside larger models never stands before it.
    public var isOutsidePrefix: Bool
    /// Whether it is a lone parameter: its weight's name is the module's, without `.weight`.
    public var isParameter: Bool

    init(_ module: Module, hf: String, isOutsidePrefix: Bool = false, isParameter: Bool = false) {
        self.module = module
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
    /// Tensors of heads that are not computed and may stand or not, the names whole.
    public var uncomputed: [String] = []
    /// Layers whose names have one group.
    public var layersPerGroup = 1

    /// The names a weight may bear in the `hf` layout, the preferred one first; none where the architecture lacks the
    /// module.
    func names(of slot: WeightSlot, prefixed: Bool) -> [String] {
        guard let module = modules.first(where: { $0.module == slot.module }) else { return [] }
        let stem = Self.fill(module.hf, layer: slot.layer, perGroup: layersPerGroup)
        let name =
            (prefixed && !module.isOutsidePrefix ? prefix : "") + stem
            + (module.isParameter ? "" : "." + slot.part.rawValue)
        return [name]
            + otherEndings.filter { name.hasSuffix($0.ending) }.map { name.dropLast($0.ending.count) + $0.other }
    }

    static func fill(_ pattern: String, layer: Int?, perGroup: Int = 1) -> String {
        guard let layer else { return pattern }
        let numbers = [("{i}", layer), ("{g}", layer / perGroup), ("{k}", layer % perGroup)]
        return numbers.reduce(pattern) { name, number in
            guard let place = name.firstRange(of: number.0) else { return name }
            return name.replacingCharacters(of: place, with: String(number.1))
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

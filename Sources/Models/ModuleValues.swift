import AssayCheckpoints

// What programs made of modules name: "model.layers.0.mlp.down_proj.output" is what this module gave, ".input.0" the first
// tensor that it was given. Which of them are which taps follows from what an architecture calls its weights, so that no
// architecture says it again. The page `formats/captures.md` has the table.

/// The value of a module that is a tap.
public struct ModuleValue: Sendable, Equatable {
    /// "layers.0.k"
    public var tap: String
    /// The value's name.
    public var name: String
    /// The parts of its last axis, in order; none for all of it.
    public var columns: [Range<Int>]
    /// Of a value that may stand in heads: how many there are.
    public var headCount: Int?
}

extension Model {
    /// The taps that some values of modules are, in the order of the forward pass.
    ///
    /// - Parameter names: of the values that were captured.
    /// - Throws: `StructureError` where they are of modules of other names, or of several bodies.
    public func taps(among names: [String], of source: String) throws(StructureError) -> [ModuleValue] {
        guard let architecture = ArchitectureRegistry.all.first(where: { $0.modelType == spec.architecture }) else {
            throw StructureError("\(source): \(spec.architecture) has no names of modules")
        }
        let paths = try ModulePaths(architecture.naming(for: spec), spec, names, source)
        let known = NameSet(names)
        var found: [ModuleValue] = []
        for tap in tapNames {
            guard let name = TapName(tap), let point = TapPoint(rawValue: name.point) else { continue }
            let candidates = paths.candidates(for: point, of: name)
            if let candidate = candidates.first(where: { known.contains($0.name) }) {
                found.append(
                    ModuleValue(
                        tap: tap, name: candidate.name, columns: candidate.columns,
                        headCount: paths.headCount(point, of: name)))
            }
        }
        return found
    }
}

/// The paths of a model's modules as a capture has them.
private struct ModulePaths {
    private let spec: TransformerSpec
    private let naming: Naming
    /// What stands before the body's modules ("model."), and before the head.
    private let (body, whole): (String, String)

    init(
        _ naming: Naming, _ spec: TransformerSpec, _ names: [String], _ source: String
    ) throws(StructureError) {
        self.naming = naming
        self.spec = spec
        let modules = naming.modules.filter { $0.isOfBlock && !$0.isOfOneExpert }
        // The first module of block 0 that is there says where the body is; of a layer that runs several times, debug trees
        // hold the last time alone.
        let marks = [false, true].flatMap { isLast in
            modules.flatMap { module -> [String] in
                let last = (spec[module.role]?.layerCount ?? 1) - 1
                return naming.paths(of: module).flatMap { pattern in
                    [".output", ".output.0", ".input.0"].map {
                        Self.fill(pattern, layer: isLast ? last : 0, of: module.role, naming, spec) + $0
                    }
                }
            }
        }
        let found = marks.lazy.map { ($0, Self.prefixes(before: $0, names)) }.first { !$1.isEmpty }
        guard let (mark, prefixes) = found else {
            throw StructureError(
                "\(source): expected values of \(spec.architecture)'s modules, such as"
                    + " '\(naming.prefix)\(marks.first ?? "")', found \(names.listed(first: 3)); a map can say what they"
                    + " are")
        }
        guard prefixes.count == 1 else {
            throw StructureError(
                "\(source): holds values of \(prefixes.count) bodies (before '\(mark)'); a map can say which is meant")
        }
        let prefix = prefixes[0]
        body = prefix
        let isPrefixed = !naming.prefix.isEmpty && prefix.hasSuffix(naming.prefix)
        whole = isPrefixed ? String(prefix.dropLast(naming.prefix.count)) : prefix
    }

    /// What stands before a part of names, whole components of it.
    private static func prefixes(before mark: String, _ names: [String]) -> [String] {
        let found = names.filter { $0.hasSuffix(mark) }.map { String($0.dropLast(mark.count)) }
        return NameMap(found.filter { $0.isEmpty || $0.hasSuffix(".") }.map { ($0, ()) }).keys
    }

    // MARK: Paths

    private func name(_ module: Module, _ role: StackSpec.Role) -> ModuleName? {
        let role = module.isBehindStacks ? .only : role
        return naming.modules.first { $0.module == module && $0.role == role && !$0.isParameter }
    }

    /// A pattern with its numbers; of a module that runs for several layers the run is told, as captures do.
    private static func fill(
        _ pattern: String, layer: Int?, of role: StackSpec.Role, _ naming: Naming, _ spec: TransformerSpec
    ) -> String {
        guard let layer, let sets = spec[role]?.blocks.sharing?.sets else {
            return Naming.fill(pattern, layer: layer)
        }
        let run = sets[...layer].count { $0 == sets[layer] }
        return Naming.fill(pattern, layer: sets[layer], perGroup: naming.layersPerGroup) + (run > 1 ? "@\(run)" : "")
    }

    /// Where a module may be, the likeliest first.
    private func paths(_ module: Module, _ tap: TapName) -> [String] { paths(module, tap) { $0 } }

    /// Where the module around one may be.
    private func paths(around module: Module, _ tap: TapName) -> [String] {
        paths(module, tap) { pattern in
            pattern.utf8.lastIndex(of: UInt8(ascii: ".")).map { String(pattern[..<$0]) }
        }
    }

    private func paths(_ module: Module, _ tap: TapName, _ change: (String) -> String?) -> [String] {
        guard let name = name(module, tap.role) else { return [] }
        return naming.paths(of: name).compactMap(change).map {
            (name.isOutsidePrefix ? whole : body) + Self.fill($0, layer: tap.layer, of: tap.role, naming, spec)
        }
    }

    private func block(_ layer: Int, of role: StackSpec.Role) -> [String] {
        guard let stack = spec[role], layer < stack.layerCount, let name = name(.attentionOutput, role) else {
            return []
        }
        return naming.paths(of: name).compactMap { pattern in
            let parts = pattern.split(separator: ".")
            guard let end = parts.lastIndex(where: { ["{i}", "{k}"].contains($0) }) else { return nil }
            return body + Self.fill(parts[...end].joined(separator: "."), layer: layer, of: role, naming, spec)
        }
    }

    // MARK: Taps

    /// A value's name, and the parts of its last axis.
    typealias Candidate = (name: String, columns: [Range<Int>])

    private func given(_ paths: [String]) -> [Candidate] {
        paths.map { (name: $0 + ".input.0", columns: []) }
    }

    private func gave(_ paths: [String], _ columns: [Range<Int>] = []) -> [Candidate] {
        paths.flatMap { [(name: $0 + ".output", columns: columns), (name: $0 + ".output.0", columns: columns)] }
    }

    /// What the model itself gave under a key.
    private func own(_ key: String) -> [Candidate] { [(name: "output." + key, columns: [])] }

    /// The values that are a tap, the likeliest first.
    func candidates(for point: TapPoint, of tap: TapName) -> [Candidate] {
        func output(_ module: Module) -> [Candidate] { gave(paths(module, tap)) }
        switch point {
        case .embed:
            let isProjectedLast = spec[tap.role]?.embedding.projection?.place == .behindNorm
            return given(block(0, of: tap.role)) + output(isProjectedLast ? .embeddingProjection : .embeddingNorm)
        case .attentionNorm: return output(.attentionNorm)
        case .queryLatent: return output(.queryLatentNorm)
        case .keyValueLatent: return output(.keyValueLatentNorm)
        case .query: return output(.query) + output(.queryUp) + joined(0, tap)
        // Of latent attention, keys are put together behind the projection.
        case .key: return output(.key) + joined(1, tap)
        case .value: return output(.value) + joined(2, tap)
        case .queryNorm: return output(.queryNorm)
        case .keyNorm: return output(.keyNorm)
        case .attentionOutput: return output(.attentionOutput)
        case .attentionPostNorm: return output(.attentionPostNorm)
        case .crossNorm: return output(.crossNorm)
        case .crossQuery: return output(.crossQuery)
        case .crossKey: return output(.crossKey)
        case .crossValue: return output(.crossValue)
        case .crossOutput: return output(.crossOutput)
        case .feedForwardNorm: return output(.feedForwardNorm)
        case .router: return output(.router)
        case .activation: return given(paths(.feedForwardOutput, tap))
        case .feedForwardOutput: return feedForward(tap)
        case .feedForwardPostNorm: return output(.feedForwardPostNorm)
        case .out: return out(tap)
        case .finalNorm: return output(.finalNorm)
        case .pooler: return pooled(tap)
        // The library calls them scores of predictions.
        case .logProbabilities: return own("logprobs") + own("prediction_scores")
        case .embeddings:
            let isBare = spec[tap.role]?.pooling?.projection?.isNormalized == false
            let key = spec[tap.role]?.embedding.features == nil ? "text_embeds" : "image_embeds"
            return own(key) + (isBare ? output(.pooledProjection) : [])
        case .logits:
            // What is done behind the product is done by no module.
            let isProduct = spec.head.map { $0.scale == nil && $0.softCap == nil && !$0.hasBiasRow } ?? false
            return own("logits") + own("logits_per_image") + (isProduct ? output(.head) : [])
        }
    }

    /// How many heads a norm of queries or keys may have had.
    func headCount(_ point: TapPoint, of tap: TapName) -> Int? {
        guard let layer = tap.layer, let attention = spec[tap.role]?.blocks[layer].attention else { return nil }
        switch point {
        case .queryNorm: return attention.headCount
        case .keyNorm: return attention.keyValueHeadCount
        default: return nil
        }
    }

    private func block(_ tap: TapName) -> BlockSpec? { tap.layer.flatMap { spec[tap.role]?.blocks[$0] } }

    /// A part of the matrix that makes queries, keys and values at once.
    private func joined(_ part: Int, _ tap: TapName) -> [Candidate] {
        guard let slices = block(tap)?.attention.joinedSlices, part < slices.count else { return [] }
        return gave(paths(.queryKeyValue, tap), slices[part])
    }

    /// What the last projection gave; of experts, what the module around their router did.
    private func feedForward(_ tap: TapName) -> [Candidate] {
        block(tap)?.experts == nil ? gave(paths(.feedForwardOutput, tap)) : gave(paths(around: .router, tap))
    }

    /// The row of a sequence: what a pooler gave, whose activation is no module with weights, or its norm, else what reads
    /// the row was given.
    private func pooled(_ tap: TapName) -> [Candidate] {
        let around = paths(around: .pooler, tap)
        let activations = paths(.pooler, tap).map { $0 + "_activation" } + around.map { $0 + ".activation" }
        let isOfHead = spec.head?.isOfPooled == true
        return gave(around) + gave(activations) + own("pooler_output") + gave(paths(.pooledNorm, tap))
            + given(paths(.pooledProjection, tap)) + (isOfHead ? given(paths(.head, tap)) : [])
    }

    /// What leaves a block: what it gave, what the next is given, or what its last norm gave.
    private func out(_ tap: TapName) -> [Candidate] {
        guard let layer = tap.layer, let stack = spec[tap.role] else { return [] }
        let isLast = layer + 1 == stack.layerCount
        let next = isLast ? given(paths(.finalNorm, tap)) : given(block(layer + 1, of: tap.role))
        let isNormed = stack.blocks[layer].feedForwardNorms.afterResidual != nil
        return gave(block(layer, of: tap.role)) + next + (isNormed ? gave(paths(.feedForwardNorm, tap)) : [])
    }
}

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
        let paths = try paths(architecture.naming(for: spec), among: names, of: source)
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

extension Model {
    /// The paths of modules as the library calls them, or as checkpoints do.
    private func paths(
        _ naming: Naming, among names: [String], of source: String
    ) throws(StructureError) -> ModulePaths {
        if let other = naming.calledOtherwise, let paths = try? ModulePaths(other, spec, names, source) {
            return paths
        }
        return try ModulePaths(naming, spec, names, source)
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
        let marks = naming.modules.filter { $0.hf.contains("{i}") && !$0.hf.contains("{e}") }.flatMap { module in
            [".output", ".output.0", ".input.0"].map { Naming.fill(module.hf, layer: 0) + $0 }
        }
        // The first module of block 0 that is there says where the body is.
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

    private func path(_ module: Module, _ tap: TapName) -> String? {
        guard let name = name(module, tap.role) else { return nil }
        return (name.isOutsidePrefix ? whole : body) + Naming.fill(name.hf, layer: tap.layer)
    }

    /// The module around one.
    private func parent(_ path: String?) -> String? {
        guard let path, let point = path.utf8.lastIndex(of: UInt8(ascii: ".")) else { return nil }
        return String(path[..<point])
    }

    private func block(_ layer: Int, of role: StackSpec.Role) -> String? {
        guard let stack = spec[role], layer < stack.layerCount, let name = name(.attentionOutput, role) else {
            return nil
        }
        let parts = name.hf.split(separator: ".")
        guard let end = parts.firstIndex(of: "{i}") else { return nil }
        return body + Naming.fill(parts[...end].joined(separator: "."), layer: layer)
    }

    // MARK: Taps

    /// A value's name, and the parts of its last axis.
    typealias Candidate = (name: String, columns: [Range<Int>])

    private func given(_ path: String?) -> [Candidate] {
        guard let path else { return [] }
        return [(name: path + ".input.0", columns: [])]
    }

    private func gave(_ path: String?, _ columns: [Range<Int>] = []) -> [Candidate] {
        guard let path else { return [] }
        return [(name: path + ".output", columns: columns), (name: path + ".output.0", columns: columns)]
    }

    /// What the model itself gave under a key.
    private func own(_ key: String) -> [Candidate] { [(name: "output." + key, columns: [])] }

    /// The values that are a tap, the likeliest first.
    func candidates(for point: TapPoint, of tap: TapName) -> [Candidate] {
        func output(_ module: Module) -> [Candidate] { gave(path(module, tap)) }
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
        case .activation: return given(path(.feedForwardOutput, tap))
        case .feedForwardOutput: return feedForward(tap)
        case .feedForwardPostNorm: return output(.feedForwardPostNorm)
        case .out: return out(tap)
        case .finalNorm: return output(.finalNorm)
        case .pooler:
            // Behind the activation, which is no module with weights.
            let pooler = parent(path(.pooler, tap))
            return gave(pooler) + gave(pooler.map { $0 + ".activation" }) + pooledRow(tap)
                + (spec.stacks.count == 1 ? own("pooler_output") : [])
        case .embeddings:
            let isBare = spec[tap.role]?.pooling?.projection?.isNormalized == false
            let key = spec[tap.role]?.embedding.features == nil ? "text_embeds" : "image_embeds"
            return own(key) + (isBare ? output(.pooledProjection) : [])
        case .logits where spec.head?.comparesStacks == true: return own("logits_per_image")
        case .logits:
            // What is done behind the product is done by no module.
            let isProduct = spec.head.map { $0.scale == nil && $0.softCap == nil && !$0.hasBiasRow } ?? false
            return own("logits") + (isProduct ? output(.head) : [])
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
        return gave(path(.queryKeyValue, tap), slices[part])
    }

    /// The row of a sequence where no layer makes another of it: what its norm gave, or what reads it was given.
    private func pooledRow(_ tap: TapName) -> [Candidate] {
        guard let pooling = spec[tap.role]?.pooling, pooling.layer == nil else { return [] }
        let reader: Module? =
            pooling.projection != nil ? .pooledProjection : spec.head?.isOfPooled == true ? .head : nil
        return gave(pooling.norm == nil ? nil : path(.pooledNorm, tap)) + given(reader.flatMap { path($0, tap) })
    }

    /// What the last projection gave; of experts, what the module around their router did.
    private func feedForward(_ tap: TapName) -> [Candidate] {
        block(tap)?.experts == nil ? gave(path(.feedForwardOutput, tap)) : gave(parent(path(.router, tap)))
    }

    /// What leaves a block: what it gave, what the next is given, or what its last norm gave.
    private func out(_ tap: TapName) -> [Candidate] {
        guard let layer = tap.layer, let stack = spec[tap.role] else { return [] }
        let isLast = layer + 1 == stack.layerCount
        let next = isLast ? given(path(.finalNorm, tap)) : given(block(layer + 1, of: tap.role))
        let isNormed = stack.blocks[layer].feedForwardNorms.afterResidual != nil
        return gave(block(layer, of: tap.role)) + next + (isNormed ? gave(path(.feedForwardNorm, tap)) : [])
    }
}

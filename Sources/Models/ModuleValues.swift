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
    /// The part of its last axis; nil for all of it.
    public var columns: Range<Int>?
}

extension Model {
    /// The taps that some values of modules are, in the order of the forward pass.
    ///
    /// - Parameter names: of the values that were captured.
    /// - Throws: `StructureError` where they are of modules of other names, or of several bodies.
    public func taps(among names: [String], of source: String) throws(StructureError) -> [ModuleValue] {
        let architecture = ArchitectureRegistry.all.first { $0.modelType == spec.architecture }!
        let paths = try ModulePaths(architecture.naming(for: spec), spec, names, source)
        let known = NameSet(names)
        var found: [ModuleValue] = []
        for tap in tapNames {
            let candidates = TapName(tap).map { paths.candidates(for: $0) } ?? []
            if let candidate = candidates.first(where: { known.contains($0.name) }) {
                found.append(ModuleValue(tap: tap, name: candidate.name, columns: candidate.columns))
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
        let marks = naming.modules.filter { $0.hf.contains("{i}") && !$0.isOfOneExpert }.flatMap { module in
            [".output", ".output.0", ".input.0"].map { Naming.fill(module.hf, layer: 0) + $0 }
        }
        // The first module of block 0 that is there says where the body is.
        guard
            let (mark, prefixes) = marks.lazy.map({ ($0, Self.prefixes(before: $0, names)) }).first(where: {
                !$1.isEmpty
            })
        else {
            throw StructureError(
                "\(source): expected values of \(spec.architecture)'s modules, such as"
                    + " '\(naming.prefix)\(marks.first ?? "")', found \(names.listed(first: 3)); a map can say what they are"
            )
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

    private func path(_ module: Module, _ role: StackSpec.Role, _ layer: Int?) -> String? {
        let role = module.isBehindStacks ? .only : role
        guard let name = naming.modules.first(where: { $0.module == module && $0.role == role && !$0.isOfOneExpert })
        else { return nil }
        return (name.isOutsidePrefix ? whole : body) + Naming.fill(name.hf, layer: layer)
    }

    /// The module around one.
    private func parent(_ path: String?) -> String? {
        guard let path, let point = path.utf8.lastIndex(of: UInt8(ascii: ".")) else { return nil }
        return String(path[..<point])
    }

    private func block(_ role: StackSpec.Role, _ layer: Int) -> String? {
        guard let stack = spec[role], layer < stack.layerCount,
            let name = naming.modules.first(where: { $0.module == .attentionOutput && $0.role == role })
        else { return nil }
        let parts = name.hf.split(separator: ".")
        guard let end = parts.firstIndex(of: "{i}") else { return nil }
        return body + Naming.fill(parts[...end].joined(separator: "."), layer: layer)
    }

    // MARK: Taps

    /// A value's name, and the part of its last axis.
    typealias Candidate = (name: String, columns: Range<Int>?)

    private func given(_ path: String?) -> [Candidate] {
        guard let path else { return [] }
        return [(name: path + ".input.0", columns: nil)]
    }

    private func gave(_ path: String?, _ columns: Range<Int>? = nil) -> [Candidate] {
        guard let path else { return [] }
        return [(name: path + ".output", columns: columns), (name: path + ".output.0", columns: columns)]
    }

    /// What the model itself gave under a key.
    private func own(_ key: String) -> [Candidate] { [(name: "output." + key, columns: nil)] }

    /// The values that are a tap, the likeliest first.
    func candidates(for tap: TapName) -> [Candidate] {
        let (role, layer) = (tap.role, tap.layer)
        func output(_ module: Module) -> [Candidate] { gave(path(module, role, layer)) }
        switch tap.point {
        case .embed:
            let isProjectedLast = spec[role]?.embedding.projection?.place == .behindNorm
            return given(block(role, 0)) + output(isProjectedLast ? .embeddingProjection : .embeddingNorm)
        case .attentionNorm: return output(.attentionNorm)
        case .query: return output(.query) + joined(0, role, layer!)
        case .key: return output(.key) + joined(1, role, layer!)
        case .value: return output(.value) + joined(2, role, layer!)
        case .queryNorm: return output(.queryNorm)
        case .keyNorm: return output(.keyNorm)
        case .attentionOutput: return output(.attentionOutput)
        case .attentionPostNorm: return output(.attentionPostNorm)
        case .feedForwardNorm: return output(.feedForwardNorm)
        case .activation: return given(path(.feedForwardOutput, role, layer))
        case .feedForwardOutput: return output(.feedForwardOutput)
        case .feedForwardPostNorm: return output(.feedForwardPostNorm)
        case .out: return out(role, layer!)
        case .crossNorm: return output(.crossNorm)
        case .crossQuery: return output(.crossQuery)
        case .crossKey: return output(.crossKey)
        case .crossValue: return output(.crossValue)
        case .crossOutput: return output(.crossOutput)
        case .queryLatent: return output(.queryLatentNorm)
        case .keyValueLatent: return output(.keyValueLatentNorm)
        case .router: return output(.router)
        case .finalNorm: return output(.finalNorm)
        case .pooler:
            // Behind the activation, which is no module with weights.
            let pooler = parent(path(.pooler, role, nil))
            return gave(pooler) + gave(pooler.map { $0 + ".activation" }) + own("pooler_output")
        case .logits: return output(.head) + own("logits")
        }
    }

    /// A slice of the matrix that makes queries, keys and values at once.
    private func joined(_ slice: Int, _ role: StackSpec.Role, _ layer: Int) -> [Candidate] {
        guard let slices = spec[role]?.blocks[layer].attention.joinedSlices, !slices.isEmpty,
            // Joined head by head, no part of the last axis is a tap.
            slices[slice].count == 1
        else { return [] }
        return gave(path(.queryKeyValue, role, layer), slices[slice][0])
    }

    /// What leaves a block: what it gave, what the next is given, or what its last norm gave.
    private func out(_ role: StackSpec.Role, _ layer: Int) -> [Candidate] {
        guard let stack = spec[role] else { return [] }
        let next =
            layer + 1 < stack.layerCount ? given(block(role, layer + 1)) : given(path(.finalNorm, role, nil))
        let isNormed = stack.blocks[layer].feedForwardNorms.afterResidual != nil
        return gave(block(role, layer)) + next + (isNormed ? gave(path(.feedForwardNorm, role, layer)) : [])
    }
}

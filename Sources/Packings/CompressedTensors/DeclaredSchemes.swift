import AssayCheckpoints

/// What the `quantization_config` of a `config.json` says about weights.
struct DeclaredSchemes {
    struct Weights: Equatable {
        var bits: Int
        var isSymmetric: Bool
        /// Nil for one scale a channel or a tensor.
        var groupSize: Int?
        /// "group", "channel", "tensor"; nil where it is left to the sizes.
        var strategy: String?
    }

    /// A group of modules with weights.
    struct Group {
        /// Nil where the key is absent.
        var targets: [ModuleTarget]?
        /// Its own, or that of all; nil where none is said.
        var format: String?

        func mayCover(_ module: String) -> Bool { targets?.contains { $0.covers(module) != false } ?? true }
    }

    /// Integer schemes of all groups; empty where nothing is declared.
    let weights: [Weights]
    let groups: [Group]
    /// Whether groups are listed, and none is there.
    let hasNoGroups: Bool
    let ignored: [ModuleTarget]

    init(_ configuration: JSONObject?) {
        let declared = configuration?["quantization_config"]?.object
        let members = (declared?["config_groups"]?.object?.members ?? []).compactMap(\.value.object)
        weights = members.compactMap(Self.weights)
        hasNoGroups = declared?["config_groups"]?.object?.members.isEmpty ?? false
        let common = declared?["format"]?.string
        groups = members.filter { $0["weights"]?.object != nil }.map { group in
            Group(
                targets: group["targets"]?.array?.compactMap(\.string).map(ModuleTarget.init),
                format: group["format"]?.string ?? (common == "mixed-precision" ? nil : common))
        }
        ignored = (declared?["ignore"]?.array ?? []).compactMap(\.string).map(ModuleTarget.init)
    }

    private static func weights(_ group: JSONObject) -> Weights? {
        guard let weights = group["weights"]?.object, let bits = weights["num_bits"]?.int,
            weights["type"]?.string ?? "int" == "int"
        else { return nil }
        let groupSize = weights["group_size"]?.int
        return Weights(
            bits: bits, isSymmetric: weights["symmetric"]?.bool ?? true,
            groupSize: groupSize.flatMap { $0 > 0 ? $0 : nil }, strategy: weights["strategy"]?.string)
    }

    func groupSizes(bits: Int) -> Set<Int> { Set(weights.filter { $0.bits == bits }.compactMap(\.groupSize)) }
}

extension DeclaredSchemes.Weights {
    /// Whether scales may lie so: one for the tensor, or for groups of `groupSize` of `columns` elements of a row.
    func fits(isPerTensor: Bool, groupSize size: Int, columns: Int) -> Bool {
        switch strategy {
        case "tensor": isPerTensor
        case "channel": !isPerTensor && size == columns
        case "group": !isPerTensor && groupSize == size
        default: groupSize == size || (groupSize == nil && size == columns)
        }
    }

    /// "64", "whole rows", "one scale for the tensor": how scales lie.
    var scales: String {
        switch strategy {
        case "tensor": "one scale for the tensor"
        case "channel": "whole rows"
        default: groupSize.map(String.init) ?? "whole rows"
        }
    }
}

/// An entry of `targets` or `ignore`: the name of a module, that of a class, or "re:" and a pattern.
struct ModuleTarget {
    let text: String

    init(_ text: String) { self.text = text }

    /// Whether it speaks of a module that is stored quantized; nil where only a running model can tell: of other classes,
    /// of names that differ by what stands before them, and of patterns with more in them than `.`, `.*`, `\.`, `^` and `$`.
    func covers(_ module: String) -> Bool? {
        if text.hasPrefix("re:") {
            let pattern = text.dropFirst("re:".count)
            guard let glob = Self.glob(pattern) else { return nil }
            // What a pattern begins with may stand before the module in a running model.
            return glob.matches(module) ? true : pattern.hasPrefix(".*") || pattern.hasPrefix("^.*") ? false : nil
        }
        // All that this packing quantizes is linear.
        if text == "Linear" || text == module { return true }
        if text.hasSuffix("." + module) || module.hasSuffix("." + text) { return nil }
        return text.first?.isUppercase == true && !text.contains(".") ? nil : false
    }

    /// A pattern that matches from the first letter on, whatever follows unless it ends with `$`.
    private static func glob(_ pattern: Substring) -> NamePattern? {
        var rest = pattern
        if rest.first == "^" { rest.removeFirst() }
        let isWhole = rest.last == "$"
        if isWhole { rest.removeLast() }
        var glob = ""
        while let letter = rest.popFirst() {
            switch letter {
            case "\\" where rest.first == ".": glob.append(rest.removeFirst())
            case "." where rest.first == "*":
                rest.removeFirst()
                glob.append("*")
            case ".": glob.append("?")
            case _ where letter.isASCII && (letter.isLetter || letter.isNumber || letter == "_" || letter == "-"):
                // What follows may say how often.
                if let next = rest.first, "*+?{".contains(next) { return nil }
                glob.append(letter)
            default: return nil
            }
        }
        return NamePattern(glob + (isWhole ? "" : "*"))
    }
}

import AssayCheckpoints

extension ConfigurationReader {
    /// The rotations, in either generation's keys: `rope_parameters`, or `rope_theta` and `rope_scaling`.
    ///
    /// - Parameters:
    ///   - base: where its key is absent.
    ///   - baseKey: what its key is called in the older generation.
    ///   - isPartial: whether a part of each head may be left unturned.
    ///   - partialKey: what the key of the share that is turned is called in the older generation.
    ///   - fallback: lengths where their keys are absent; nil for none, and what needs one is refused.
    mutating func rotary(
        headDimension: Int, base: Double, baseKey: String = "rope_theta", isPartial: Bool = false,
        partialKey: String = "partial_rotary_factor", partialDefault: Double = 1,
        lengths fallback: RotaryLengths = RotaryLengths()
    ) throws(StructureError) -> RotarySpec {
        let base = try positiveNumber(baseKey) ?? base
        let factor = try positiveNumber(partialKey) ?? partialDefault
        let lengths = try rotaryLengths(fallback)
        let (newer, older) = try rotaryParameters()
        var parameters = newer ?? older
        return try rotary(
            &parameters, headDimension, base: base, isPartial: isPartial, share: factor, shareKey: partialKey, lengths)
    }

    /// The objects of both generations, of which one may stand, or both where they say the same.
    private mutating func rotaryParameters() throws(StructureError) -> (
        newer: ConfigurationReader?, older: ConfigurationReader?
    ) {
        let (newer, older) = (try object("rope_parameters"), try object("rope_scaling"))
        if newer != nil, isEmptyObject("rope_scaling") || isSame("rope_parameters", "rope_scaling") {
            return (newer, nil)
        }
        guard newer == nil || older == nil else {
            throw error(
                "rope_scaling", expected: "none beside another rope_parameters, which the library takes otherwise then",
                found: shown("rope_scaling"))
        }
        return (newer, older)
    }

    /// What scalings may need to know of the model: the length it is for, and the one it was trained on.
    struct RotaryLengths {
        var whole: Double?
        var original: Double?
    }

    mutating func rotaryLengths(
        _ fallback: RotaryLengths = RotaryLengths()
    ) throws(StructureError) -> RotaryLengths {
        RotaryLengths(
            whole: try optionalSize("max_position_embeddings").map(Double.init) ?? fallback.whole,
            original: try optionalSize("original_max_position_embeddings").map(Double.init) ?? fallback.original)
    }

    /// The rotations that one object of parameters says; nil for none said.
    func rotary(
        _ parameters: inout ConfigurationReader?, _ headDimension: Int, base: Double, isPartial: Bool = false,
        share: Double = 1, shareKey: String = "partial_rotary_factor", _ lengths: RotaryLengths
    ) throws(StructureError) -> RotarySpec {
        guard var inner = parameters else {
            let dimension = try turnedFeatures(headDimension, isPartial, share, shareKey)
            return RotarySpec(base: base, dimension: dimension)
        }
        let base = try inner.positiveNumber("rope_theta") ?? base
        let innerKey = "partial_rotary_factor"
        let dimension =
            if let share = try inner.positiveNumber(innerKey) {
                try inner.turnedFeatures(headDimension, isPartial, share, innerKey)
            } else { try turnedFeatures(headDimension, isPartial, share, shareKey) }
        let scaling = try inner.rotaryScaling(lengths, dimension: dimension)
        // Whether a model was trained so.
        _ = try inner.bool("finetuned", default: false)
        if let factor = try inner.number("attn_factor"), factor != 1 {
            throw inner.error(
                "attn_factor", expected: "1 (the library ignores it, other programs multiply attention by it)",
                found: "\(factor)")
        }
        try inner.finishPart()
        return RotarySpec(base: base, dimension: dimension, scaling: scaling)
    }

    /// Gemma 3's rotations.
    mutating func gemmaRotations() throws(StructureError) -> (whole: RotarySpec, windowed: RotarySpec) {
        try rotations(
            headDimension: try sizeOrNone("head_dim", default: 256) ?? 256, base: ("rope_theta", 1_000_000),
            windowBase: ("rope_local_base_freq", 10_000), isWindowStretched: false)
    }

    /// The rotations of layers that see everything, and of those that see a window.
    ///
    /// - Parameters:
    ///   - base: the older key of the first's base, and what it is where absent.
    ///   - windowBase: the same of the second's.
    ///   - isWindowStretched: whether the older `rope_scaling` is for both.
    mutating func rotations(
        headDimension: Int, base: (key: String, fallback: Double), windowBase: (key: String, fallback: Double),
        isWindowStretched: Bool
    ) throws(StructureError) -> (whole: RotarySpec, windowed: RotarySpec) {
        let lengths = try rotaryLengths()
        let (older, olderWindow) = (try positiveNumber(base.key), try positiveNumber(windowBase.key))
        let parameters = try rotaryParameters()
        var whole = parameters.older
        var windowed = isWindowStretched ? whole : nil
        if var both = parameters.newer {
            whole = try both.object("full_attention") ?? whole
            windowed = try both.object("sliding_attention") ?? windowed
            try both.finishPart()
        }
        return (
            try rotary(&whole, headDimension, base: older ?? base.fallback, lengths),
            try rotary(&windowed, headDimension, base: olderWindow ?? windowBase.fallback, lengths)
        )
    }

    private func turnedFeatures(
        _ headDimension: Int, _ isPartial: Bool, _ factor: Double, _ key: String
    ) throws(StructureError) -> Int {
        guard factor <= 1, isPartial || factor == 1 else {
            throw error(key, expected: isPartial ? "at most 1" : "1", found: "\(factor)")
        }
        let dimension = Int(Double(headDimension) * factor)
        guard dimension > 0, dimension % 2 == 0 else {
            throw error(
                key, expected: "an even number of a head's \(headDimension) features to be turned",
                found: "\(dimension)")
        }
        return dimension
    }

    private mutating func rotaryScaling(
        _ lengths: RotaryLengths, dimension: Int
    ) throws(StructureError) -> RotaryScaling {
        let name = try text("rope_type")
        let older = try text("type")
        switch name ?? older ?? "default" {
        case "default":
            // How features divide among the axes of an image: of texts all axes are one.
            _ = try wholeNumbers("mrope_section")
            return .none
        case "linear": return .linear(factor: try required("factor"))
        case "dynamic":
            guard dimension > 2 else {
                throw error(
                    "rope_type", expected: "more than 2 features to be turned for 'dynamic'", found: "\(dimension)")
            }
            return .dynamic(
                factor: try required("factor"), originalLength: try length(lengths.whole, "max_position_embeddings"))
        case "llama3": return try llama3(lengths)
        case "yarn": return try yarn(lengths)
        case "longrope", "su": return try longRope(lengths, pairs: dimension / 2)
        case let other:
            throw error(
                "rope_type", expected: "one of default, dynamic, linear, llama3, longrope, yarn",
                found: "'\(other.escapedForDisplay)'")
        }
    }

    private mutating func llama3(_ lengths: RotaryLengths) throws(StructureError) -> RotaryScaling {
        let (low, high) = (try required("low_freq_factor"), try required("high_freq_factor"))
        guard low < high else {
            throw error("low_freq_factor", expected: "less than high_freq_factor \(high)", found: "\(low)")
        }
        return .llama3(
            factor: try required("factor"), lowFactor: low, highFactor: high,
            originalLength: try originalLength(lengths))
    }

    private mutating func yarn(_ lengths: RotaryLengths) throws(StructureError) -> RotaryScaling {
        let original = try originalLength(lengths)
        let whole = lengths.whole
        let factor = try positiveNumber("factor") ?? whole.map { $0 / original }
        guard let factor else { throw error("factor", expected: "a number above 0", found: "no such key") }
        let (scale, scaleOfAll) = (try number("mscale"), try number("mscale_all_dim"))
        var attentionFactor = try positiveNumber("attention_factor")
        if attentionFactor == nil {
            attentionFactor = Self.yarnScale(factor, 1)
            if let scale, let scaleOfAll, scale != 0, scaleOfAll != 0 {
                attentionFactor = Self.yarnScale(factor, scale) / Self.yarnScale(factor, scaleOfAll)
            }
        }
        return .yarn(
            factor: factor, fast: try positiveNumber("beta_fast") ?? 32, slow: try positiveNumber("beta_slow") ?? 1,
            originalLength: original, isTruncated: try bool("truncate", default: true),
            attentionFactor: attentionFactor!)
    }

    /// - Source: `get_mscale` of transformers 5.
    static func yarnScale(_ factor: Double, _ scale: Double) -> Double {
        factor <= 1 ? 1 : 0.1 * scale * PortableMath.logarithm(factor) + 1
    }

    private mutating func longRope(_ lengths: RotaryLengths, pairs: Int) throws(StructureError) -> RotaryScaling {
        let original = try originalLength(lengths)
        let factor = try positiveNumber("factor")
        let attentionFactor =
            if let given = try positiveNumber("attention_factor") { given } else {
                try longAttention(factor: factor, lengths, original: original)
            }
        return .longRope(
            short: try factors("short_factor", count: pairs), long: try factors("long_factor", count: pairs),
            originalLength: original, attentionFactor: attentionFactor)
    }

    /// What results are multiplied by where no key says it.
    private func longAttention(
        factor: Double?, _ lengths: RotaryLengths, original: Double
    ) throws(StructureError) -> Double {
        guard let factor = factor ?? lengths.whole.map({ $0 / original }) else {
            throw error(
                "factor", expected: "a number above 0, as there is no max_position_embeddings", found: "no such key")
        }
        guard factor > 1 else { return 1 }
        return (1 + PortableMath.logarithm(factor) / PortableMath.logarithm(original)).squareRoot()
    }

    private mutating func factors(_ key: String, count: Int) throws(StructureError) -> [Double] {
        guard let factors = try numbers(key), factors.count == count, factors.allSatisfy({ $0 > 0 }) else {
            throw error(key, expected: "\(count) numbers above 0, one a pair of features", found: shown(key))
        }
        return factors
    }

    /// The configuration's own length stands above that of the parameters, as in the library.
    private mutating func originalLength(_ lengths: RotaryLengths) throws(StructureError) -> Double {
        let inner = try positiveNumber("original_max_position_embeddings")
        return try length(lengths.original ?? inner ?? lengths.whole, "original_max_position_embeddings")
    }

    private func length(_ value: Double?, _ key: String) throws(StructureError) -> Double {
        guard let value else { throw error(key, expected: "a number above 0", found: "no such key") }
        return value
    }

    private mutating func required(_ key: String) throws(StructureError) -> Double {
        guard let number = try positiveNumber(key) else {
            throw error(key, expected: "a number above 0", found: "no such key")
        }
        return number
    }
}

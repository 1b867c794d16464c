import AssayCheckpoints
import AssayTensors

/// The integer packings of the compressed-tensors library: `pack-quantized` and `int-quantized`.
///
/// A weight [out, in] is `NAME.weight_packed`, `NAME.weight_scale`, `NAME.weight_shape` and, where asymmetric,
/// `NAME.weight_zero_point`; or `NAME.weight` as int8 with the scale (and zero point) beside it. The page
/// `formats/compressed-tensors.md` has the bytes.
public enum CompressedTensors: Packing {
    public static let name = "compressed-tensors"

    private static let keys: Set<String> = [
        "quant_method", "config_groups", "format", "ignore", "quantization_status", "global_compression_ratio",
        "kv_cache_scheme", "version", "sparsity_config", "transform_config", "moe_sparsity_config", "run_compressed",
    ]
    private static let activationKeys = ["input_activations", "output_activations"]
    private static let groupKeys = Set(["targets", "weights", "format"] + activationKeys)
    private static let weightKeys: Set<String> = [
        "num_bits", "type", "symmetric", "group_size", "strategy", "block_structure", "dynamic", "actorder", "observer",
        "observer_kwargs", "scale_dtype", "zp_dtype",
    ]

    /// What would make the weights others than their integers and scales say, and keys that nobody knows. What concerns
    /// activations and caches alone is for `notes`.
    public static func check(_ declared: JSONObject) throws(StructureError) {
        let formats: [JSONValue] = ["pack-quantized", "int-quantized", "naive-quantized", "dense", .null]
        try requireKnown(declared, keys)
        try require(declared, "moe_sparsity_config", oneOf: [.null, .object(JSONObject())])
        if let transforms = declared["transform_config"], transforms != .null {
            let groups = transforms.object.map { $0["config_groups"]?.object ?? $0 }
            guard groups?.members.isEmpty ?? false else {
                throw refusal("transform_config", expected: "null or {}", found: transforms)
            }
        }
        if let sparsity = declared["sparsity_config"]?.object, !sparsity.members.isEmpty {
            try require(sparsity, "format", oneOf: ["dense"], in: "sparsity_config.")
        }
        for (name, group) in declared["config_groups"]?.object?.members ?? [] {
            let place = "config_groups.\(name.escapedForDisplay)."
            guard let weights = group.object?["weights"]?.object else { continue }
            try requireKnown(group.object!, groupKeys, in: place)
            // Without a format of its own it has that of all.
            if let own = group.object?["format"], own != .null {
                try require(group.object!, "format", oneOf: formats, in: place)
                try require(declared, "format", oneOf: [own, "mixed-precision", .null])
            } else {
                try require(declared, "format", oneOf: formats + ["mixed-precision"])
            }
            try check(weights: weights, in: place + "weights.")
        }
    }

    private static func check(weights: JSONObject, in place: String) throws(StructureError) {
        try requireKnown(weights, weightKeys, in: place)
        try require(weights, "type", oneOf: ["int", .null], in: place)
        try require(weights, "dynamic", oneOf: [false, .null], in: place)
        if let bits = weights["num_bits"], bits != .null, bits.int == nil {
            throw refusal(place + "num_bits", expected: "a number", found: bits)
        }
        try require(weights, "strategy", oneOf: ["group", "channel", "tensor", .null], in: place)
        if let size = weights["group_size"], size != .null, size != -1, (size.int ?? 0) < 1 {
            throw refusal(place + "group_size", expected: "a number from 1 on, -1 or null", found: size)
        }
        let strategy = weights["strategy"]?.string ?? "group"
        if strategy != "group", let size = weights["group_size"]?.int, size > 0 {
            throw refusal(
                place + "group_size", expected: "-1 or null with the strategy '\(strategy)'", found: JSONValue(size))
        }
        // Groups in the order of activations have an index of columns, which is not read yet.
        try require(weights, "actorder", oneOf: ["weight", "static", false, .null], in: place)
        try require(weights, "block_structure", oneOf: [.null], in: place)
        let floats: [JSONValue] = ["torch.float32", "torch.bfloat16", "torch.float16", .null]
        try require(weights, "scale_dtype", oneOf: floats, in: place)
        try require(weights, "zp_dtype", oneOf: ["torch.int8", "torch.int32", .null], in: place)
    }

    /// What of a declaration is not computed here: the numbers that layers are given, or keep.
    public static func notes(of declared: JSONObject) -> [String] {
        var keys: [String] = []
        for (name, group) in declared["config_groups"]?.object?.members ?? [] {
            for key in activationKeys where (group.object?[key] ?? .null) != .null {
                keys.append("config_groups.\(name.escapedForDisplay).\(key)")
            }
        }
        if (declared["kv_cache_scheme"] ?? .null) != .null { keys.append("kv_cache_scheme") }
        guard !keys.isEmpty else { return [] }
        return [
            "quantization_config quantizes more than weights (\(keys.listed(first: 4))), which is not computed here:"
                + " activations are as they are"
        ]
    }

    /// Scales and zero points of activations, which the library stores beside the layer that reads or gives them, and of
    /// what attention keeps.
    public static func isUnused(_ name: String) -> Bool {
        guard let dot = name.lastIndex(of: ".") else { return false }
        return activationParts.contains(String(name[name.index(after: dot)...]))
    }

    private static let activationParts = Set(
        ["input", "output", "q", "k", "v"].flatMap { ["\($0)_scale", "\($0)_zero_point"] })

    private static func requireKnown(
        _ object: JSONObject, _ keys: Set<String>, in place: String = ""
    ) throws(StructureError) {
        for (key, value) in object.members where value != .null && !keys.contains(key) {
            throw refusal(place + key.escapedForDisplay, expected: "only keys that are known here", found: value)
        }
    }

    private static func require(
        _ object: JSONObject, _ key: String, oneOf values: [JSONValue], in place: String = ""
    ) throws(StructureError) {
        guard !values.contains(object[key] ?? .null) else { return }
        let expected = values.map(\.compactText).joined(separator: " or ")
        throw refusal(place + key, expected: expected, found: object[key])
    }

    private static func refusal(_ place: String, expected: String, found: JSONValue?) -> StructureError {
        let found = found.map { String($0.compactText.prefix(200)).escapedForDisplay } ?? "none"
        return StructureError("quantization_config.\(place): expected \(expected), found \(found)")
    }

    public static func logicalTensors(
        in reader: any CheckpointReader, configuration: JSONObject?
    ) throws -> [any LogicalTensor] {
        let tensors = reader.contents.tensors
        var modules: [ExactName: Parts] = [:]
        var order: [String] = []
        for (index, tensor) in tensors.enumerated() {
            guard let (module, part) = split(tensor.name) else { continue }
            if modules[ExactName(module)] == nil { order.append(module) }
            modules[ExactName(module), default: Parts()].positions[part] = index
        }
        let declared = DeclaredSchemes(configuration)
        let positions = reader.contents.indexByName()
        return try order.map { module in
            var parts = modules[ExactName(module)]!
            parts.positions[.weight] = positions[module.qualified(.weight)]
            return try CompressedTensor(reader: reader, module: module, parts: parts, declared: declared)
        }
    }

    /// The module and the part that a stored name stands for; nil where it is no part of this packing.
    private static func split(_ name: String) -> (module: String, part: Part)? {
        for part in Part.allCases where part != .weight {
            if name == part.rawValue { return ("", part) }
            if name.hasSuffix("." + part.rawValue) {
                return (String(name.dropLast(part.rawValue.utf8.count + 1)), part)
            }
        }
        return nil
    }

    /// The stored tensors of a module's weight.
    enum Part: String, CaseIterable {
        case weight
        case packed = "weight_packed"
        case scale = "weight_scale"
        case shape = "weight_shape"
        case zeroPoint = "weight_zero_point"
        case columnGroups = "weight_g_idx"
        case globalScale = "weight_global_scale"
    }

    struct Parts {
        var positions: [Part: Int] = [:]
    }
}

extension String {
    /// The stored name of a part of this module.
    func qualified(_ part: CompressedTensors.Part) -> String {
        isEmpty ? part.rawValue : self + "." + part.rawValue
    }
}

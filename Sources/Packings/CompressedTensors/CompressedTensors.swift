import AssayCheckpoints
import AssayTensors

/// The integer packings of the compressed-tensors library: `pack-quantized` and `int-quantized`.
///
/// A weight [out, in] is `NAME.weight_packed`, `NAME.weight_scale`, `NAME.weight_shape` and, where asymmetric,
/// `NAME.weight_zero_point`; or `NAME.weight` as int8 with the scale (and zero point) beside it. The page
/// `formats/compressed-tensors.md` has the bytes.
public enum CompressedTensors: Packing {
    public static let name = "compressed-tensors"

    /// What would make the weights others than their integers and scales say. Of what concerns activations and caches alone,
    /// nothing is asked.
    public static func check(_ declared: JSONObject) throws(StructureError) {
        let formats: [JSONValue] = ["pack-quantized", "int-quantized", "naive-quantized", "dense", .null]
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
            // Without a format of its own it has that of all.
            if let own = group.object?["format"], own != .null {
                try require(group.object!, "format", oneOf: formats, in: place)
            } else {
                try require(declared, "format", oneOf: formats + ["mixed-precision"])
            }
            try require(weights, "type", oneOf: ["int", .null], in: place + "weights.")
            try require(weights, "dynamic", oneOf: [false, .null], in: place + "weights.")
            if let bits = weights["num_bits"], bits != .null, bits.int == nil {
                throw refusal(place + "weights.num_bits", expected: "a number", found: bits)
            }
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

/// What the `quantization_config` of a `config.json` says about weights.
struct DeclaredSchemes {
    struct Weights: Equatable {
        var bits: Int
        var isSymmetric: Bool
        /// Nil for one scale a channel or a tensor.
        var groupSize: Int?
    }

    /// Integer schemes of all groups; empty where nothing is declared.
    let weights: [Weights]

    init(_ configuration: JSONObject?) {
        let declared =
            configuration?["quantization_config"]?.object ?? configuration?["compression_config"]?.object
        weights = (declared?["config_groups"]?.object?.members ?? []).compactMap { _, group in
            guard let weights = group.object?["weights"]?.object, let bits = weights["num_bits"]?.int,
                weights["type"]?.string ?? "int" == "int"
            else { return nil }
            let groupSize = weights["group_size"]?.int
            return Weights(
                bits: bits, isSymmetric: weights["symmetric"]?.bool ?? true,
                groupSize: groupSize.flatMap { $0 > 0 ? $0 : nil })
        }
    }
}

import AssayCheckpoints
import AssayPackings

extension QuantizationPlan {
    /// The value of `quantization_config` in the model's `config.json`, as compressed-tensors reads it; nil where
    /// nothing is quantized.
    ///
    /// Where all quantized weights are [out, in], they are named as the class `Linear`, and modules left alone are
    /// named under `ignore`: so the candidates must include every linear module of the model, eligible or not. GPT-2's
    /// [in, out] modules are no `Linear`, and their names are listed instead.
    public var configuration: JSONObject? {
        let quantized = zip(weights, decisions).filter { if case .quantize = $1 { true } else { false } }.map(\.0)
        guard !quantized.isEmpty else { return nil }
        let kept = zip(weights, decisions).filter { if case .keep = $1 { true } else { false } }.map(\.0)
        let areLinear = quantized.allSatisfy { $0.orientation == .outputInput }
        let targets: [JSONValue] = areLinear ? ["Linear"] : quantized.map { .string($0.module) }
        let group: JSONValue = [
            "targets": .array(targets),
            "weights": .object(weightArguments),
            "input_activations": .null,
            "output_activations": .null,
            "format": "pack-quantized",
        ]
        return JSONObject([
            ("quant_method", "compressed-tensors"),
            ("format", "pack-quantized"),
            ("quantization_status", "compressed"),
            ("global_compression_ratio", .null),
            ("kv_cache_scheme", .null),
            ("ignore", .array(kept.filter { $0.tensor.shape.rank == 2 }.map { .string($0.module) })),
            ("config_groups", ["group_0": group]),
        ])
    }

    private var weightArguments: JSONObject {
        JSONObject([
            ("num_bits", JSONValue(scheme.bits)),
            ("type", "int"),
            ("symmetric", .bool(scheme.isSymmetric)),
            ("strategy", scheme.groupSize == nil ? "channel" : "group"),
            ("group_size", scheme.groupSize.map { JSONValue($0) } ?? .null),
            ("dynamic", false),
        ])
    }
}

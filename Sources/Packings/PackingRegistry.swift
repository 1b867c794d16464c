import AssayCheckpoints

/// The packings, in the order in which they look at a checkpoint. One line an entry.
public enum PackingRegistry {
    public static let all: [any Packing.Type] = [
        CompressedTensors.self
    ]

    /// What to do with what others packed.
    private static let remedies = [
        "mxfp4": "; unpack the experts first: transformers reads the folder with Mxfp4Config(dequantize=True), and"
            + " save_pretrained writes it plainly"
    ]

    /// Requires that the quantization which a configuration speaks of, if any, is one that is read here: what others
    /// packed would pass for plain tensors.
    ///
    /// - Throws: `StructureError` naming the method.
    static func check(_ configuration: JSONObject?) throws(StructureError) {
        guard let value = configuration?["quantization_config"], value != .null else { return }
        let known = all.map { "'\($0.name)'" }.joined(separator: ", ")
        guard let packing = all.first(where: { .string($0.name) == value.object?["quant_method"] }) else {
            let found = value.object.map { $0["quant_method"]?.compactText.escapedForDisplay ?? "none" } ?? value.kind
            throw StructureError(
                "quantization_config: expected a quant_method that is known (\(known)), found \(found)"
                    + (value.object?["quant_method"]?.string.flatMap { remedies[$0] } ?? ""))
        }
        try packing.check(value.object!)
    }

    /// What a declaration says beside the weights, and is not computed.
    static func notes(_ configuration: JSONObject?) -> [String] {
        guard let declared = configuration?["quantization_config"]?.object else { return [] }
        return all.first { .string($0.name) == declared["quant_method"] }?.notes(of: declared) ?? []
    }
}

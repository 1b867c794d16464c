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
        if let old = configuration?["compression_config"], old != .null {
            throw StructureError(
                "compression_config: expected none (an older name of quantization_config, which nothing reads any more:"
                    + " rename it), found \(old.kind)")
        }
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
        declared(configuration).map { $0.packing.notes(of: $0.declaration) } ?? []
    }

    /// Stored tensors (positions in the checkpoint) of what a declaration says beside the weights.
    static func unused(in reader: any CheckpointReader, _ configuration: JSONObject?) -> [Int] {
        guard let packing = declared(configuration)?.packing else { return [] }
        return reader.contents.tensors.indices.filter { packing.isUnused(reader.contents.tensors[$0].name) }
    }

    private static func declared(
        _ configuration: JSONObject?
    ) -> (packing: any Packing.Type, declaration: JSONObject)? {
        guard let declaration = configuration?["quantization_config"]?.object else { return nil }
        return all.first { .string($0.name) == declaration["quant_method"] }.map { ($0, declaration) }
    }
}

import AssayCheckpoints

/// A family of models, described as data: how its configuration is read, and what its tensors are called.
///
/// Adding one: a file in `Architectures`, a line in `ArchitectureRegistry`, a golden.
public protocol Architecture: Sendable {
    /// `model_type` of the configuration.
    static var modelType: String { get }

    /// Reads the configuration, every key of it.
    ///
    /// - Parameter stands: whether the checkpoint holds the weight of a module. Where a configuration leaves open which
    ///   heads there are, the tensors decide.
    /// - Throws: `StructureError` that names the key and its value.
    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec

    static var naming: Naming { get }

    /// The names where the specification decides between some that `naming` knows.
    static func naming(for spec: TransformerSpec) -> Naming
}

extension Architecture {
    static func naming(for spec: TransformerSpec) -> Naming { naming }
}

/// The architectures, one line an entry.
public enum ArchitectureRegistry {
    public static let all: [any Architecture.Type] = [
        GPT2.self,
        BERT.self,
        Llama.self,
        Mistral.self,
        Qwen2.self,
        Qwen3.self,
        OLMo2.self,
        Gemma.self,
        Gemma2.self,
        Gemma3.self,
        Phi3.self,
        Cohere.self,
        Granite.self,
        SmolLM3.self,
        StarCoder2.self,
        T5.self,
        BART.self,
        Marian.self,
        Transformer.self,
        TransformerXL.self,
        GPTNeoX.self,
        GPTJ.self,
        Phi.self,
        OPT.self,
        BLOOM.self,
        Falcon.self,
        GPTNeo.self,
        GPT1.self,
        GPTBigCode.self,
        GPT3.self,
        Mixtral.self,
        Qwen3MoE.self,
        GPTOSS.self,
        DeepSeekV2.self,
        DeepSeekV3.self,
        RoBERTa.self,
        XLMRoBERTa.self,
        CamemBERT.self,
        DistilBERT.self,
        ELECTRA.self,
        ALBERT.self,
        ModernBERT.self,
        DeBERTaV2.self,
        ViT.self,
        Whisper.self,
        CLIP.self,
        CLIPText.self,
        CLIPVision.self,
    ]

    /// Near relatives of what is known that are something else, by their names, and why.
    private static let refused = ["xlnet": "its two streams of attention are not supported"]

    /// The architecture that `model_type` names.
    ///
    /// - Throws: `StructureError` where it is missing or unknown.
    static func architecture(
        for configuration: JSONObject, file: String
    ) throws(StructureError) -> any Architecture.Type {
        let reader = ConfigurationReader(configuration, file: file)
        let names = all.map { $0.modelType }.sorted().joined(separator: ", ")
        guard let value = configuration["model_type"], value != .null else {
            throw reader.error("model_type", expected: "one of \(names)", found: "no such key")
        }
        if let reason = value.string.flatMap({ refused[$0] }) {
            throw reader.error(
                "model_type", expected: "another model (\(reason))", found: ConfigurationReader.show(value))
        }
        guard let found = all.first(where: { $0.modelType == value.string }) else {
            throw reader.error("model_type", expected: "one of \(names)", found: ConfigurationReader.show(value))
        }
        return found
    }
}

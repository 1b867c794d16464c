import AssayCheckpoints
import SystemPackage

/// A tokenizer's lists, under the keys that the specification gives them: they speak of the same tokens, and the tensor
/// that embeds them, by its standard name, has a row for each. llama.cpp reads beyond the shorter ones, or refuses.
enum GGUFVocabulary {
    private static let tokens = "tokenizer.ggml.tokens"
    private static let perToken = ["tokenizer.ggml.scores", "tokenizer.ggml.token_type"]
    private static let embedding = "token_embd.weight"

    /// - Throws: `StructureError` with both numbers.
    static func check(_ header: GGUFHeader, _ path: FilePath) throws(StructureError) {
        let counts = header.metadata.listCounts
        guard let count = counts[tokens] else { return }
        for key in perToken {
            guard let other = counts[key], other != count else { continue }
            throw StructureError("\(path.forDisplay): \(tokens) has \(count) elements, \(key) has \(other)")
        }
        guard let tensor = header.tensors.first(where: { ExactName($0.name) == ExactName(embedding) }),
            tensor.shape.rank == 2, tensor.shape.dimensions[0] != count
        else { return }
        throw StructureError(
            "\(path.forDisplay): \(tokens) has \(count) elements, tensor '\(embedding)' has"
                + " \(tensor.shape.dimensions[0]) rows")
    }
}

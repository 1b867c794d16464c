import AssayFormats

extension FuzzTarget {
    static let gguf = files(
        of: GGUF.self, "gguf", fixtures: ["golden/gguf/*.gguf"],
        words: [
            "GGUF", "general.alignment", "general.architecture", "general.file_type", "split.no", "split.count",
            "split.tensors.count", "tokenizer.ggml.tokens", "tokenizer.ggml.scores", "tokenizer.ggml.token_type",
        ])
}

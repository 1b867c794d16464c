import AssayCheckpoints

/// GPT-3 as its paper describes it: GPT-2 whose layers see everything and a band in turn.
///
/// No weights and no code of it were published, so names and keys are GPT-2's, and what the paper leaves open is our choice:
///
/// - `attention_pattern`, the kinds of layers, which repeat themselves: `["dense", "banded"]` where it is absent, as the
///   paper says "alternating dense and locally banded".
/// - `band`, how many positions a banded layer sees, itself among them: key j is seen by i iff 0 <= i - j < band. 256 where it
///   is absent, GPT-Neo's width; the paper says none.
/// - `head_dim`, the size of a head: the hidden size divided among the heads where it is absent. The paper's table has models
///   whose heads together are not as wide as the hidden size (13B: 5140 against 40 · 128).
///
/// - Source: Brown et al. 2020, "Language Models are Few-Shot Learners" (arXiv 2005.14165), section 2.1; the bands after Child
///   et al. 2019, "Generating Long Sequences with Sparse Transformers" (arXiv 1904.10509).
enum GPT3: Architecture {
    static let modelType = "gpt3"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        let gpt = try configuration.gpt2(headDimensionKey: "head_dim")
        var banded = gpt.block
        banded.attention.window = try configuration.optionalSize("band") ?? 256
        let pattern = try configuration.words("attention_pattern", among: ["dense", "banded"]) ?? ["dense", "banded"]
        guard !pattern.isEmpty else {
            throw configuration.error("attention_pattern", expected: "at least one kind of layer", found: "[]")
        }
        let spec = try configuration.gptSpec(
            modelType, gpt,
            blocks: BlockPattern(kinds: [gpt.block, banded], order: pattern.map { $0 == "banded" ? 1 : 0 }),
            contextLength: try configuration.gptContextLength(), positions: LearnedPositions(), isTied: true,
            modelClasses: ("GPT3LMHeadModel", "GPT3Model"))
        try configuration.finishGPT2()
        return spec
    }

    static let naming = GPT2.naming
}

import AssayCheckpoints
import Testing

@testable import AssayModels

// Keys whose meaning is what the library makes of them, where that is not what they seem to say.

extension BadConfiguration {
    static let ofTheLibrary: [BadConfiguration] =
        derived + aliases + lengths + caps
        + [
            .init(
                "deepseek-v3-groups", [("head_dim", 3)],
                "config.json: head_dim: expected qk_rope_head_dim 4, found 3"),
            .init(
                "deepseek-v3-groups", [("head_dim", .null)],
                "config.json: head_dim: expected qk_rope_head_dim 4, found null"),
        ]

    /// The library makes these of another key, and then goes by the file's.
    private static let derived: [BadConfiguration] = [
        .init(
            "t5-plain", [("dense_act_fn", "gelu_new")],
            "config.json: dense_act_fn: expected relu, as feed_forward_proj says, found 'gelu_new'"),
        .init(
            "t5-gated-padded", [("dense_act_fn", "gelu")],
            "config.json: dense_act_fn: expected geluTanh, as feed_forward_proj says, found 'gelu'"),
        .init(
            "t5-gated-padded", [("is_gated_act", false)],
            "config.json: is_gated_act: expected true, as feed_forward_proj says, found false"),
    ]

    /// Common names of keys that have names of their own: the library goes by the last that it reads.
    private static let aliases: [BadConfiguration] = ["bart-plain", "marian-shared", "whisper-plain"].map {
        .init(
            $0, [("num_hidden_layers", 1)],
            "config.json: num_hidden_layers: expected 2 as in encoder_layers, found 1")
    }

    private static let lengths: [BadConfiguration] = [
        .init(
            "llama-rope-longrope",
            [
                ("max_position_embeddings", .null),
                (
                    "rope_parameters",
                    [
                        "rope_type": "longrope", "rope_theta": 400, "original_max_position_embeddings": 20,
                        "short_factor": [1, 1, 1, 2], "long_factor": [1, 2, 3, 4],
                    ]
                ),
            ],
            "config.json: rope_parameters.factor: expected a number above 0, as there is no max_position_embeddings,"
                + " found no such key"),
        .init(
            "llama-rope-llama3",
            [
                (
                    "rope_parameters",
                    [
                        "rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 1,
                        "original_max_position_embeddings": 32,
                    ]
                )
            ],
            "config.json: rope_parameters.low_freq_factor: expected less than high_freq_factor 1.0, found 4.0"),
        .init(
            "llama-rope-llama3", [("rope_scaling", ["type": "linear", "factor": 2])],
            "config.json: rope_scaling: expected none beside another rope_parameters, which the library takes otherwise then,"
                + " found an object of 2"),
        .init(
            "gemma3-windows", [("rope_scaling", ["type": "linear", "factor": 2])],
            "config.json: rope_scaling: expected none beside another rope_parameters, which the library takes otherwise then,"
                + " found an object of 2"),
        .init(
            "phi3-long", [("rope_parameters", ["type": "yarn", "factor": 8])],
            "config.json: rope_parameters.type: expected 'longrope', which the library reads, found 'yarn'"),
    ]

    private static let caps: [BadConfiguration] =
        ["llama-grouped", "granite-scaled", "gemma-grouped", "phi3-long", "gpt-oss-windows"].map {
            .init(
                $0, [("final_logit_softcapping", 3)],
                "config.json: final_logit_softcapping: expected only keys that are known for this architecture, found 3"
            )
        } + [
            .init(
                "gemma3-windows", [("attn_logit_softcapping", 2)],
                "config.json: attn_logit_softcapping: expected null (the library reads it and caps nothing), found 2")
        ]

    static let harmlessInTheLibrary: [(String, [(String, JSONValue)])] = [
        ("t5-plain", [("dense_act_fn", .null), ("is_gated_act", .null)]),
        ("t5-gated-padded", [("dense_act_fn", "gelu_pytorch_tanh")]),
        ("bart-plain", [("num_hidden_layers", 2)]),
        ("whisper-plain", [("num_hidden_layers", 2)]),
        ("marian-shared", [("num_hidden_layers", 2), ("encoder_layers", .null)]),
        ("llama-grouped", [("final_logit_softcapping", .null)]),
        ("deepseek-v3-groups", [("head_dim", 4)]),
        // V2's library puts its own in place of the file's.
        ("deepseek-v2-greedy", [("head_dim", 2)]),
    ]
}

@Suite struct LibraryLengthTests {
    /// Phi-3's lengths are 4,096 where they are absent, whatever the parameters' own says.
    @Test(arguments: ["max_position_embeddings", "original_max_position_embeddings"])
    func absentLengthsAreTheLibrarys(_ key: String) throws {
        let golden = Golden.named("phi3-long")
        let absent = try golden.model(editingConfiguration: { $0[key] = nil })
        let explicit = try golden.model(editingConfiguration: { $0[key] = 4096 })
        #expect(absent.spec == explicit.spec)
        #expect(try absent.spec.blocks.kinds != golden.model().spec.blocks.kinds)
    }
}

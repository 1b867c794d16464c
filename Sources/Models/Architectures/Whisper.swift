import AssayCheckpoints

/// Whisper: an encoder of mel spectrograms behind two convolutions and a decoder, norms before the sublayers, keys without
/// biases.
///
/// - Source: Radford et al. 2022, "Robust Speech Recognition via Large-Scale Weak Supervision" (arXiv 2212.04356);
///   `models/whisper` of transformers 5.
enum Whisper: Architecture {
    static let modelType = "whisper"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var encoder = try stack(.encoder, &configuration)
        var decoder = try stack(.decoder, &configuration)
        encoder.vocabularySize = 0
        encoder.contextLength = try configuration.optionalSize("max_source_positions") ?? 1500
        decoder.contextLength = try configuration.optionalSize("max_target_positions") ?? 448
        encoder.embedding.features = FeatureSpec(
            .mel, channelCount: try configuration.optionalSize("num_mel_bins") ?? 80,
            extents: [2 * encoder.contextLength],
            convolutions: [convolution(encoder.hiddenSize, stride: 1), convolution(encoder.hiddenSize, stride: 2)])
        let spec = try configuration.translator(
            modelType, [encoder, decoder], modelClasses: ["WhisperForConditionalGeneration"], bodyClass: "WhisperModel",
            stands)
        try configuration.finish(
            harmless: HarmlessKeys.translators.union([
                "forced_decoder_ids", "median_filter_width", "classifier_proj_size", "use_weighted_layer_sum",
                // How texts are made, which newer files say in generation_config.json.
                "alignment_heads", "is_multilingual", "lang_ids", "lang_to_id", "max_initial_timestamp_index",
                "no_timestamps_token_id", "prev_sot_token_id", "return_timestamps", "task_to_id",
            ]),
            // What training leaves out of spectrograms.
            harmlessPrefixes: ["apply_spec_augment", "mask_time_", "mask_feature_"])
        return spec
    }

    private static func stack(
        _ role: StackSpec.Role, _ configuration: inout ConfigurationReader
    ) throws -> StackSpec {
        var stack = try configuration.translatorStack(role, hasNormsBefore: true)
        stack.blocks.kinds[0].attention.hasKeyBias = false
        stack.blocks.kinds[0].cross?.attention.hasKeyBias = false
        // The library reads `scale_embedding` and scales nothing by it.
        stack.embedding = EmbeddingSpec(positions: LearnedPositions())
        return stack
    }

    /// Its activation is this one whatever that of the blocks is.
    private static func convolution(_ outputCount: Int, stride: Int) -> ConvolutionSpec {
        ConvolutionSpec(
            outputCount: outputCount, kernel: [3], stride: [stride], padding: [1], activation: .geluErf)
    }

    static let naming = Naming.translator(
        [
            ModuleName(.convolution, in: .encoder, hf: "encoder.conv1"),
            ModuleName(.secondConvolution, in: .encoder, hf: "encoder.conv2"),
        ]
            + [StackSpec.Role.encoder, .decoder].flatMap { role in
                [
                    ModuleName(.positionEmbedding, in: role, hf: "\(role.rawValue).embed_positions"),
                    ModuleName(.finalNorm, in: role, hf: "\(role.rawValue).layer_norm"),
                ]
            },
        head: "proj_out")
}

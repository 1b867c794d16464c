import AssayCheckpoints

extension BadConfiguration {
    /// Those of models that read images or sound.
    static let ofSenses: [BadConfiguration] = [
        .init(
            "vit-classifier", [("architectures", ["ViTForMaskedImageModeling"])],
            "config.json: architectures: expected a list with one of ViTModel, ViTForImageClassification, "
                + "found ['ViTForMaskedImageModeling']"),
        .init(
            "vit-classifier", [("image_size", [7, 10, 3])],
            "config.json: image_size: expected a size, or a list of height and width, found [7, 10, 3]"),
        .init(
            "vit-classifier", [("image_size", [7, 0])],
            "config.json: image_size: expected a size, or a list of height and width, found [7, 0]"),
        .init(
            "vit-classifier", [("patch_size", [2, 11])],
            "config.json: patch_size: expected at most image_size [7, 10], found [2, 11]"),
        .init(
            "vit-classifier", [("image_size", 100_000)],
            "config.json: image_size: expected at most 65536, found [100000, 100000]"),
        .init(
            "vit-classifier", [("num_labels", 4)],
            "config.json: id2label: expected 4 labels as in num_labels, found 5"),
        .init(
            "vit-classifier", [("id2label", .object(JSONObject([])))],
            "config.json: id2label: expected a label, found 0"),
        .init(
            "vit-classifier", [("interpolate_pos_encoding", true)],
            "config.json: interpolate_pos_encoding: expected only keys that are known for this architecture, found true"
        ),
        .init(
            "vit-pooler", [("num_attention_heads", 4)],
            "config.json: num_attention_heads: expected a divisor of hidden_size 18, found 4"),
        .init(
            "whisper-plain", [("architectures", ["WhisperForAudioClassification"])],
            "config.json: architectures: expected a list with one of WhisperForConditionalGeneration, WhisperModel, "
                + "found ['WhisperForAudioClassification']"),
        .init(
            "whisper-plain", [("is_encoder_decoder", false)],
            "config.json: is_encoder_decoder: expected true (only encoder and decoder together are supported), "
                + "found false"),
        .init(
            "whisper-plain", [("num_mel_bins", 0)],
            "config.json: num_mel_bins: expected a whole number from 1 to 2147483647, found 0"),
        .init(
            "whisper-plain", [("scale_embedding", "no")],
            "config.json: scale_embedding: expected true or false, found 'no'"),
        .init(
            "clip-text", [("eos_token_id", .null)],
            "config.json: eos_token_id: expected the token that ends a text, found null"),
        .init(
            "clip-text", [("eos_token_id", [44, 45])],
            "config.json: eos_token_id: expected a whole number from 0 to 2147483647, found [44, 45]"),
        .init(
            "clip-vision", [("image_size", [7, 7])],
            "config.json: image_size: expected a whole number from 1 to 2147483647, found [7, 7]"),
        .init(
            "clip-both", [("text_config", .null)], "config.json: text_config: expected an object, found null"),
        .init(
            "clip-both", [("architectures", ["CLIPForImageClassification"])],
            "config.json: architectures: expected a list with one of CLIPModel, found ['CLIPForImageClassification']"),
        .init(
            "clip-both", [("vision_config_dict", .object(JSONObject([("hidden_size", 21)])))],
            "config.json: vision_config_dict.num_attention_heads: expected a divisor of hidden_size 21, found 12"),
    ]
}

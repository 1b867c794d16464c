/// Keys of `config.json` that do not change what a forward pass computes from given tokens.
enum HarmlessKeys {
    /// Keys that stand in configurations of any architecture.
    static let everywhere: Set<String> = provenance.union(storage).union(training).union(generation).union(outputs)

    /// Keys of the library's common configuration that say false where they say nothing, and why another value is refused.
    static let absences: [(key: String, reason: String)] = [
        ("is_decoder", "this architecture has no such switch"),
        ("add_cross_attention", "cross attention is not supported"),
        ("is_encoder_decoder", "this is no encoder with a decoder"),
    ]

    private static let provenance: Set<String> = [
        "model_type", "_name_or_path", "name_or_path", "_commit_hash", "transformers_version", "finetuning_task",
        "task_specific_params", "tokenizer_class", "prefix", "language", "name", "unsloth_fixed", "unsloth_version",
        "transformers.js_config", "custom_pipelines", "tokenizer_padding_side", "tokenizer_model_max_length",
    ]

    /// Element types of the file, both generations of the key.
    static let elementTypes = ["torch_dtype", "dtype"]

    /// The packings read `quantization_config`.
    private static let storage: Set<String> = ["use_bfloat16", "quantization_config"]

    private static let training: Set<String> = [
        "initializer_range", "initializer_factor", "gradient_checkpointing", "problem_type", "num_labels",
        "_num_labels", "id2label", "label2id", "loss_type", "tf_legacy_loss", "neftune_noise_alpha",
    ]

    private static let generation: Set<String> = [
        "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "decoder_start_token_id", "unk_token_id",
        "cls_token_id", "mask_token_id", "use_cache", "max_length", "min_length", "do_sample", "early_stopping",
        "num_beams", "num_beam_groups", "diversity_penalty", "temperature", "top_k", "top_p", "typical_p",
        "repetition_penalty", "length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids",
        "num_return_sequences", "forced_bos_token_id", "forced_eos_token_id", "remove_invalid_values",
        "exponential_decay_length_penalty", "suppress_tokens", "begin_suppress_tokens",
    ]

    /// What GPT-2 and its kin call the shares that training drops.
    static let gptDropouts: Set<String> = ["attn_pdrop", "embd_pdrop", "resid_pdrop"]

    /// What the library hands back, and how it computes it.
    private static let outputs: Set<String> = [
        "output_hidden_states", "output_attentions", "output_scores", "output_past", "return_dict",
        "return_dict_in_generate",
        "use_return_dict", "torchscript", "attn_implementation", "_attn_implementation", "_attn_implementation_autoset",
        "chunk_size_feed_forward", "tie_encoder_decoder", "tie_last_hidden_states", "_flash_attn_2_enabled",
        "xla_device",
    ]
}

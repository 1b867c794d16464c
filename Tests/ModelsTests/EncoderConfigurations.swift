import AssayCheckpoints

extension BadConfiguration {
    /// Those of the encoders.
    static let ofEncoders: [BadConfiguration] = [
        .init(
            "roberta-padded-right", [("pad_token_id", .null)],
            "config.json: pad_token_id: expected a token of 41, and a row of the 18 positions behind it, found null"),
        .init(
            "roberta-padded-right", [("pad_token_id", 17)],
            "config.json: pad_token_id: expected a token of 41, and a row of the 18 positions behind it, found 17"),
        .init(
            "roberta-padded-right", [("is_decoder", true)],
            "config.json: is_decoder: expected false (only the encoder is supported), found true"),
        .init(
            "xlm-roberta-mlm", [("architectures", ["RobertaForMaskedLM"])],
            "config.json: architectures: expected a list with one of XLMRobertaModel, XLMRobertaForMaskedLM, "
                + "found ['RobertaForMaskedLM']"),
        .init(
            "camembert-mlm", [("architectures", ["CamembertForSequenceClassification"])],
            "config.json: architectures: expected a list with one of CamembertModel, CamembertForMaskedLM, "
                + "found ['CamembertForSequenceClassification']"),
        .init("distilbert-mlm", [("n_heads", 5)], "config.json: n_heads: expected a divisor of dim 12, found 5"),
        .init("distilbert-mlm", [("hidden_size", 24)], "config.json: hidden_size: expected 12 as in dim, found 24"),
        .init(
            "distilbert-mlm", [("type_vocab_size", 2)],
            "config.json: type_vocab_size: expected only keys that are known for this architecture, found 2"
        ),
        .init(
            "electra-generator", [("architectures", ["ElectraForCausalLM"])],
            "config.json: architectures: expected a list with one of ElectraModel, ElectraForPreTraining, "
                + "ElectraForMaskedLM, found ['ElectraForCausalLM']"),
        .init(
            "electra-generator", [("embedding_size", 0)],
            "config.json: embedding_size: expected a whole number from 1 to 2147483647, found 0"),
        .init(
            "albert-groups", [("num_hidden_groups", 2000)],
            "config.json: num_hidden_groups: expected at most 1024, found 2000"),
        .init(
            "albert-groups", [("inner_group_num", 1025)],
            "config.json: inner_group_num: expected at most 1024, found 1025"),
        .init(
            "albert-groups", [("num_hidden_layers", 65537)],
            "config.json: num_hidden_layers: expected at most 65536, found 65537"),
        .init(
            "modernbert-windows", [("local_attention", 0)],
            "config.json: local_attention: expected a whole number from 1 to 2147483647, found 0"),
        .init(
            "modernbert-windows", [("layer_types", ["full_attention", "sliding_attention"])],
            "config.json: layer_types: expected 4 entries, one a layer, found 2"),
        .init(
            "modernbert-windows", [("head_dim", 4)],
            "config.json: head_dim: expected only keys that are known for this architecture, found 4"),
        .init(
            "deberta-v3", [("conv_kernel_size", 3)],
            "config.json: conv_kernel_size: expected 0 (the convolution is not supported), found 3"),
        .init(
            "deberta-v3", [("pos_att_type", "c2p|p2c|p2p")],
            "config.json: pos_att_type: expected some of c2p, p2c, found 'c2p|p2c|p2p'"),
        .init(
            "deberta-v3", [("pos_att_type", ["p2p"])],
            "config.json: pos_att_type: expected a list of c2p, p2c, found ['p2p']"),
        .init(
            "deberta-v3", [("position_buckets", 26)],
            "config.json: position_buckets: expected from 2 to fewer than twice the greatest distance 13, found 26"),
        .init(
            "deberta-v3", [("position_buckets", 1)],
            "config.json: position_buckets: expected from 2 to fewer than twice the greatest distance 13, found 1"),
        .init(
            "deberta-v3", [("attention_head_size", 8)],
            "config.json: attention_head_size: expected 4 (heads divide the hidden size), found 8"),
        .init(
            "deberta-v2-c2p", [("legacy", false)],
            "config.json: legacy: expected true, or an embedding_size that is hidden_size 12, found false and 10"),
    ]
}

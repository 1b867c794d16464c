import AssayCheckpoints

/// BERT: norms after the residuals, learned positions and token types, attention both ways.
///
/// Which heads there are is the checkpoint's to say: the pooler and the masked language model's head stand or do not.
///
/// - Source: `models/bert` of transformers 5.
enum BERT: Architecture {
    static let modelType = "bert"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        let hiddenSize = try configuration.size("hidden_size")
        let headCount = try configuration.size("num_attention_heads")
        guard hiddenSize % headCount == 0 else {
            throw configuration.error(
                "num_attention_heads", expected: "a divisor of hidden_size \(hiddenSize)", found: "\(headCount)")
        }
        let headDimension = hiddenSize / headCount
        let norm = NormSpec(epsilon: try configuration.epsilon("layer_norm_eps", default: 1e-12))
        let activation = try configuration.activation("hidden_act", default: .geluErf)
        let isTied = try configuration.bool("tie_word_embeddings", default: true)
        let modelClass = try configuration.architectureClass(
            among: ["BertModel", "BertForMaskedLM", "BertForPreTraining"])
        let hasHead = modelClass == "BertForMaskedLM" || modelClass == "BertForPreTraining" || stands(.headTransform)
        let spec = TransformerSpec(
            architecture: modelType,
            vocabularySize: try configuration.size("vocab_size"),
            hiddenSize: hiddenSize,
            layerCount: try configuration.size("num_hidden_layers"),
            contextLength: try configuration.size("max_position_embeddings"),
            embedding: EmbeddingSpec(
                positions: LearnedPositions(), tokenTypeCount: try configuration.optionalSize("type_vocab_size") ?? 2,
                norm: norm),
            blocks: BlockPattern(
                BlockSpec(
                    attentionNorms: BlockSpec.Norms(afterResidual: norm),
                    attention: AttentionSpec(
                        headCount: headCount, keyValueHeadCount: headCount, headDimension: headDimension,
                        baseScale: 1 / Double(headDimension).squareRoot(), isCausal: false),
                    feedForwardNorms: BlockSpec.Norms(afterResidual: norm),
                    feedForward: FeedForwardSpec(
                        innerSize: try configuration.size("intermediate_size"), activation: activation))),
            finalNorm: nil,
            poolerActivation: stands(.pooler) ? .tanh : nil,
            head: hasHead
                ? HeadSpec(
                    isTied: isTied, hasBias: true, transform: HeadSpec.Transform(activation: activation, norm: norm))
                : nil)
        try configuration.require(
            "position_embedding_type", "absolute", because: "relative positions are not supported")
        try configuration.require("is_decoder", false, because: "only the encoder is supported")
        try configuration.require("add_cross_attention", false, because: "cross attention is not supported")
        try configuration.require("is_encoder_decoder", false, because: "this architecture is an encoder")
        try configuration.requireEmpty("pruned_heads", because: "pruned heads are not supported")
        try configuration.finish(
            harmless: [
                "hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout", "directionality",
            ],
            // Sizes of another pooler, in Google's configurations; nothing reads them.
            harmlessPrefixes: ["pooler_"])
        return spec
    }

    static let naming = Naming(
        prefix: "bert.",
        modules: [
            ModuleName(.tokenEmbedding, hf: "embeddings.word_embeddings"),
            ModuleName(.positionEmbedding, hf: "embeddings.position_embeddings"),
            ModuleName(.tokenTypeEmbedding, hf: "embeddings.token_type_embeddings"),
            ModuleName(.embeddingNorm, hf: "embeddings.LayerNorm"),
            ModuleName(.query, hf: "encoder.layer.{i}.attention.self.query"),
            ModuleName(.key, hf: "encoder.layer.{i}.attention.self.key"),
            ModuleName(.value, hf: "encoder.layer.{i}.attention.self.value"),
            ModuleName(.attentionOutput, hf: "encoder.layer.{i}.attention.output.dense"),
            ModuleName(.attentionNorm, hf: "encoder.layer.{i}.attention.output.LayerNorm"),
            ModuleName(.feedForwardInput, hf: "encoder.layer.{i}.intermediate.dense"),
            ModuleName(.feedForwardOutput, hf: "encoder.layer.{i}.output.dense"),
            ModuleName(.feedForwardNorm, hf: "encoder.layer.{i}.output.LayerNorm"),
            ModuleName(.pooler, hf: "pooler.dense"),
            ModuleName(.headTransform, hf: "cls.predictions.transform.dense", isOutsidePrefix: true),
            ModuleName(.headNorm, hf: "cls.predictions.transform.LayerNorm", isOutsidePrefix: true),
            ModuleName(.head, hf: "cls.predictions.decoder", isOutsidePrefix: true),
            ModuleName(.nextSentence, hf: "cls.seq_relationship", isOutsidePrefix: true),
        ],
        linearOrientation: .outputInput,
        // Google's checkpoints call gain and bias gamma and beta; the head's bias stands a level above the decoder.
        otherEndings: [
            ("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta"),
            ("cls.predictions.decoder.bias", "cls.predictions.bias"),
        ],
        buffers: ["embeddings.position_ids"])
}

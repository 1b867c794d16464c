import AssayCheckpoints

/// DeBERTa, versions 2 and 3: BERT whose attention reads distances by vectors of their own.
///
/// The convolution beside the first layer, which some of version 2 have, is refused.
///
/// - Source: `models/deberta_v2` of transformers 5.
enum DeBERTaV2: Architecture {
    static let modelType = "deberta-v2"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        var encoder = try configuration.encoder(epsilon: 1e-7)
        let contextLength = try configuration.size("max_position_embeddings")
        let width = try configuration.optionalSize("embedding_size") ?? encoder.hiddenSize
        let distances = try distances(&configuration, &encoder, contextLength)
        let hasPositions = try configuration.bool("position_biased_input", default: true)
        let spec = TransformerSpec(
            architecture: modelType,
            vocabularySize: try configuration.size("vocab_size"),
            hiddenSize: encoder.hiddenSize,
            layerCount: try configuration.size("num_hidden_layers"),
            contextLength: contextLength,
            embedding: EmbeddingSpec(
                positions: hasPositions ? LearnedPositions() : nil,
                tokenTypeCount: try configuration.optionalSize("type_vocab_size", from: 0) ?? 0, norm: encoder.norm,
                projection: width == encoder.hiddenSize
                    ? nil : EmbeddingProjection(inputSize: width, hasBias: false, place: .beforeNorm),
                isZeroAtPadding: true, distances: distances),
            blocks: BlockPattern(encoder.block),
            finalNorm: nil,
            head: try head(&configuration, encoder, width, stands))
        try configuration.require(
            "attention_head_size", .init(encoder.attention.headDimension), because: "heads divide the hidden size")
        if let size = try configuration.optionalSize("conv_kernel_size", from: 0), size > 0 {
            throw configuration.error(
                "conv_kernel_size", expected: "0 (the convolution is not supported)", found: "\(size)")
        }
        try configuration.requireEncoder()
        try configuration.finish(
            harmless: HarmlessKeys.encoders.union(["conv_act", "conv_groups", "padding_idx", "z_steps"]),
            harmlessPrefixes: ["pooler_", "summary_"])
        return spec
    }

    /// The legacy head and the later one, which is always tied, are one function under two names.
    private static func head(
        _ configuration: inout ConfigurationReader, _ encoder: EncoderConfiguration, _ width: Int,
        _ stands: (Module) -> Bool
    ) throws -> HeadSpec? {
        let isTied = try configuration.bool("tie_word_embeddings", default: true)
        let isLegacy = try configuration.bool("legacy", default: true)
        guard try configuration.hasMaskedHead("DebertaV2", stands: stands) else { return nil }
        guard isLegacy || width == encoder.hiddenSize else {
            throw configuration.error(
                "legacy", expected: "true, or an embedding_size that is hidden_size \(encoder.hiddenSize)",
                found: "false and \(width)")
        }
        return encoder.head(isTied: isTied || !isLegacy, outputSize: width)
    }

    /// The table of distances, and what attention does with it.
    private static func distances(
        _ configuration: inout ConfigurationReader, _ encoder: inout EncoderConfiguration, _ contextLength: Int
    ) throws -> DistanceEmbedding? {
        let isRelative = try configuration.bool("relative_attention", default: false)
        let kinds = try attentionKinds(&configuration)
        let disentangled = DisentangledAttention(
            hasDistanceKeys: kinds.contains("c2p"), hasDistanceQueries: kinds.contains("p2c"),
            sharesProjections: try configuration.bool("share_att_key", default: false))
        encoder.attention.isPaddingBlind = true
        // So many terms the scores have, whether they are computed or not.
        let termCount = 1 + [disentangled.hasDistanceKeys, disentangled.hasDistanceQueries].count { $0 }
        encoder.attention.baseScale = 1 / Double(encoder.attention.headDimension * termCount).squareRoot()
        let (span, buckets) = try span(&configuration, contextLength)
        let normed = (try configuration.text("norm_rel_ebd") ?? "none").lowercased().words
        guard isRelative else { return nil }
        encoder.attention.disentangled = disentangled
        return DistanceEmbedding(span: span, buckets: buckets, norm: normed.contains("layer_norm") ? encoder.norm : nil)
    }

    private static func attentionKinds(_ configuration: inout ConfigurationReader) throws -> [String] {
        let known = ["c2p", "p2c"]
        guard configuration.isText("pos_att_type") else {
            return try configuration.words("pos_att_type", among: known) ?? []
        }
        let kinds = (try configuration.text("pos_att_type") ?? "").lowercased().words
        guard kinds.allSatisfy(known.contains) else {
            throw configuration.error(
                "pos_att_type", expected: "some of \(known.joined(separator: ", "))",
                found: configuration.shown("pos_att_type"))
        }
        return kinds
    }

    private static func span(
        _ configuration: inout ConfigurationReader, _ contextLength: Int
    ) throws -> (span: Int, buckets: LogarithmicBuckets?) {
        let given = try configuration.optionalSize("max_relative_positions", from: -1) ?? -1
        let greatest = given < 1 ? contextLength : given
        let bucketCount = try configuration.optionalSize("position_buckets", from: -1) ?? -1
        guard bucketCount > 0 else { return (greatest, nil) }
        let middle = bucketCount / 2
        guard middle > 0, greatest - 1 > middle else {
            throw configuration.error(
                "position_buckets", expected: "from 2 to fewer than twice the greatest distance \(greatest - 1)",
                found: "\(bucketCount)")
        }
        return (bucketCount, LogarithmicBuckets(middle: middle, greatest: greatest - 1))
    }

    static let naming: Naming = {
        var naming = Naming.encoder(
            prefix: "deberta.",
            [
                ModuleName(.distanceEmbedding, hf: "encoder.rel_embeddings"),
                ModuleName(.distanceNorm, hf: "encoder.LayerNorm"),
                ModuleName(.query, hf: "encoder.layer.{i}.attention.self.query_proj"),
                ModuleName(.key, hf: "encoder.layer.{i}.attention.self.key_proj"),
                ModuleName(.value, hf: "encoder.layer.{i}.attention.self.value_proj"),
                ModuleName(.distanceKey, hf: "encoder.layer.{i}.attention.self.pos_key_proj"),
                ModuleName(.distanceQuery, hf: "encoder.layer.{i}.attention.self.pos_query_proj"),
                ModuleName(.embeddingProjection, hf: "embeddings.embed_proj"),
                ModuleName(.headTransform, hf: "cls.predictions.transform.dense", isOutsidePrefix: true),
                ModuleName(.headNorm, hf: "cls.predictions.transform.LayerNorm", isOutsidePrefix: true),
                ModuleName(.head, hf: "cls.predictions.decoder", isOutsidePrefix: true),
            ], without: [.pooler]
        ).spelling(
            [
                ("transform.dense.weight", "dense.weight"), ("transform.dense.bias", "dense.bias"),
                ("transform.LayerNorm.weight", "LayerNorm.weight"), ("transform.LayerNorm.bias", "LayerNorm.bias"),
                ("decoder.bias", "bias"),
            ].map { (ending: "cls.predictions." + $0.0, other: "lm_predictions.lm_head." + $0.1) }
                + [(ending: "cls.predictions.decoder.bias", other: "cls.predictions.bias")])
        // Of models whose input has no positions, and of another head of the pretraining.
        naming.buffers.append("embeddings.position_embeddings.weight")
        naming.uncomputed = ["dense", "LayerNorm", "classifier"].flatMap { module in
            ["weight", "bias"].map { "mask_predictions.\(module).\($0)" }
        }
        return naming
    }()
}

extension String {
    /// The words between bars, without the spaces around them.
    fileprivate var words: [String] {
        split(separator: "|").map { part in
            var part = part
            while part.first == " " { part.removeFirst() }
            while part.last == " " { part.removeLast() }
            return String(part)
        }
    }
}

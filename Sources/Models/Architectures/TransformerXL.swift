import AssayCheckpoints

/// Transformer-XL: segments that remember the ones before, distances in place of positions, a vocabulary in bins.
///
/// Where implementations disagree, keys of our own choose (`formats/configurations.md`): `initial_memory` and `cluster_order`,
/// absent for what transformers does.
///
/// - Source: Dai et al. 2019, "Transformer-XL" (arXiv 1901.02860); `models/deprecated/transfo_xl` of transformers 4.49, the last
///   that has it.
enum TransformerXL: Architecture {
    static let modelType = "transfo-xl"

    static func spec(
        from configuration: inout ConfigurationReader, stands: (Module) -> Bool
    ) throws -> TransformerSpec {
        let hiddenSize = try configuration.optionalSize("d_model", or: "hidden_size") ?? 1024
        guard hiddenSize % 2 == 0 else {
            throw configuration.error("d_model", expected: "an even number, half of them sines", found: "\(hiddenSize)")
        }
        let layerCount = try configuration.optionalSize("n_layer", or: "num_hidden_layers") ?? 18
        let bins = try configuration.vocabularyBins()
        let hasOneTable = try configuration.dividesWidths() == false
        let width = bins.widths[0]
        let block = try configuration.recurrentBlock(hiddenSize)
        var embedding = EmbeddingSpec(scale: Double(hiddenSize).squareRoot())
        if !hasOneTable {
            embedding.bins = bins
        } else if width != hiddenSize {
            embedding.projection = EmbeddingProjection(inputSize: width, hasBias: false, place: .ofTokens)
        }
        let isProjected = !hasOneTable || width != hiddenSize
        let tied = try configuration.tiedProjections(binCount: bins.count)
        var head = HeadSpec(isTied: try configuration.bool("tie_word_embeddings", default: true))
        head.adaptive = AdaptiveSoftmax(
            bins: bins, hasOneTable: hasOneTable, tiedProjections: isProjected ? tied : nil,
            clusterOrder: try configuration.choice("cluster_order", default: .ascending))
        let modelClass = try configuration.architectureClass(among: ["TransfoXLLMHeadModel", "TransfoXLModel"])
        let hasHead = modelClass.map { $0 == "TransfoXLLMHeadModel" } ?? (stands(.headClusters) || stands(.head))
        try configuration.require(
            "tie_weight", true, because: "an older name of tie_word_embeddings, which the library goes by")
        try configuration.requireWholeDecoder()
        try configuration.finish(
            harmless: [
                "adaptive", "dropout", "dropatt", "init", "init_range", "init_std", "proj_init_std", "tgt_len",
                "is_decoder", "trainer_compatible", "cross_attention_hidden_size", "proj_share_all_but_first",
            ])
        return TransformerSpec(
            architecture: modelType, vocabularySize: bins.tokenCount, hiddenSize: hiddenSize,
            layerCount: layerCount,
            contextLength: block.attention.recurrence.map { max($0.memoryLength, 1) } ?? 1, embedding: embedding,
            blocks: BlockPattern(block), finalNorm: nil, head: hasHead ? head : nil)
    }

    static let naming: Naming = {
        let layer = "layers.{i}."
        var naming = Naming(
            prefix: "transformer.",
            modules: [
                ModuleName(.tokenEmbedding, hf: "word_emb.emb_layers.{b}"),
                ModuleName(.embeddingProjection, hf: "word_emb.emb_projs.{b}", isParameter: true),
                ModuleName(.sharedContentBias, hf: "r_w_bias", isParameter: true),
                ModuleName(.sharedDistanceBias, hf: "r_r_bias", isParameter: true),
                ModuleName(.queryKeyValue, hf: layer + "dec_attn.qkv_net"),
                ModuleName(.distanceKey, hf: layer + "dec_attn.r_net"),
                ModuleName(.contentBias, hf: layer + "dec_attn.r_w_bias", isParameter: true),
                ModuleName(.distanceBias, hf: layer + "dec_attn.r_r_bias", isParameter: true),
                ModuleName(.attentionOutput, hf: layer + "dec_attn.o_net"),
                ModuleName(.attentionNorm, hf: layer + "dec_attn.layer_norm"),
                ModuleName(.feedForwardInput, hf: layer + "pos_ff.CoreNet.0"),
                ModuleName(.feedForwardOutput, hf: layer + "pos_ff.CoreNet.3"),
                ModuleName(.feedForwardNorm, hf: layer + "pos_ff.layer_norm"),
                ModuleName(.head, hf: "crit.out_layers.{b}", isOutsidePrefix: true),
                ModuleName(.headProjection, hf: "crit.out_projs.{b}", isOutsidePrefix: true, isParameter: true),
                ModuleName(.headClusters, hf: "crit.cluster", isOutsidePrefix: true, joint: "_"),
            ],
            linearOrientation: .outputInput)
        naming.buffers = ["pos_emb.inv_freq"]
        return naming
    }()
}

extension ConfigurationReader {
    /// Whether bins have tables of their own, each narrower than the one before.
    fileprivate mutating func dividesWidths() throws -> Bool { try divisor() != 1 }

    private mutating func divisor() throws -> Int { try optionalSize("div_val") ?? 4 }

    fileprivate mutating func vocabularyBins() throws -> VocabularyBins {
        let tokenCount = try optionalSize("vocab_size", or: "n_token") ?? 267_735
        let cutoffs = try wholeNumbers("cutoffs") ?? [20_000, 40_000, 200_000]
        let ends = cutoffs + [tokenCount]
        guard cutoffs.first != 0, zip(ends, ends.dropFirst()).allSatisfy({ $0 < $1 }) else {
            throw error(
                "cutoffs", expected: "ascending numbers between 0 and vocab_size \(tokenCount)", found: shown("cutoffs")
            )
        }
        let divisor = try divisor()
        var widths = [try optionalSize("d_embed") ?? 1024]
        for _ in 1..<max(ends.count, 1) { widths.append(widths.last! / divisor) }
        guard widths.last! > 0 else {
            throw error(
                "div_val", expected: "a divisor that leaves the last of \(ends.count) bins a feature",
                found: "\(divisor)")
        }
        return VocabularyBins(ends: ends, widths: widths)
    }

    /// Which projections of the softmax are those of the embeddings: all but the first, unless the file says otherwise.
    fileprivate mutating func tiedProjections(binCount: Int) throws -> [Bool] {
        let isShared = try bool("proj_share_all_but_first", default: true)
        guard let list = try list("tie_projs") else { return (0..<binCount).map { $0 > 0 && isShared } }
        let values = list.compactMap(\.bool)
        guard values.count == list.count, values.count == binCount else {
            throw error("tie_projs", expected: "true or false for each of \(binCount) bins", found: shown("tie_projs"))
        }
        return values
    }

    /// The block of every layer.
    fileprivate mutating func recurrentBlock(_ hiddenSize: Int) throws -> BlockSpec {
        let headCount = try optionalSize("n_head", or: "num_attention_heads") ?? 16
        let headDimension = try optionalSize("d_head") ?? 64
        try checkWidth(ofHeads: headCount, headDimension, "d_head")
        let norm = NormSpec(epsilon: try epsilon("layer_norm_epsilon", default: 1e-5))
        let norms = BlockSpec.Norms(norm, isBefore: try bool("pre_lnorm", default: false))
        var attention = AttentionSpec(
            headCount: headCount, keyValueHeadCount: headCount, headDimension: headDimension,
            baseScale: 1 / Double(headDimension).squareRoot(), isCausal: true)
        attention.projection = .joined
        (attention.hasInputBias, attention.hasOutputBias) = (false, false)
        attention.recurrence = try recurrence()
        attention.sinusoidalDistances = SinusoidalDistances(
            greatest: try greatestDistance(), sharesBiases: try !bool("untie_r", default: true))
        try require("attn_type", 0, because: "other kinds of attention stand in no published model")
        try require("ext_len", 0, because: "an extended context is not supported")
        if let samples = try number("sample_softmax"), samples > 0 {
            throw error("sample_softmax", expected: "none (a sampled softmax is not supported)", found: "\(samples)")
        }
        return BlockSpec(
            attentionNorms: norms, attention: attention, feedForwardNorms: norms,
            feedForward: FeedForwardSpec(innerSize: try optionalSize("d_inner") ?? 4096, activation: .relu))
    }

    private mutating func recurrence() throws -> RecurrenceSpec {
        let isSameLength = try bool("same_length", default: true)
        let memoryLength = try optionalSize("mem_len", from: 0) ?? 1600
        guard memoryLength > 0 || !isSameLength else {
            throw error("mem_len", expected: "at least 1, as same_length lets a position see no more", found: "0")
        }
        return RecurrenceSpec(
            memoryLength: memoryLength, start: try choice("initial_memory", default: .zeros),
            isSameLength: isSameLength)
    }

    /// Where distances end that differ; none from 0 down.
    private mutating func greatestDistance() throws -> Int? {
        guard let value = try number("clamp_len") else { return 1000 }
        guard value == value.rounded(), abs(value) <= Double(Self.largestSize) else {
            throw error("clamp_len", expected: "a whole number", found: shown("clamp_len"))
        }
        return value > 0 ? Int(value) : nil
    }
}

import AssayTestSupport
import Testing

@testable import AssayModels

extension Trap {
    /// Those of models that read images or sound.
    static let ofSenses = patches + classifiers + spectrograms + pairs

    private static let patches: [Trap] = [
        Trap(
            testDescription: "channels last in a patch", golden: "vit-classifier", tap: "embed",
            weights: { $0.permute("vit.embeddings.patch_embeddings.projection.weight", [0, 2, 3, 1]) }),
        Trap(
            testDescription: "rows and columns of a patch exchanged", golden: "vit-classifier", tap: "embed",
            weights: { $0.permute("vit.embeddings.patch_embeddings.projection.weight", [0, 1, 3, 2]) }),
        Trap(
            testDescription: "patches column by column", golden: "vit-classifier", tap: "embed",
            weights: { $0.reorderRows("vit.embeddings.position_embeddings", [0, 1, 4, 7, 2, 5, 8, 3, 6, 9]) }),
        Trap(
            testDescription: "the class behind the patches", golden: "vit-classifier", tap: "embed",
            weights: { $0.reorderRows("vit.embeddings.position_embeddings", [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]) }),
        Trap(
            testDescription: "no class", golden: "vit-classifier", tap: "embed",
            spec: { $0.embedding.features?.hasClassVector = false }),
        Trap(
            testDescription: "pixels between patches", golden: "vit-classifier", tap: "embed",
            spec: { $0.embedding.features?.convolutions[0].stride = [3, 3] }),
        Trap(
            testDescription: "patches without a bias", golden: "vit-pooler", tap: "embed",
            spec: { $0.embedding.features?.convolutions[0].hasBias = false }),
        Trap(
            testDescription: "an activation behind the patches", golden: "vit-pooler", tap: "embed",
            spec: { $0.embedding.features?.convolutions[0].activation = .geluErf }),
        Trap(
            testDescription: "no positions of patches", golden: "vit-pooler", tap: "embed",
            spec: { $0.embedding.positions = nil }),
    ]

    private static let classifiers: [Trap] = [
        Trap(testDescription: "epsilon of ViT", golden: "vit-pooler", tap: "layers.0.attn_norm") {
            $0["layer_norm_eps"] = .init(1e-12)
        },
        Trap(testDescription: "tanh for erf in ViT", golden: "vit-classifier", tap: "layers.0.mlp_act") {
            $0["hidden_act"] = "gelu_new"
        },
        Trap(
            testDescription: "no biases of queries", golden: "vit-classifier", tap: "layers.0.q",
            spec: { $0.blocks.kinds[0].attention.hasInputBias = false }),
        Trap(
            testDescription: "causal patches", golden: "vit-classifier", tap: "layers.0.attn_out",
            spec: { $0.blocks.kinds[0].attention.isCausal = true }),
        Trap(
            testDescription: "the classifier reads before the norm", golden: "vit-classifier", tap: "pooler",
            spec: { $0.finalNorm = nil }),
        Trap(testDescription: "another activation of the pooler", golden: "vit-pooler", tap: "pooler") {
            $0["pooler_act"] = "gelu"
        },
        Trap(
            testDescription: "a classifier of every position", golden: "vit-classifier", tap: "logits",
            spec: { $0.head?.isOfPooled = false }),
        Trap(
            testDescription: "a classifier without a bias", golden: "vit-classifier", tap: "logits",
            spec: { $0.head?.hasBias = false }),
    ]

    private static let spectrograms: [Trap] = [
        Trap(
            testDescription: "the first convolution strides", golden: "whisper-plain", tap: "encoder.embed",
            spec: {
                $0[.encoder]?.embedding.features?.convolutions[0].stride = [2]
                $0[.encoder]?.embedding.features?.convolutions[1].stride = [1]
            }),
        Trap(
            testDescription: "zeros behind the sound alone", golden: "whisper-plain", tap: "encoder.embed",
            spec: { $0[.encoder]?.embedding.features?.convolutions[0].padding = [0] }),
        Trap(
            testDescription: "a window read backwards", golden: "whisper-plain", tap: "encoder.embed",
            weights: { $0.reverseRows("model.encoder.conv1.weight", width: 3) }),
        Trap(
            testDescription: "bins last in a window", golden: "whisper-plain", tap: "encoder.embed",
            weights: { $0.permute("model.encoder.conv1.weight", [0, 2, 1]) }),
        Trap(
            testDescription: "tanh for erf in a convolution", golden: "whisper-plain", tap: "encoder.embed",
            spec: { $0[.encoder]?.embedding.features?.convolutions[1].activation = .geluTanh }),
        Trap(
            testDescription: "the blocks' activation in the convolutions", golden: "whisper-padded",
            tap: "encoder.embed",
            spec: {
                for index in 0..<2 { $0[.encoder]?.embedding.features?.convolutions[index].activation = .relu }
            }),
        Trap(
            testDescription: "tokens scaled", golden: "whisper-padded", tap: "decoder.embed",
            spec: { $0[.decoder]?.embedding.scale = 24.0.squareRoot() }),
        Trap(
            testDescription: "positions of BART", golden: "whisper-plain", tap: "decoder.embed",
            spec: { $0[.decoder]?.embedding.positions?.offset = 2 }),
        Trap(
            testDescription: "causal sound", golden: "whisper-plain", tap: "encoder.layers.0.attn_out",
            spec: { $0[.encoder]?.blocks.kinds[0].attention.isCausal = true }),
        Trap(
            testDescription: "the decoder reads before the encoder's norm", golden: "whisper-plain",
            tap: "decoder.layers.0.cross_k", spec: { $0[.encoder]?.finalNorm = nil }),
        Trap(
            testDescription: "norms of BART", golden: "whisper-plain", tap: "encoder.layers.0.q",
            spec: {
                for role in [StackSpec.Role.encoder, .decoder] {
                    let norms = $0[role]?.blocks.kinds[0].attentionNorms.before
                    $0[role]?.blocks.kinds[0].attentionNorms = BlockSpec.Norms(afterResidual: norms)
                }
            }),
        Trap(testDescription: "GELU for ReLU in Whisper", golden: "whisper-padded", tap: "encoder.layers.0.mlp_act") {
            $0["activation_function"] = "gelu"
        },
        Trap(
            testDescription: "a head of its own replaced", golden: "whisper-untied", tap: "logits",
            weights: { $0["proj_out.weight"] = $0["model.decoder.embed_tokens.weight"] }),
        Trap(
            testDescription: "padding of the decoder forgotten", golden: "whisper-untied",
            tap: "decoder.layers.0.attn_out",
            tokens: {
                try TokenBatch(
                    features: $0.features, decoder: TokenBatch.DecoderTokens(inputIDs: $0.decoder!.inputIDs))
            }),
    ]

    private static let pairs: [Trap] = [
        Trap(testDescription: "erf for a sigmoid in gelu", golden: "clip-text", tap: "layers.0.mlp_act") {
            $0["hidden_act"] = "gelu"
        },
        Trap(testDescription: "epsilon of CLIP", golden: "clip-text-greatest", tap: "layers.0.attn_norm") {
            $0["layer_norm_eps"] = .init(1e-5)
        },
        Trap(
            testDescription: "texts both ways", golden: "clip-text", tap: "layers.0.attn_out",
            spec: { $0.blocks.kinds[0].attention.isCausal = false }),
        Trap(
            testDescription: "the greatest token for the end", golden: "clip-text", tap: "pooler",
            spec: { $0.pooling?.position = .greatestToken }),
        Trap(
            testDescription: "the end for the greatest token", golden: "clip-text-greatest", tap: "pooler",
            spec: { $0.pooling?.position = .firstToken(45) }),
        Trap(
            testDescription: "the beginning of a text", golden: "clip-text", tap: "pooler",
            spec: { $0.pooling?.position = .first }),
        Trap(
            testDescription: "no norm before the first block", golden: "clip-vision", tap: "embed",
            spec: { $0.embedding.norm = nil }),
        Trap(
            testDescription: "the class not normed", golden: "clip-vision", tap: "pooler",
            spec: { $0.pooling?.norm = nil }),
        Trap(
            testDescription: "another class", golden: "clip-vision", tap: "embed",
            weights: { $0["embeddings.class_embedding"][0] += 0.01 }),
        Trap(
            testDescription: "embeddings of a text not normalized", golden: "clip-both", tap: "text.embeds",
            spec: { $0[.text]?.pooling?.projection?.isNormalized = false }),
        Trap(
            testDescription: "embeddings of an image not normalized", golden: "clip-both", tap: "vision.embeds",
            spec: { $0[.vision]?.pooling?.projection?.isNormalized = false }),
        Trap(
            testDescription: "the scale of logits itself", golden: "clip-both", tap: "logits",
            weights: { $0["logit_scale"][0] = 0 }),
        Trap(
            testDescription: "padding of texts forgotten", golden: "clip-both", tap: "text.layers.0.attn_out",
            tokens: { try TokenBatch(inputIDs: $0.inputIDs, features: $0.features) }),
        Trap(
            testDescription: "the images' activation in the texts", golden: "clip-greatest",
            tap: "text.layers.0.mlp_act",
            spec: { $0[.text]?.blocks.kinds[0].feedForward.activation = .quickGELU }),
    ]
}

extension MemoryCheckpoint {
    /// Takes the axes of a tensor in another order, and calls what comes of it by the old shape.
    fileprivate mutating func permute(_ name: String, _ axes: [Int]) {
        let shape = shape(name)
        let values = self[name]
        let strides = shape.indices.map { shape[($0 + 1)...].reduce(1, *) }
        let turned = axes.map { shape[$0] }
        self[name] = values.indices.map { place in
            var rest = place
            var from = 0
            for (position, axis) in axes.enumerated().reversed() {
                from += rest % turned[position] * strides[axis]
                rest /= turned[position]
            }
            return values[from]
        }
    }

    /// Takes the rows of the last axis in another order.
    fileprivate mutating func reorderRows(_ name: String, _ order: [Int]) {
        let values = self[name]
        let width = shape(name).last!
        self[name] = order.flatMap { values[$0 * width..<($0 + 1) * width] }
    }

    /// Turns every row of some width round.
    fileprivate mutating func reverseRows(_ name: String, width: Int) {
        let values = self[name]
        self[name] = stride(from: 0, to: values.count, by: width).flatMap { values[$0..<$0 + width].reversed() }
    }
}

import AssayCheckpoints
import AssayTestSupport
import Testing

@testable import AssayModels

/// What a checkpoint of an encoder lacks or has too many of, and what the report says.
struct EncoderTable: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var golden: String
    var edit: @Sendable (inout MemoryCheckpoint) -> Void = { _ in }
    var configuration: @Sendable (inout JSONObject) -> Void = { _ in }
    var prefix = ""
    var missing: [String] = []
    var extra: [String] = []
    var misshapen: [String] = []
    var ignored: [String] = []
    var copies: [String] = []
    /// Whether a copy holds other values than what is used.
    var hasOtherCopy = false

    static let all: [EncoderTable] = [
        EncoderTable(
            testDescription: "RoBERTa as published", golden: "roberta-old-names", prefix: "roberta.",
            ignored: ["roberta.embeddings.position_ids"], copies: ["lm_head.decoder.weight"]),
        EncoderTable(
            testDescription: "RoBERTa's head differs from the embedding it is tied to", golden: "roberta-old-names",
            edit: { $0["lm_head.decoder.weight"][5] += 1 }, prefix: "roberta.",
            ignored: ["roberta.embeddings.position_ids"], copies: ["lm_head.decoder.weight"],
            hasOtherCopy: true),
        EncoderTable(
            testDescription: "RoBERTa's head untied, its bias twice", golden: "roberta-unmasked-padding",
            prefix: "roberta.", ignored: ["lm_head.bias"]),
        EncoderTable(
            testDescription: "a RoBERTa of other sizes", golden: "roberta-padded-right",
            edit: {
                $0.remove("lm_head.layer_norm.bias")
                $0.set("roberta.embeddings.position_embeddings.weight", [17, 18], .init(repeating: 0, count: 306))
                $0.set("classifier.weight", [2], [1, 2])
            }, prefix: "roberta.", missing: ["lm_head.layer_norm.bias"], extra: ["classifier.weight"],
            misshapen: ["roberta.embeddings.position_embeddings.weight"]),
        EncoderTable(
            testDescription: "an XLM-RoBERTa without a prefix", golden: "xlm-roberta-body",
            edit: { $0.remove("encoder.layer.1.output.LayerNorm.bias") },
            missing: ["encoder.layer.1.output.LayerNorm.bias"]),
        EncoderTable(
            testDescription: "DistilBERT with token types", golden: "distilbert-mlm",
            edit: {
                $0.set("distilbert.embeddings.token_type_embeddings.weight", [1, 1], [0])
                $0.set("distilbert.embeddings.position_ids", [1], [0])
                $0.remove("vocab_projector.bias")
                $0.set("distilbert.transformer.layer.1.ffn.lin1.bias", [21], .init(repeating: 0, count: 21))
            }, prefix: "distilbert.", missing: ["vocab_projector.bias"],
            extra: ["distilbert.embeddings.token_type_embeddings.weight"],
            misshapen: ["distilbert.transformer.layer.1.ffn.lin1.bias"], ignored: ["distilbert.embeddings.position_ids"]
        ),
        EncoderTable(
            testDescription: "ELECTRA's discriminator", golden: "electra-discriminator",
            edit: {
                $0.remove("discriminator_predictions.dense.weight")
                $0.remove("electra.embeddings_project.bias")
                $0.set("discriminator_predictions.dense_prediction.weight", [2, 12], .init(repeating: 0, count: 24))
            }, prefix: "electra.",
            missing: ["electra.embeddings_project.bias", "discriminator_predictions.dense.weight"],
            misshapen: ["discriminator_predictions.dense_prediction.weight"]),
        EncoderTable(
            testDescription: "ELECTRA's generator, its tied head stored", golden: "electra-generator",
            edit: {
                $0.set("generator_lm_head.weight", [41, 10], $0["electra.embeddings.word_embeddings.weight"])
                $0.remove("generator_predictions.LayerNorm.weight")
            }, prefix: "electra.", missing: ["generator_predictions.LayerNorm.weight"],
            copies: ["generator_lm_head.weight"]),
        EncoderTable(
            testDescription: "ELECTRA untied without its head", golden: "electra-untied",
            edit: { $0.remove("generator_lm_head.weight") }, prefix: "electra.", missing: ["generator_lm_head.weight"]),
        EncoderTable(
            testDescription: "ELECTRA with a projection that it has not", golden: "electra-unprojected",
            edit: { $0.set("embeddings_project.bias", [1], [0]) }, extra: ["embeddings_project.bias"]),
        EncoderTable(
            testDescription: "ALBERT with the head of its pretraining", golden: "albert-pretraining",
            prefix: "albert.",
            ignored: ["predictions.bias", "sop_classifier.classifier.weight", "sop_classifier.classifier.bias"]),
        EncoderTable(
            testDescription: "ALBERT's shared weights stand once", golden: "albert-groups",
            edit: {
                $0.remove("encoder.albert_layer_groups.1.albert_layers.1.ffn.bias")
                $0.set("encoder.albert_layer_groups.2.albert_layers.0.ffn.bias", [1], [0])
                $0.set("encoder.albert_layer_groups.0.albert_layers.0.ffn_output.bias", [1], [0])
            }, missing: ["encoder.albert_layer_groups.1.albert_layers.1.ffn.bias"],
            extra: ["encoder.albert_layer_groups.2.albert_layers.0.ffn.bias"],
            misshapen: ["encoder.albert_layer_groups.0.albert_layers.0.ffn_output.bias"]),
        EncoderTable(
            testDescription: "a group of ALBERT that no layer uses", golden: "albert-idle-group",
            edit: { $0.remove("encoder.albert_layer_groups.2.albert_layers.0.ffn.bias") },
            missing: ["encoder.albert_layer_groups.2.albert_layers.0.ffn.bias"]),
        EncoderTable(
            testDescription: "ModernBERT with a norm before the first attention", golden: "modernbert-windows",
            edit: {
                $0.set("model.layers.0.attn_norm.weight", [12], .init(repeating: 1, count: 12))
                $0.remove("model.layers.1.attn_norm.weight")
                $0.set("model.layers.2.mlp.Wi.weight", [22, 12], .init(repeating: 1, count: 264))
                $0.set("decoder.weight", [41, 12], $0["model.embeddings.tok_embeddings.weight"])
            }, prefix: "model.", missing: ["model.layers.1.attn_norm.weight"],
            extra: ["model.layers.0.attn_norm.weight"],
            misshapen: ["model.layers.2.mlp.Wi.weight"], copies: ["decoder.weight"]),
        EncoderTable(
            testDescription: "ModernBERT without a decoder's bias", golden: "modernbert-odd-window",
            edit: { $0.set("decoder.bias", [41], .init(repeating: 1, count: 41)) }, prefix: "model.",
            extra: ["decoder.bias"]),
        EncoderTable(
            testDescription: "DeBERTa-v3 with other heads of its pretraining", golden: "deberta-v3-later-head",
            prefix: "deberta.",
            ignored: [
                "deberta.embeddings.position_embeddings.weight", "mask_predictions.dense.weight",
                "mask_predictions.classifier.bias",
            ]),
        EncoderTable(
            testDescription: "DeBERTa-v2 lacks a projection of distances", golden: "deberta-v2-own-projections",
            edit: {
                $0.remove("encoder.layer.1.attention.self.pos_query_proj.bias")
                $0.set("encoder.rel_embeddings.weight", [12, 20], .init(repeating: 0, count: 240))
                $0.set("encoder.LayerNorm.weight", [20], .init(repeating: 1, count: 20))
            }, missing: ["encoder.layer.1.attention.self.pos_query_proj.bias"], extra: ["encoder.LayerNorm.weight"],
            misshapen: ["encoder.rel_embeddings.weight"]),
        EncoderTable(
            testDescription: "a ViT that was trained on masked patches", golden: "vit-classifier",
            edit: {
                $0.set("vit.embeddings.mask_token", [1, 1, 18], .init(repeating: 0, count: 18))
                $0.set("vit.embeddings.position_embeddings", [10, 18], .init(repeating: 0, count: 180))
                $0.set("vit.embeddings.cls_token", [18], .init(repeating: 0, count: 18))
                $0.set("vit.pooler.dense.bias", [18], .init(repeating: 0, count: 18))
            }, prefix: "vit.", extra: ["vit.pooler.dense.bias"],
            misshapen: ["vit.embeddings.cls_token", "vit.embeddings.position_embeddings"],
            ignored: ["vit.embeddings.mask_token"]),
        EncoderTable(
            testDescription: "a ViT of other patches and classes", golden: "vit-classifier",
            edit: {
                $0.set("classifier.weight", [4, 18], .init(repeating: 0, count: 72))
                $0.set(
                    "vit.embeddings.patch_embeddings.projection.weight", [18, 2, 3, 3], .init(repeating: 0, count: 324))
            }, prefix: "vit.",
            misshapen: ["vit.embeddings.patch_embeddings.projection.weight", "classifier.weight"]),
        EncoderTable(
            testDescription: "a ViT without biases of queries", golden: "vit-body-unbiased",
            edit: { $0.set("encoder.layer.0.attention.attention.query.bias", [18], .init(repeating: 0, count: 18)) },
            extra: ["encoder.layer.0.attention.attention.query.bias"]),
        EncoderTable(
            testDescription: "a Whisper with biases of keys", golden: "whisper-plain",
            edit: {
                $0.set("model.encoder.layers.0.self_attn.k_proj.bias", [24], .init(repeating: 0, count: 24))
                $0.set("model.decoder.layers.1.encoder_attn.k_proj.bias", [24], .init(repeating: 0, count: 24))
                $0.remove("model.encoder.layer_norm.weight")
                $0.set("model.encoder.conv2.weight", [24, 24, 1], .init(repeating: 0, count: 576))
            }, prefix: "model.", missing: ["model.encoder.layer_norm.weight"],
            extra: [
                "model.encoder.layers.0.self_attn.k_proj.bias", "model.decoder.layers.1.encoder_attn.k_proj.bias",
            ], misshapen: ["model.encoder.conv2.weight"]),
        EncoderTable(
            testDescription: "a Whisper whose tied head is stored and differs", golden: "whisper-plain",
            edit: {
                $0.set("proj_out.weight", [47, 24], $0["model.decoder.embed_tokens.weight"])
                $0["proj_out.weight"][7] += 1
            }, prefix: "model.", copies: ["proj_out.weight"], hasOtherCopy: true),
        EncoderTable(
            testDescription: "a CLIP as published", golden: "clip-both",
            edit: {
                $0.set("text_model.embeddings.position_ids", [1, 9], .init(repeating: 0, count: 9))
                $0.set("vision_model.embeddings.position_ids", [1, 10], .init(repeating: 0, count: 10))
            }, ignored: ["text_model.embeddings.position_ids", "vision_model.embeddings.position_ids"]),
        EncoderTable(
            testDescription: "a CLIP of other projections", golden: "clip-both",
            edit: {
                $0.remove("text_projection.weight")
                $0.set("visual_projection.weight", [13, 18], .init(repeating: 0, count: 234))
                $0.set("logit_scale", [1], [0])
                $0.set("vision_model.embeddings.patch_embedding.bias", [20], .init(repeating: 0, count: 20))
            }, missing: ["text_projection.weight"], extra: ["vision_model.embeddings.patch_embedding.bias"],
            misshapen: ["visual_projection.weight", "logit_scale"]),
        EncoderTable(
            testDescription: "a CLIP's texts as programs before 5 stored them", golden: "clip-text",
            edit: { checkpoint in
                var renamed = MemoryCheckpoint()
                for info in checkpoint.contents.tensors {
                    renamed.set("text_model." + info.name, info.shape.dimensions, checkpoint[info.name])
                }
                renamed.set("text_model.embeddings.position_ids", [1, 9], .init(repeating: 0, count: 9))
                checkpoint = renamed
            }, prefix: "text_model.", ignored: ["text_model.embeddings.position_ids"]),
        EncoderTable(
            testDescription: "DeBERTa-v2's positions are weights where they are added", golden: "deberta-v2-c2p",
            edit: { $0.remove("deberta.embeddings.position_embeddings.weight") }, prefix: "deberta.",
            missing: ["deberta.embeddings.position_embeddings.weight"], ignored: ["cls.predictions.bias"]),
    ]
}

@Suite struct EncoderTableTests {
    @Test(arguments: EncoderTable.all) func whatStandsIsHeldAgainstTheTable(_ table: EncoderTable) throws {
        let golden = Golden.named(table.golden)
        let model = try golden.model(editingConfiguration: table.configuration) { reader in
            var checkpoint = try MemoryCheckpoint(copying: reader)
            table.edit(&checkpoint)
            return checkpoint
        }
        let report = model.report
        #expect(report.prefix == table.prefix)
        #expect(report.missing == table.missing)
        #expect(report.extra == table.extra)
        #expect(report.misshapen.map(\.name) == table.misshapen)
        #expect(report.ignored.sorted() == table.ignored.sorted())
        #expect(report.copies.map(\.name).sorted() == table.copies.sorted())
        guard report.isSound else { return }
        if table.hasOtherCopy {
            #expect(throws: StructureError.self) { try BlockRunner(model, tokens: golden.tokens()) }
        } else {
            _ = try BlockRunner(model, tokens: golden.tokens())
        }
    }

    /// 41 tokens, 18 positions and 3 kinds of 10 features with a norm; the projection; 4 sets of weights of 9 features and
    /// 22 inner ones for 10 layers; the pooler.
    @Test func sharedWeightsAreCountedOnce() throws {
        let model = try Golden.named("albert-groups").model()
        let set = 4 * (9 * 9 + 9) + 2 * 22 * 9 + 22 + 9 + 2 * 2 * 9
        #expect(model.spec.layerCount == 10)
        #expect(model.table.parameterCount == (41 + 18 + 3 + 2) * 10 + 10 * 9 + 9 + 4 * set + 9 * 9 + 9)
    }

    @Test func positionsOfTokensOtherThanPaddingAreLimited() throws {
        let model = try Golden.named("roberta-padded-right").model()
        let padding = [Int](repeating: 3, count: 9)
        #expect(model.spec.contextLength == 14)
        // Padding takes no position.
        _ = try BlockRunner(model, tokens: TokenBatch(inputIDs: [.init(repeating: 5, count: 14) + padding]))
        let error = #expect(throws: CheckpointError.self) {
            try BlockRunner(model, tokens: TokenBatch(inputIDs: [.init(repeating: 5, count: 15) + padding]))
        }
        #expect(error?.description.contains("expected at most 14 tokens a sequence") == true)
        // Positions that are given are rows of the table.
        _ = try BlockRunner(model, tokens: TokenBatch(inputIDs: [[5]], positionIDs: [[17]]))
        #expect(throws: CheckpointError.self) {
            try BlockRunner(model, tokens: TokenBatch(inputIDs: [[5]], positionIDs: [[18]]))
        }
    }
}

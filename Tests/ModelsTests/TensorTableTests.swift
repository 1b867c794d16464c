import AssayCheckpoints
import AssayPackings
import AssayTensors
import AssayTestSupport
import Testing

@testable import AssayModels

@Suite struct TensorTableTests {
    private func report(
        _ golden: String, layers: JSONValue? = nil, _ edit: (inout MemoryCheckpoint) -> Void
    ) throws -> TableReport {
        try Golden.named(golden).model(
            editingConfiguration: { if let layers { $0["n_layer"] = layers } },
            editingWeights: { reader in
                var checkpoint = try MemoryCheckpoint(copying: reader)
                edit(&checkpoint)
                return checkpoint
            }
        ).report
    }

    @Test(arguments: Golden.all) func goldenModelsAreSound(_ golden: Golden) throws {
        let report = try golden.model().report
        #expect(report.sentences == [])
        #expect(report.isSound)
    }

    static let prefixes = [
        ("gpt2-odd-heads", "transformer."), ("gpt2-no-prefix", ""), ("gpt2-body-only", ""), ("bert-mlm", "bert."),
        ("bert-pooler", ""),
    ]

    @Test(arguments: prefixes) func prefixesAreFound(_ golden: String, _ prefix: String) throws {
        #expect(try Golden.named(golden).model().report.prefix == prefix)
    }

    @Test func oldBuffersAndUncomputedHeadsAreIgnored() throws {
        #expect(
            try Set(Golden.named("gpt2-old-buffers").model().report.ignored)
                == Set((0..<2).flatMap { ["transformer.h.\($0).attn.bias", "transformer.h.\($0).attn.masked_bias"] }))
        #expect(
            try Set(Golden.named("bert-old-names").model().report.ignored) == [
                "bert.embeddings.position_ids", "cls.seq_relationship.weight", "cls.seq_relationship.bias",
            ])
    }

    @Test func whatIsWrongIsListedBySentence() throws {
        let report = try report("gpt2-odd-heads") {
            $0.remove("transformer.h.1.ln_2.bias")
            $0.set("transformer.h.0.attn.rotary.inv_freq", [4], [1, 2, 3, 4])
            $0.set("transformer.h.0.mlp.c_fc.weight", [96, 24], $0["transformer.h.0.mlp.c_fc.weight"])
        }
        #expect(report.missing == ["transformer.h.1.ln_2.bias"])
        #expect(report.extra == ["transformer.h.0.attn.rotary.inv_freq"])
        #expect(
            report.sentences == [
                "tensor 'transformer.h.1.ln_2.bias' is missing",
                "tensor 'transformer.h.0.attn.rotary.inv_freq' is not part of this model",
                "tensor 'transformer.h.0.mlp.c_fc.weight': expected shape [24, 96], found [96, 24]",
            ])
        let error = #expect(throws: StructureError.self) { try report.requireSound("model.safetensors") }
        #expect(error?.description == "model.safetensors: " + report.sentences.joined(separator: "; "))
    }

    @Test func fewerLayersThanTensorsLeaveExtraOnes() throws {
        let report = try report("gpt2-odd-heads", layers: 1) { _ in }
        #expect(report.extra.count == 12)
        #expect(report.extra.allSatisfy { $0.hasPrefix("transformer.h.1.") })
    }

    @Test func moreLayersThanTensorsAreMissing() throws {
        let report = try report("gpt2-odd-heads", layers: 3) { _ in }
        #expect(report.missing.count == 12)
        #expect(report.missing.allSatisfy { $0.hasPrefix("transformer.h.2.") })
    }

    @Test func untiedHeadMustStand() throws {
        #expect(try report("gpt2-untied") { $0.remove("lm_head.weight") }.missing == ["lm_head.weight"])
        #expect(try report("gpt2-odd-heads") { _ in }.missing == [])
    }

    @Test func aTiedHeadThatHoldsOtherValuesIsRefused() throws {
        let golden = Golden.named("gpt2-tied-stored-head")
        #expect(try golden.model().report.copies.map(\.name) == ["lm_head.weight"])
        _ = try BlockRunner(golden.model(), tokens: golden.tokens())
        let model = try golden.model(editingWeights: { reader in
            var checkpoint = try MemoryCheckpoint(copying: reader)
            checkpoint["lm_head.weight"][900] += 1
            return checkpoint
        })
        let error = #expect(throws: StructureError.self) { try BlockRunner(model, tokens: golden.tokens()) }
        #expect(
            error?.description
                == "gpt2-tied-stored-head: tensor 'lm_head.weight': expected the values of 'transformer.wte.weight', "
                + "which the configuration uses in its place, found others")
    }

    @Test func onlyLinearWeightsMayBeQuantized() throws {
        let names = try Golden.named("bert-mlm").model().table.entries.filter(\.isQuantizable).map(\.name)
        #expect(
            names
                == (0..<2).flatMap { layer in
                    [
                        "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
                        "intermediate.dense", "output.dense",
                    ].map { "bert.encoder.layer.\(layer).\($0).weight" }
                })
        let gpt2 = try Golden.named("gpt2-odd-heads").model().table.entries.filter(\.isQuantizable)
        #expect(gpt2.map(\.orientation) == .init(repeating: .inputOutput, count: 8))
        #expect(gpt2.map(\.inputCount) == [24, 24, 24, 96, 24, 24, 24, 96])
        #expect(gpt2.map(\.outputCount) == [72, 24, 96, 24, 72, 24, 96, 24])
    }

    @Test func packedTensorsOfAnotherOrientationHaveTheTransposedShape() throws {
        let table = try Golden.named("gpt2-odd-heads").model().table
        let entry = try #require(table.entries.first { $0.slot == WeightSlot(.queryKeyValue, layer: 0) })
        #expect(entry.shape(orientation: nil).dimensions == [24, 72])
        #expect(entry.shape(orientation: .inputOutput).dimensions == [24, 72])
        #expect(entry.shape(orientation: .outputInput).dimensions == [72, 24])
    }

    @Test func summaryCountsATiedHeadOnce() throws {
        let summary = try ModelSummary(Golden.named("gpt2-tied-stored-head").model())
        // 53 tokens, 20 positions, 18 features; 2 blocks of 12 n² + 13 n; the final norm.
        #expect(summary.parameterCount == (53 + 20) * 18 + 2 * (12 * 18 * 18 + 13 * 18) + 2 * 18)
        #expect(summary.isHeadTied && summary.hasHead && !summary.hasPooler)
        #expect(
            try ModelSummary(Golden.named("gpt2-untied").model()).parameterCount == summary.parameterCount + 53 * 18)
        #expect(try ModelSummary(Golden.named("bert-pooler").model()).hasPooler)
    }
}

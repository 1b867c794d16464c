import AssayCheckpoints
import AssayTestSupport
import AssayTensors
import Testing

@testable import AssayModels

/// The choice among experts, where goldens cannot tell: torch leaves the order of equal scores open.
@Suite struct RouterTests {
    private func router(_ edit: (inout ExpertsSpec) -> Void = { _ in }) -> Router {
        var spec = ExpertsSpec(count: 6, chosenCount: 2)
        edit(&spec)
        return Router(spec: spec, correction: nil, isRounded: false)
    }

    @Test func ofEqualScoresTheFirstIsChosen() {
        #expect(router().choose([1, 3, 3, 2, 3, 1]) == [1, 2])
        #expect(router().choose([0, 0, 0, 0, 0, 0]) == [0, 1])
        #expect(router().choose([0, 0, 5, 0, 0, 0]) == [0, 2])
        #expect(router().choose([-0.0, 0, -1, -1, -1, -1]) == [0, 1])
    }

    @Test func whatIsNotANumberIsChosenAsInTorch() {
        #expect(router().choose([1, 2, 3, .nan, 4, 5]) == [3, 5])
    }

    @Test func groupsAreChosenBeforeTheirExperts() {
        // The best expert stands in the last group, whose other is the worst.
        let scores = [0.5, 0.4, 0.1, 0.2, 0.8, 0]
        func groups(best: Int) -> Router {
            router { $0.groups = ExpertsSpec.Groups(count: 3, chosenCount: 1, bestCount: best) }
        }
        #expect(groups(best: 1).choose(scores) == [4, 5])
        #expect(groups(best: 2).choose(scores) == [0, 1])
    }

    @Test func aCorrectionChoosesAndDoesNotWeigh() {
        var router = router { $0.isNormalized = true }
        router.correction = [0, 0, 0, 0, 1, 1]
        #expect(router.choose([0.9, 0.8, 0.1, 0.1, 0.3, 0.1]) == [4, 5])
        #expect(router.weights([0.3, 0.1]) == [0.3 / 0.4, 0.1 / 0.4])
    }

    /// Tokens on which no expert is chosen twice alike: the two with equal routers share every token.
    @Test(arguments: Profile.allCases) func expertsThatNobodyChoseAreNotRead(_ profile: Profile) throws {
        let golden = Golden.named("mixtral-grouped")
        let name = "model.layers.0.block_sparse_moe.gate.weight"
        func trace(_ edit: (inout MemoryCheckpoint) -> Void) throws -> Trace {
            let model = try golden.model(editingWeights: { reader in
                var checkpoint = try MemoryCheckpoint(copying: reader)
                // All logits are equal: experts 0 and 1 are chosen, half and half.
                checkpoint[name] = .init(repeating: 0, count: checkpoint[name].count)
                edit(&checkpoint)
                return checkpoint
            })
            return try Trace(model, golden.tokens(), RunSettings(profile: profile, threads: 2))
        }
        let plain = try trace { _ in }
        func broken(_ expert: Int) throws -> Trace {
            try trace {
                let name = "model.layers.0.block_sparse_moe.experts.\(expert).w2.weight"
                $0[name] = .init(repeating: .nan, count: $0[name].count)
            }
        }
        for expert in 2..<5 { #expect(try broken(expert) == plain, "\(expert)") }
        for expert in 0..<2 { #expect(try broken(expert) != plain, "\(expert)") }
    }

    @Test func expertsCountAsParameters() throws {
        // 61 tokens of 30 features twice, 2 layers of attention with 6 heads of 8 and 2 of keys, 5 experts of 22, 5 norms.
        let attention = 2 * 30 * 48 + 2 * 30 * 16
        let experts = 5 * 30 + 5 * 3 * 30 * 22
        #expect(
            try ModelSummary(Golden.named("mixtral-grouped").model()).parameterCount
                == 2 * 61 * 30 + 2 * (attention + experts) + 5 * 30)
    }

    @Test func onlyExpertsMatricesMayBeQuantizedNotRouters() throws {
        let table = try Golden.named("deepseek-v3-groups").model().table
        let names = table.entries.filter { $0.slot.layer == 1 && $0.isQuantizable }.map(\.name)
        #expect(names.filter { $0.contains(".experts.") }.count == 8 * 3)
        #expect(names.filter { $0.contains("shared_experts") }.count == 3)
        #expect(names.filter { $0.contains("mlp.gate.") } == [])
        let stacked = try Golden.named("gpt-oss-windows").model().table
        let entry = try #require(stacked[WeightSlot(.expertGateInput, layer: 0)])
        #expect(entry.shape.dimensions == [5, 30, 36] && entry.inputCount == 30 && entry.outputCount == 36)
    }

    @Test func layersAheadAreIgnored() throws {
        let golden = Golden.named("deepseek-v3-groups")
        #expect(try golden.model().report.ignored == ["model.layers.3.eh_proj.weight"])
        let none = try golden.model(editingConfiguration: { $0["num_nextn_predict_layers"] = 0 })
        #expect(none.report.extra == ["model.layers.3.eh_proj.weight"])
    }
}

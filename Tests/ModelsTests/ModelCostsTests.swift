import AssayModels
import Testing

/// Against the formulas that papers give for such models.
@Suite struct ModelCostsTests {
    /// 12 h² a layer and V h for the head, a multiplication and an addition each; 4 h of attention a layer and token seen;
    /// 2 h numbers a layer.
    @Test func ofGPT2() throws {
        let costs = try #require(Golden.named("gpt2-odd-heads").model().costs.first)
        #expect(costs.weightOperations == 2 * (2 * 12 * 24 * 24 + 53 * 24))
        #expect(costs.attentionOperations(length: 10) == 2 * 4 * 24 * 10)
        #expect(costs.cachedNumbers == 2 * 2 * 24)
        #expect(costs.cachedNumbers(length: 10) == 10 * costs.cachedNumbers)
    }

    @Test func aWindowBoundsWhatATokenSees() throws {
        let costs = try #require(Golden.named("mistral-window").model().costs.first)
        #expect(costs.attentionOperations(length: 40) == costs.attentionOperations(length: 5))
        #expect(costs.cachedNumbers(length: 40) == 5 * costs.cachedNumbers)
    }

    /// Stored in one matrix each or in a stack, a token passes the chosen experts only.
    @Test func ofExperts() throws {
        for golden in Golden.all where golden.name.hasPrefix("mixtral") || golden.name.hasPrefix("gpt-oss") {
            let model = try golden.model()
            let experts = try #require(model.spec.blocks[0].experts)
            let all = 2 * Double(model.table.parameterCount)
            let costs = Double(try #require(model.costs.first).weightOperations)
            #expect(costs < all, "\(golden.name)")
            let expert = 2.0 * 3 * Double(model.spec.hiddenSize * model.spec.blocks[0].feedForward.innerSize)
            let chosen = Double(model.spec.layerCount * experts.chosenCount) * expert
            #expect(costs > chosen && costs < chosen * 3, "\(golden.name)")
        }
    }

    @Test func anEncoderKeepsNothing() throws {
        let costs = try Golden.named("t5-plain").model().costs
        #expect(costs.map(\.role) == [.encoder, .decoder])
        #expect(costs[0].cachedNumbers == 0 && costs[1].cachedNumbers == 3 * 2 * 18)
    }
}

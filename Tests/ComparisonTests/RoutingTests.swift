import AssayCheckpoints
import AssayModels
import AssayTestSupport
import Testing

@testable import AssayComparison

/// Which experts the two sides choose, and what a choice on the edge may not pass for.
@Suite struct RoutingTests {
    private let golden = Models.Golden(name: "mixtral-grouped")
    private static let router = "model.layers.0.block_sparse_moe.gate.weight"

    @Test func equalModelsChooseTheSameExperts() throws {
        let result = try Comparison.result(golden.side(), golden.side(), golden.tokens())
        #expect(result.routing.map(\.tap) == ["layers.0.router", "layers.1.router"])
        #expect(result.routing.allSatisfy { $0.tokenCount == 18 && $0.isolated.count + $0.accumulated.count == 0 })
        #expect(result.exitStatus == .done)
        let dense = Models.Golden(name: "gpt2-untied")
        #expect(try Comparison.result(dense.side(), dense.side(), dense.tokens()).routing == [])
    }

    @Test func aRouterInAnotherOrderIsNamedWithItsMargin() throws {
        let test = try golden.side { weights in
            let width = weights.shape(Self.router)[1]
            let values = weights[Self.router]
            weights[Self.router] = Array(values.dropFirst(width) + values.prefix(width))
        }
        let result = try Comparison.result(golden.side(), test, golden.tokens())
        #expect(result.routing[0].isolated == result.routing[0].accumulated)
        #expect(result.routing[0].isolated.count > 0 && result.routing[0].isolated.widestMargin > 0.01)
        // The second layer's router is the same: on the same states it chooses the same.
        #expect(result.routing[1].isolated.count == 0 && result.routing[1].accumulated.count > 0)
        #expect(result.firstOutside?.name == "layers.0.router")
    }

    /// Two experts whose routers differ in the last places of float32: which is chosen is a matter of rounding. What that
    /// does to a token is no noise floor: damage to another expert must be seen.
    @Test(arguments: [Profile.fast32, .ref32]) func choicesOnTheEdgeAreNoNoiseFloor(_ profile: Profile) throws {
        func side(_ edit: (inout MemoryCheckpoint) -> Void = { _ in }) throws -> ComparisonSide {
            try golden.side(
                { weights in
                    let width = weights.shape(Self.router)[1]
                    var values = weights[Self.router]
                    for place in 0..<width { values[width + place] = values[place].nextUp }
                    for place in 2 * width..<values.count { values[place] *= 0.01 }
                    weights[Self.router] = values
                    edit(&weights)
                }, configuration: { $0["num_experts_per_tok"] = 1 })
        }
        func compare(_ test: ComparisonSide) throws -> ComparisonResult {
            try Comparison.result(side(), test, golden.tokens()) { $0.profile = profile }
        }
        let output = try #require(compare(side()).taps?.first { $0.name == "layers.0.mlp_out" })
        #expect(try #require(output.noiseFloor) < 1e-5)
        let damaged = try side {
            $0.scale("model.layers.0.block_sparse_moe.experts.0.w2.weight", by: 1.001)
        }
        let result = try compare(damaged)
        #expect(result.firstOutside?.name == "layers.0.mlp_out")
        #expect(result.routing[0].isolated.count == 0)
    }
}

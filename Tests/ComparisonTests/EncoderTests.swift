import AssayComparison
import AssayModels
import Testing

/// What encoders have that others have not.
@Suite struct EncoderComparisonTests {
    /// A discriminator has one logit a position, of which there is no distribution.
    @Test func aLoneLogitIsATapAndNothingElse() throws {
        let golden = Models.Golden(name: "electra-discriminator")
        let result = try Comparison.result(
            golden.side(), golden.side { $0.scale("discriminator_predictions.dense.weight", by: 1.01) },
            golden.tokens())
        #expect(result.firstOutside?.name == "logits")
        #expect(result.logits == nil)
        let tap = try #require(result.taps?.last)
        #expect(tap.name == "logits" && tap.accumulated.relativeL2 < 0.1)
    }

    /// Weights that layers share are suspected wherever a layer uses them: the second use of the second group, whose set
    /// is not the layer's number.
    @Test func sharedWeightsAreSuspectsOfTheLayersThatUseThem() throws {
        let golden = Models.Golden(name: "albert-groups")
        let name = "encoder.albert_layer_groups.1.albert_layers.0.attention.query.weight"
        let result = try Comparison.result(golden.side(), golden.side { $0.scale(name, by: 1.01) }, golden.tokens())
        #expect(result.firstOutside?.name == "layers.6.q")
        #expect(result.suspects.map(\.name) == [name])
    }
}

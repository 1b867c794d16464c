import AssayModels
import Testing

@Test(arguments: ["embed", "layers.0.q", "layers.17.attn_post_norm", "layers.3.out", "final_norm", "pooler", "logits"])
func isTheNameOfATap(_ name: String) { #expect(TapName(name) != nil) }

@Test(arguments: [
    "", ".", "q", "layers.0.embed", "layers..q", "layers.01.q", "layers.-1.q", "layers.+1.q", "layers.0.q.bias",
    "layer.0.q", "layers.0.Q", "blocks.0.q", "model.embed", "layers.99999999999999999999.q", "logits.0",
])
func isNoNameOfATap(_ name: String) { #expect(TapName(name) == nil) }

/// Whatever an architecture has for taps is found in a capture again.
@Test(arguments: Golden.all) func everyTapHasItsName(_ golden: Golden) throws {
    let model = try golden.model()
    let layers = try model.tapNames.map { try #require(TapName($0), "\($0)").layer }
    #expect(layers.compactMap { $0 }.max().map { $0 + 1 } == model.spec.layerCount)
}

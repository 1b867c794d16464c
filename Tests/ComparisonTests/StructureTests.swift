import AssayCheckpoints
import AssayModels
import AssayTensors
import AssayTestSupport
import Testing

@testable import AssayComparison

private let golden = Models.Golden(name: "gpt2-untied")

@Test func anElementTypeIsNoStructure() throws {
    let result = try Comparison.result(
        golden.side(),
        ComparisonSide(golden.weights().cast(to: .bf16), configuration: golden.configuration(), name: "b"), nil)
    #expect(!result.structure.differs)
    #expect(result.exitStatus == .done)
    #expect(result.weights?.count == 29)
}

@Test func aMissingTensorIsNamedAndOutranksNumbers() throws {
    let result = try Comparison.result(
        golden.side(),
        golden.side {
            $0.remove("transformer.h.0.ln_1.bias")
            $0.scale("transformer.ln_f.weight", by: 2)
        }, golden.tokens())
    #expect(result.exitStatus == .structureDiffers)
    #expect(result.structure.sentences.contains { $0.contains("'transformer.h.0.ln_1.bias' is missing") })
    #expect(result.taps == nil)
}

@Test func namesWithAndWithoutPrefixAreTheSameModel() throws {
    let weights = try golden.weights()
    var bare = MemoryCheckpoint()
    for info in weights.contents.tensors {
        let name = info.name.hasPrefix("transformer.") ? String(info.name.dropFirst("transformer.".count)) : info.name
        bare.set(name, .f32, info.shape.dimensions, weights[info.name].withUnsafeBytes { Array($0) })
    }
    let other = try ComparisonSide(bare, configuration: golden.configuration(), name: "bare")
    let result = try Comparison.result(golden.side(), other, golden.tokens()) { $0.showsWeights = true }
    #expect(result.differenceClass == .identical)
    #expect(result.exitStatus == .done)
    #expect(result.weights?.count == 29)
}

@Test func anotherArchitectureHasFactsAndNoActivations() throws {
    let result = try Comparison.result(
        Models.Golden(name: "bert-pooler").side(), golden.side(), try TokenBatch(inputIDs: [[1, 2]]))
    #expect(result.exitStatus == .structureDiffers)
    #expect(result.structure.facts.first == .init(name: "architecture", reference: "bert", test: "gpt2"))
    #expect(result.taps == nil)
    #expect(result.notes.count == 1)
}

@Test func bareFilesAreComparedByWeights() throws {
    let weights = Models.madeUp()
    func side(_ reader: MemoryCheckpoint) throws -> ComparisonSide {
        try ComparisonSide(reader, configuration: nil, name: "bare")
    }
    var changed = weights
    changed["h.1.mlp.c_fc.bias"][3] += 0.5
    let different = try Comparison.result(side(weights), side(changed), nil)
    #expect(different.exitStatus == .numbersDiffer)
    #expect(different.unexplainedWeights.map(\.name) == ["h.1.mlp.c_fc.bias"])
    #expect(different.unexplainedWeights[0].figures?.indexOfMaximum == 3)
    #expect(try Comparison.result(side(weights), side(weights), nil).exitStatus == .done)

    // Packed matrices are [out, in]; square ones too, which no shape tells.
    let quantized = try Comparison.result(side(weights), side(weights.quantized(bits: 4, groupSize: 32)), nil)
    #expect(quantized.exitStatus == .done)
    #expect(quantized.weights?.filter(\.isTransposed).count == 12)
    let cast = try Comparison.result(side(weights.cast(to: .f16)), side(weights), nil)
    #expect(cast.differenceClass == .storage)

    var renamed = weights
    renamed.remove("ln_f.bias")
    renamed.set("ln_f.beta", .f32, [64], [UInt8](repeating: 0, count: 256))
    let structure = try Comparison.result(side(weights), side(renamed), nil).structure
    #expect(structure.missing == ["ln_f.bias"])
    #expect(structure.extra == ["ln_f.beta"])
    #expect(throws: UsageError.self) { try Comparison.result(side(weights), side(weights), Models.madeUpTokens()) }
}

@Test func tensorsOfIntegersAreEqualOrNot() throws {
    func side(_ last: UInt8) throws -> ComparisonSide {
        var reader = MemoryCheckpoint()
        reader.set("ids", .i64, [2], [1, 0, 0, 0, 0, 0, 0, 0, last, 0, 0, 0, 0, 0, 0, 0])
        return try ComparisonSide(reader, configuration: nil, name: "ids")
    }
    #expect(try Comparison.result(side(1), side(1), nil).exitStatus == .done)
    #expect(try Comparison.result(side(1), side(2), nil).exitStatus == .numbersDiffer)
}

// MARK: Captures

@Test(arguments: ["gpt2-untied", "gpt2-left-padding", "bert-pooler", "bert-mlm"])
func activationsOfAnotherFrameworkDifferByArithmetic(_ name: String) throws {
    let golden = Models.Golden(name: name)
    let capture = try ComparisonSide(golden.taps(), configuration: nil, name: "taps")
    for (a, b) in [(try golden.side(), capture), (capture, try golden.side())] {
        let result = try Comparison.result(a, b, golden.tokens()) { $0.profile = .ref32 }
        #expect(result.isAccumulatedOnly)
        #expect(
            result.exitStatus == .done, "\(result.firstOutside.map { "\($0.name) \($0.accumulated.relativeL2)" } ?? "")"
        )
        #expect(result.taps?.allSatisfy { $0.isolated == nil } == true)
    }
}

@Test func aChangedCaptureIsFoundAtItsTap() throws {
    var taps = try golden.taps()
    taps.scale("layers.1.q", by: 1.0001)
    let result = try Comparison.result(
        golden.side(), ComparisonSide(taps, configuration: nil, name: "taps"), golden.tokens())
    #expect(result.firstOutside?.name == "layers.1.q")
    #expect(result.exitStatus == .numbersDiffer)
    #expect(result.largestContribution == nil)
}

@Test(arguments: ["assay.arithmeticVersion", "assay.arithmetic"])
func aCaptureOfThisProgramIsHeldToTheFloor(_ versionKey: String) throws {
    let weights = try golden.taps()
    var own = MemoryCheckpoint(metadata: [("assay.capture", "1"), (versionKey, "0")])
    for info in weights.contents.tensors {
        own.set(info.name, .f32, info.shape.dimensions, weights[info.name].withUnsafeBytes { Array($0) })
    }
    own.scale("layers.1.q", by: 1 + 5e-6)
    let foreign = try MemoryCheckpoint(copying: own, metadata: [])
    let tokens = try golden.tokens()
    let held = try Comparison.result(golden.side(), ComparisonSide(own, configuration: nil, name: "own"), tokens)
    #expect(held.firstOutside?.name == "layers.1.q")
    #expect(held.notes.contains { $0.contains("arithmetic version 0") })
    let other = try Comparison.result(golden.side(), ComparisonSide(foreign, configuration: nil, name: "other"), tokens)
    #expect(other.exitStatus == .done)
}

@Test func aCaptureBringsItsOwnTokens() throws {
    var taps = try golden.taps()
    let tokens = try golden.tokens()
    let ids = tokens.inputIDs.flatMap { $0 }.map(Int64.init)
    taps.set("input_ids", .i64, [tokens.batchCount, tokens.length], ids.withUnsafeBytes { Array($0) })
    let capture = try ComparisonSide(taps, configuration: nil, name: "taps")
    let result = try Comparison.result(golden.side(), capture, nil)
    #expect(result.exitStatus == .done)
    #expect(result.tokens?.digest == tokens.digest)
    #expect(throws: UsageError.self) {
        try Comparison.result(golden.side(), capture, TokenBatch(inputIDs: [[1, 2, 3]]))
    }
    let without = try ComparisonSide(golden.taps(), configuration: nil, name: "taps")
    #expect(throws: UsageError.self) { try Comparison.result(golden.side(), without, nil) }
}

@Test func twoCapturesAreComparedWithoutAModel() throws {
    let taps = try golden.taps()
    func side(_ reader: MemoryCheckpoint) throws -> ComparisonSide {
        try ComparisonSide(reader, configuration: nil, name: "taps")
    }
    #expect(try Comparison.result(side(taps), side(taps), nil).differenceClass == .identical)
    var changed = taps
    changed.scale("layers.0.mlp_act", by: 1.001)
    let result = try Comparison.result(side(taps), side(changed), nil)
    #expect(result.firstOutside?.name == "layers.0.mlp_act")
    changed.remove("embed")
    #expect(try Comparison.result(side(taps), side(changed), nil).exitStatus == .structureDiffers)
}

import AssayCheckpoints
import AssayFormats
import AssayModels
import AssayQuantization
import AssayTensors
import AssayTestSupport
import Testing

@testable import AssayComparison

/// A change to a model, and where a comparison must find it.
struct Change: Sendable, CustomTestStringConvertible {
    let model: String
    let testDescription: String
    /// The first tap that leaves its tolerance; nil where nothing does.
    let first: String?
    let differenceClass: DifferenceClass
    var status = ExitStatus.numbersDiffer
    var weights: @Sendable (inout MemoryCheckpoint) -> Void = { _ in }
    var configuration: @Sendable (inout JSONObject) -> Void = { _ in }
}

extension MemoryCheckpoint {
    mutating func scale(_ name: String, by factor: Float) { self[name] = self[name].map { $0 * factor } }
}

private let changes: [Change] = [
    Change(model: "gpt2-untied", testDescription: "nothing", first: nil, differenceClass: .identical, status: .done),
    Change(model: "bert-pooler", testDescription: "nothing", first: nil, differenceClass: .identical, status: .done),
    Change(
        model: "gpt2-untied", testDescription: "a gain before attention", first: "layers.1.attn_norm",
        differenceClass: .unexplained, weights: { $0.scale("transformer.h.1.ln_1.weight", by: 1.01) }),
    Change(
        model: "gpt2-untied", testDescription: "a gain before the feed-forward", first: "layers.0.mlp_norm",
        differenceClass: .unexplained, weights: { $0.scale("transformer.h.0.ln_2.weight", by: 1.01) }),
    Change(
        model: "bert-pooler", testDescription: "a gain after attention", first: "layers.1.attn_norm",
        differenceClass: .unexplained,
        weights: { $0.scale("encoder.layer.1.attention.output.LayerNorm.weight", by: 1.01) }),
    Change(
        model: "bert-pooler", testDescription: "a gain after the feed-forward", first: "layers.0.mlp_norm",
        differenceClass: .unexplained, weights: { $0.scale("encoder.layer.0.output.LayerNorm.weight", by: 1.01) }),
    Change(
        model: "bert-pooler", testDescription: "the pooler's bias", first: "pooler", differenceClass: .unexplained,
        weights: { $0.scale("pooler.dense.weight", by: 1.001) }),
    Change(
        model: "gpt2-untied", testDescription: "one weight", first: "layers.1.mlp_act", differenceClass: .unexplained,
        weights: { $0["transformer.h.1.mlp.c_fc.weight"][5] += 0.002 }),
    Change(
        model: "gpt2-untied", testDescription: "one weight of the values alone", first: "layers.0.v",
        differenceClass: .unexplained, weights: { $0["transformer.h.0.attn.c_attn.weight"][50] += 0.002 }),
    Change(
        model: "gpt2-untied", testDescription: "the final gain", first: "final_norm", differenceClass: .unexplained,
        weights: { $0.scale("transformer.ln_f.weight", by: 1.01) }),
    Change(
        model: "gpt2-untied", testDescription: "the head", first: "logits", differenceClass: .unexplained,
        weights: { $0["lm_head.weight"][3] += 0.01 }),
    Change(
        model: "gpt2-untied", testDescription: "not a number", first: "layers.0.attn_out",
        differenceClass: .unexplained,
        weights: { $0["transformer.h.0.attn.c_proj.bias"][0] = .nan }),
    Change(
        model: "gpt2-untied", testDescription: "the other GELU", first: "layers.0.mlp_act",
        differenceClass: .unexplained,
        status: .structureDiffers, configuration: { $0["activation_function"] = "gelu" }),
    Change(
        model: "gpt2-untied", testDescription: "another epsilon", first: "layers.0.attn_norm",
        differenceClass: .unexplained, status: .structureDiffers,
        configuration: { $0["layer_norm_epsilon"] = JSONValue(0.001) }),
]

@Test(arguments: changes) func aChangeIsFoundWhereItIs(_ change: Change) throws {
    let golden = Models.Golden(name: change.model)
    let result = try Comparison.result(
        golden.side(), golden.side(change.weights, configuration: change.configuration), golden.tokens())
    #expect(result.firstOutside?.name == change.first)
    #expect(result.differenceClass == change.differenceClass)
    #expect(result.exitStatus == change.status)
    // Whatever comes before the place is equal to the bit.
    if let first = change.first, let taps = result.taps {
        for tap in taps.prefix(while: { $0.name != first }) {
            #expect(tap.differenceClass == .identical, "\(tap.name)")
            #expect(tap.accumulated.isIdentical)
        }
    }
}

@Test func theTensorBehindTheTapIsNamed() throws {
    let golden = Models.Golden(name: "gpt2-untied")
    let result = try Comparison.result(
        golden.side(), golden.side { $0.scale("transformer.h.1.ln_1.weight", by: 1.01) }, golden.tokens())
    #expect(result.suspects.map(\.name) == ["transformer.h.1.ln_1.weight"])
    #expect(result.largestContribution?.layer == 1)
    let tap = try #require(result.firstOutside)
    #expect(abs(tap.judged.relativeL2 - 0.01) < 0.002)
    #expect(tap.allowed < 1e-5)
}

@Test func aTurnedSquareMatrixIsCalledSo() throws {
    let golden = Models.Golden(name: "gpt2-untied")
    let name = "transformer.h.0.attn.c_proj.weight"
    let result = try Comparison.result(
        golden.side(),
        golden.side { weights in
            let size = weights.shape(name)[0]
            let values = weights[name]
            weights[name] = (0..<size * size).map { values[$0 % size * size + $0 / size] }
        }, golden.tokens())
    #expect(result.firstOutside?.name == "layers.0.attn_out")
    #expect(result.suspects.map(\.name) == [name])
    #expect(result.suspects[0].isEqualWhenTurned)
}

/// Of layers, too, where no step shows both.
@Test func weightsInOneAnothersPlaceAreNamed() throws {
    let golden = Models.Golden(name: "gpt2-untied")
    let names = (0..<2).map { "transformer.h.\($0).ln_1.weight" }
    let result = try Comparison.result(
        golden.side(),
        golden.side { weights in
            (weights[names[0]], weights[names[1]]) = (weights[names[1]], weights[names[0]])
            weights.scale("transformer.h.0.ln_2.weight", by: 1.1)
        }, golden.tokens())
    let weights = result.unexplainedWeights
    #expect(weights.map(\.name) == [names[0], "transformer.h.0.ln_2.weight", names[1]])
    #expect(weights.map(\.twin) == [names[1], nil, names[0]])
}

/// What rounds to the same number of float32 is not the same, and no weight stands in its own place.
@Test func weightsOfFloat64AreComparedAsSuch() throws {
    func side(_ weights: [(String, [Double])]) throws -> ComparisonSide {
        var file = MemoryCheckpoint()
        for (name, values) in weights {
            file.set(name, .f64, [values.count], values.withUnsafeBytes { Array($0) })
        }
        return try ComparisonSide(file, configuration: nil, name: "memory")
    }
    let (one, near, two) = ([1.0, 3], [1.0 + 0x1p-40, 3], [2.0, 5])
    let coinciding = try Comparison.result(side([("v", one), ("w", two)]), side([("v", near), ("w", one)]), nil)
    #expect(coinciding.unexplainedWeights.map(\.name) == ["v", "w"])
    #expect(coinciding.unexplainedWeights.map(\.twin) == [nil, "v"])
}

/// A tensor that is neither a tap nor an input keeps a file from being a capture: it is named.
@Test func whatKeepsAFileFromBeingACaptureIsNamed() throws {
    let golden = Models.Golden(name: "gpt2-untied")
    var capture = try golden.taps()
    capture.set("foo", [2], [1, 2])
    let side = try ComparisonSide(capture, configuration: nil, name: "taps.safetensors")
    let error = #expect(throws: UsageError.self) {
        try Comparison.result(golden.side(), side, golden.tokens())
    }
    #expect(
        error?.description
            == "taps.safetensors: holds captured activations, and beside them foo, which is no tap, no module's value and no"
            + " input; leave it out, or say with --map-b which taps there are")
}

@Test func anErrorIsIsolatedInItsBlock() throws {
    let weights = Models.madeUp()
    var changed = weights
    changed.scale("h.0.mlp.c_proj.weight", by: 1.1)
    let result = try Comparison.result(
        Models.madeUpSide(weights), Models.madeUpSide(changed), Models.madeUpTokens())
    let taps = try #require(result.taps)
    for tap in taps where tap.layer == 2 {
        #expect(tap.differenceClass == .identical)
        #expect(tap.isolated?.isIdentical == true)
        #expect(tap.accumulated.relativeL2 > 1e-3)
    }
    #expect(result.largestContribution?.layer == 0)
}

// MARK: Storage

@Test(arguments: [ElementType.bf16, .f16, .f64]) func aCastIsExplainedByItsType(_ type: ElementType) throws {
    let weights = Models.madeUp()
    for (a, b) in [(weights, weights.cast(to: type)), (weights.cast(to: type), weights)] {
        let result = try Comparison.result(
            Models.madeUpSide(a), Models.madeUpSide(b), Models.madeUpTokens(padded: true)
        ) { $0.showsWeights = true }
        #expect(result.exitStatus == .done)
        #expect(result.differenceClass == (type == .f64 ? .identical : .storage))
        #expect(!result.structure.differs)
        #expect(result.unexplainedWeights.isEmpty)
    }
}

@Test func anArithmeticDifferenceIsCalledSo() throws {
    // One weight one unit in the last place away: far below what the products' own rounding makes.
    let weights = Models.madeUp()
    var changed = weights
    changed["h.1.attn.c_proj.weight"][7] = changed["h.1.attn.c_proj.weight"][7].nextUp
    let result = try Comparison.result(Models.madeUpSide(weights), Models.madeUpSide(changed), Models.madeUpTokens())
    #expect(result.differenceClass == .arithmetic)
    #expect(result.exitStatus == .done)
    #expect(result.weights?.filter { $0.differenceClass == .arithmetic }.map(\.name) == ["h.1.attn.c_proj.weight"])
}

@Test func aWeightThatNoTokenReachesIsJudged() throws {
    let weights = Models.madeUp()
    let tokens = try Models.madeUpTokens()
    let used = Set((0..<tokens.batchCount).flatMap { tokens.inputIDs[$0] })
    let row = try #require((0..<97).first { !used.contains($0) })
    var changed = weights
    let width = weights.shape("wte.weight")[1]
    changed["wte.weight"][row * width + 3] *= 1.01
    // The head is tied: its logits would show it.
    let result = try Comparison.result(Models.madeUpSide(weights), Models.madeUpSide(changed), tokens) {
        $0.taps = try! TapPattern("layers.*")
    }
    #expect(result.taps?.allSatisfy { $0.differenceClass == .identical } == true)
    #expect(result.unexplainedWeights.map(\.name) == ["wte.weight"])
    #expect(result.suspects.map(\.name) == ["wte.weight"])
    #expect(result.exitStatus == .numbersDiffer)
}

@Test func aTiedHeadIsNamedBehindTheLogits() throws {
    let weights = Models.madeUp()
    let tokens = try Models.madeUpTokens()
    let used = Set((0..<tokens.batchCount).flatMap { tokens.inputIDs[$0] })
    let row = try #require((0..<97).first { !used.contains($0) })
    var changed = weights
    changed["wte.weight"][row * 64 + 3] += 0.5
    changed["wpe.weight"][31 * 64] += 0.5
    let result = try Comparison.result(Models.madeUpSide(weights), Models.madeUpSide(changed), tokens)
    #expect(result.firstOutside?.name == "logits")
    #expect(result.suspects.map(\.name) == ["wte.weight"])
    #expect(result.unexplainedWeights.map(\.name).sorted() == ["wpe.weight", "wte.weight"])
}

@Test func whatIsNotQuantizedIsHeldToTheLastPlaces() throws {
    let weights = Models.madeUp()
    var changed = weights.quantized(bits: 4, groupSize: 32)
    // Far below what the integers beside it do to the tap.
    changed["h.1.mlp.c_proj.bias"][4] += 1e-4
    let result = try Comparison.result(Models.madeUpSide(weights), Models.madeUpSide(changed), Models.madeUpTokens())
    #expect(result.firstOutside?.name == "layers.1.mlp_out")
    #expect(result.suspects.map(\.name) == ["h.1.mlp.c_proj.bias"])
    #expect(result.exitStatus == .numbersDiffer)
}

@Test func aLimitOfTheUserHoldsForWhatAccumulates() throws {
    let weights = Models.madeUp()
    let quantized = weights.quantized(bits: 8, groupSize: nil)
    func result(_ limit: Double?) throws -> ComparisonResult {
        try Comparison.result(Models.madeUpSide(weights), Models.madeUpSide(quantized), Models.madeUpTokens()) {
            $0.limit = limit
        }
    }
    let taps = try #require(result(nil).taps)
    let isolated = try #require(taps.map { $0.judged.relativeL2 }.max())
    let accumulated = try #require(taps.map { $0.accumulated.relativeL2 }.max())
    #expect(accumulated > isolated)
    #expect(try result(accumulated).exitStatus == .done)
    #expect(try result((accumulated + isolated) / 2).exitStatus == .numbersDiffer)
}

@Test(arguments: [(1e-1, true), (1e-4, false)])
func withoutTokensALimitIsAboutWeights(_ limit: Double, _ isWithin: Bool) throws {
    let weights = Models.madeUp()
    let result = try Comparison.result(
        Models.madeUpSide(weights), Models.madeUpSide(weights.quantized(bits: 8, groupSize: nil)), nil
    ) {
        $0.limit = limit
    }
    #expect(result.exitStatus == (isWithin ? .done : .numbersDiffer))
    #expect(result.weightsAboveLimit.isEmpty == isWithin)
}

@Test(arguments: [Float.nan, .infinity, -.infinity]) func whatIsNotFiniteIsNoSmallError(_ value: Float) throws {
    let weights = Models.madeUp()
    var changed = weights
    changed["h.1.mlp.c_proj.bias"][0] = value
    let result = try Comparison.result(Models.madeUpSide(weights), Models.madeUpSide(changed), Models.madeUpTokens())
    let first = try #require(result.firstOutside)
    #expect(first.name == "layers.1.mlp_out")
    #expect(first.judged.relativeL2 == .infinity)
    #expect(first.judged.maximumDifference == .infinity)
    #expect(first.judged.indexOfMaximum == nil)
    #expect(try #require(result.taps?.last).accumulated.relativeL2 == .infinity)
    #expect(result.suspects.map(\.name) == ["h.1.mlp.c_proj.bias"])
}

@Test func whatIsNotFiniteOnBothSidesIsNoDifference() throws {
    var weights = Models.madeUp()
    weights["h.1.mlp.c_proj.bias"][0] = .infinity
    var changed = weights
    changed["h.1.mlp.c_proj.bias"][1] = changed["h.1.mlp.c_proj.bias"][1].nextUp
    let result = try Comparison.result(Models.madeUpSide(weights), Models.madeUpSide(changed), nil)
    #expect(result.differenceClass == .arithmetic)
}

@Test func aCastWithAScaledGainIsNotExplained() throws {
    let weights = Models.madeUp()
    var changed = weights
    changed.scale("h.1.ln_2.weight", by: 1.01)
    let result = try Comparison.result(
        Models.madeUpSide(weights), Models.madeUpSide(changed.cast(to: .bf16)), Models.madeUpTokens())
    #expect(result.firstOutside?.name == "layers.1.mlp_norm")
    #expect(result.exitStatus == .numbersDiffer)
    #expect(result.suspects.map(\.name) == ["h.1.ln_2.weight"])
}

@Test func aCastWithOneChangedWeightIsNotExplained() throws {
    let weights = Models.madeUp()
    var changed = weights
    // The 70th output belongs to the keys.
    changed["h.2.attn.c_attn.weight"][3 * 192 + 70] += 0.01
    let result = try Comparison.result(
        Models.madeUpSide(weights), Models.madeUpSide(changed.cast(to: .bf16)), Models.madeUpTokens())
    #expect(result.firstOutside?.name == "layers.2.k")
    #expect(result.suspects.map(\.name) == ["h.2.attn.c_attn.weight"])
    #expect(result.suspects.first?.beyond.count == 1)
}

struct Scheme: Sendable, CustomTestStringConvertible {
    var bits: Int
    var groupSize: Int?
    var clip: Float = 1
    var testDescription: String { "int\(bits)\(groupSize.map { "-g\($0)" } ?? ""), clipped at \(clip)" }
}

private let schemes = [
    Scheme(bits: 8), Scheme(bits: 8, groupSize: 32), Scheme(bits: 4, groupSize: 32), Scheme(bits: 4, groupSize: 64),
    Scheme(bits: 4, groupSize: 32, clip: 0.9),
]

@Test(arguments: schemes) func aQuantizedModelIsExplained(_ scheme: Scheme) throws {
    let weights = Models.madeUp()
    let quantized = weights.quantized(bits: scheme.bits, groupSize: scheme.groupSize, clip: scheme.clip)
    for (a, b) in [(weights, quantized), (quantized, weights), (weights.cast(to: .bf16), quantized)] {
        let result = try Comparison.result(Models.madeUpSide(a), Models.madeUpSide(b), Models.madeUpTokens()) {
            $0.showsWeights = true
        }
        #expect(result.differenceClass == .storage)
        #expect(result.exitStatus == .done, "\(result.firstOutside?.name ?? "")")
        #expect(!result.structure.differs)
    }
}

@Test(arguments: schemes, [Float(1.1), 0.9]) func aDamagedScaleIsFoundBehindItsTap(_ scheme: Scheme, _ factor: Float)
    throws
{
    let weights = Models.madeUp()
    // Output 150 of the joined matrix belongs to the values; one row of 192.
    let quantized = weights.quantized(bits: scheme.bits, groupSize: scheme.groupSize, clip: scheme.clip) {
        name, scales in
        let groups = scales.count / 192
        if name == "h.1.attn.c_attn.weight" { for group in 0..<groups { scales[150 * groups + group] *= factor } }
    }
    let result = try Comparison.result(
        Models.madeUpSide(weights), Models.madeUpSide(quantized), Models.madeUpTokens())
    #expect(result.firstOutside?.name == "layers.1.v")
    #expect(result.suspects.map(\.name) == ["h.1.attn.c_attn.weight"])
    #expect(result.exitStatus == .numbersDiffer)
}

@Test func aLimitOfTheUserCountsBesideTheVerdict() throws {
    let weights = Models.madeUp()
    let quantized = weights.quantized(bits: 8, groupSize: nil)
    for (limit, status) in [(0.1, ExitStatus.done), (1e-4, .numbersDiffer)] {
        let result = try Comparison.result(
            Models.madeUpSide(weights), Models.madeUpSide(quantized), Models.madeUpTokens()
        ) {
            $0.limit = limit
        }
        #expect(result.exitStatus == status)
        #expect(result.differenceClass == .storage)
    }
}

// MARK: Promises

@Test func noFigureDependsOnBatchOrThreads() throws {
    let weights = Models.madeUp()
    let quantized = weights.quantized(bits: 4, groupSize: 32)
    func fingerprint(_ batch: Int?, _ threads: Int) throws -> [[UInt64]] {
        let result = try Comparison.result(
            Models.madeUpSide(weights), Models.madeUpSide(quantized), Models.madeUpTokens(padded: true)
        ) {
            $0.batchCount = batch
            $0.threads = threads
            $0.showsWeights = true
        }
        let taps = try #require(result.taps).map { tap -> [UInt64] in
            let figures = [
                tap.accumulated.relativeL2, tap.isolated!.relativeL2, tap.noiseFloor!, tap.storageTerm!,
                tap.isolated!.cosine!,
            ]
            return figures.map(\.bitPattern)
                + [UInt64(tap.accumulated.indexOfMaximum!), UInt64(tap.accumulated.count)]
        }
        let logits = try #require(result.logits).positions.map { [$0.kl.bitPattern, $0.margin.bitPattern] }
        return taps + logits + result.weights!.map { [$0.figures!.relativeL2.bitPattern] }
    }
    let first = try fingerprint(nil, 1)
    #expect(try fingerprint(1, 1) == first)
    #expect(try fingerprint(2, 3) == first)
    #expect(try fingerprint(4, 2) == first)
}

@Test func paddingIsLeftOut() throws {
    let golden = Models.Golden(name: "gpt2-left-padding")
    let tokens = try golden.tokens()
    let read = tokens.attentionMask!.joined().reduce(0, +)
    let result = try Comparison.result(golden.side(), golden.side(), tokens)
    #expect(result.tokens?.readCount == read)
    for tap in try #require(result.taps) {
        #expect(tap.accumulated.count % read == 0)
        #expect(tap.accumulated.count < tokens.batchCount * tokens.length * 60)
    }
    #expect(result.logits?.kl.count == read)
}

@Test(arguments: Profile.allCases) func everyProfileHasAFloor(_ profile: Profile) throws {
    let weights = Models.madeUp()
    let result = try Comparison.result(Models.madeUpSide(weights), Models.madeUpSide(weights), Models.madeUpTokens()) {
        $0.profile = profile
    }
    let floors = try #require(result.taps).compactMap(\.noiseFloor)
    #expect(floors.count == result.taps?.count)
    let bounds = profile == .ref64 ? 1e-17...1e-14 : 5e-8...2e-6
    #expect(floors.allSatisfy(bounds.contains), "\(floors.min()!) to \(floors.max()!)")
}

@Test func perplexityIsOfTheNextTokens() throws {
    let weights = Models.madeUp()
    var flat = weights
    // Without any embedding every token is as likely as every other.
    flat.scale("wte.weight", by: 0)
    let result = try Comparison.result(Models.madeUpSide(flat), Models.madeUpSide(flat), Models.madeUpTokens())
    let logits = try #require(result.logits)
    #expect(abs(try #require(logits.referencePerplexity) - 97) < 1e-9)
    #expect(logits.nextTokenCount == 5 * 23)
    #expect(logits.kl.maximum == 0)
}

// MARK: The trained model

private func trained() throws -> (weights: MemoryCheckpoint, configuration: JSONObject, tokens: TokenBatch) {
    let folder = Models.goldenRoot.removingLastComponent().appending("gpt2-kjv")
    let file = try InputFile(folder.appending("config.json"))
    let configuration = try #require(JSONValue(parsing: file.bytes(0..<file.byteCount)).object)
    var weights = MemoryCheckpoint()
    let stored = try MemoryCheckpoint(copying: Checkpoint.open(folder.appending("model.safetensors")).reader)
    // Names without prefix, as the packing helper knows them.
    for info in stored.contents.tensors {
        let name = info.name.hasPrefix("transformer.") ? String(info.name.dropFirst("transformer.".count)) : info.name
        weights.set(name, .f32, info.shape.dimensions, stored[info.name].withUnsafeBytes { Array($0) })
    }
    return (weights, configuration, try TokensFile.read(folder.appending("tokens-short.json")))
}

@Test(arguments: [0, 2, 5]) func aGainOfTheTrainedModelIsCaughtAtItsLayer(_ layer: Int) throws {
    let (weights, configuration, tokens) = try trained()
    var changed = weights
    changed.scale("h.\(layer).ln_1.weight", by: 1.01)
    let result = try Comparison.result(
        ComparisonSide(weights, configuration: configuration, name: "a"),
        ComparisonSide(changed, configuration: configuration, name: "b"), tokens)
    #expect(result.firstOutside?.name == "layers.\(layer).attn_norm")
    #expect(result.suspects.map(\.name) == ["h.\(layer).ln_1.weight"])
    #expect(result.largestContribution?.layer == layer)
    #expect(result.exitStatus == .numbersDiffer)
}

@Test func theTrainedModelsStoragesAreExplainedBothWays() throws {
    let (weights, configuration, tokens) = try trained()
    let others = [
        weights.cast(to: .bf16), weights.cast(to: .f16), weights.quantized(bits: 8, groupSize: nil),
        weights.quantized(bits: 4, groupSize: 32), weights.quantized(bits: 4, groupSize: 128, clip: 0.8),
    ]
    for other in others {
        for (a, b) in [(weights, other), (other, weights)] {
            let result = try Comparison.result(
                ComparisonSide(a, configuration: configuration, name: "a"),
                ComparisonSide(b, configuration: configuration, name: "b"), tokens)
            #expect(result.differenceClass == .storage)
            #expect(result.exitStatus == .done, "\(result.firstOutside?.name ?? "")")
        }
    }
}

/// Types whose blocks have one scale, and what every step is made of.
private let blockTypes = SchemeRegistry.blockTypes

@Test(arguments: blockTypes) func blocksAreExplainedByTheirScales(_ type: ElementType) throws {
    let (weights, configuration, tokens) = try trained()
    let blocks = weights.inBlocks(of: type)
    for (a, b) in [(weights, blocks), (blocks, weights)] {
        let result = try Comparison.result(
            ComparisonSide(a, configuration: configuration, name: "a"),
            ComparisonSide(b, configuration: configuration, name: "b"), tokens)
        #expect(result.differenceClass == .storage)
        #expect(result.exitStatus == .done, "\(result.firstOutside?.name ?? "")")
        #expect(result.suspects.isEmpty, "\(result.suspects.map(\.name))")
    }
}

@Test(arguments: blockTypes, [UInt8(0x04), 0x80]) func aDamagedBlockIsFoundBehindItsTap(
    _ type: ElementType, _ bits: UInt8
)
    throws
{
    let (weights, configuration, tokens) = try trained()
    let name = "h.3.mlp.c_fc.weight"
    var blocks = weights.inBlocks(of: type)
    // The high byte of every scale of the first 16 rows: twice the scale, or its other sign.
    blocks.change(name) { bytes in
        for block in 0..<16 * 512 / 32 { bytes[block * type.unitByteCount + 1] ^= bits }
    }
    let result = try Comparison.result(
        ComparisonSide(weights, configuration: configuration, name: "a"),
        ComparisonSide(blocks, configuration: configuration, name: "b"), tokens)
    #expect(result.firstOutside?.name == "layers.3.mlp_act")
    #expect(result.suspects.map(\.name) == [name])
    #expect(result.exitStatus == .numbersDiffer)
}

import AssayCheckpoints
import AssayPackings
import AssayTensors
import AssayTestSupport
import Testing

@testable import AssayQuantization

private func plan(
    _ scheme: QuantizationScheme, _ weight: MemoryWeight, _ orientation: WeightOrientation = .outputInput,
    _ options: QuantizationOptions = QuantizationOptions()
) throws -> QuantizationPlan {
    try QuantizationPlan(
        scheme, weights: [CandidateWeight(name: weight.name, tensor: weight, orientation: orientation)],
        options: options)
}

/// The values that a reader of the stored parts sees.
private func decoded(_ quantized: QuantizedWeight, _ configuration: JSONObject?) throws -> [Float] {
    let file = JSONObject([("quantization_config", configuration.map(JSONValue.object) ?? .null)])
    let checkpoint = try LogicalCheckpoint(MemoryCheckpoint(quantized.outputs), configuration: file, name: "memory")
    let tensor = try #require(checkpoint.tensors.first)
    #expect(checkpoint.tensors.count == 1)
    var values = [Float](repeating: .nan, count: tensor.shape.elementCount)
    try values.withUnsafeMutableBufferPointer { try tensor.read(rows: 0..<tensor.shape.rowCount, into: $0) }
    return values
}

@Test(arguments: SchemeRegistry.all) func whatIsWrittenIsRead(_ scheme: QuantizationScheme) throws {
    var numbers = SeededRandom(seed: 10)
    for type in [ElementType.f32, .bf16] {
        let weight = MemoryWeight([21, 256], numbers.gaussian(21 * 256, deviation: 0.02), as: type)
        let plan = try plan(scheme, weight)
        guard case .quantize(let infos, nil) = plan.decisions[0] else {
            Issue.record("\(plan.decisions)")
            return
        }
        let quantized = try plan.quantize(0)
        #expect(quantized.outputs.map(\.info) == infos)
        let groups = 256 / (scheme.groupSize ?? 256)
        #expect(infos[0].name == "m.weight_packed" && infos[0].shape == Shape([21, 8 * scheme.bits]))
        #expect(
            infos[1].name == "m.weight_scale" && infos[1].shape == Shape([21, groups]) && infos[1].elementType == type)
        #expect(infos.last!.name == "m.weight_shape")
        #expect(infos.contains { $0.name == "m.weight_zero_point" } == !scheme.isSymmetric)

        let values = try decoded(quantized, plan.configuration)
        let statistics = quantized.statistics
        let errors = zip(values, weight.values).map { Double($0) - Double($1) }
        let noise = errors.reduce(0) { $0 + $1 * $1 }
        let signal = weight.values.reduce(0.0) { $0 + Double($1) * Double($1) }
        #expect(abs(statistics.noise / noise - 1) < 1e-12)
        #expect(abs(statistics.signal / signal - 1) < 1e-12)
        #expect(statistics.maximumError == errors.map(abs).max())
        #expect(statistics.elementCount == 21 * 256)
        #expect(statistics.sqnrDecibels > (scheme.bits == 8 ? 40 : 18))
        let stored = Double(infos.dropLast().reduce(0) { $0 + $1.byteCount } * 8) / (21 * 256)
        #expect(statistics.bitsPerElement == stored)
    }
}

@Test func gaussianWeightsReachTheTable() throws {
    // Signal to noise of rounding absmax ranges (numerics, section 1); the search may only gain.
    let table: [(String, Double, Double)] = [
        ("int8-g32", 45.4, 0), ("int8-g64", 44.5, 0), ("int8-g128", 43.8, 0), ("int8", 42.3, 0),
        ("int4-g32", 20.2, 0.7), ("int4-g64", 19.4, 0.7), ("int4-g128", 18.6, 0.9),
    ]
    var numbers = SeededRandom(seed: 11)
    let weight = MemoryWeight([512, 768], numbers.gaussian(512 * 768, deviation: 0.02))
    for (name, decibels, gain) in table {
        let scheme = try #require(SchemeRegistry.scheme(named: name))
        let plain = try plan(scheme, weight, .outputInput, QuantizationOptions(searchesClipping: false)).quantize(0)
        let searched = try plan(scheme, weight).quantize(0)
        #expect(abs(plain.statistics.sqnrDecibels - decibels) < 0.12, "\(name) \(plain.statistics.sqnrDecibels)")
        #expect(
            searched.statistics.sqnrDecibels >= plain.statistics.sqnrDecibels + gain,
            "\(name) \(searched.statistics.sqnrDecibels)")
        #expect(abs(searched.statistics.relativeL2 - 1 / pow10(searched.statistics.sqnrDecibels / 20)) < 1e-6)
    }
}

private func pow10(_ x: Double) -> Double {
    var result = 1.0
    var base = 10.0
    var remaining = Int(x)
    while remaining > 0 {
        if remaining & 1 == 1 { result *= base }
        base *= base
        remaining >>= 1
    }
    // The fraction by repeated square roots.
    var fraction = x - x.rounded(.down)
    var root = 10.0
    for _ in 0..<52 {
        root = root.squareRoot()
        fraction *= 2
        if fraction >= 1 {
            result *= root
            fraction -= 1
        }
    }
    return result
}

/// Some rows at a time give the bytes and the errors of the whole.
private func expectSame(
    _ work: RoundToNearest, by step: Int, as infos: [TensorInfo], _ whole: QuantizedWeight, _ errors: ErrorSums
) throws {
    var parts = infos.map { [UInt8](repeating: 0, count: $0.byteCount) }
    var sums = ErrorSums()
    for first in stride(from: 0, to: work.rows.outputs, by: step) {
        let made = try work.quantized(first..<min(first + step, work.rows.outputs), as: infos)
        for (index, output) in made.outputs.enumerated() {
            parts[index].replaceSubrange(output.range, with: output.bytes.array)
        }
        sums.append(made.errors)
    }
    #expect(parts == whole.outputs.map(\.bytes.array))
    #expect(sums.total == errors.total)
}

@Test(arguments: SchemeRegistry.all) func orientationThreadsAndTilesChangeNothing(_ scheme: QuantizationScheme) throws {
    var numbers = SeededRandom(seed: 12)
    let weight = MemoryWeight([150, 256], numbers.gaussian(150 * 256))
    let infos: [TensorInfo] = try {
        guard case .quantize(let infos, _) = try plan(scheme, weight).decisions[0] else { return [] }
        return infos
    }()
    let expected = try plan(scheme, weight).quantize(0)
    let errors = try plan(scheme, weight).quantize(0, rows: 0..<plan(scheme, weight).rowCount(of: 0)).errors
    for (tensor, orientation) in [(weight, WeightOrientation.outputInput), (weight.transposed, .inputOutput)] {
        #expect(try plan(scheme, tensor, orientation).decisions == plan(scheme, weight).decisions)
        for threads in [1, 2, 7] {
            for (block, tile) in [(1 << 20, 64 << 20), (5000, 33 * 1024), (100, 100)] {
                var rows = WeightRows(tensor: tensor, orientation: orientation, groupSize: scheme.groupSize)
                rows.blockByteCount = block
                rows.tileByteCount = tile
                let work = RoundToNearest(
                    name: "m.weight", rows: rows, scheme: scheme, scaleType: .init(.f32)!,
                    options: QuantizationOptions(threads: threads))
                let quantized = try work.quantized(0..<rows.outputs, as: infos)
                for (part, other) in zip(quantized.outputs, expected.outputs) {
                    #expect(
                        part.bytes.array == other.bytes.array, "\(other.info.name) \(orientation) \(threads) \(block)")
                }
                #expect(quantized.errors.total == errors.total)
                #expect((work.rowUnit == nil) == (orientation == .inputOutput))
                guard let unit = work.rowUnit else { continue }
                try expectSame(work, by: unit * 3, as: infos, expected, errors)
            }
        }
    }
}

@Test func weightsThatDoNotFitAreListed() throws {
    let scheme = try #require(SchemeRegistry.scheme(named: "int4-g32"))
    func decision(_ weight: any LogicalTensor, eligible: Bool = true, reason: String? = nil) throws
        -> QuantizationPlan.Decision
    {
        try QuantizationPlan(
            scheme,
            weights: [
                CandidateWeight(
                    name: weight.name, tensor: weight, orientation: .outputInput, isEligible: eligible, reason: reason)
            ]
        ).decisions[0]
    }
    let zeros = { (count: Int) in [Float](repeating: 0, count: count) }
    #expect(
        try decision(MemoryWeight([2, 33], zeros(66)))
            == .keep(reason: "its input dimension 33 is not a multiple of the group size 32"))
    #expect(
        try decision(MemoryWeight([5, 1], zeros(5)))
            == .keep(reason: "its input dimension 1 is not a multiple of the group size 32"))
    #expect(try decision(MemoryWeight([0, 32], [])) == .keep(reason: "holds no elements"))
    #expect(try decision(MemoryWeight([32], zeros(32))) == .keep(reason: "has 1 dimensions, a linear weight has 2"))
    #expect(
        try decision(MemoryWeight([1, 32], zeros(32), as: .i32))
            == .keep(reason: "holds I32, no floating-point numbers"))
    #expect(
        try decision(MemoryWeight([1, 32], zeros(32), named: "table"))
            == .keep(reason: "its name does not end in .weight"))
    #expect(
        try decision(MemoryWeight([1, 32], zeros(32)), eligible: false, reason: "embedding")
            == .keep(reason: "embedding"))
    var packed = MemoryWeight([1, 32], zeros(32))
    packed.storage = .quantized(bits: 8, groupSize: 64, isSymmetric: true, packing: "x")
    #expect(try decision(packed) == .keep(reason: "is already int8-g64"))
    guard case .quantize = try decision(MemoryWeight([1, 32], zeros(32))) else {
        Issue.record("a weight that fits is kept")
        return
    }
    #expect(throws: UsageError("scales are stored as f32, bf16 or f16; f64 was asked for")) {
        try QuantizationPlan(scheme, weights: [], options: QuantizationOptions(scaleType: .f64))
    }
}

// MARK: - Bad numbers

@Test(arguments: SchemeRegistry.all) func zeroGroupsDecodeToZeros(_ scheme: QuantizationScheme) throws {
    for type in [ElementType.f32, .bf16, .f16] {
        var values = [Float](repeating: 0, count: 2 * 256)
        values[300] = 0.5
        values[310] = -0.0
        let quantized = try plan(scheme, MemoryWeight([2, 256], values, as: type)).quantize(0)
        let decoded = try decoded(quantized, nil)
        for (value, source) in zip(decoded, values) where source == 0 { #expect(value.bitPattern == 0) }
        #expect(abs(decoded[300] - 0.5) < 0.01)
    }
}

@Test func constantGroupsAndOutliersStayWithinTheBound() throws {
    for name in ["int8-g32", "int4-g32", "int4-g32-asym"] {
        let scheme = try #require(SchemeRegistry.scheme(named: name))
        for constant: Float in [1, -1, 3e-5, -7e20, 1e-30] {
            let quantized = try plan(
                scheme, MemoryWeight([1, 32], [Float](repeating: constant, count: 32)), .outputInput
            ).quantize(0)
            for value in try decoded(quantized, nil) { #expect(abs(value / constant - 1) < 1e-6) }
        }
        var values = [Float](repeating: 0.01, count: 32)
        values[7] = 1e30
        let quantized = try plan(scheme, MemoryWeight([1, 32], values)).quantize(0)
        let decoded = try decoded(quantized, nil)
        #expect(abs(decoded[7] / 1e30 - 1) < 0.02)
        #expect(decoded.allSatisfy { $0.isFinite })
    }
}

@Test func numbersThatAreNotFiniteAreNamed() throws {
    for (value, word) in [(Float.nan, "NaN"), (.infinity, "Inf"), (-.infinity, "-Inf")] {
        for (orientation, index) in [(WeightOrientation.outputInput, "[3, 40]"), (.inputOutput, "[40, 3]")] {
            for name in ["int8", "int4-g32"] {
                let scheme = try #require(SchemeRegistry.scheme(named: name))
                var weight = MemoryWeight([5, 64], [Float](repeating: 0.5, count: 5 * 64), named: "h.0.mlp.weight")
                weight.values[3 * 64 + 40] = value
                weight.values[4 * 64 + 3] = value
                let stored = orientation == .outputInput ? weight : weight.transposed
                let error = #expect(throws: QuantizationError.self) {
                    try plan(scheme, stored, orientation, QuantizationOptions(threads: 3)).quantize(0)
                }
                #expect(
                    error?.description
                        == "tensor 'h.0.mlp.weight': element \(index) is \(word), which \(name) cannot hold")
                #expect(error?.exitStatus == .numbersDiffer)
                let allowed = try plan(scheme, stored, orientation, QuantizationOptions(allowsNonFinite: true))
                    .quantize(0)
                #expect(allowed.statistics.groups?.replacedCount == 2)
                let decoded = try decoded(allowed, nil)
                #expect(decoded[3 * 64 + 40] == (value.isNaN ? 0 : value < 0 ? -0.5 : 0.5))
            }
        }
    }
}

@Test func scalesThatDoNotFitTheirTypeArePromoted() throws {
    let scheme = try #require(SchemeRegistry.scheme(named: "int8-g32"))
    let small = MemoryWeight([1, 32], [Float](repeating: 0.003_906_25, count: 32), as: .f16)
    let ordinary = MemoryWeight([1, 32], [Float](repeating: 0.5, count: 32), as: .f16)
    let wide = MemoryWeight([1, 32], [Float](repeating: 70_000 * 127, count: 32), as: .f32)
    let f16 = QuantizationOptions(scaleType: .f16)
    for (weight, options, type) in [
        (small, QuantizationOptions(), ElementType.f32), (ordinary, QuantizationOptions(), .f16), (wide, f16, .f32),
        (wide, QuantizationOptions(), .f32), (ordinary, QuantizationOptions(scaleType: .f32), .f32),
    ] {
        let plan = try plan(scheme, weight, .outputInput, options)
        guard case .quantize(let outputs, let note) = plan.decisions[0] else {
            Issue.record("\(plan.decisions)")
            return
        }
        #expect(outputs[1].elementType == type)
        #expect(
            (note != nil)
                == (type
                    != (options.scaleType ?? (weight.storage == TensorStorage.plain(.f16) ? ElementType.f16 : .f32))))
        let quantized = try plan.quantize(0)
        #expect(quantized.outputs[1].info.elementType == type)
        for (value, source) in zip(try decoded(quantized, plan.configuration), weight.values) {
            #expect(abs(value / source - 1) < 0.002)
        }
    }
}

@Test func groupsBelowTheSmallestScaleAreCounted() throws {
    let scheme = try #require(SchemeRegistry.scheme(named: "int4-g32"))
    var values = [Float](repeating: 0.5, count: 64)
    for index in 0..<32 { values[index] = Float(bitPattern: 1000 + UInt32(index)) }
    let quantized = try plan(scheme, MemoryWeight([1, 64], values)).quantize(0)
    #expect(quantized.statistics.groups?.flooredCount == 1)
    #expect(try decoded(quantized, nil).prefix(32).allSatisfy { $0 == 0 })
}

@Test func rangesTooWideForTheirScaleAreRefused() throws {
    let scheme = try #require(SchemeRegistry.scheme(named: "int4-g32"))
    var values = [Float](repeating: 0, count: 64)
    values[40] = .greatestFiniteMagnitude
    values[41] = -.greatestFiniteMagnitude
    for type in [ElementType.f32, .bf16] {
        do {
            let quantized = try plan(
                scheme, MemoryWeight([1, 64], values), .outputInput, QuantizationOptions(scaleType: type)
            ).quantize(0)
            #expect(try decoded(quantized, nil).allSatisfy { $0.isFinite })
        } catch let error as QuantizationError {
            #expect(
                error.description
                    == "tensor 'm.weight': element [0, 32] begins a group of 32 whose range, -3.4028235e+38 to"
                    + " 3.4028235e+38, is too wide for a scale in \(type.name)"
            )
        }
    }
}

// MARK: - Configuration

@Test func linearModelsAreTargetedByClass() throws {
    let scheme = try #require(SchemeRegistry.scheme(named: "int4-g32-asym"))
    let weight = MemoryWeight([2, 32], [Float](repeating: 1, count: 64), named: "a.weight")
    let plan = try QuantizationPlan(
        scheme,
        weights: [
            CandidateWeight(name: "a.weight", tensor: weight, orientation: .outputInput),
            CandidateWeight(
                name: "lm_head.weight", tensor: weight, orientation: .outputInput, isEligible: false, reason: "head"),
        ])
    #expect(
        JSONValue.object(try #require(plan.configuration)).compactText == """
            {"quant_method":"compressed-tensors","format":"pack-quantized","quantization_status":"compressed",\
            "global_compression_ratio":null,"kv_cache_scheme":null,"ignore":["lm_head"],"config_groups":{"group_0":\
            {"targets":["Linear"],"weights":{"num_bits":4,"type":"int","symmetric":false,"strategy":"group",\
            "group_size":32,"dynamic":false},"input_activations":null,"output_activations":null,\
            "format":"pack-quantized"}}}
            """)
}

@Test func conv1DModelsAreTargetedByName() throws {
    let scheme = try #require(SchemeRegistry.scheme(named: "int8"))
    let weight = MemoryWeight([32, 2], [Float](repeating: 1, count: 64), named: "h.0.c_fc.weight")
    let plan = try plan(scheme, weight, .inputOutput)
    let group = plan.configuration?["config_groups"]?.object?["group_0"]?.object
    #expect(group?["targets"] == ["h.0.c_fc"])
    #expect(group?["weights"]?.object?["strategy"] == "channel")
    #expect(group?["weights"]?.object?["group_size"] == JSONValue.null)
    let nothing = try QuantizationPlan(scheme, weights: [])
    #expect(nothing.configuration == nil)
}

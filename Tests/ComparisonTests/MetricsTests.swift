import AssayCKernels
import AssayCheckpoints
import AssayModels
import AssayTensors
import AssayTestSupport
import Testing

@testable import AssayComparison

/// Figures that numpy and mpmath computed: `fixtures/make/golden_metrics.py`.
private func golden(_ key: String) throws -> [JSONObject] {
    let file = try InputFile(Models.goldenRoot.appending("metrics").appending("metrics.json"))
    let value = try JSONValue(parsing: file.bytes(0..<file.byteCount))
    return try #require(value.object?[key]?.array).compactMap(\.object)
}

extension JSONObject {
    fileprivate func double(_ key: String) -> Double { self[key]!.double! }
    fileprivate func floats(_ key: String) -> [Float] { self[key]!.array!.map { Float($0.double!) } }
}

private func figures(_ reference: [Float], _ test: [Float], threads: Int = 1) -> DifferenceFigures {
    var figures = DifferenceFigures()
    reference.withUnsafeBufferPointer { reference in
        test.withUnsafeBufferPointer { test in
            RowComparison(threads: threads).add(
                .float32(reference), .float32(test), segments: [0..<1], columns: reference.count, to: &figures)
        }
    }
    return figures
}

private func isClose(_ a: Double, _ b: Double, within tolerance: Double) -> Bool {
    a == b || abs(a - b) <= tolerance * max(abs(a), abs(b))
}

@Test func figuresAreThoseOfNumpy() throws {
    for entry in try golden("vectors") {
        let figures = figures(entry.floats("reference"), entry.floats("test"))
        #expect(isClose(figures.relativeL2, entry.double("relativeL2"), within: 1e-13))
        #expect(isClose(figures.sqnrDecibels, entry.double("sqnrDecibels"), within: 1e-13))
        #expect(isClose(try #require(figures.cosine), entry.double("cosine"), within: 1e-14))
        #expect(figures.maximumDifference == entry.double("maxAbs"))
        #expect(figures.indexOfMaximum == entry["indexOfMax"]!.int!)
    }
}

@Test func figuresAreThoseOfASlowLoop() {
    var numbers = SeededRandom(seed: 3)
    for count in 1...70 {
        let reference = numbers.floats(count, 2)
        let test = numbers.floats(count, 1)
        var (squares, differences, products, others, largest) = (0.0, 0.0, 0.0, 0.0, 0.0)
        for (r, t) in zip(reference.map(Double.init), test.map(Double.init)) {
            squares += r * r
            others += t * t
            products += r * t
            differences += (t - r) * (t - r)
            largest = max(largest, abs(t - r))
        }
        let figures = figures(reference, test)
        #expect(isClose(figures.relativeL2, (differences / squares).squareRoot(), within: 1e-12))
        #expect(isClose(figures.cosine!, products / (squares * others).squareRoot(), within: 1e-9))
        #expect(figures.maximumDifference == largest)
        #expect(!figures.isIdentical)
    }
}

@Test func notANumberIsCountedAndNeverIdentical() {
    let figures = figures([1, 2, 3, .nan], [1, .nan, 3, .nan])
    #expect(figures.testNonFiniteCount == 2)
    #expect(figures.referenceNonFiniteCount == 1)
    #expect(!figures.isIdentical)
    #expect(figures.hasUnmatchedNonFinite)
}

@Test func distributionsAreThoseOfNumpy() throws {
    for entry in try golden("distributions") {
        let distribution = Distribution(entry["numbers"]!.array!.map { $0.double! })
        #expect(isClose(distribution.mean, entry.double("mean"), within: 1e-13))
        #expect(isClose(distribution.median, entry.double("median"), within: 1e-14))
        #expect(isClose(distribution.p99, entry.double("p99"), within: 1e-13))
        #expect(isClose(distribution.p999, entry.double("p99.9"), within: 1e-13))
        let error = entry["standardError"]!.double
        #expect((error == nil) == (distribution.standardError == nil))
        if let error { #expect(isClose(try #require(distribution.standardError), error, within: 1e-12)) }
    }
}

private func divergence(_ reference: [Float], _ test: [Float]) throws -> LogitsFigures.Position {
    var figures = LogitsFigures(isCausal: true)
    try reference.withUnsafeBufferPointer { reference in
        try test.withUnsafeBufferPointer { test in
            try LogitsComparison(RowComparison(threads: 1), tokens: nil, length: 1, isCausal: true).add(
                .float32(reference), .float32(test), segments: [0..<1], firstRow: 0, classes: reference.count,
                firstSequence: 0, to: &figures)
        }
    }
    return figures.positions[0]
}

@Test func divergenceIsThatOfSixtyDigits() throws {
    for entry in try golden("logits") {
        let position = try divergence(entry.floats("reference"), entry.floats("test"))
        let kl = entry.double("kl")
        #expect(abs(position.kl - kl) <= 1e-8 * kl + 1e-18, "\(position.kl) for \(kl)")
        #expect(position.kl >= 0)
        #expect(position.referenceTop == entry["referenceTop"]!.int!)
        #expect(position.testTop == entry["testTop"]!.int!)
        #expect(isClose(position.margin, entry.double("margin"), within: 1e-12))
        #expect(position.referenceNext == nil)
    }
}

@Test func divergenceIsNeverNegative() throws {
    var numbers = SeededRandom(seed: 5)
    for round in 0..<400 {
        let count = 1 + numbers.next(below: 90)
        let noise = Float(1) / Float(1 << (round % 24))
        let reference = numbers.floats(count, 20)
        let test = reference.map { $0 + numbers.float(noise) }
        #expect(try divergence(reference, test).kl >= 0)
        #expect(try divergence(reference, reference).kl == 0)
    }
}

// MARK: Rounding

private func beyond(_ reference: [Double], _ test: [Double], _ a: ck_storage, _ b: ck_storage) -> ck_beyond {
    var a = a
    var b = b
    return ck_beyond_rounding(reference, test, reference.count, &a, &b)
}

private func plainStorage(_ bits: Int32, _ least: Int32) -> ck_storage {
    ck_storage(
        significant_bits: bits, least_exponent: least, scales: nil, zeros: nil, scale_stride: 1, group: 1, offset: 0,
        unit: 0,
        step_unit: 0,
        codes: nil,
        code_limit: 0)
}

@Test(arguments: [
    (ElementType.bf16, Int32(8), Int32(-126)), (.f16, 11, -14), (.f8e4m3, 4, -6), (.f8e5m2, 3, -14),
    (.f8e4m3fnuz, 4, -7), (.f8e5m2fnuz, 3, -15),
])
func whatATypeRoundsIsWithinItsHalfUnit(_ type: ElementType, _ bits: Int32, _ least: Int32) throws {
    var numbers = SeededRandom(seed: 9)
    var values = (0..<4000).map { index -> Float in
        numbers.float(1) * Float(sign: .plus, exponent: index % 30 - 24, significand: 1)
    }
    // Ties and their neighbours.
    values += (0..<64).flatMap { step -> [Float] in
        let tie = 1 + (Float(step) + 0.5) * Float(sign: .plus, exponent: -Int(bits) + 1, significand: 1)
        return [tie, tie.nextUp, tie.nextDown]
    }
    values = values.filter { abs($0) < 200 }
    func convert<A, B>(_ source: [A], _ from: ElementType, _ to: ElementType, _ zero: B) -> [B] {
        var result = [B](repeating: zero, count: source.count)
        source.withUnsafeBytes { source in
            result.withUnsafeMutableBytes { target in
                _ = ElementConversion(from: from, to: to)!.convert(source, to: target, count: values.count)
            }
        }
        return result
    }
    let rounded: [Double] =
        type.bitCount == 16
        ? convert(convert(values, .f32, type, UInt16(0)), type, .f64, 0.0)
        : convert(convert(values, .f32, type, UInt8(0)), type, .f64, 0.0)
    let wide = values.map(Double.init)
    #expect(beyond(wide, rounded, plainStorage(24, -126), plainStorage(bits, least)).count == 0)
    // The kernel that rounds agrees with the conversion.
    var own = wide
    var storage = plainStorage(bits, least)
    ck_round_to_storage_f64(&own, own.count, &storage)
    #expect(own == rounded)
    // A neighbour of the rounded value is beyond, wherever the type's numbers are normal.
    let normal = zip(wide, rounded).filter { abs($0.0) >= Double(sign: .plus, exponent: Int(least), significand: 1) }
    #expect(normal.count > 1000)
    let shifted = normal.map { value, near -> Double in
        let unit = max(near.ulp, value.ulp) * Double(sign: .plus, exponent: 53 - Int(bits), significand: 1)
        return near + (near > value ? unit : -unit)
    }
    #expect(
        beyond(normal.map(\.0), shifted, plainStorage(24, -126), plainStorage(bits, least)).count
            > normal.count * 99 / 100)
}

@Test func roundingToStepsIsThatOfTheDefinition() {
    var numbers = SeededRandom(seed: 21)
    let scales: [Float] = [0.25, 0.1, 0]
    let zeros: [Float] = [0, 3, 0]
    let values = numbers.floats(24, 1.5)
    var own = values
    scales.withUnsafeBufferPointer { scales in
        zeros.withUnsafeBufferPointer { zeros in
            var storage = ck_storage(
                significant_bits: 0, least_exponent: 0, scales: scales.baseAddress, zeros: zeros.baseAddress,
                scale_stride: 1, group: 8, offset: 0, unit: 0x1p-24, step_unit: 0, codes: nil, code_limit: 7)
            ck_round_to_storage_f32(&own, own.count, &storage)
        }
    }
    for (index, value) in values.enumerated() {
        let scale = scales[index / 8]
        let zero = zeros[index / 8]
        let code = min(7, max(-8, (Double(value) / Double(scale) + Double(zero)).rounded(.toNearestOrEven)))
        #expect(own[index] == (scale == 0 ? 0 : Float((code - Double(zero)) * Double(scale))))
    }
}

@Test func clippedElementsAreExcusedInTheirDirectionOnly() {
    let scales: [Float] = [0.5]
    let codes: [Int8] = [7, 7, -8, 3, -7]
    let test = codes.map { Double($0) * 0.5 }
    scales.withUnsafeBufferPointer { scales in
        codes.withUnsafeBufferPointer { codes in
            let storage = ck_storage(
                significant_bits: 0, least_exponent: 0, scales: scales.baseAddress, zeros: nil, scale_stride: 1,
                group: 5, offset: 0, unit: 0x1p-24, step_unit: 0,
                codes: codes.baseAddress, code_limit: 7)
            let plain = plainStorage(24, -126)
            #expect(beyond([3.7, 9, -9, 1.7, -6], test, plain, storage).count == 0)
            #expect(beyond([3.2, 3.5, -4, 1.5, -3.5], test, plain, storage).count == 1)
            #expect(beyond([3.5, 3.5, -4, 1.8, -3.5], test, plain, storage).count == 1)
            #expect(beyond([3.5, 3.5, -3.7, 1.5, -3.5], test, plain, storage).count == 1)
        }
    }
}

import Glibc
import Synchronization
import Testing

@testable import AssayTensors

/// Conversions against `SlowRounding`, over every code of the narrow types and 10^8 float32 patterns.
@Suite struct ElementConversionExhaustiveTests {
    static let roundings = GoldenType.rounded.map(SlowRounding.init)

    /// Lower halves of float32 patterns, ascending: every one that any tie of bf16 or f16 has, both neighbours of each,
    /// and every 41st; or all, where ASSAY_TEST_ALL_FLOATS is set.
    static let lowerHalves: [UInt32] = {
        guard getenv("ASSAY_TEST_ALL_FLOATS") == nil else { return Array(0...0xFFFF) }
        var chosen = Set(stride(from: UInt32(0), through: 0xFFFF, by: 41))
        // f16 keeps 10 of 23 bits and bf16 7, so a tie has at most one bit set below bit 13, which is bit 12.
        for edge in stride(from: UInt32(0), through: 0x1_0000, by: 0x1000) {
            for neighbour in [Int(edge) - 1, Int(edge), Int(edge) + 1] where (0...0xFFFF).contains(neighbour) {
                chosen.insert(UInt32(neighbour))
            }
        }
        return chosen.sorted()
    }()

    @Test func theChosenPatternsAreEnough() {
        #expect(Self.lowerHalves.count << 16 >= 100_000_000)
    }

    @Test(arguments: GoldenType.rounded)
    func float32PatternsRoundToNearestEven(_ type: GoldenType) throws {
        let rounding = SlowRounding(type)
        let conversion = try #require(ElementConversion(from: .f32, to: type.type))
        let wrong = Mutex<[UInt32]>([])
        Parallel.forEach(256, threads: Parallel.availableThreads) { part in
            for upper in UInt32(part) << 8..<UInt32(part + 1) << 8 {
                let found = Self.mismatches(upper: upper, rounding, conversion)
                if !found.isEmpty { wrong.withLock { $0 += found } }
            }
        }
        let patterns = wrong.withLock { $0 }
        let shown = patterns.sorted().prefix(3).map { String($0, radix: 16) }
        #expect(patterns.isEmpty, "\(patterns.count) patterns, such as \(shown)")
    }

    /// The patterns with one upper half that are converted wrongly, or the first where only the tally is wrong.
    private static func mismatches(
        upper: UInt32, _ rounding: SlowRounding, _ conversion: ElementConversion
    ) -> [UInt32] {
        let patterns = lowerHalves.map { upper << 16 | $0 }
        let width = conversion.destination.bitCount / 8
        let (found, tally) = convertedBytes(patterns, conversion)
        var expectedTally = ConversionTally()
        var wrong: [UInt32] = []
        var magnitudeCode = 0
        // Magnitudes rise with the pattern, so the code only ever rises: a walk instead of a search.
        for (index, pattern) in patterns.enumerated() {
            let value = Double(Float(bitPattern: pattern))
            let code = width == 1 ? UInt64(found[index]) : UInt64(found[2 * index]) | UInt64(found[2 * index + 1]) << 8
            guard !value.isNaN else {
                if !conversion.destination.isNaN(code) { wrong.append(pattern) }
                continue
            }
            if index == 0 { magnitudeCode = firstCode(value, rounding) }
            while magnitudeCode <= rounding.largest, rounding.isAbove(magnitudeCode, value.magnitude) {
                magnitudeCode += 1
            }
            let expected = rounding.result(magnitudeCode: magnitudeCode, value)
            expectedTally += expected.tally
            if code != expected.code { wrong.append(pattern) }
        }
        return wrong.isEmpty && tally != expectedTally ? [patterns[0]] : wrong
    }

    /// A code no greater than that of the value's magnitude.
    private static func firstCode(_ value: Double, _ rounding: SlowRounding) -> Int {
        var low = 0
        var high = rounding.midpoints.count
        while low < high {
            let middle = (low + high) / 2
            if rounding.midpoints[middle] < value.magnitude { low = middle + 1 } else { high = middle }
        }
        return max(0, low - 1)
    }

    private static func convertedBytes(
        _ patterns: [UInt32], _ conversion: ElementConversion
    ) -> ([UInt8], ConversionTally) {
        var tally = ConversionTally()
        let byteCount = patterns.count * conversion.destination.bitCount / 8
        let bytes = [UInt8](unsafeUninitializedCapacity: byteCount) { output, filled in
            patterns.withUnsafeBytes {
                tally = conversion.convert($0, to: UnsafeMutableRawBufferPointer(output), count: patterns.count)
            }
            filled = byteCount
        }
        return (bytes, tally)
    }

    /// bf16 to f8, f16 to bf16 and so on: every code of every narrow type, to every type.
    @Test(arguments: GoldenType.rounded + GoldenType.widenedOnly, GoldenType.rounded)
    func everyCodeOfANarrowTypeRoundsToNearestEven(_ source: GoldenType, _ destination: GoldenType) throws {
        guard source.type != destination.type else { return }
        try expectRounded(
            source.values.map(Double.init), as: (0..<source.values.count).map(UInt64.init), source.type, destination)
    }

    @Test(arguments: GoldenType.rounded + GoldenType.widenedOnly)
    func everyCodeOfANarrowTypeIsExactInFloat64(_ source: GoldenType) throws {
        let codes = (0..<source.values.count).map(UInt64.init)
        let found = try #require(ElementConversion(from: source.type, to: .f64)).converted(codes)
        for (code, value) in zip(found.codes, source.values) {
            #expect(code == Double(value).bitPattern || (value.isNaN && Double(bitPattern: code).isNaN))
        }
        #expect(found.tally == ConversionTally())
    }

    /// Each tie of each type, and float64 numbers beside it that float32 cannot tell from it.
    @Test(arguments: GoldenType.rounded)
    func float64BesideEveryTieIsRoundedOnce(_ type: GoldenType) throws {
        let values = SlowRounding(type).midpoints.flatMap { tie -> [Double] in
            let near: [Double] = [tie, tie.nextUp, tie.nextDown, tie * (1 + 0x1p-40), tie * (1 - 0x1p-40)]
            return near + near.map { -$0 }
        }
        try expectRounded(values, as: values.map(\.bitPattern), .f64, type)
    }

    @Test(arguments: GoldenType.rounded)
    func randomFloat64IsRoundedOnce(_ type: GoldenType) throws {
        var generator = SeededGenerator(state: 20_261_124)
        let values = (0..<100_000).map { index -> Double in
            guard index % 2 == 1 else { return Double(bitPattern: generator.next()) }
            let scale = Double(sign: .plus, exponent: index % 40 - 26, significand: 1)
            return scale * Double.random(in: -2...2, using: &generator)
        }
        try expectRounded(values, as: values.map(\.bitPattern), .f64, type)
    }

    private func expectRounded(
        _ values: [Double], as codes: [UInt64], _ source: ElementType, _ destination: GoldenType
    ) throws {
        let rounding = Self.roundings.first { $0.type.type == destination.type }!
        let found = try #require(ElementConversion(from: source, to: destination.type)).converted(codes)
        var tally = ConversionTally()
        var wrong: [Double] = []
        for (value, code) in zip(values, found.codes) {
            guard let expected = rounding.round(value) else {
                if !destination.type.isNaN(code) { wrong.append(value) }
                continue
            }
            tally += expected.tally
            if code != expected.code { wrong.append(value) }
        }
        #expect(wrong.isEmpty, "\(wrong.count) values, such as \(wrong.prefix(3))")
        #expect(found.tally == tally)
    }
}

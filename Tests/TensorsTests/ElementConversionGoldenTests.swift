import Testing

@testable import AssayTensors

/// Conversions against the tables of torch, ml_dtypes and numpy.
@Suite struct ElementConversionGoldenTests {
    private let golden = GoldenConversions.shared

    /// Bit for bit, NaN as a class: which NaN the libraries give is an accident of theirs.
    private func expectSame(_ found: [UInt64], _ expected: [UInt64], _ type: ElementType, from source: [UInt64]) {
        #expect(found.count == expected.count)
        let wrong = zip(found, expected).enumerated().filter { _, pair in
            pair.0 != pair.1 && !(type.isNaN(pair.0) && type.isNaN(pair.1))
        }
        for (index, pair) in wrong.prefix(3) {
            Issue.record("\(String(source[index], radix: 16)): \(pair.0), expected \(pair.1) (\(type.name))")
        }
        #expect(wrong.isEmpty)
    }

    @Test(arguments: GoldenType.rounded + GoldenType.widenedOnly)
    func everyCodeWidensToTheValueOfTheTable(_ type: GoldenType) throws {
        let expected = golden.table("widen.\(type.name)")
        #expect(expected.count == 1 << type.type.bitCount)
        let source = (0..<expected.count).map(UInt64.init)
        let found = try #require(ElementConversion(from: type.type, to: .f32)).converted(source)
        expectSame(found.codes, expected, .f32, from: source)
        #expect(found.tally == ConversionTally())
    }

    @Test(arguments: GoldenType.rounded)
    func chosenFloat32PatternsRoundAsInTheTable(_ type: GoldenType) throws {
        let source = golden.table("round.f32")
        let found = try #require(ElementConversion(from: .f32, to: type.type)).converted(source)
        expectSame(found.codes, golden.table("round.\(type.name)"), type.type, from: source)
    }

    @Test(arguments: ["f32": ElementType.f32, "f16": .f16, "bf16": .bf16])
    func chosenFloat64PatternsAreRoundedOnce(_ name: String, _ type: ElementType) throws {
        let source = golden.table("double.f64")
        let found = try #require(ElementConversion(from: .f64, to: type)).converted(source)
        expectSame(found.codes, golden.table("double.\(name)"), type, from: source)
    }

    /// torch rounds float64 twice on its way to 16 bits; the table has traps in which that shows.
    @Test(arguments: ["f16": ElementType.f16, "bf16": .bf16])
    func roundingTwiceIsToldFromRoundingOnce(_ name: String, _ type: ElementType) throws {
        let found = try #require(ElementConversion(from: .f64, to: type)).converted(golden.table("double.f64"))
        #expect(zip(found.codes, golden.table("double.\(name).torch")).contains { $0 != $1 && !type.isNaN($0) })
    }
}

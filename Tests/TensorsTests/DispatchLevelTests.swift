import Testing

@testable import AssayTensors

/// Every level of this machine gives the bits and counts of the scalar one.
@Suite struct DispatchLevelTests {
    @Test func theScalarLevelIsAlwaysThere() {
        #expect(DispatchLevel.scalar.isAvailable)
        #expect(DispatchLevel.best.isAvailable)
        #expect(DispatchLevel.available.contains(.current))
    }

    @Test func anUnavailableLevelIsNamed() {
        let available = DispatchLevel.available.map(\.rawValue).joined(separator: ", ")
        #expect(
            DispatchLevel.UnavailableLevel(name: "sse9").description
                == "ASSAY_CPU: this machine offers \(available); 'sse9' was asked for")
    }

    /// Any length, any alignment, any bits: half of them anywhere, half of them numbers of usual size.
    private static func patterns(_ type: ElementType, count: Int) -> [UInt64] {
        var generator = SeededGenerator(state: UInt64(type.bitCount) << 32 | UInt64(count))
        let mask: UInt64 = type.bitCount == 64 ? .max : 1 << UInt64(type.bitCount) - 1
        return (0..<count).map { index in
            let usual = Double.random(in: -4...4, using: &generator)
            switch type {
            case .f64 where index % 2 == 0: return usual.bitPattern
            case .f32 where index % 2 == 0: return UInt64(Float(usual).bitPattern)
            default: return generator.next() & mask
            }
        }
    }

    @Test(arguments: ElementType.floating, ElementType.roundedTo)
    func conversionsAgreeAtEveryLevel(_ source: ElementType, _ destination: ElementType) throws {
        for count in Array(0...67) + [1023, 1024, 1025, 4099] {
            let patterns = Self.patterns(source, count: count)
            let scalar = try #require(ElementConversion(from: source, to: destination, at: .scalar))
            let expected = scalar.converted(patterns)
            for level in DispatchLevel.available {
                let conversion = try #require(ElementConversion(from: source, to: destination, at: level))
                for offset in [0, 1, 3] {
                    let found = conversion.converted(patterns, offset: offset)
                    #expect(found.codes == expected.codes, "\(level), \(count) elements, offset \(offset)")
                    #expect(found.tally == expected.tally, "\(level), \(count) elements, offset \(offset)")
                }
            }
        }
    }

    private static func bytes(_ type: ElementType, unitCount: Int) -> [UInt8] {
        guard type.isBlock else { return packed(patterns(type, count: unitCount * type.elementsPerUnit), type) }
        var generator = SeededGenerator(state: UInt64(unitCount))
        return (0..<unitCount * type.unitByteCount).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    }

    @Test(arguments: ElementType.allCases.filter(TensorStatistics.describes))
    func statisticsAgreeAtEveryLevel(_ type: ElementType) {
        for unitCount in [0, 1, 2, 15, 16, 17, 1000, 1024, 1025, 5000] where unitCount <= 17 || !type.isBlock {
            let bytes = Self.bytes(type, unitCount: unitCount)
            let found = DispatchLevel.available.map { level in
                var statistics = TensorStatistics(at: level)
                bytes.withUnsafeBytes { statistics.add($0, type: type) }
                return Figures(statistics)
            }
            for figures in found { #expect(figures == found[0], "\(type.name), \(unitCount) units") }
        }
    }
}

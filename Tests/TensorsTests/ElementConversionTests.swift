import Testing

@testable import AssayTensors

@Suite struct ElementConversionTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var source: ElementType, code: UInt64, destination: ElementType, expected: UInt64
        var overflowed = 0, underflowed = 0
        var testDescription: String { "\(source.name) \(String(code, radix: 16)) to \(destination.name)" }
    }

    static let cases = [
        // NaN stays NaN: sign kept, quiet bit set, leading payload bits kept where there is room.
        Case(source: .f32, code: 0x7F80_0001, destination: .bf16, expected: 0x7FC0),
        Case(source: .f32, code: 0xFFA1_2345, destination: .bf16, expected: 0xFFE1),
        Case(source: .f32, code: 0x7F80_0001, destination: .f16, expected: 0x7E00),
        Case(source: .f32, code: 0xFFA1_2345, destination: .f16, expected: 0xFF09),
        Case(source: .f32, code: 0x7FA1_2345, destination: .f64, expected: 0x7FFC_2468_A000_0000),
        Case(source: .f64, code: 0x7FF0_0000_0000_0001, destination: .f32, expected: 0x7FC0_0000),
        Case(source: .f64, code: 0xFFF4_2468_BFFF_FFFF, destination: .f32, expected: 0xFFE1_2345),
        Case(source: .f64, code: 0xFFF4_2468_BFFF_FFFF, destination: .bf16, expected: 0xFFE1),
        Case(source: .bf16, code: 0x7F81, destination: .f32, expected: 0x7FC1_0000),
        Case(source: .f16, code: 0xFC01, destination: .f32, expected: 0xFFC0_2000),
        Case(source: .f16, code: 0xFD01, destination: .bf16, expected: 0xFFE0),
        Case(source: .f32, code: 0x7F80_0001, destination: .f8e5m2, expected: 0x7E),
        Case(source: .f32, code: 0xFFE0_0000, destination: .f8e5m2, expected: 0xFF),
        Case(source: .f32, code: 0xFF80_0001, destination: .f8e4m3, expected: 0xFF),
        Case(source: .f32, code: 0x7FC0_0000, destination: .f8e4m3fnuz, expected: 0x80),
        Case(source: .f32, code: 0xFFC0_0000, destination: .f8e5m2fnuz, expected: 0x80),
        Case(source: .f8e4m3, code: 0xFF, destination: .f32, expected: 0xFFC0_0000),
        Case(source: .f8e8m0, code: 0xFF, destination: .f16, expected: 0x7E00),
        // Beyond the range.
        Case(source: .f32, code: 0x7F7F_8000, destination: .bf16, expected: 0x7F80, overflowed: 1),
        Case(source: .f32, code: 0x7F7F_7FFF, destination: .bf16, expected: 0x7F7F),
        Case(source: .f32, code: 0xFF80_0000, destination: .bf16, expected: 0xFF80),
        Case(source: .f32, code: 0x477F_F000, destination: .f16, expected: 0x7C00, overflowed: 1),
        Case(source: .f32, code: 0x477F_EFFF, destination: .f16, expected: 0x7BFF),
        Case(source: .f32, code: 0x43E8_0000, destination: .f8e4m3, expected: 0x7E),
        Case(source: .f32, code: 0x43E8_0001, destination: .f8e4m3, expected: 0x7E, overflowed: 1),
        Case(source: .f32, code: 0xFF80_0000, destination: .f8e4m3, expected: 0xFE, overflowed: 1),
        Case(source: .f32, code: 0x4770_0000, destination: .f8e5m2, expected: 0x7C, overflowed: 1),
        Case(source: .f32, code: 0x7F80_0000, destination: .f8e5m2, expected: 0x7C),
        Case(source: .f32, code: 0x4378_0000, destination: .f8e4m3fnuz, expected: 0x80, overflowed: 1),
        Case(source: .f32, code: 0xFF80_0000, destination: .f8e5m2fnuz, expected: 0x80, overflowed: 1),
        Case(source: .f64, code: 0x47EF_FFFF_F000_0000, destination: .f32, expected: 0x7F80_0000, overflowed: 1),
        Case(source: .f64, code: 0x47EF_FFFF_EFFF_FFFF, destination: .f32, expected: 0x7F7F_FFFF),
        Case(source: .f64, code: 0x7FEF_FFFF_FFFF_FFFF, destination: .f8e5m2, expected: 0x7C, overflowed: 1),
        Case(source: .f64, code: 0xFFF0_0000_0000_0000, destination: .f32, expected: 0xFF80_0000),
        Case(source: .f8e8m0, code: 0xFE, destination: .f16, expected: 0x7C00, overflowed: 1),
        // Down to zero: half of the smallest number is a tie, and zero is even.
        Case(source: .f32, code: 0x0000_8000, destination: .bf16, expected: 0, underflowed: 1),
        Case(source: .f32, code: 0x8000_8001, destination: .bf16, expected: 0x8001),
        Case(source: .f32, code: 0x8000_0000, destination: .bf16, expected: 0x8000),
        Case(source: .f32, code: 0xB300_0000, destination: .f16, expected: 0x8000, underflowed: 1),
        Case(source: .f32, code: 0x3300_0001, destination: .f16, expected: 1),
        Case(source: .f32, code: 0x8000_0001, destination: .f8e4m3fnuz, expected: 0, underflowed: 1),
        Case(source: .f32, code: 0x8000_0000, destination: .f8e5m2fnuz, expected: 0),
        Case(source: .f64, code: 1, destination: .f32, expected: 0, underflowed: 1),
        Case(source: .f64, code: 0x8000_0000_0000_0001, destination: .bf16, expected: 0x8000, underflowed: 1),
        Case(source: .f64, code: 0x3690_0000_0000_0000, destination: .f32, expected: 0, underflowed: 1),
        Case(source: .f64, code: 0x3690_0000_0000_0001, destination: .f32, expected: 1),
        // Rounding twice would go wrong: float32 would see a tie here.
        Case(source: .f64, code: 0x3FF0_0200_0000_0001, destination: .f16, expected: 0x3C01),
        Case(source: .f64, code: 0x3FF1_0000_0000_0001, destination: .f8e4m3, expected: 0x39),
        Case(source: .f64, code: 0x3FF1_0000_0000_0000, destination: .f8e4m3, expected: 0x38),
        // Sub-byte and e8m0 values.
        Case(source: .f4, code: 0x7, destination: .f32, expected: 0x40C0_0000),
        Case(source: .f4, code: 0x9, destination: .f32, expected: 0xBF00_0000),
        Case(source: .f6e2m3, code: 0x1F, destination: .f32, expected: 0x40F0_0000),
        Case(source: .f6e3m2, code: 0x3F, destination: .bf16, expected: 0xC1E0),
        Case(source: .f8e8m0, code: 0, destination: .f32, expected: 0x0040_0000),
        Case(source: .f8e8m0, code: 127, destination: .f64, expected: 0x3FF0_0000_0000_0000),
    ]

    @Test(arguments: cases, DispatchLevel.available)
    func extremesAreAsDocumented(_ item: Case, _ level: DispatchLevel) throws {
        let conversion = try #require(ElementConversion(from: item.source, to: item.destination, at: level))
        let found = conversion.converted([item.code])
        #expect(found.codes == [item.expected])
        #expect(found.tally == ConversionTally(overflowed: item.overflowed, underflowed: item.underflowed))
    }

    struct Refusal: Sendable {
        var source: ElementType, destination: ElementType, sentence: String?
    }

    @Test(arguments: [
        Refusal(
            source: .f32, destination: .f4, sentence: "cannot convert F32 to F4: F4 has no NaN or infinity"),
        Refusal(
            source: .bf16, destination: .f6e2m3,
            sentence: "cannot convert BF16 to F6_E2M3: F6_E2M3 has no NaN or infinity"),
        Refusal(
            source: .f4, destination: .f6e3m2, sentence: "cannot convert F4 to F6_E3M2: F6_E3M2 has no NaN or infinity"),
        Refusal(
            source: .f16, destination: .f8e8m0,
            sentence: "cannot convert F16 to F8_E8M0: F8_E8M0 has no zero or negative numbers"),
        Refusal(
            source: .i32, destination: .f32, sentence: "cannot convert I32 to F32: I32 is not a floating-point type"),
        Refusal(
            source: .f32, destination: .c64, sentence: "cannot convert F32 to C64: C64 is not a floating-point type"),
        Refusal(source: .f4, destination: .f4, sentence: nil),
        Refusal(source: .f8e8m0, destination: .f8e8m0, sentence: nil),
        Refusal(source: .f4, destination: .f8e4m3, sentence: nil),
    ])
    func refusalsNameTheTypeAndTheReason(_ item: Refusal) {
        #expect(ElementConversion.refusal(from: item.source, to: item.destination) == item.sentence)
        #expect((ElementConversion(from: item.source, to: item.destination) == nil) == (item.sentence != nil))
    }

    @Test func everyPairOfFloatingTypesConvertsOrIsRefused() {
        for source in ElementType.floating {
            for destination in ElementType.floating {
                let exists = source == destination || ElementType.roundedTo.contains(destination)
                #expect((ElementConversion(from: source, to: destination) != nil) == exists)
            }
        }
    }

    @Test(arguments: ElementType.floating)
    func theSameTypeIsCopiedBitForBit(_ type: ElementType) throws {
        // A signalling NaN of each wide type is among the patterns.
        let bytes: [UInt8] = [0x01, 0x00, 0x80, 0x7F, 0x81, 0xFF, 0x01, 0x7C, 0x01, 0, 0, 0, 0, 0, 0xF0, 0x7F]
        var copy = [UInt8](repeating: 0, count: 16)
        let conversion = try #require(ElementConversion(from: type, to: type))
        let count = bytes.count * 8 / type.bitCount / type.elementsPerUnit * type.elementsPerUnit
        let used = count * type.bitCount / 8
        let tally = bytes.withUnsafeBytes { source in
            copy.withUnsafeMutableBytes { conversion.convert(source, to: $0, count: count) }
        }
        #expect(Array(copy[..<used]) == Array(bytes[..<used]))
        #expect(tally == ConversionTally())
    }

    @Test func fourBitElementsBeginInTheLowHalf() throws {
        let conversion = try #require(ElementConversion(from: .f4, to: .f32))
        let bytes: [UInt8] = [0x21, 0xF3]
        var values = [Float](repeating: -1, count: 4)
        bytes.withUnsafeBytes { source in
            values.withUnsafeMutableBytes { _ = conversion.convert(source, to: $0, count: 4) }
        }
        #expect(values == [0.5, 1, 1.5, -6])
    }

    @Test func sixBitElementsAreALittleEndianBitString() throws {
        let conversion = try #require(ElementConversion(from: .f6e2m3, to: .f32))
        // Codes 1, 2, 3, 32 + 8: 000001, 000010 << 6, 000011 << 12, 101000 << 18 = 0xA03081.
        let bytes: [UInt8] = [0x81, 0x30, 0xA0]
        var values = [Float](repeating: -1, count: 4)
        bytes.withUnsafeBytes { source in
            values.withUnsafeMutableBytes { _ = conversion.convert(source, to: $0, count: 4) }
        }
        #expect(values == [0.125, 0.25, 0.375, -1])
    }

    @Test(arguments: [ElementType.f4, .f6e2m3, .f6e3m2], 0...9)
    func packedElementsMayEndInsideAUnit(_ type: ElementType, _ count: Int) throws {
        let source = (0..<count).map { UInt64($0 * 7 + 3) & (1 << UInt64(type.bitCount) - 1) }
        let conversion = try #require(ElementConversion(from: type, to: .f32))
        let table = conversion.converted((0..<1 << type.bitCount).map(UInt64.init)).codes
        #expect(conversion.converted(source).codes == source.map { table[Int($0)] })
    }
}

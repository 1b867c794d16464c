import AssayCKernels
import Testing

@testable import AssayTensors

/// Block types, beside what the gguf package says of them (FormatsTests/GGUF).
@Suite struct BlockTests {
    static let convertible = ElementType.allCases.filter { $0.isBlock && $0.kernelFloat != nil }

    @Test(arguments: convertible) func kernelsAndTypesAgreeOnTheBlock(_ type: ElementType) throws {
        let unit = ck_float_unit(try #require(type.kernelFloat))
        #expect(unit.elements == type.elementsPerUnit && unit.bytes == type.unitByteCount)
        #expect(type.isFloating)
        #expect(ElementType(name: type.name.uppercased()) == type)
    }

    private static func random(_ type: ElementType, blocks: Int) -> [UInt8] {
        var generator = SeededGenerator(state: UInt64(blocks))
        return (0..<blocks * type.unitByteCount).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
    }

    private static func convert(
        _ bytes: [UInt8], from source: ElementType, to destination: ElementType, at level: DispatchLevel,
        offset: Int = 0
    ) throws -> [UInt8] {
        let conversion = try #require(ElementConversion(from: source, to: destination, at: level))
        let count = bytes.count / source.unitByteCount * source.elementsPerUnit
        let input = [UInt8](repeating: 0, count: offset) + bytes
        var output = [UInt8](repeating: 0, count: offset + destination.byteRange(of: 0..<count).count)
        input.withUnsafeBytes { input in
            output.withUnsafeMutableBytes { output in
                _ = conversion.convert(
                    UnsafeRawBufferPointer(rebasing: input[offset...]),
                    to: UnsafeMutableRawBufferPointer(rebasing: output[offset...]), count: count)
            }
        }
        return Array(output[offset...])
    }

    /// Any bits, any alignment; several times what one pass of the two-step conversions takes.
    @Test(arguments: convertible, [ElementType.f32, .bf16, .f64])
    func theyDequantizeAlikeAtEveryLevel(_ type: ElementType, _ destination: ElementType) throws {
        let bytes = Self.random(type, blocks: 41)
        let expected = try Self.convert(bytes, from: type, to: destination, at: .scalar)
        for level in DispatchLevel.available {
            for offset in [0, 1, 3] {
                #expect(
                    try Self.convert(bytes, from: type, to: destination, at: level, offset: offset) == expected,
                    "\(level)")
            }
        }
    }

    /// By way of float32, whatever the other type is.
    @Test(arguments: convertible) func otherTypesAreReachedThroughFloat32(_ type: ElementType) throws {
        let bytes = Self.random(type, blocks: 17)
        let values = try Self.convert(bytes, from: type, to: .f32, at: .current)
        for other in [ElementType.f16, .q80] where other != type {
            #expect(
                try Self.convert(bytes, from: type, to: other, at: .current)
                    == Self.convert(values, from: .f32, to: other, at: .current))
        }
    }

    @Test(arguments: [ElementType.q40, .q41, .q50, .q51, .q80]) func theyAreMadeAlikeAtEveryLevel(
        _ type: ElementType
    ) throws {
        var generator = SeededGenerator(state: 9)
        let values = (0..<32 * 500).map { index in
            index % 700 == 3
                ? Float(bitPattern: UInt32(truncatingIfNeeded: generator.next()))
                : Float.random(in: -2...2, using: &generator)
        }
        let bytes = values.withUnsafeBytes { [UInt8]($0) }
        let expected = try Self.convert(bytes, from: .f32, to: type, at: .scalar)
        for level in DispatchLevel.available {
            #expect(try Self.convert(bytes, from: .f32, to: type, at: level, offset: 1) == expected)
        }
    }

    @Test(arguments: [
        (ElementType.f32, ElementType.q6K, "cannot convert F32 to q6_K: how its integers are chosen is not known here"),
        (.q8K, .f32, "cannot convert q8_K to F32: q8_K is carried as it is"),
        (.q10, .f32, "cannot convert q1_0 to F32: q1_0 is carried as it is"),
        (.q40, .i8, "cannot convert q4_0 to I8: I8 is not a floating-point type"),
    ]) func whatHasNoConversionSaysWhy(_ source: ElementType, _ destination: ElementType, _ sentence: String) {
        #expect(ElementConversion.refusal(from: source, to: destination) == sentence)
        #expect(ElementConversion(from: source, to: destination) == nil)
    }
}

import AssayCheckpoints
import AssayComparison
import AssayFormats
import AssayTensors
import AssayTestSupport
import Testing

@testable import AssayReporting

private func bytes(_ values: [some Any]) -> [UInt8] { values.withUnsafeBytes { Array($0) } }

/// Two numbers as two files store them, and what may be said of them.
struct Equality: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var types: (ElementType, ElementType) = (.f32, .f32)
    var numbers: ([UInt8], [UInt8])
    var isBitForBit = false

    static let all: [Equality] = [
        .init(
            testDescription: "the same", numbers: (bytes([Float(1), -0.0]), bytes([Float(1), -0.0])), isBitForBit: true),
        .init(
            testDescription: "the same NaN", numbers: (bytes([Float.nan, 1]), bytes([Float.nan, 1])), isBitForBit: true),
        .init(testDescription: "zeros of either sign", numbers: (bytes([Float(0), 1]), bytes([Float(-0.0), 1]))),
        .init(
            testDescription: "NaNs of other payloads",
            numbers: (bytes([Float.nan, 1]), bytes([Float(bitPattern: 0x7FC0_0001), 1]))),
        .init(
            testDescription: "another type", types: (.bf16, .f32),
            numbers: (bytes([0x3F80, 0x4000] as [UInt16]), bytes([Float(1), 2]))),
        .init(
            testDescription: "zeros of float64", types: (.f64, .f64),
            numbers: (bytes([0.0, 1]), bytes([-0.0, 1]))),
    ]
}

@Test(arguments: Equality.all) func bitForBitIsSaidOfBits(_ equality: Equality) throws {
    func side(_ type: ElementType, _ data: [UInt8], _ name: String) throws -> ComparisonSide {
        var file = MemoryCheckpoint()
        file.set("w", type, [2], data)
        return try ComparisonSide(file, configuration: nil, name: name)
    }
    let (types, numbers) = (equality.types, equality.numbers)
    let result = try Comparison(
        side(types.0, numbers.0, "a"), side(types.1, numbers.1, "b"), ComparisonOptions(threads: 1)
    ).run()
    #expect(result.differenceClass == .identical)
    #expect(result.exitStatus == .done)
    let report = DiffReport(result)
    #expect(
        report.verdict
            == (equality.isBitForBit
                ? "B equals A, bit for bit."
                : "B equals A in value; the bits that store it are others in 1 of 1 tensor, first 'w' (another type or"
                    + " packing, the sign of a zero, or a NaN's payload)."))
    let weight = try #require(report.jsonValue.object?["weights"]?.array?.first?.object)
    #expect(weight["sameBits"]?.bool == equality.isBitForBit)
}

import AssayCKernels
import AssayTestSupport
import Testing

@testable import AssayTensors

private let levels = DispatchLevel.allCases.filter(\.isAvailable)

/// What a level makes of a row.
private struct Row: Equatable {
    var status: UInt32
    var codes: [Int8], scales: [UInt32], zeroPoints: [Int8]
    var packed: [UInt8], unpacked: [Int8], decoded: [UInt32]
    var tally: [Double]

    init(_ level: DispatchLevel, _ weights: [Float], _ scheme: ck_quantize_scheme) {
        let kernels = ck_quantize_at(level.kernelLevel).pointee
        var scheme = scheme
        let groups = weights.count / scheme.group
        codes = [Int8](repeating: 99, count: weights.count)
        zeroPoints = [Int8](repeating: 0, count: groups)
        var values = [Float](repeating: .nan, count: groups)
        var tally = ck_quantize_tally()
        var failed = 0
        status =
            kernels.quantize_row(weights, weights.count, &scheme, &codes, &values, &zeroPoints, &tally, &failed)
            .rawValue
        scales = values.map(\.bitPattern)
        packed = [UInt8](repeating: 0xEE, count: (weights.count * Int(scheme.bits) + 31) / 32 * 4)
        unpacked = [Int8](repeating: 99, count: weights.count)
        var decoded = [Float](repeating: .nan, count: weights.count)
        kernels.pack_row(codes, codes.count, scheme.bits, &packed)
        kernels.unpack_row(packed, codes.count, scheme.bits, &unpacked)
        kernels.dequantize_row(codes, codes.count, scheme.group, values, zeroPoints, scheme.scale_type, &decoded)
        self.decoded = decoded.map(\.bitPattern)
        self.tally = [tally.signal, tally.noise, tally.maximum, Double(tally.saturated), Double(tally.floored)]
    }
}

private func scheme(
    _ bits: Int, _ group: Int, symmetric: Bool = true, _ type: ck_scale_type = CK_SCALE_F32, step: Float = 1 / 64
) -> ck_quantize_scheme {
    ck_quantize_scheme(
        bits: CInt(bits), is_symmetric: symmetric ? 1 : 0, group: group, scale_type: type, clip_step: step)
}

@Test func everyLevelGivesTheSameBits() {
    var numbers = SeededRandom(seed: 1)
    for bits in 2...8 {
        for type in [CK_SCALE_F32, CK_SCALE_BF16, CK_SCALE_F16] {
            for symmetric in [true, false] {
                for group in [1, 3, 16, 32, 37, 64, 128, 300, 768] {
                    let weights = numbers.gaussian(
                        group * 5, deviation: [0.02, 1, 300].randomElement(using: &numbers)!)
                    let scheme = scheme(bits, group, symmetric: symmetric, type)
                    let expected = Row(.scalar, weights, scheme)
                    #expect(expected.status == CK_QUANTIZED.rawValue)
                    #expect(expected.unpacked == expected.codes)
                    for level in levels { #expect(Row(level, weights, scheme) == expected, "\(level) \(scheme)") }
                }
            }
        }
    }
}

@Test func everyCodeRoundTrips() {
    for bits in 2...8 {
        let range = -(1 << (bits - 1))...(1 << (bits - 1)) - 1
        for level in levels {
            let kernels = ck_quantize_at(level.kernelLevel).pointee
            for count in 1...70 {
                for first in 0..<9 {
                    let codes = (0..<count).map { Int8(range.lowerBound + (29 * first + 37 * $0) % range.count) }
                    var packed = [UInt8](repeating: 0xEE, count: (count * bits + 31) / 32 * 4)
                    var unpacked = [Int8](repeating: 99, count: count)
                    kernels.pack_row(codes, count, CInt(bits), &packed)
                    kernels.unpack_row(packed, count, CInt(bits), &unpacked)
                    #expect(unpacked == codes)
                    // By the definition: element i at bit i * bits, little end first, offset by half the range.
                    for (index, code) in codes.enumerated() {
                        let value = (0..<bits).reduce(0) { sum, bit in
                            let place = index * bits + bit
                            return sum + (Int(packed[place / 8]) >> (place % 8) & 1) << bit
                        }
                        #expect(value == Int(code) + 1 << (bits - 1))
                    }
                }
            }
        }
    }
}

@Test func zeroPointsRoundTripAlongTheRows() {
    var numbers = SeededRandom(seed: 2)
    for bits in 2...8 {
        let range = Int8(-(1 << (bits - 1)))...Int8((1 << (bits - 1)) - 1)
        for rows in [1, 2, 7, 8, 9, 33, 70] {
            for groups in [1, 3] {
                let zeros = (0..<rows * groups).map { _ in Int8.random(in: range, using: &numbers) }
                var words = [UInt32](repeating: 0xEEEE_EEEE, count: (rows * bits + 31) / 32 * groups)
                ck_zeros_pack(zeros, rows, groups, CInt(bits), &words)
                for first in 0..<rows {
                    let count = min(5, rows - first)
                    var unpacked = [Int8](repeating: 99, count: count * groups)
                    let base = first * bits / 32 * groups
                    ck_zeros_unpack(Array(words[base...]), first, count, groups, CInt(bits), &unpacked)
                    #expect(unpacked == Array(zeros[first * groups..<(first + count) * groups]))
                }
            }
        }
    }
}

@Test func elementsInsideTheRangeAreWithinHalfAStep() {
    var numbers = SeededRandom(seed: 3)
    for bits in [4, 8] {
        for symmetric in [true, false] {
            for round in 0..<200 {
                let shift = round % 3 == 0 ? Float(0) : Float.random(in: -3...3, using: &numbers)
                let weights = numbers.gaussian(64).map { $0 + shift }
                let row = Row(.scalar, weights, scheme(bits, 64, symmetric: symmetric))
                let scale = Float(bitPattern: row.scales[0])
                for (index, weight) in weights.enumerated() {
                    let place = weight / scale + Float(row.zeroPoints[0])
                    guard place > -Float(1 << (bits - 1)) - 0.5, place < Float(1 << (bits - 1)) - 0.5 else { continue }
                    let decoded = Float(bitPattern: row.decoded[index])
                    #expect(abs(decoded - weight) <= scale * 0.500_01)
                }
                // The whole range is among the candidates: the search never loses by it.
                let whole = Row(.scalar, weights, scheme(bits, 64, symmetric: symmetric, step: 0))
                #expect(row.tally[1] <= whole.tally[1] * 1.000_1)
                if symmetric { #expect(whole.tally[3] == 0) }
            }
        }
    }
}

/// A search over the same candidates in float64, written plainly.
@Test func theSearchFindsTheLeastSquaredError() {
    var numbers = SeededRandom(seed: 4)
    for _ in 0..<300 {
        let weights = numbers.gaussian(32)
        let row = Row(.scalar, weights, scheme(4, 32))
        let widest = weights.map(abs).max()! / 7
        var least = Double.infinity
        for candidate in 0..<Int(CK_CLIP_CANDIDATES) {
            let scale = Double(widest * (1 - Float(candidate) / 64))
            let error = weights.reduce(0.0) { sum, weight in
                let code = min(max((Double(weight) / scale).rounded(.toNearestOrEven), -8), 7)
                return sum + (code * scale - Double(weight)) * (code * scale - Double(weight))
            }
            least = min(least, error)
        }
        #expect(abs(row.tally[1] / least - 1) < 1e-5)
    }
}

@Test func scalesThatF16CannotHoldAreNoticed() {
    let wide = [Float](repeating: 70_000 * 127, count: 32)
    let small = [Float](repeating: 0.004, count: 32)
    let ordinary = [Float](repeating: 0.05, count: 32)
    for (weights, status, fits) in [
        (wide, CK_SCALE_OVERFLOW, 0), (small, CK_QUANTIZED, 0), (ordinary, CK_QUANTIZED, 1),
    ] {
        var scheme = scheme(8, 32, CK_SCALE_F16)
        for level in levels { #expect(Row(level, weights, scheme).status == status.rawValue) }
        #expect(ck_scales_fit(weights, 32, &scheme) == fits)
        scheme.scale_type = CK_SCALE_F32
        #expect(ck_scales_fit(weights, 32, &scheme) == 1)
    }
}

@Test func halfPrecisionScalesRoundAndWiden() {
    // All f16 codes: widened by the standard library's own type, narrowed back where normal.
    for code in UInt16.min...UInt16.max {
        let expected = Float(Float16(bitPattern: code))
        var widened: Float = 0
        withUnsafeBytes(of: code) { ck_scales_widen($0.baseAddress, 1, CK_SCALE_F16, &widened) }
        #expect(widened.bitPattern == expected.bitPattern || (widened.isNaN && expected.isNaN))
        guard Float16(bitPattern: code).isNormal else { continue }
        var narrowed: UInt16 = 0
        withUnsafeMutableBytes(of: &narrowed) { ck_scales_narrow(&widened, 1, CK_SCALE_F16, $0.baseAddress) }
        #expect(narrowed == code)
    }
    var numbers = SeededRandom(seed: 5)
    for _ in 0..<1_000_000 {
        let value = Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &numbers))
        let rounded = ck_scale_round(value, CK_SCALE_F16)
        let expected = Float(Float16(value))
        guard rounded.bitPattern == expected.bitPattern || (rounded.isNaN && expected.isNaN) else {
            Issue.record("\(value): \(rounded), not \(expected)")
            return
        }
    }
}

@Test func transposingIsExact() {
    for (rows, columns) in [(1, 1), (3, 50), (16, 16), (17, 33), (100, 7)] {
        let from = (0..<rows * columns).map(Float.init)
        for level in levels {
            var to = [Float](repeating: -1, count: columns * (rows + 2))
            ck_quantize_at(level.kernelLevel).pointee.transpose(from, columns, rows, columns, &to, rows + 2)
            for row in 0..<rows {
                for column in 0..<columns { #expect(to[column * (rows + 2) + row] == from[row * columns + column]) }
            }
        }
    }
}

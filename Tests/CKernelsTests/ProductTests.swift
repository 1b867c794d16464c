import AssayCKernels
import Foundation
import Testing

/// c[m, n] = a[m, k] w[k, n] and everything that goes into one call.
private struct Product {
    let m: Int, k: Int, n: Int
    let a: [Float], w: [Float]

    init(_ m: Int, _ k: Int, _ n: Int, seed: UInt64, withSpecials: Bool = false) {
        (self.m, self.k, self.n) = (m, k, n)
        var random = Seeded(seed)
        var a = random.floats(m * k)
        if withSpecials {
            for i in a.indices where random.below(60) == 0 {
                a[i] = [Float.infinity, -.infinity, .nan, .leastNonzeroMagnitude * 700][random.below(4)]
            }
        }
        self.a = a
        w = random.floats(k * n, scale: withSpecials ? 1e-38 : 1)
    }

    /// Weights as [n, k].
    var transposedWeights: [Float] { (0..<n * k).map { w[$0 % k * n + $0 / k] } }

    func packed(at level: MathLevel) -> [Float] {
        let kernels = level.kernels
        var packed = [Float](repeating: .nan, count: kernels.packed_count_f32(k, n))
        kernels.pack_f32(w, n, 1, k, n, 0, panels(at: level), &packed)
        return packed
    }

    func panels(at level: MathLevel) -> Int {
        (n + level.kernels.panel_width_f32 - 1) / level.kernels.panel_width_f32
    }

    /// With weights packed before, the panels in two parts as two threads would have them.
    func result(at level: MathLevel, rows: Range<Int>? = nil) -> [Float] {
        let kernels = level.kernels, rows = rows ?? 0..<m, middle = panels(at: level) / 2
        let packed = packed(at: level)
        var c = [Float](repeating: -7, count: rows.count * n)
        a.withUnsafeBufferPointer { a in
            packed.withUnsafeBufferPointer { packed in
                let from = a.baseAddress! + rows.lowerBound * k
                let second = packed.baseAddress! + middle * k * kernels.panel_width_f32
                kernels.product_f32(from, k, packed.baseAddress, &c, n, rows.count, k, n, 0, middle)
                kernels.product_f32(from, k, second, &c, n, rows.count, k, n, middle, panels(at: level))
            }
        }
        return c
    }

    func unpackedResult(at level: MathLevel, transposed: Bool, rows: Range<Int>? = nil) -> [Float] {
        let kernels = level.kernels, rows = rows ?? 0..<m
        var c = [Float](repeating: -7, count: rows.count * n)
        var scratch = [Float](repeating: .nan, count: 3 * CK_PRODUCT_BLOCK * kernels.panel_width_f32)
        let weights = transposed ? transposedWeights : w
        kernels.product_unpacked_f32(
            Array(a[rows.lowerBound * k..<rows.upperBound * k]), k, weights, transposed ? 1 : n, transposed ? k : 1,
            &c, n, rows.count, k, n, 0, panels(at: level), &scratch, scratch.count)
        return c
    }

    func wideResult(at level: MathLevel) -> [Double] {
        let kernels = level.kernels, width = kernels.panel_width_f64
        var packed = [Double](repeating: .nan, count: kernels.packed_count_f64(k, n))
        kernels.pack_f64(w, n, 1, k, n, 0, (n + width - 1) / width, &packed)
        var c = [Double](repeating: -7, count: m * n)
        kernels.product_f64(a.map(Double.init), k, packed, &c, n, m, k, n, 0, (n + width - 1) / width)
        return c
    }

    /// The order of the header, spelled out: blocks of 256 from +0, fused, ascending, added in sequence.
    var spelledOut: [Float] {
        (0..<m * n).map { index in
            let (i, j) = (index / n, index % n)
            var sum: Float = 0
            for start in stride(from: 0, to: k, by: 256) {
                var partial: Float = 0
                for step in start..<min(start + 256, k) { partial.addProduct(a[i * k + step], w[step * n + j]) }
                sum = start == 0 ? partial : sum + partial
            }
            return sum.isNaN ? .nan : sum
        }
    }
}

@Suite struct ProductTests {
    @Test func everySmallShapeHasTheSpelledOutBitsAtEveryLevel() {
        for m in 1...14 {
            for k in [0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 19] {
                for n in [1, 2, 7, 8, 9, 15, 16, 17, 20] {
                    let product = Product(
                        m, k, n, seed: UInt64(m * 10_000 + k * 100 + n), withSpecials: (m + k + n) % 3 == 0)
                    let expected = product.spelledOut
                    for level in MathLevel.available {
                        #expect(sameBits(product.result(at: level), expected), "\(level), \(m) × \(k) × \(n)")
                    }
                }
            }
        }
    }

    @Test(arguments: 0..<24) func randomShapesHaveTheSpelledOutBits(seed: Int) {
        var random = Seeded(UInt64(seed))
        let product = Product(
            1 + random.below(80), random.below(700), 1 + random.below(150), seed: UInt64(seed),
            withSpecials: seed % 3 == 0)
        let expected = product.spelledOut, wide = product.wideResult(at: MathLevel.available[0])
        for level in MathLevel.available {
            #expect(sameBits(product.result(at: level), expected))
            #expect(sameBits(product.unpackedResult(at: level, transposed: false), expected))
            #expect(sameBits(product.unpackedResult(at: level, transposed: true), expected))
            #expect(sameBits(product.wideResult(at: level), wide))
        }
    }

    @Test func aRowHasTheBitsThatItHasAmongMany() {
        let product = Product(37, 600, 131, seed: 5)
        for level in MathLevel.available {
            let whole = product.result(at: level)
            for row in 0..<product.m {
                let expected = Array(whole[row * product.n..<(row + 1) * product.n])
                #expect(sameBits(product.result(at: level, rows: row..<row + 1), expected))
                #expect(sameBits(product.unpackedResult(at: level, transposed: false, rows: row..<row + 1), expected))
                #expect(sameBits(product.unpackedResult(at: level, transposed: true, rows: row..<row + 1), expected))
            }
        }
    }

    /// |computed - exact| <= gamma_k * sum |a| |w|, with gamma_k = k u / (1 - k u).
    @Test func theErrorStaysWithinTheCertifiedBound() {
        let product = Product(9, 777, 40, seed: 11)
        let computed = product.result(at: MathLevel.available.last!)
        let gamma = 777 * 0x1p-24 / (1 - 777 * 0x1p-24)
        for i in 0..<product.m {
            for j in 0..<product.n {
                var exact = 0.0, size = 0.0
                for step in 0..<product.k {
                    let term = Double(product.a[i * product.k + step]) * Double(product.w[step * product.n + j])
                    exact += term
                    size += abs(term)
                }
                #expect(abs(Double(computed[i * product.n + j]) - exact) <= gamma * size)
            }
        }
    }

    @Test func packingTakesAnyStridesAndPadsWithZeros() {
        let product = Product(1, 21, 19, seed: 3)
        // Every weight surrounded by numbers that must not be read as weights.
        var spread = [Float](repeating: .nan, count: product.k * product.n * 6)
        for i in 0..<product.k {
            for j in 0..<product.n { spread[i * 6 * product.n + j * 3] = product.w[i * product.n + j] }
        }
        for level in MathLevel.available {
            let kernels = level.kernels, width = kernels.panel_width_f32
            var packed = [Float](repeating: .nan, count: kernels.packed_count_f32(product.k, product.n))
            kernels.pack_f32(spread, 6 * product.n, 3, product.k, product.n, 0, product.panels(at: level), &packed)
            #expect(sameBits(packed, product.packed(at: level)))
            for (index, value) in packed.enumerated()
            where index / width / product.k * width + index % width >= product.n {
                #expect(value.bitPattern == 0)
            }
        }
    }
}

import AssayCKernels
import Foundation
import Testing

/// One head in float32 with everything that the kernel can be asked for.
private struct Head {
    var rows: Int, keys: Int, width = 24, valueWidth = 37, keyBegin = 0
    var begin: [Int]?, end: [Int]
    var mask: [UInt8]?, bias: [Float]?
    var q: [Float], k: [Float], v: [Float]
    /// Keys left out of `k` and `v`.
    var repeated = 0

    init(
        rows: Int, keys: Int, keyBegin: Int = 0, seed: UInt64, masked: Bool = false, biased: Bool = false,
        banded: Bool = false
    ) {
        var random = Seeded(seed)
        (self.rows, self.keys, self.keyBegin) = (rows, keys, keyBegin)
        q = random.floats(rows * width, scale: 4)
        k = random.floats(keys * width)
        v = random.floats(keys * valueWidth)
        end = (0..<rows).map { _ in keyBegin + random.below(keys - keyBegin + 1) }
        if banded { begin = end.map { keyBegin + random.below($0 - keyBegin + 1) } }
        if biased { bias = random.floats(rows * keys) }
        if masked {
            let open: [UInt8] = (0..<keys).map { _ in random.below(4) == 0 ? 0 : 1 }
            mask = open
            poison { open[$0] == 0 }
        }
    }

    /// NaN in the key, the value and the biases of some keys.
    mutating func poison(_ isPoisoned: (Int) -> Bool) {
        for key in 0..<keys where isPoisoned(key) {
            for i in 0..<width { k[key * width + i] = .nan }
            for i in 0..<valueWidth { v[key * valueWidth + i] = .nan }
            for row in 0..<rows where bias != nil { bias![row * keys + key] = .nan }
        }
    }

    /// The first keys all as the first of them, once stored and once left out but for the last block and the rest.
    func repeating(_ count: Int) -> (stored: Head, left: Head) {
        var stored = self
        for key in 1..<count {
            for i in 0..<width { stored.k[key * width + i] = k[i] }
            for i in 0..<valueWidth { stored.v[key * valueWidth + i] = v[i] }
        }
        var left = stored
        left.repeated = (count / 64 - 1) * 64
        left.k.removeFirst(left.repeated * width)
        left.v.removeFirst(left.repeated * valueWidth)
        return (stored, left)
    }

    func row(_ r: Int) -> Head {
        var one = self
        (one.rows, one.end, one.begin) = (1, [end[r]], begin.map { [$0[r]] })
        one.q = Array(q[r * width..<(r + 1) * width])
        one.bias = bias.map { Array($0[r * keys..<(r + 1) * keys]) }
        return one
    }

    func result(at level: MathLevel) -> [Float] {
        var out = [Float](repeating: -7, count: rows * valueWidth)
        var scratch = [Float](repeating: .nan, count: level.kernels.attention_scratch_count_f32(width))
        withPointers { head in
            out.withUnsafeMutableBufferPointer { out in
                var head = head
                head.out = out.baseAddress
                level.kernels.attention_f32(&head, &scratch)
            }
        }
        return out
    }

    private func withPointers(_ body: (ck_attention_f32) -> Void) {
        q.withUnsafeBufferPointer { q in
            k.withUnsafeBufferPointer { k in
                v.withUnsafeBufferPointer { v in
                    end.withUnsafeBufferPointer { end in
                        (begin ?? []).withUnsafeBufferPointer { first in
                            (mask ?? []).withUnsafeBufferPointer { open in
                                (bias ?? []).withUnsafeBufferPointer { added in
                                    body(
                                        ck_attention_f32(
                                            q: q.baseAddress, q_stride: width, k: k.baseAddress, k_stride: width,
                                            v: v.baseAddress,
                                            v_stride: valueWidth, out: nil, out_stride: valueWidth, rows: rows,
                                            width: width,
                                            value_width: valueWidth, scale: 0.25, key_begin: keyBegin,
                                            begin: begin == nil ? nil : first.baseAddress, end: end.baseAddress,
                                            mask: mask == nil ? nil : open.baseAddress,
                                            bias: bias == nil ? nil : added.baseAddress, bias_stride: keys,
                                            cap: 0, sink: nil, repeated: repeated))
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// In float64, without blocks.
    var plain: [Double] {
        (0..<rows).flatMap { r -> [Double] in
            let seen = ((begin?[r] ?? keyBegin)..<max(end[r], begin?[r] ?? keyBegin)).filter { mask?[$0] != 0 }
            let scores = seen.map { key in
                (0..<width).reduce(0.0) { $0 + Double(q[r * width + $1]) * Double(k[key * width + $1]) } * 0.25
                    + Double(bias?[r * keys + key] ?? 0)
            }
            let weights = scores.map { exp($0 - scores.max()!) }, sum = weights.reduce(0, +)
            return (0..<valueWidth).map { i in
                seen.isEmpty ? 0 : zip(seen, weights).reduce(0) { $0 + $1.1 * Double(v[$1.0 * valueWidth + i]) } / sum
            }
        }
    }
}

@Suite struct AttentionTests {
    private static func head(_ seed: Int) -> Head {
        var random = Seeded(UInt64(seed))
        let keyBegin = seed % 2 * random.below(20)
        return Head(
            rows: 1 + random.below(20), keys: keyBegin + 1 + random.below(200), keyBegin: keyBegin, seed: UInt64(seed),
            masked: seed & 1 != 0, biased: seed & 2 != 0, banded: seed & 4 != 0)
    }

    @Test func keysThatAreAllAlikeNeedNotBeStored() {
        for (count, banded) in [(64, false), (128, false), (130, true), (200, false), (255, true), (256, true)] {
            let (stored, left) = Head(rows: 150, keys: 300, seed: 5, biased: true, banded: banded).repeating(count)
            #expect(left.k.count == stored.k.count - left.repeated * stored.width)
            for level in MathLevel.available {
                #expect(left.result(at: level).map(\.bitPattern) == stored.result(at: level).map(\.bitPattern))
            }
        }
    }

    @Test(arguments: 0..<32) func everyLevelHasTheSameBitsNearThePlainSoftmax(seed: Int) {
        let head = Self.head(seed), expected = head.result(at: MathLevel.available[0])
        for level in MathLevel.available { #expect(sameBits(head.result(at: level), expected)) }
        // Scores are below 24 in magnitude; their rounding is what the bound covers.
        for (computed, plain) in zip(expected, head.plain) { #expect(abs(Double(computed) - plain) <= 2e-5) }
    }

    @Test(arguments: 0..<8) func aRowDependsOnItsOwnKeysOnly(seed: Int) {
        let head = Self.head(seed)
        for level in MathLevel.available {
            let whole = head.result(at: level)
            for r in 0..<head.rows {
                var alone = head.row(r)
                alone.poison { $0 >= head.end[r] }
                let expected = Array(whole[r * head.valueWidth..<(r + 1) * head.valueWidth])
                #expect(sameBits(alone.result(at: level), expected))
            }
        }
    }

    @Test func aBandThatCoversEverythingHasTheDenseBits() {
        var head = Head(rows: 10, keys: 150, keyBegin: 5, seed: 9)
        for level in MathLevel.available {
            head.begin = nil
            let dense = head.result(at: level)
            head.begin = [Int](repeating: 5, count: 10)
            #expect(sameBits(head.result(at: level), dense))
        }
    }

    @Test func aRowThatSeesNoKeyIsZeroAndOneOfInfiniteScoresIsNotANumber() {
        var head = Head(rows: 2, keys: 70, seed: 4, biased: true)
        head.end = [0, 70]
        for key in 0..<70 { head.bias![70 + key] = -.infinity }
        for level in MathLevel.available {
            let out = head.result(at: level)
            #expect(out[..<head.valueWidth].allSatisfy { $0.bitPattern == 0 })
            #expect(out[head.valueWidth...].allSatisfy { $0.bitPattern == Float.nan.bitPattern })
        }
    }

    /// A block of minus infinity before one with finite scores counts for nothing.
    @Test func aBlockOfInfiniteScoresDoesNotSpoilTheNext() {
        var head = Head(rows: 1, keys: 100, seed: 6, biased: true)
        head.end = [100]
        for key in 0..<64 { head.bias![key] = -.infinity }
        let expected = head.plain
        for level in MathLevel.available {
            for (computed, plain) in zip(head.result(at: level), expected) {
                #expect(abs(Double(computed) - plain) <= 2e-5)
            }
        }
    }
}

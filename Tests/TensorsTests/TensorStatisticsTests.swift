import Testing

@testable import AssayTensors

/// All that statistics say, down to the bits.
struct Figures: Equatable {
    var counts: [Int], moments: [UInt64?]

    init(_ statistics: TensorStatistics) {
        counts = [statistics.count, statistics.nanCount, statistics.infinityCount, statistics.zeroCount]
        moments = [statistics.minimum, statistics.maximum, statistics.mean, statistics.standardDeviation]
            .map { $0?.bitPattern }
    }
}

@Suite struct TensorStatisticsTests {
    private func statistics<T>(_ values: [T], _ type: ElementType) -> TensorStatistics {
        var statistics = TensorStatistics()
        values.withUnsafeBytes { statistics.add($0, type: type) }
        return statistics
    }

    @Test func nothingHasNoMoments() {
        let found = TensorStatistics()
        #expect(found.count == 0)
        #expect(found.minimum == nil && found.maximum == nil && found.mean == nil && found.standardDeviation == nil)
    }

    @Test func nonFiniteValuesAreCountedAndLeftOut() {
        let found = statistics([1, .nan, -3, .infinity, 0, -.infinity, -0.0, .signalingNaN] as [Double], .f64)
        #expect(found.count == 8)
        #expect(found.nanCount == 2)
        #expect(found.infinityCount == 2)
        #expect(found.zeroCount == 2)
        #expect(found.minimum == -3)
        #expect(found.maximum == 1)
        #expect(found.mean == -0.5)
        #expect(found.standardDeviation == 2.25.squareRoot())  // (2.25 + 6.25 + 0.25 + 0.25) / 4
    }

    @Test func nothingFiniteHasNoMoments() {
        let found = statistics([.nan, .infinity] as [Float], .f32)
        #expect(found.count == 2)
        #expect(found.mean == nil && found.minimum == nil)
    }

    @Test func negativeZeroIsShownAsZero() {
        let found = statistics([-0.0, -0.0] as [Float], .f32)
        #expect(found.minimum?.sign == .plus && found.maximum?.sign == .plus && found.mean?.sign == .plus)
        #expect(found.zeroCount == 2)
    }

    /// 0, 1, ..., n - 1 above a base have the variance (n^2 - 1) / 12, whatever the base.
    @Test(arguments: [0, 1e6, -1e9, 1e12, 0x1p52] as [Double], [10, 1024, 1025, 100_000])
    func aMeanFarFromZeroCostsNoAccuracy(_ base: Double, _ count: Int) {
        let found = statistics((0..<count).map { base + Double($0) }, .f64)
        let variance = (Double(count) * Double(count) - 1) / 12
        let mean = base + Double(count - 1) / 2
        #expect(abs(found.mean! - mean) <= 4 * mean.ulp)
        // The distances from the mean are rounded to the ulp of the base; beyond that, a few ulp.
        let allowed = 1e-13 + 4 * base.ulp / variance.squareRoot()
        #expect(abs(found.standardDeviation! / variance.squareRoot() - 1) <= allowed)
    }

    @Test func theTextbookFormulaWouldFailThere() {
        let values = (0..<1024).map { 1e12 + Double($0) }
        let mean = values.reduce(0, +) / 1024
        let variance = values.reduce(0) { $0 + $1 * $1 } / 1024 - mean * mean
        #expect(abs(variance / ((1024 * 1024 - 1) / 12) - 1) > 1e-3)
    }

    @Test func aConstantDoesNotDeviate() {
        #expect(statistics([Float](repeating: 0.1, count: 3000), .f32).standardDeviation == 0)
    }

    @Test func howTheBytesAreCutDoesNotMatter() {
        var generator = SeededGenerator(state: 7)
        let values = (0..<9001).map { _ in Float.random(in: -1...3, using: &generator) }
        let expected = Figures(statistics(values, .f32))
        for pieceCount in [2, 3, 10, 1000] {
            var pieces = TensorStatistics()
            for range in Parallel.ranges(values.count, parts: pieceCount) {
                Array(values[range]).withUnsafeBytes { pieces.add($0, type: .f32) }
            }
            #expect(Figures(pieces) == expected)
        }
    }

    @Test func piecesMergeIntoTheWhole() {
        let values = (0..<5000).map { Double($0 * 37 % 5000) }
        var merged = TensorStatistics()
        for range in Parallel.ranges(values.count, parts: 7) { merged.merge(statistics(Array(values[range]), .f64)) }
        merged.merge(TensorStatistics())
        #expect(merged.count == 5000 && merged.zeroCount == 1)
        #expect(merged.minimum == 0 && merged.maximum == 4999)
        #expect(abs(merged.mean! - 2499.5) < 1e-9)
        #expect(abs(merged.standardDeviation! - ((5000.0 * 5000 - 1) / 12).squareRoot()) < 1e-9)
    }

    struct Reading: Sendable, CustomTestStringConvertible {
        var type: ElementType, bytes: [UInt8], values: [Double]
        var testDescription: String { type.name }
    }

    @Test(arguments: [
        Reading(type: .bool, bytes: [0, 1, 1, 2], values: [0, 1, 1, 1]),
        Reading(type: .u8, bytes: [0, 200], values: [0, 200]),
        Reading(type: .i8, bytes: [0, 200], values: [0, -56]),
        Reading(type: .u16, bytes: [1, 0x80], values: [32769]),
        Reading(type: .i16, bytes: [1, 0x80], values: [-32767]),
        Reading(type: .u32, bytes: [0, 0, 0, 0x80], values: [0x1p31]),
        Reading(type: .i32, bytes: [0, 0, 0, 0x80], values: [-0x1p31]),
        Reading(type: .u64, bytes: [0, 0, 0, 0, 0, 0, 0, 0x80], values: [0x1p63]),
        Reading(type: .i64, bytes: [1, 0, 0, 0, 0, 0, 0, 0x80], values: [-0x1p63]),
        Reading(type: .f16, bytes: [0, 0x3C, 0, 0xC0], values: [1, -2]),
        Reading(type: .bf16, bytes: [0x80, 0x3F, 0, 0xC0], values: [1, -2]),
        Reading(type: .f8e4m3, bytes: [0x38, 0xC0], values: [1, -2]),
        Reading(type: .f8e8m0, bytes: [127, 129], values: [1, 4]),
        Reading(type: .f6e2m3, bytes: [0x81, 0x30, 0xA0], values: [0.125, 0.25, 0.375, -1]),
        Reading(type: .f4, bytes: [0x21, 0xF3], values: [0.5, 1, 1.5, -6]),
    ])
    func elementsAreReadAsTheirTypeSays(_ item: Reading) {
        var found = TensorStatistics()
        // Twice, the second time from an odd address.
        item.bytes.withUnsafeBytes { found.add($0, type: item.type) }
        ([0] + item.bytes).withUnsafeBytes {
            found.add(UnsafeRawBufferPointer(rebasing: $0[1...]), type: item.type)
        }
        #expect(found.count == 2 * item.values.count)
        #expect(found.minimum == item.values.min() && found.maximum == item.values.max())
        #expect(found.mean == item.values.reduce(0, +) / Double(item.values.count))
        #expect(found.zeroCount == 2 * item.values.count { $0 == 0 })
    }

    @Test func complexNumbersAndBlocksThatAreOnlyCarriedAreNotDescribed() {
        #expect(!TensorStatistics.describes(.c64))
        #expect(ElementType.allCases.filter { !TensorStatistics.describes($0) } == [.c64, .q8K, .q10])
        #expect(statistics([1, 2] as [Float], .c64).count == 0)
    }
}

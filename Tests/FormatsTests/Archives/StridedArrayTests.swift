import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

@testable import AssayFormats

@Suite struct StridedArrays {
    /// Bytes in memory that count how they are read.
    private struct MemorySource: ByteSource {
        let memory: [UInt8]
        var byteCount: Int { memory.count }
        func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
            memory.withUnsafeBytes {
                buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + buffer.count]))
            }
        }
    }

    /// The logical order, element by element.
    private func expected(_ memory: [UInt8], _ offset: Int, _ size: Int, _ axes: [StridedArray.Axis]) -> [UInt8] {
        var starts = [offset]
        for axis in axes {
            starts = starts.flatMap { start in (0..<axis.count).map { start + $0 * axis.stride * size } }
        }
        return starts.flatMap { memory[$0..<$0 + size] }
    }

    @Test func anyShapeStridesAndRangeGiveTheLogicalOrder() throws {
        var random = SeededRandom(seed: 17)
        for _ in 0..<400 {
            let size = [1, 2, 4, 8].randomElement(using: &random)!
            let rank = Int.random(in: 0...5, using: &random)
            let counts = (0..<rank).map { _ in Int.random(in: 1...6, using: &random) }
            // Permuted axes, some with gaps, some repeated.
            var stride = 1
            var strides = Array(repeating: 0, count: rank)
            for axis in (0..<rank).shuffled(using: &random) {
                let isRepeated = Int.random(in: 0..<8, using: &random) == 0
                strides[axis] = isRepeated ? 0 : stride
                if !isRepeated { stride *= counts[axis] + Int.random(in: 0...1, using: &random) }
            }
            let offset = Int.random(in: 0...9, using: &random)
            let memory = random.bytes(offset + (stride + 1) * size)
            let axes = zip(counts, strides).map { StridedArray.Axis(count: $0, stride: $1) }
            try check(memory, offset, size, axes, &random)
        }
    }

    /// Spans beyond what is read at once: columns far apart, and rows of a part of a matrix.
    @Test(arguments: [
        [(700, 1), (300, 700)], [(300, 700), (100, 1)], [(50, 1), (60, 3500), (70, 50)], [(2, 100_000), (100_000, 1)],
        [(210_000, 1)], [(3, 70_000), (2, 0), (5, 3)],
    ])
    func largeArraysAreGatheredInParts(_ plain: [(Int, Int)]) throws {
        var random = SeededRandom(seed: 23)
        let axes = plain.map { StridedArray.Axis(count: $0.0, stride: $0.1) }
        let last = axes.reduce(0) { $0 + ($1.count - 1) * $1.stride }
        try check(random.bytes(4 * (last + 1) + 3), 3, 4, axes, &random)
    }

    private func check(
        _ memory: [UInt8], _ offset: Int, _ size: Int, _ axes: [StridedArray.Axis], _ random: inout SeededRandom
    ) throws {
        let array = StridedArray(MemorySource(memory: memory), offset: offset, elementByteCount: size, axes: axes)
        let whole = expected(memory, offset, size, axes)
        let count = whole.count / size
        var ranges = [0..<count]
        for _ in 0..<4 {
            let start = Int.random(in: 0..<count, using: &random)
            ranges.append(start..<Int.random(in: start...count, using: &random))
        }
        for range in ranges {
            let bytes = range.lowerBound * size..<range.upperBound * size
            var found = [UInt8](repeating: 0, count: bytes.count)
            try found.withUnsafeMutableBytes { try array.read(bytes, into: $0) }
            #expect(found == Array(whole[bytes]), "\(axes) \(range)")
        }
    }

    @Test func bigEndianUnitsAreTurned() throws {
        for (unit, expected) in [
            (2, [1, 0, 3, 2, 5, 4, 7, 6]), (4, [3, 2, 1, 0, 7, 6, 5, 4]), (8, [7, 6, 5, 4, 3, 2, 1, 0]),
        ] {
            let array = StridedArray(
                MemorySource(memory: Array(0..<8)), offset: 0, elementByteCount: 8, axes: [], byteOrder: .big(unit))
            var found = [UInt8](repeating: 0, count: 8)
            try found.withUnsafeMutableBytes { try array.read(0..<8, into: $0) }
            #expect(found == expected.map { UInt8($0) })
        }
    }
}

import AssayCheckpoints
import AssayPackings
import AssayTensors

/// A weight that an engine borrows: read in the type in which it is exact, in either orientation.
struct BorrowedWeight: Sendable {
    let tensor: any LogicalTensor
    /// Which dimension belongs to the product's input.
    let orientation: WeightOrientation
    /// Whether the values are stored wider than float32 and the engine is wide enough to keep them.
    let isWide: Bool

    /// A convolution's inputs are all that its window sees.
    var inputCount: Int { orientation == .outputInput ? tensor.shape.rowElementCount : tensor.shape.dimensions[0] }
    var outputCount: Int { tensor.shape.dimensions[orientation == .outputInput ? 0 : 1] }

    init(_ tensor: any LogicalTensor, _ orientation: WeightOrientation, precision: Precision) {
        self.tensor = tensor
        self.orientation = tensor.orientation ?? orientation
        isWide = precision == .float64 && tensor.storage == .plain(.f64)
    }

    var elementByteCount: Int { isWide ? 8 : 4 }
    /// Whether it is read before any part of it is used.
    var isReadWhole: Bool { orientation == .inputOutput || tensor is StackedTensor }

    /// Some rows as stored.
    func read(rows: Range<Int>, into bytes: UnsafeMutableRawBufferPointer) throws {
        if isWide {
            try tensor.read(rows: rows, into: bytes.bindMemory(to: Double.self))
        } else {
            try tensor.read(rows: rows, into: bytes.bindMemory(to: Float.self))
        }
    }

    /// All rows, divided among threads.
    func readWhole(threads: Int) throws -> ByteBuffer {
        let rowByteCount = tensor.shape.rowElementCount * elementByteCount
        let buffer = try ByteBuffer(byteCount: tensor.shape.rowCount * rowByteCount)
        let parts =
            tensor is StackedTensor ? 1 : max(1, min(threads * 4, buffer.bytes.count / Self.smallestReadByteCount))
        let ranges = Parallel.ranges(tensor.shape.rowCount, parts: parts)
        try Parallel.forEach(ranges.count, threads: threads) { part in
            let rows = ranges[part]
            try read(
                rows: rows,
                into: UnsafeMutableRawBufferPointer(
                    rebasing: buffer.bytes[rows.lowerBound * rowByteCount..<rows.upperBound * rowByteCount]))
        }
        return buffer
    }

    private static let smallestReadByteCount = 1 << 18
}

/// A gain or bias: a vector that is small enough to hold.
struct BorrowedVector: Sendable {
    /// The values in float32, where that is exact (or the engine is no wider).
    let floats: [Float]
    /// The values in float64, where they are stored so and the engine is wide enough to keep them.
    let doubles: [Double]?

    private init(floats: [Float], doubles: [Double]?) {
        (self.floats, self.doubles) = (floats, doubles)
    }

    /// The values in float64, however they are held.
    var widened: [Double] { doubles ?? floats.map(Double.init) }

    /// Some of the elements, side by side.
    func elements(_ ranges: [Range<Int>]) -> BorrowedVector {
        let count = doubles?.count ?? floats.count
        if ranges == [0..<count] { return self }
        return BorrowedVector(
            floats: doubles == nil ? ranges.flatMap { floats[$0] } : [],
            doubles: doubles.map { all in ranges.flatMap { all[$0] } })
    }

    /// - Parameter offset: is added to every element.
    init(_ tensor: any LogicalTensor, precision: Precision, offset: Double = 0) throws {
        let count = tensor.shape.elementCount
        let rows = 0..<tensor.shape.rowCount
        if precision == .float64, tensor.storage == .plain(.f64) || offset != 0 {
            var values = [Double](repeating: 0, count: count)
            try values.withUnsafeMutableBufferPointer { try tensor.read(rows: rows, into: $0) }
            doubles = offset == 0 ? values : values.map { $0 + offset }
            floats = []
        } else {
            var values = [Float](repeating: 0, count: count)
            try values.withUnsafeMutableBufferPointer { try tensor.read(rows: rows, into: $0) }
            floats = offset == 0 ? values : values.map { $0 + Float(offset) }
            doubles = nil
        }
    }
}

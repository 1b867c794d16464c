import AssayCheckpoints
import AssayPackings
import AssayTensors

/// A tensor's name and shape with the values of another, its rows perhaps in another order.
struct RearrangedTensor: LogicalTensor {
    private let place: any LogicalTensor
    private let values: any LogicalTensor
    /// The row of `values` that stands in each row; nil for the same.
    private let order: [Int]?

    /// - Precondition: both have one shape, and `order` is as long as it has rows.
    init(_ place: any LogicalTensor, _ values: any LogicalTensor, order: [Int]? = nil) {
        precondition(place.shape == values.shape && order?.count ?? place.shape.rowCount == place.shape.rowCount)
        (self.place, self.values, self.order) = (place, values, order)
    }

    var name: String { place.name }
    var shape: Shape { place.shape }
    var orientation: WeightOrientation? { values.orientation }
    var storage: TensorStorage { values.storage }
    var parts: [Int] { values.parts }

    func read(rows: Range<Int>, into buffer: UnsafeMutableBufferPointer<Float>) throws {
        try read(rows, into: buffer) { try values.read(rows: $0, into: $1) }
    }

    func read(rows: Range<Int>, into buffer: UnsafeMutableBufferPointer<Double>) throws {
        try read(rows, into: buffer) { try values.read(rows: $0, into: $1) }
    }

    func readScales(rows: Range<Int>) throws -> [Float]? { nil }

    private func read<T>(
        _ rows: Range<Int>, into buffer: UnsafeMutableBufferPointer<T>,
        _ read: (Range<Int>, UnsafeMutableBufferPointer<T>) throws -> Void
    ) throws {
        guard let order else { return try read(rows, buffer) }
        let width = shape.rowElementCount
        for (index, row) in rows.enumerated() {
            let part = UnsafeMutableBufferPointer(rebasing: buffer[index * width..<(index + 1) * width])
            try read(order[row]..<order[row] + 1, part)
        }
    }
}

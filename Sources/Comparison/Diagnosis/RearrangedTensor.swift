import AssayCheckpoints
import AssayPackings
import AssayTensors

/// A tensor's name and shape with the values of another, its rows, or the numbers of each, perhaps in another order.
struct RearrangedTensor: LogicalTensor {
    private let place: any LogicalTensor
    private let values: any LogicalTensor
    /// The row of `values` that stands in each row; nil for the same.
    private let order: [Int]?
    /// The number of a row that stands in each place of it; nil for the same.
    private let columns: [Int]?

    /// - Precondition: both have one shape, `order` is as long as it has rows, `columns` as long as they are.
    init(_ place: any LogicalTensor, _ values: any LogicalTensor, order: [Int]? = nil, columns: [Int]? = nil) {
        let shape = place.shape
        precondition(shape == values.shape && order?.count ?? shape.rowCount == shape.rowCount)
        precondition(columns?.count ?? shape.rowElementCount == shape.rowElementCount)
        (self.place, self.values, self.order, self.columns) = (place, values, order, columns)
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
        if order == nil, columns == nil { return try read(rows, buffer) }
        let width = shape.rowElementCount
        for (index, row) in rows.enumerated() {
            let part = UnsafeMutableBufferPointer(rebasing: buffer[index * width..<(index + 1) * width])
            let from = order?[row] ?? row
            try read(from..<from + 1, part)
            guard let columns else { continue }
            let values = Array(part)
            for (place, column) in columns.enumerated() { part[place] = values[column] }
        }
    }
}

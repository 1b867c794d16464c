import AssayCheckpoints
import AssayTensors

/// One of several tensors that lie in one, [count, ...]: a row of that, which is read whole.
package struct StackedTensor: LogicalTensor {
    private let stack: any LogicalTensor
    private let index: Int
    package let shape: Shape

    /// - Precondition: the stack has at least one dimension, and more than `index` rows.
    package init(_ stack: any LogicalTensor, _ index: Int) {
        precondition(index < stack.shape.rowCount)
        self.stack = stack
        self.index = index
        // Smaller than a shape that exists.
        shape = Shape(Array(stack.shape.dimensions.dropFirst()))!
    }

    package var name: String { stack.name }
    package var orientation: WeightOrientation? { stack.orientation }
    package var storage: TensorStorage { stack.storage }
    package var parts: [Int] { stack.parts }

    package func read(rows: Range<Int>, into values: UnsafeMutableBufferPointer<Float>) throws {
        precondition(rows == 0..<shape.rowCount, "a stacked tensor is read whole")
        try stack.read(rows: index..<index + 1, into: values)
    }

    package func read(rows: Range<Int>, into values: UnsafeMutableBufferPointer<Double>) throws {
        precondition(rows == 0..<shape.rowCount, "a stacked tensor is read whole")
        try stack.read(rows: index..<index + 1, into: values)
    }

    package func readScales(rows: Range<Int>) throws -> [Float]? { try stack.readScales(rows: index..<index + 1) }
}

import AssayCheckpoints
import AssayPackings
import AssayTensors
import AssayTestSupport

/// A weight held in memory, said to be stored as some type (whose precision its values are to have).
struct MemoryWeight: LogicalTensor {
    var name: String
    var shape: Shape
    var storage: TensorStorage
    var values: [Float]
    var orientation: WeightOrientation? { nil }
    var parts: [Int] { [0] }

    init(_ shape: [Int], _ values: [Float], as type: ElementType = .f32, named name: String = "m.weight") {
        precondition(values.count == shape.reduce(1, *))
        self.name = name
        self.shape = Shape(shape)!
        storage = .plain(type)
        self.values = values
    }

    func read(rows: Range<Int>, into values: UnsafeMutableBufferPointer<Float>) throws {
        let size = shape.rowElementCount
        _ = values.update(fromContentsOf: self.values[rows.lowerBound * size..<rows.upperBound * size])
    }

    func read(rows: Range<Int>, into values: UnsafeMutableBufferPointer<Double>) throws {
        let size = shape.rowElementCount
        _ = values.update(fromContentsOf: self.values[rows.lowerBound * size..<rows.upperBound * size].map(Double.init))
    }

    func readScales(rows: Range<Int>) throws -> [Float]? { nil }

    /// The same numbers, rows for columns.
    var transposed: MemoryWeight {
        let rows = shape.dimensions[0]
        let columns = shape.dimensions[1]
        var turned = [Float](repeating: 0, count: values.count)
        for row in 0..<rows {
            for column in 0..<columns { turned[column * rows + row] = values[row * columns + column] }
        }
        guard case .plain(let type) = storage else { preconditionFailure() }
        return MemoryWeight([columns, rows], turned, as: type, named: name)
    }
}

extension MemoryCheckpoint {
    /// The stored parts of a quantized weight as a checkpoint.
    init(_ outputs: [(info: TensorInfo, bytes: ByteBuffer)]) {
        self.init(outputs.map { ($0.info.name, $0.info.elementType, $0.info.shape.dimensions, $0.bytes.array) })
    }
}

extension ByteBuffer {
    var array: [UInt8] { Array(bytes) }
}

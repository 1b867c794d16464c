import AssayCheckpoints
import AssayPackings
import AssayTensors

#if canImport(Glibc)
    import Glibc
#endif

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

/// Numbers from a seed (SplitMix64), the same on every machine.
struct SeededNumbers: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Gaussian numbers of mean 0.
    mutating func gaussian(_ count: Int, deviation: Double = 1) -> [Float] {
        (0..<count).map { _ in
            let radius = sqrt(-2 * log(Double.random(in: 0x1p-53...1, using: &self)))
            return Float(deviation * radius * cos(2 * .pi * Double.random(in: 0..<1, using: &self)))
        }
    }
}

/// The stored parts of a quantized weight as a checkpoint.
struct MemoryCheckpoint: CheckpointReader {
    var contents: CheckpointContents
    private var data: [ByteBuffer]

    init(_ outputs: [(info: TensorInfo, bytes: ByteBuffer)]) {
        contents = CheckpointContents(formatName: "memory", tensors: outputs.map(\.info))
        data = outputs.map(\.bytes)
        for (info, bytes) in outputs { precondition(info.byteCount == bytes.bytes.count, info.name) }
    }

    func read(_ tensor: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: data[tensor].readOnly[range]))
    }
}

extension ByteBuffer {
    var array: [UInt8] { Array(bytes) }
}

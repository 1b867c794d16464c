import AssayCheckpoints
import AssayPackings
import AssayTensors

/// A tensor that differs from another in its values alone, or in how they are read.
protocol DerivedTensor: LogicalTensor {
    var base: any LogicalTensor { get }
}

extension DerivedTensor {
    var name: String { base.name }
    var shape: Shape { base.shape }
    var orientation: WeightOrientation? { base.orientation }
    var storage: TensorStorage { base.storage }
    var parts: [Int] { base.parts }

    func readScales(rows: Range<Int>) throws -> [Float]? { try base.readScales(rows: rows) }
}

/// A tensor of which some rows were read together, to be handed out in smaller ranges.
struct HeldRows: DerivedTensor {
    let base: any LogicalTensor
    private let rows: Range<Int>
    /// As wide as what is stored calls for.
    private let values: ByteBuffer
    private let isWide: Bool

    init(of base: any LogicalTensor, _ rows: Range<Int>) throws {
        self.base = base
        self.rows = rows
        isWide = base.storage == .plain(.f64)
        values = try isWide ? WideValues.of(base, rows: rows) : WideValues.narrow(base, rows: rows)
    }

    func read(rows: Range<Int>, into values: UnsafeMutableBufferPointer<Float>) throws {
        guard let held = held(rows), !isWide else { return try base.read(rows: rows, into: values) }
        UnsafeMutableRawBufferPointer(values).copyMemory(from: held)
    }

    func read(rows: Range<Int>, into values: UnsafeMutableBufferPointer<Double>) throws {
        guard let held = held(rows), isWide else { return try base.read(rows: rows, into: values) }
        UnsafeMutableRawBufferPointer(values).copyMemory(from: held)
    }

    /// The bytes of some rows; nil where they are not at hand.
    private func held(_ wanted: Range<Int>) -> UnsafeRawBufferPointer? {
        guard rows.lowerBound <= wanted.lowerBound, wanted.upperBound <= rows.upperBound else { return nil }
        let rowByteCount = shape.rowElementCount * (isWide ? 8 : 4)
        let begin = (wanted.lowerBound - rows.lowerBound) * rowByteCount
        return UnsafeRawBufferPointer(rebasing: values.readOnly[begin..<begin + wanted.count * rowByteCount])
    }
}

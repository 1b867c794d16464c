import AssayCKernels
import AssayCheckpoints
import AssayPackings
import AssayTensors

/// A reference's weight with noise of the size that rounding to the declared storages makes: uniform, half a step to
/// either side, by a hash of name and position, so that it is the same on every machine.
struct RoundedTensor: LogicalTensor {
    private let base: any LogicalTensor
    private let pair: WeightPair
    private let seed: UInt64

    init(_ pair: WeightPair) {
        base = pair.reference
        self.pair = pair
        // FNV-1a of the name.
        seed = pair.name.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }

    var name: String { base.name }
    var shape: Shape { base.shape }
    var orientation: WeightOrientation? { base.orientation }
    var storage: TensorStorage { base.storage }
    var parts: [Int] { base.parts }

    func readScales(rows: Range<Int>) throws -> [Float]? { try base.readScales(rows: rows) }

    func read(rows: Range<Int>, into values: UnsafeMutableBufferPointer<Float>) throws {
        try base.read(rows: rows, into: values)
        try forEachRow(rows, values) { ck_add_rounding_noise_f32($0, $1, $2, $3, $4) }
    }

    func read(rows: Range<Int>, into values: UnsafeMutableBufferPointer<Double>) throws {
        try base.read(rows: rows, into: values)
        try forEachRow(rows, values) { ck_add_rounding_noise_f64($0, $1, $2, $3, $4) }
    }

    private typealias Add<Value> = (
        UnsafeMutablePointer<Value>, Int, UnsafePointer<ck_storage>, UInt64, UInt64
    ) -> Void

    private func forEachRow<Value>(
        _ rows: Range<Int>, _ values: UnsafeMutableBufferPointer<Value>, _ add: Add<Value>
    ) throws {
        let columns = shape.rowElementCount
        guard columns > 0, !rows.isEmpty, let start = values.baseAddress else { return }
        // The reference's own rounding, then the test's; each lies as its own tensor does.
        let own = try pair.referenceRounding.rows(rows, withCodes: false)
        let other = try pair.testRounding.rows(
            pair.isTransposed ? 0..<pair.test.shape.rowCount : rows, withCodes: false)
        for row in rows {
            let place = start + (row - rows.lowerBound) * columns
            let index = UInt64(row) &* UInt64(columns)
            own.withRow(row - rows.lowerBound) { storage in
                withUnsafePointer(to: storage) { add(place, columns, $0, seed, index) }
            }
            func addOther(_ storage: ck_storage) {
                withUnsafePointer(to: storage) { add(place, columns, $0, ~seed, index) }
            }
            if pair.isTransposed {
                other.withColumn(row, addOther)
            } else {
                other.withRow(row - rows.lowerBound, addOther)
            }
        }
    }
}

import AssayCKernels
import AssayCheckpoints
import AssayPackings
import AssayTensors

/// A reference's weight moved by what the two sides' storages do to numbers, and by nothing else: rounded to what the
/// test's storage holds (its type, or its scales and zero points), and with what rounding to the reference's own storage
/// takes from the test's value given back.
///
/// Where both sides are roundings of one weight, this is near the test's weight; where the test's was changed by more than
/// half a step, the change is not in it.
struct RoundedTensor: DerivedTensor {
    let base: any LogicalTensor
    private let pair: WeightPair
    private let turned: TurnedMatrix

    init(_ pair: WeightPair, _ turned: TurnedMatrix) {
        base = pair.reference
        self.pair = pair
        self.turned = turned
    }

    func read(rows: Range<Int>, into values: UnsafeMutableBufferPointer<Float>) throws {
        try base.read(rows: rows, into: values)
        try move(values, of: rows, ck_round_to_storage_f32, ck_add_rounding_error_f32)
    }

    func read(rows: Range<Int>, into values: UnsafeMutableBufferPointer<Double>) throws {
        try base.read(rows: rows, into: values)
        try move(values, of: rows, ck_round_to_storage_f64, ck_add_rounding_error_f64)
    }

    private typealias Round<Value> = (UnsafeMutablePointer<Value>?, Int, UnsafePointer<ck_storage>?) -> Void
    private typealias AddError<Value> = (
        UnsafeMutablePointer<Value>?, UnsafePointer<Double>?, Int, UnsafePointer<ck_storage>?
    ) -> Void

    private func move<Value>(
        _ values: UnsafeMutableBufferPointer<Value>, of rows: Range<Int>, _ round: Round<Value>,
        _ addError: AddError<Value>
    ) throws {
        let columns = shape.rowElementCount
        guard columns > 0, !rows.isEmpty, let start = values.baseAddress else { return }
        try roundToTest(start, rows, columns, round)
        guard pair.referenceRounding.isCoarse else { return }
        let own = try pair.referenceRounding.rows(rows, withCodes: false)
        let other = try pair.isTransposed ? turned.values(of: pair.test) : WideValues.of(pair.test, rows: rows)
        defer { withExtendedLifetime(other) {} }
        let first = pair.isTransposed ? 0 : rows.lowerBound
        let test = other.bytes.bindMemory(to: Double.self).baseAddress!
        for row in rows {
            let place = start + (row - rows.lowerBound) * columns
            own.withRow(row - rows.lowerBound) { storage in
                withUnsafePointer(to: storage) { addError(place, test + (row - first) * columns, columns, $0) }
            }
        }
    }

    private func roundToTest<Value>(
        _ start: UnsafeMutablePointer<Value>, _ rows: Range<Int>, _ columns: Int, _ round: Round<Value>
    ) throws {
        // The steps lie as the test's tensor does.
        let steps = try pair.testRounding.rows(
            pair.isTransposed ? 0..<pair.test.shape.rowCount : rows, withCodes: false)
        for row in rows {
            let place = start + (row - rows.lowerBound) * columns
            func roundRow(_ storage: ck_storage) { withUnsafePointer(to: storage) { round(place, columns, $0) } }
            if pair.isTransposed {
                steps.withColumn(row, roundRow)
            } else {
                steps.withRow(row - rows.lowerBound, roundRow)
            }
        }
    }
}

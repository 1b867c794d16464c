import AssayTensors

/// A logical tensor that is stored as integers and scales, for kernels that compute with the integers.
///
/// `value = (code - zero point) * scale`, one scale (and zero point) for each group of a row.
public protocol QuantizedTensor: LogicalTensor {
    /// Consecutive elements of a row that share a scale: the row's length where it has one scale.
    var groupElementCount: Int { get }

    /// Scales of one row.
    var groupsPerRow: Int { get }

    /// The signed integers of some rows, one a byte.
    ///
    /// - Parameter codes: exactly `rows.count * shape.rowElementCount` elements.
    func readCodes(rows: Range<Int>, into codes: UnsafeMutableBufferPointer<Int8>) throws

    /// The zero points of some rows, [rows, groups per row]; nil where all are zero by the scheme.
    func readZeroPoints(rows: Range<Int>) throws -> [Int8]?
}

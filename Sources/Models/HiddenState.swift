import AssayCheckpoints

/// Activations between two steps of a forward pass: one row a token, batch after batch.
public final class HiddenState: @unchecked Sendable {  // reason: never written after it was handed out
    /// batch · time
    public let rowCount: Int
    public let featureCount: Int
    public let precision: Precision
    /// What the stack before gave, where a model has more than one.
    public let earlier: HiddenState?
    private let buffer: ByteBuffer

    init(
        rowCount: Int, featureCount: Int, precision: Precision, buffer: ByteBuffer, earlier: HiddenState? = nil
    ) {
        self.rowCount = rowCount
        self.featureCount = featureCount
        self.precision = precision
        self.buffer = buffer
        self.earlier = earlier
    }

    /// The same numbers behind another stack's.
    func behind(_ earlier: HiddenState?) -> HiddenState {
        if self.earlier == nil, earlier == nil { return self }
        return HiddenState(
            rowCount: rowCount, featureCount: featureCount, precision: precision, buffer: buffer, earlier: earlier)
    }

    /// A copy of numbers that came from elsewhere.
    ///
    /// - Parameter values: [rowCount, featureCount], row-major.
    /// - Throws: `SystemError` where memory is short.
    public convenience init(rowCount: Int, featureCount: Int, copying values: LentNumbers) throws {
        precondition(values.count == rowCount * featureCount)
        let precision: Precision = if case .float32 = values { .float32 } else { .float64 }
        let buffer = try ByteBuffer(byteCount: values.bytes.count)
        buffer.bytes.copyMemory(from: values.bytes)
        self.init(rowCount: rowCount, featureCount: featureCount, precision: precision, buffer: buffer)
    }

    /// Lends all numbers, row-major.
    public func withNumbers<R>(_ body: (LentNumbers) throws -> R) rethrows -> R {
        defer { withExtendedLifetime(buffer) {} }
        switch precision {
        case .float32: return try body(.float32(UnsafeBufferPointer(buffer.bytes.bindMemory(to: Float.self))))
        case .float64: return try body(.float64(UnsafeBufferPointer(buffer.bytes.bindMemory(to: Double.self))))
        }
    }
}

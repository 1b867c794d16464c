import AssayCheckpoints
import AssayPackings
import AssayTensors

/// The steps in which the blocks of some of ggml's types round: a scale of its own for every 32 elements of a row, and a
/// least value where the type has one.
///
/// - Source: formats/gguf.md, "Blocks".
struct BlockSteps: Sendable {
    private let type: ElementType
    private let bits: Int
    /// Whether integers count from a least value, not from zero.
    private let hasLeast: Bool
    private let reader: any CheckpointReader
    private let tensor: Int

    /// - Returns: nil of types whose blocks hold more than one scale: what those round is not known here.
    init?(_ type: ElementType, reader: any CheckpointReader, tensor: Int) {
        switch type {
        case .q40: (bits, hasLeast) = (4, false)
        case .q41: (bits, hasLeast) = (4, true)
        case .q50: (bits, hasLeast) = (5, false)
        case .q51: (bits, hasLeast) = (5, true)
        case .q80: (bits, hasLeast) = (8, false)
        default: return nil
        }
        self.type = type
        self.reader = reader
        self.tensor = tensor
    }

    /// The greatest integer; the least is one further down.
    var codeLimit: Int { (1 << (bits - 1)) - 1 }

    /// Scales [rows, blocks of a row], which may be negative; and, in steps, what stands for zero: with a least value no
    /// whole number.
    func steps(of rows: Range<Int>) throws -> (scales: [Float], zeros: [Float]?) {
        let columns = reader.contents.tensors[tensor].shape.rowElementCount
        let range = type.byteRange(of: rows.lowerBound * columns..<rows.upperBound * columns)
        let buffer = try ByteBuffer(byteCount: range.count)
        defer { withExtendedLifetime(buffer) {} }
        try reader.read(tensor, range, into: buffer.bytes)
        var (scales, zeros) = ([Float](), [Float]())
        for block in stride(from: 0, to: range.count, by: type.unitByteCount) {
            var scale = Self.half(buffer.readOnly, block)
            if hasLeast {
                let least = Self.half(buffer.readOnly, block + 2)
                // All elements are the least one: so is one step of many.
                if scale == 0 { scale = least / Float(codeLimit) }
                zeros.append(scale == 0 ? 0 : -(Float(codeLimit + 1) + least / scale))
            }
            scales.append(scale)
        }
        return (scales, hasLeast ? zeros : nil)
    }

    private static func half(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> Float {
        Float(Float16(bitPattern: UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self))))
    }

    /// The integers of some rows, from the values they stand for.
    func readCodes(
        _ rows: Range<Int>, _ steps: (scales: [Float], zeros: [Float]?), of tensor: any LogicalTensor,
        into codes: UnsafeMutableBufferPointer<Int8>
    ) throws {
        let values = try ByteBuffer(byteCount: codes.count * MemoryLayout<Float>.stride)
        defer { withExtendedLifetime(values) {} }
        let floats = values.bytes.bindMemory(to: Float.self)
        try tensor.read(rows: rows, into: floats)
        for (index, value) in floats.enumerated() {
            let block = index / type.elementsPerUnit
            let (scale, zero) = (steps.scales[block], steps.zeros?[block] ?? 0)
            let code = scale == 0 ? 0 : (value / scale + zero).rounded()
            codes[index] = code.isNaN ? 0 : Int8(max(-128, min(127, code)))
        }
    }
}

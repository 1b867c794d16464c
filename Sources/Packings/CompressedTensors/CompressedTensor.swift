import AssayCKernels
import AssayCheckpoints
import AssayTensors

/// One weight [out, in] in the integer packings of compressed-tensors.
struct CompressedTensor: QuantizedTensor {
    let name: String
    let storage: TensorStorage
    let parts: [Int]
    private let reader: any CheckpointReader
    private let layout: CompressedLayout

    var shape: Shape { layout.shape }
    var orientation: WeightOrientation? { .outputInput }
    var groupElementCount: Int { layout.groupSize }
    var groupsPerRow: Int { layout.groupsPerRow }

    /// - Throws: `StructureError` where a part is missing, misshapen, or contradicts another or `declared`.
    init(
        reader: any CheckpointReader, module: String, parts: CompressedTensors.Parts, declared: DeclaredSchemes
    ) throws {
        layout = try CompressedLayout(reader: reader, module: module, parts: parts, declared: declared)
        self.reader = reader
        name = module.qualified(.weight)
        storage = .quantized(
            bits: layout.bits, groupSize: layout.isGrouped ? layout.groupSize : nil,
            isSymmetric: layout.zeroPoints == nil, packing: CompressedTensors.name)
        self.parts = [layout.codes, layout.scale, parts.positions[.zeroPoint], parts.positions[.shape]]
            .compactMap { $0 }
    }

    func read(rows: Range<Int>, into values: UnsafeMutableBufferPointer<Float>) throws {
        let columns = shape.rowElementCount
        precondition(values.count == rows.count * columns)
        let codes = try ByteBuffer(byteCount: columns)
        defer { withExtendedLifetime(codes) {} }
        let row = codes.bytes.bindMemory(to: Int8.self)
        try forEachPiece(of: rows) { piece, packed in
            let scales = try scales(of: piece)
            let zeroPoints = try readZeroPoints(rows: piece)
            for index in piece {
                let offset = index - piece.lowerBound
                unpackRow(packed + offset * layout.rowByteCount, into: row)
                let target = UnsafeMutableBufferPointer(
                    rebasing: values[(index - rows.lowerBound) * columns..<(index - rows.lowerBound + 1) * columns])
                dequantize(row, groups: offset * groupsPerRow, scales, zeroPoints, into: target)
            }
        }
    }

    func read(rows: Range<Int>, into values: UnsafeMutableBufferPointer<Double>) throws {
        let columns = shape.rowElementCount
        precondition(values.count == rows.count * columns)
        let buffer = try ByteBuffer(byteCount: columns * 4)
        defer { withExtendedLifetime(buffer) {} }
        let row = buffer.bytes.bindMemory(to: Float.self)
        guard let widen = ElementConversion(from: .f32, to: .f64) else { return }
        for index in rows {
            try read(rows: index..<index + 1, into: row)
            let target = values[(index - rows.lowerBound) * columns..<(index - rows.lowerBound + 1) * columns]
            widen.convert(
                buffer.readOnly, to: UnsafeMutableRawBufferPointer(UnsafeMutableBufferPointer(rebasing: target)),
                count: columns)
        }
    }

    func readCodes(rows: Range<Int>, into codes: UnsafeMutableBufferPointer<Int8>) throws {
        let columns = shape.rowElementCount
        precondition(codes.count == rows.count * columns)
        try forEachPiece(of: rows) { piece, packed in
            for index in piece {
                let target = codes[(index - rows.lowerBound) * columns..<(index - rows.lowerBound + 1) * columns]
                unpackRow(
                    packed + (index - piece.lowerBound) * layout.rowByteCount,
                    into: UnsafeMutableBufferPointer(rebasing: target))
            }
        }
    }

    func readScales(rows: Range<Int>) throws -> [Float]? { try scales(of: rows) }

    func readZeroPoints(rows: Range<Int>) throws -> [Int8]? {
        guard let zeroPoints = layout.zeroPoints else { return nil }
        guard zeroPoints.isPacked else {
            return try perRow(rows, of: zeroPoints.position, elementByteCount: 1) { bytes, count in
                Array(bytes.assumingMemoryBound(to: Int8.self).prefix(count))
            }
        }
        return try unpackZeroPoints(rows, at: zeroPoints.position)
    }

    // MARK: - Parts

    /// Packed bytes at a time.
    private static let pieceByteCount = 1 << 20

    /// Lends the stored codes of some rows, piece by piece.
    private func forEachPiece(of rows: Range<Int>, _ body: (Range<Int>, UnsafeRawPointer) throws -> Void) throws {
        let size = layout.rowByteCount
        let step = max(1, min(rows.count, Self.pieceByteCount / size))
        let buffer = try ByteBuffer(byteCount: step * size)
        defer { withExtendedLifetime(buffer) {} }
        for start in stride(from: rows.lowerBound, to: rows.upperBound, by: step) {
            let piece = start..<min(start + step, rows.upperBound)
            try reader.read(
                layout.codes, piece.lowerBound * size..<piece.upperBound * size, into: buffer.prefix(piece.count * size)
            )
            try body(piece, UnsafeRawPointer(buffer.bytes.baseAddress!))
        }
    }

    private func unpackRow(_ packed: UnsafeRawPointer, into codes: UnsafeMutableBufferPointer<Int8>) {
        guard layout.isPacked else {
            return UnsafeMutableRawBufferPointer(codes).copyMemory(
                from: UnsafeRawBufferPointer(start: packed, count: codes.count))
        }
        kernels.unpack_row(
            packed.assumingMemoryBound(to: UInt8.self), codes.count, CInt(layout.bits), codes.baseAddress)
    }

    private func dequantize(
        _ codes: UnsafeMutableBufferPointer<Int8>, groups: Int, _ scales: [Float], _ zeroPoints: [Int8]?,
        into values: UnsafeMutableBufferPointer<Float>
    ) {
        scales.withUnsafeBufferPointer { scales in
            let convert = { (zeroPoints: UnsafePointer<Int8>?) in
                kernels.dequantize_row(
                    codes.baseAddress, codes.count, groupElementCount, scales.baseAddress! + groups, zeroPoints,
                    layout.scaleType, values.baseAddress)
            }
            guard let zeroPoints else { return convert(nil) }
            zeroPoints.withUnsafeBufferPointer { convert($0.baseAddress! + groups) }
        }
    }

    private var kernels: ck_quantize { ck_quantize_at(DispatchLevel.current.kernelLevel).pointee }

    private func scales(of rows: Range<Int>) throws -> [Float] {
        try perRow(rows, of: layout.scale, elementByteCount: layout.scaleByteCount) { bytes, count in
            [Float](unsafeUninitializedCapacity: count) { scales, initialized in
                ck_scales_widen(bytes.baseAddress, count, layout.scaleType, scales.baseAddress)
                initialized = count
            }
        }
    }

    /// Elements [rows, groups per row] of a part that has as many; the one of the whole tensor is repeated.
    private func perRow<Element>(
        _ rows: Range<Int>, of position: Int, elementByteCount: Int,
        _ decode: (UnsafeRawBufferPointer, Int) -> [Element]
    ) throws -> [Element] {
        guard !rows.isEmpty else { return [] }
        let elements = layout.isPerTensor ? 0..<1 : rows.lowerBound * groupsPerRow..<rows.upperBound * groupsPerRow
        let buffer = try ByteBuffer(byteCount: elements.count * elementByteCount)
        defer { withExtendedLifetime(buffer) {} }
        try reader.read(
            position, elements.lowerBound * elementByteCount..<elements.upperBound * elementByteCount,
            into: buffer.bytes)
        let decoded = decode(buffer.readOnly, elements.count)
        return layout.isPerTensor ? Array(repeating: decoded[0], count: rows.count) : decoded
    }

    private func unpackZeroPoints(_ rows: Range<Int>, at position: Int) throws -> [Int8] {
        guard !rows.isEmpty else { return [] }
        let words = rows.lowerBound * layout.bits / 32..<wordCount(rows.upperBound, bits: layout.bits)!
        let size = groupsPerRow * 4
        let buffer = try ByteBuffer(byteCount: words.count * size)
        defer { withExtendedLifetime(buffer) {} }
        try reader.read(position, words.lowerBound * size..<words.upperBound * size, into: buffer.bytes)
        let count = rows.count * groupsPerRow
        return [Int8](unsafeUninitializedCapacity: count) { zeroPoints, initialized in
            ck_zeros_unpack(
                buffer.bytes.baseAddress!.assumingMemoryBound(to: UInt32.self), rows.lowerBound, rows.count,
                groupsPerRow,
                CInt(layout.bits), zeroPoints.baseAddress)
            initialized = count
        }
    }
}

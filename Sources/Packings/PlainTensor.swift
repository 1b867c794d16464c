import AssayCheckpoints
import AssayTensors

/// A tensor stored as one number an element: its logical form is its stored form.
package struct PlainTensor: LogicalTensor {
    let reader: any CheckpointReader
    let index: Int
    /// As it is stored, or with the same elements in other rows.
    package let shape: Shape

    package init(reader: any CheckpointReader, index: Int) {
        self.init(reader, index, reader.contents.tensors[index].shape)
    }

    private init(_ reader: any CheckpointReader, _ index: Int, _ shape: Shape) {
        self.reader = reader
        self.index = index
        self.shape = shape
    }

    /// The same elements in more and shorter rows: leading dimensions are joined until a row has no more than `count`
    /// elements, as far as dimensions go. Itself where rows are short enough.
    package func folded(toRowsOf count: Int) -> PlainTensor {
        guard shape.rank > 2, shape.rowElementCount > count else { return self }
        let dimensions = shape.dimensions
        var (axis, columns) = (dimensions.count - 1, dimensions.last!)
        while axis > 1, columns * dimensions[axis - 1] <= count {
            axis -= 1
            columns *= dimensions[axis]
        }
        guard columns > 0, let shape = Shape([shape.elementCount / columns, columns]) else { return self }
        return PlainTensor(reader, index, shape)
    }

    /// Rows that are best read together, as `CheckpointReader.granularity(of:)` has it; 1 where that is all the same.
    package var granuleRowCount: Int {
        let rowByteCount = info.elementType.byteRange(of: 0..<max(1, shape.rowElementCount)).count
        return max(1, reader.granularity(of: index) / max(1, rowByteCount))
    }

    private var info: TensorInfo { reader.contents.tensors[index] }
    package var name: String { info.name }
    package var orientation: WeightOrientation? { nil }
    package var storage: TensorStorage { .plain(info.elementType) }
    package var parts: [Int] { [index] }

    package func read(rows: Range<Int>, into values: UnsafeMutableBufferPointer<Float>) throws {
        try read(rows: rows, as: .f32, into: UnsafeMutableRawBufferPointer(values))
    }

    package func read(rows: Range<Int>, into values: UnsafeMutableBufferPointer<Double>) throws {
        try read(rows: rows, as: .f64, into: UnsafeMutableRawBufferPointer(values))
    }

    package func readScales(rows: Range<Int>) throws -> [Float]? { nil }

    package func requireIntact() throws { try reader.requireIntact(index) }

    /// Reads rows in bounded pieces and converts each.
    private func read(rows: Range<Int>, as type: ElementType, into values: UnsafeMutableRawBufferPointer) throws {
        let stored = info.elementType
        guard let conversion = ElementConversion(from: stored, to: type) else {
            throw StructureError(
                "tensor '\(name.escapedForDisplay)': a weight must hold real floating-point numbers, this holds \(stored.name)"
            )
        }
        let elements = rows.lowerBound * shape.rowElementCount..<rows.upperBound * shape.rowElementCount
        precondition(values.count == elements.count * type.unitByteCount)
        if stored == type { return try reader.read(index, type.byteRange(of: elements), into: values) }
        try convert(elements, with: conversion, into: values)
    }

    /// Elements at a time: whole units of every type, small enough to stay in the cache.
    private static let pieceElementCount = 1 << 18

    private func convert(
        _ elements: Range<Int>, with conversion: ElementConversion, into values: UnsafeMutableRawBufferPointer
    ) throws {
        let source = conversion.source
        let size = conversion.destination.unitByteCount
        guard elements.lowerBound % source.elementsPerUnit == 0 else {
            throw StructureError(
                "tensor '\(name.escapedForDisplay)': rows of \(source.name) that do not begin at whole bytes cannot be read alone"
            )
        }
        let piece = min(Self.pieceElementCount, max(elements.count, 1))
        let buffer = try ByteBuffer(byteCount: source.byteRange(of: 0..<piece).count)
        defer { withExtendedLifetime(buffer) {} }
        for start in stride(from: elements.lowerBound, to: elements.upperBound, by: piece) {
            let count = min(piece, elements.upperBound - start)
            let range = source.byteRange(of: start..<start + count)
            let bytes = buffer.prefix(range.count)
            try reader.read(index, range, into: bytes)
            let offset = (start - elements.lowerBound) * size
            conversion.convert(
                UnsafeRawBufferPointer(bytes),
                to: UnsafeMutableRawBufferPointer(rebasing: values[offset..<offset + count * size]), count: count)
        }
    }
}

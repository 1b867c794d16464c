import AssayCheckpoints
import AssayTensors

/// An array as it lies in a file: elements at strides, perhaps in the other byte order. It is read in logical row-major
/// order, little-endian.
struct StridedArray: Sendable {
    /// One axis, outermost first; axes of one step, and axes that continue each other, are joined.
    struct Axis: Sendable, Equatable {
        var count: Int
        /// Elements from one step to the next; never negative.
        var stride: Int
    }

    private let source: any ByteSource
    /// Where the first element is.
    private let offset: Int
    private let elementByteCount: Int
    private let axes: [Axis]
    /// Elements from one step of each axis to the next in the logical order.
    private let steps: [Int]
    private let byteOrder: StoredByteOrder
    /// The source where it is compared with its checksum before a byte of it is given, since the pieces that are read do not
    /// make up the whole of it.
    private let checkedFirst: CheckedSource?

    /// What of the source is held at a time.
    private static let maximumSpanByteCount = 32 << 20
    /// What is read whole, even if little of it is wanted.
    private static let shortSpanByteCount = 64 << 10

    /// - Parameter isRest: whether the array is all of the source but what was read of it before.
    /// - Precondition: all elements lie in the source.
    init(
        _ source: any ByteSource, isRest: Bool = true, offset: Int, elementByteCount: Int, axes: [Axis],
        byteOrder: StoredByteOrder = .little
    ) {
        self.source = source
        self.offset = offset
        self.elementByteCount = elementByteCount
        self.axes = axes.contains { $0.count == 0 } ? [] : Self.joined(axes)
        self.byteOrder = byteOrder
        steps = Shape.strides(of: self.axes.map(\.count))
        checkedFirst = isRest && Self.isContiguous(self.axes) ? nil : source as? CheckedSource
    }

    private static func joined(_ axes: [Axis]) -> [Axis] {
        var result: [Axis] = []
        for axis in axes where axis.count != 1 {
            if let outer = result.last, outer.stride == axis.stride * axis.count {
                result[result.count - 1] = Axis(count: outer.count * axis.count, stride: axis.stride)
            } else {
                result.append(axis)
            }
        }
        return result
    }

    /// Whether the bytes lie in the logical order, without holes.
    var isContiguous: Bool { Self.isContiguous(axes) }

    private static func isContiguous(_ axes: [Axis]) -> Bool { axes.isEmpty || axes.count == 1 && axes[0].stride == 1 }

    /// As `CheckpointReader.granularity(of:)`: as many whole rows as may be held.
    var granularity: Int {
        guard !isContiguous, let step = steps.first else { return 0 }
        let row = step * elementByteCount
        return row > Self.maximumSpanByteCount ? 0 : min(axes[0].count, Self.maximumSpanByteCount / row) * row
    }

    /// Compares the source with its checksum, where it has one.
    func requireIntact() throws { try (source as? CheckedSource)?.check() }

    /// Fills `buffer` with the bytes `range` of the logical order.
    func read(_ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        guard !range.isEmpty else { return }
        try checkedFirst?.check()
        if isContiguous {
            try source.read(at: offset + range.lowerBound, into: buffer)
        } else {
            try gather(range.lowerBound / elementByteCount..<range.upperBound / elementByteCount, into: buffer)
        }
        byteOrder.makeLittle(buffer)
    }

    // MARK: Gathering

    /// A block of elements: a range of every axis.
    private typealias Box = [Range<Int>]

    private func gather(_ elements: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        var span: ByteBuffer?
        defer { withExtendedLifetime(span) {} }
        var pending = Array(boxes(of: elements).reversed())
        while let box = pending.popLast() {
            let byteCount = spanByteCount(of: box)
            if let axis = axisToCut(box, spanByteCount: byteCount) {
                let middle = box[axis].lowerBound + box[axis].count / 2
                var (low, high) = (box, box)
                low[axis] = box[axis].lowerBound..<middle
                high[axis] = middle..<box[axis].upperBound
                pending += [high, low]
                continue
            }
            if span.map({ $0.bytes.count < byteCount }) ?? true {
                span = try ByteBuffer(byteCount: max(byteCount, Self.shortSpanByteCount))
            }
            guard let bytes = span?.prefix(byteCount) else { return }
            try source.read(at: offset + storedFirst(of: box) * elementByteCount, into: bytes)
            let target = (logicalFirst(of: box) - elements.lowerBound) * elementByteCount
            copy(
                box, from: UnsafeRawBufferPointer(bytes), to: UnsafeMutableRawBufferPointer(rebasing: buffer[target...])
            )
        }
    }

    /// Cuts a range of the logical order into blocks: parts of rows at both ends, whole rows between.
    private func boxes(of elements: Range<Int>) -> [Box] {
        var boxes: [Box] = []
        var position = elements.lowerBound
        while position < elements.upperBound {
            let left = elements.upperBound - position
            guard let axis = steps.firstIndex(where: { position % $0 == 0 && $0 <= left }) else { break }
            var box = axes.map { 0..<$0.count }
            for outer in 0...axis {
                let index = position / steps[outer] % axes[outer].count
                box[outer] = index..<index + 1
            }
            let index = box[axis].lowerBound
            box[axis] = index..<min(axes[axis].count, index + left / steps[axis])
            boxes.append(box)
            position += box[axis].count * steps[axis]
        }
        return boxes
    }

    private func storedFirst(of box: Box) -> Int {
        zip(box, axes).reduce(0) { $0 + $1.0.lowerBound * $1.1.stride }
    }

    private func logicalFirst(of box: Box) -> Int {
        zip(box, steps).reduce(0) { $0 + $1.0.lowerBound * $1.1 }
    }

    /// Bytes from the first to the last element of a block in the source.
    private func spanByteCount(of box: Box) -> Int {
        (zip(box, axes).reduce(1) { $0 + ($1.0.count - 1) * $1.1.stride }) * elementByteCount
    }

    /// The axis along which a block is cut in two because its span is too long, or little of it is wanted; nil where it
    /// is read as it is.
    private func axisToCut(_ box: Box, spanByteCount: Int) -> Int? {
        guard spanByteCount > Self.shortSpanByteCount else { return nil }
        let wanted = box.reduce(elementByteCount) { $0 * $1.count }
        if spanByteCount <= Self.maximumSpanByteCount, spanByteCount / 4 <= wanted { return nil }
        return box.indices.filter { box[$0].count > 1 }.max { axes[$0].stride < axes[$1].stride }
    }

    /// Copies a block from the span it was read with to its place in the logical order.
    private func copy(_ box: Box, from span: UnsafeRawBufferPointer, to target: UnsafeMutableRawBufferPointer) {
        guard let from = span.baseAddress, let to = target.baseAddress else { return }
        let used = box.indices.filter { box[$0].count > 1 }
        var walk = used.map { StridedCopy.Axis(count: box[$0].count, from: axes[$0].stride, to: steps[$0]) }
        if walk.isEmpty { walk = [StridedCopy.Axis(count: 1, from: 1, to: 1)] }
        StridedCopy(axes: walk, elementByteCount: elementByteCount).run(from: from, to: to)
    }
}

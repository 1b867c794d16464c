/// A copy of elements from one arrangement to another.
struct StridedCopy {
    struct Axis {
        var count: Int
        /// Elements from one step to the next on either side.
        var from: Int
        var to: Int
    }

    /// At least one.
    let axes: [Axis]
    let elementByteCount: Int

    /// Elements of a tile's side: two tiles fit the first cache.
    private static let tile = 32

    func run(from: UnsafeRawPointer, to: UnsafeMutableRawPointer) {
        switch elementByteCount {
        case 1: run(from, to, UInt8.self)
        case 2: run(from, to, UInt16.self)
        case 4: run(from, to, UInt32.self)
        case 8: run(from, to, UInt64.self)
        default: byBytes.run(from, to, UInt8.self)
        }
    }

    /// The same copy with the bytes of an element as an axis of its own.
    private var byBytes: StridedCopy {
        let size = elementByteCount
        return StridedCopy(
            axes: axes.map { Axis(count: $0.count, from: $0.from * size, to: $0.to * size) }
                + [Axis(count: size, from: 1, to: 1)],
            elementByteCount: 1)
    }

    private func run<T: FixedWidthInteger>(_ from: UnsafeRawPointer, _ to: UnsafeMutableRawPointer, _ type: T.Type) {
        // The two axes along which either side runs fastest are walked in tiles, all others around them.
        let source = axes.indices.min { axes[$0].from < axes[$1].from } ?? 0
        let target = axes.indices.min { axes[$0].to < axes[$1].to } ?? 0
        let outer = axes.indices.filter { $0 != source && $0 != target }.map { axes[$0] }
        let rows = source == target ? Axis(count: 1, from: 0, to: 0) : axes[source]
        var index = Array(repeating: 0, count: outer.count)
        var (fromOffset, toOffset) = (0, 0)
        while true {
            let size = MemoryLayout<T>.size
            Self.copyPlane(rows, axes[target], from + fromOffset * size, to + toOffset * size, type)
            var axis = outer.count - 1
            while axis >= 0 {
                index[axis] += 1
                fromOffset += outer[axis].from
                toOffset += outer[axis].to
                if index[axis] < outer[axis].count { break }
                fromOffset -= outer[axis].from * outer[axis].count
                toOffset -= outer[axis].to * outer[axis].count
                index[axis] = 0
                axis -= 1
            }
            if axis < 0 { return }
        }
    }

    private static func copyPlane<T: FixedWidthInteger>(
        _ rows: Axis, _ columns: Axis, _ from: UnsafeRawPointer, _ to: UnsafeMutableRawPointer, _ type: T.Type
    ) {
        let size = MemoryLayout<T>.size
        if columns.from == 1, columns.to == 1 {
            for row in 0..<rows.count {
                (to + row * rows.to * size).copyMemory(
                    from: from + row * rows.from * size, byteCount: columns.count * size)
            }
            return
        }
        for firstRow in stride(from: 0, to: rows.count, by: tile) {
            for firstColumn in stride(from: 0, to: columns.count, by: tile) {
                for row in firstRow..<min(firstRow + tile, rows.count) {
                    for column in firstColumn..<min(firstColumn + tile, columns.count) {
                        let value = (from + (row * rows.from + column * columns.from) * size).loadUnaligned(as: T.self)
                        (to + (row * rows.to + column * columns.to) * size).storeBytes(of: value, as: T.self)
                    }
                }
            }
        }
    }
}

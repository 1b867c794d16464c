import AssayCheckpoints
import AssayTensors
import Synchronization
import SystemPackage

/// A matrix in compressed sparse rows (`zt.sparse_csr/1`), read as the dense one that it stands for. Its indices are
/// checked before anything is handed out.
final class ZTensorSparse: Sendable {
    static let layout = "zt.sparse_csr/1"

    private let name: String
    private let file: FilePath
    private let sources: ZTensorSources
    private let values: ZTensorManifest.Part
    private let columns: ZTensorManifest.Part
    private let pointers: ZTensorManifest.Part
    private let rowCount: Int
    private let columnCount: Int
    private let elementByteCount: Int
    private let isChecked = Mutex(false)

    /// - Returns: nil where a part is missing.
    init?(_ object: ZTensorManifest.Object, _ info: TensorInfo, _ sources: ZTensorSources, _ file: FilePath) {
        guard let values = object.part("values"), let columns = object.part("indices"),
            let pointers = object.part("indptr"), info.shape.rank == 2
        else { return nil }
        name = object.name
        self.file = file
        self.sources = sources
        self.values = values
        self.columns = columns
        self.pointers = pointers
        rowCount = info.shape.dimensions[0]
        columnCount = info.shape.dimensions[1]
        elementByteCount = info.elementType.bitCount / 8
    }

    /// Elements that are stored.
    private var storedCount: Int { values.byteCount / elementByteCount }

    private func fault(_ expected: String, _ found: String) -> CheckpointError {
        CheckpointError(file, .tensor(name), expected: expected, found: found)
    }

    // MARK: Checking

    private func checkOnce() throws {
        try isChecked.withLock { isChecked in
            guard !isChecked else { return }
            try check()
            isChecked = true
        }
    }

    private func check() throws {
        var pointers = Stream(self.pointers, of: self, from: 0)
        var columns = Stream(self.columns, of: self, from: 0)
        var start = try pointers.next()
        guard start == 0 else { throw fault("row pointers that begin at 0", "\(start)") }
        for row in 0..<rowCount {
            let end = try pointers.next()
            guard end >= start, end <= storedCount else {
                throw fault("row \(row) to end between element \(start) and \(storedCount)", "\(end)")
            }
            var previous = -1
            for _ in start..<end {
                let column = try columns.next()
                guard column > previous, column < columnCount else {
                    throw fault(
                        "columns in row \(row) that rise and are below \(columnCount)", "\(column) behind \(previous)")
                }
                previous = column
            }
            start = end
        }
        guard start == storedCount else { throw fault("row pointers that end at \(storedCount)", "\(start)") }
    }

    // MARK: Reading

    /// Fills `buffer` with bytes of the dense matrix.
    func read(_ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        try checkOnce()
        buffer.initializeMemory(as: UInt8.self, repeating: 0)
        let rowByteCount = columnCount * elementByteCount
        guard rowByteCount > 0, !range.isEmpty else { return }
        let rows = range.lowerBound / rowByteCount..<(range.upperBound - 1) / rowByteCount + 1
        var pointers = Stream(self.pointers, of: self, from: rows.lowerBound)
        var start = try pointers.next()
        guard start <= storedCount else { throw fault("row pointers up to \(storedCount)", "\(start)") }
        var columns = Stream(self.columns, of: self, from: start)
        var values = Stream(self.values, of: self, from: start, elementByteCount: elementByteCount)
        for row in rows {
            let end = try pointers.next()
            // They were checked, and may be others by now.
            guard end >= start else { throw fault("row pointers that rise", "\(end) behind \(start)") }
            for _ in start..<end {
                let column = try columns.next()
                guard column < columnCount else { throw fault("columns below \(columnCount)", "\(column)") }
                let place = row * rowByteCount + column * elementByteCount - range.lowerBound
                let element = try values.nextBytes()
                // The first and the last row may be wanted in part.
                guard place >= 0, place < range.count else { continue }
                UnsafeMutableRawBufferPointer(rebasing: buffer[place..<place + elementByteCount]).copyBytes(
                    from: element)
            }
            start = end
        }
    }

    /// The elements of a part, one after the other, read in stretches.
    private struct Stream {
        private let part: ZTensorManifest.Part
        private let matrix: ZTensorSparse
        private let elementByteCount: Int
        private var offset: Int
        private var held: [UInt8] = []
        private var position = 0

        init(
            _ part: ZTensorManifest.Part, of matrix: ZTensorSparse, from index: Int, elementByteCount: Int? = nil
        ) {
            self.part = part
            self.matrix = matrix
            self.elementByteCount = elementByteCount ?? (part.storage == "u32" ? 4 : 8)
            offset = index * self.elementByteCount
        }

        mutating func nextBytes() throws -> ArraySlice<UInt8> {
            if position == held.count {
                let count = min(1 << 16, part.byteCount - offset)
                guard count >= elementByteCount else {
                    throw matrix.fault("another element in part '\(part.name.escapedForDisplay)'", "the end")
                }
                held = [UInt8](repeating: 0, count: count)
                try held.withUnsafeMutableBytes {
                    try matrix.sources.read(part, of: matrix.name, at: offset, into: $0)
                }
                offset += count
                position = 0
            }
            defer { position += elementByteCount }
            return held[position..<position + elementByteCount]
        }

        mutating func next() throws -> Int {
            let number = UInt64(try nextBytes(), isBigEndian: false)
            guard let number = Int(exactly: number) else {
                throw matrix.fault("numbers below 2^63 in part '\(part.name.escapedForDisplay)'", "\(number)")
            }
            return number
        }
    }
}

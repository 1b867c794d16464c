import AssayCKernels
import AssayCheckpoints
import AssayModels
import AssayTensors

/// The rows of a batch that are read, cut into segments that do not depend on what else the batch holds: the figures'
/// bits follow the segments.
struct RowSegments: Sendable {
    /// Runs of rows (batch · time) within a sequence, at most `longest` long.
    let segments: [Range<Int>]
    let rowCount: Int
    /// Sequences that begin before these.
    let firstSequence: Int
    let length: Int

    static let longest = 16

    init(_ tokens: TokenBatch, firstSequence: Int) {
        var segments: [Range<Int>] = []
        for sequence in 0..<tokens.batchCount {
            for start in stride(from: 0, to: tokens.length, by: Self.longest) {
                var begin: Int?
                for position in start..<min(start + Self.longest, tokens.length) {
                    if tokens.isRead(sequence: sequence, position: position) {
                        if begin == nil { begin = position }
                    } else if let first = begin {
                        segments.append(sequence * tokens.length + first..<sequence * tokens.length + position)
                        begin = nil
                    }
                }
                if let first = begin {
                    let end = min(start + Self.longest, tokens.length)
                    segments.append(sequence * tokens.length + first..<sequence * tokens.length + end)
                }
            }
        }
        self.segments = segments
        rowCount = tokens.batchCount * tokens.length
        self.firstSequence = firstSequence
        length = tokens.length
    }

    /// All rows, in sequences of one length.
    init(rowCount: Int, length: Int) {
        segments = stride(from: 0, to: rowCount, by: length).flatMap { first in
            stride(from: first, to: first + length, by: Self.longest).map {
                $0..<min($0 + Self.longest, first + length)
            }
        }
        self.rowCount = rowCount
        firstSequence = 0
        self.length = length
    }

    /// A segment for every sequence: what is pooled of it.
    init(sequencesOf tokens: TokenBatch, firstSequence: Int) {
        segments = (0..<tokens.batchCount).map { $0..<$0 + 1 }
        rowCount = tokens.batchCount
        self.firstSequence = firstSequence
        length = 1
    }
}

/// The rows that are looked at, whatever a tap's rows are.
struct TapSegments: Sendable {
    private let stacks: [RowSegments]
    private let sequences: [RowSegments]
    private let logitsRows: PlannedTap.Rows

    /// - Parameter firstSequence: sequences that were walked before those of the runner.
    init(_ runner: BlockRunner, firstSequence: Int) {
        stacks = runner.model.spec.stacks.indices.map {
            RowSegments(runner.tokens(of: $0), firstSequence: firstSequence)
        }
        sequences = runner.model.spec.stacks.indices.map {
            RowSegments(sequencesOf: runner.tokens(of: $0), firstSequence: firstSequence)
        }
        logitsRows = runner.plannedTaps(of: .logits).first?.rows ?? .positions(stack: stacks.count - 1)
    }

    func of(_ rows: PlannedTap.Rows) -> RowSegments {
        switch rows {
        case .positions(let stack): stacks[stack]
        case .sequences(let stack): sequences[stack]
        }
    }

    var ofLogits: RowSegments { of(logitsRows) }
}

/// Compares rows of two sets of numbers, over all threads.
struct RowComparison: Sendable {
    let kernels: KernelPointer
    let threads: Int

    struct KernelPointer: @unchecked Sendable {  // reason: a constant table of functions
        let table: UnsafePointer<ck_math>
    }

    init(threads: Int) {
        kernels = KernelPointer(table: ck_math_at(DispatchLevel.current.kernelLevel))
        self.threads = max(1, threads)
    }

    private struct Part: @unchecked Sendable {  // reason: sums without pointers
        var sums = ck_comparison()
    }

    /// Numbers that are worth a thread's while.
    private static let taskElementCount = 1 << 15

    /// Adds the figures of all segments, in order.
    ///
    /// - Parameters:
    ///   - firstRow: the row, as segments count, with which both sets of numbers begin.
    ///   - columns: features.
    func add(
        _ reference: LentNumbers, _ test: LentNumbers, segments: ArraySlice<Range<Int>>, firstRow: Int = 0,
        columns: Int,
        offset: Int = 0, to figures: inout DifferenceFigures
    ) {
        let reference = Numbers(value: reference)
        let test = Numbers(value: test)
        let list = Array(segments)
        let parts = ResultSlots<Part>(count: list.count)
        let perTask = max(1, Self.taskElementCount / max(1, columns * RowSegments.longest))
        let taskCount = (list.count + perTask - 1) / perTask
        Parallel.forEach(taskCount, threads: threads) { task in
            for index in task * perTask..<min((task + 1) * perTask, list.count) {
                let rows = list[index]
                let elements = (rows.lowerBound - firstRow) * columns..<(rows.upperBound - firstRow) * columns
                parts.set(index, Part(sums: compare(reference.value, test.value, elements)))
            }
        }
        for (rows, part) in zip(list, parts.all) { figures.add(part.sums, at: (offset + rows.lowerBound) * columns) }
    }

    private struct Numbers: @unchecked Sendable {  // reason: lent for the time of the call, and only read
        let value: LentNumbers
    }

    private func compare(_ reference: LentNumbers, _ test: LentNumbers, _ elements: Range<Int>) -> ck_comparison {
        var sums = ck_comparison()
        if case .float32(let a) = reference, case .float32(let b) = test {
            kernels.table.pointee.compare_f32(
                a.baseAddress! + elements.lowerBound, b.baseAddress! + elements.lowerBound, elements.count, &sums)
            return sums
        }
        withWide(reference, elements) { a in
            withWide(test, elements) { b in kernels.table.pointee.compare_f64(a, b, elements.count, &sums) }
        }
        return sums
    }

    /// Lends some numbers in float64.
    func withWide<R>(_ numbers: LentNumbers, _ elements: Range<Int>, _ body: (UnsafePointer<Double>) -> R) -> R {
        switch numbers {
        case .float64(let values): return body(values.baseAddress! + elements.lowerBound)
        case .float32(let values):
            return withUnsafeTemporaryAllocation(of: Double.self, capacity: elements.count) { wide in
                kernels.table.pointee.widen_f32_f64(
                    values.baseAddress! + elements.lowerBound, wide.baseAddress, elements.count)
                return body(UnsafePointer(wide.baseAddress!))
            }
        }
    }
}

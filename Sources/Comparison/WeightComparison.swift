import AssayCKernels
import AssayCheckpoints
import AssayModels
import AssayPackings
import AssayTensors

/// How far one weight is from the reference's, in real numbers, however both are stored.
public struct WeightFigures: Sendable {
    /// The reference's name.
    public let name: String
    /// Its place in the model, where there is one.
    public let slot: WeightSlot?
    public let shape: Shape
    public let referenceStorage: TensorStorage
    public let testStorage: TensorStorage
    /// Whether one side is [in, out] and the other [out, in].
    public let isTransposed: Bool
    /// Nil for what is no real number (buffers of integers): those are equal or not.
    public internal(set) var figures: DifferenceFigures?
    /// Whether the stored bytes are the same, where there are no figures.
    var hasSameBytes = false
    /// Whether both sides store the same bits. Equal numbers need not: in another type, of zeros of either sign, NaNs of
    /// another payload, scales and integers that make the same products.
    public internal(set) var hasSameBits = false
    /// Elements that lie farther apart than the declared storages' rounding of a common value: by more than half a step,
    /// and not clipped; of one storage, by more than some units in the last place of float32.
    public internal(set) var beyond = Beyond()
    /// Those of each slice of a joined matrix: queries, keys, values.
    var beyondBySlice: [Int] = []
    /// Whether a square matrix equals the reference's, turned.
    public internal(set) var isEqualWhenTurned = false
    /// The reference's name of another weight whose values the test has here; nil where there is none, or nothing differs
    /// unexplained.
    public internal(set) var twin: String?
    public internal(set) var differenceClass = DifferenceClass.identical

    public struct Beyond: Sendable, Equatable {
        public var count = 0
        /// The greatest distance in units of what is allowed.
        public var worst = 0.0
        /// Of the first such element: its position in the test's order.
        public var first: Int?
    }

    fileprivate init(_ pair: WeightPair) {
        name = pair.name
        slot = pair.slot
        shape = pair.reference.shape
        referenceStorage = pair.reference.storage
        testStorage = pair.test.storage
        isTransposed = pair.isTransposed
        beyondBySlice = [Int](repeating: 0, count: max(1, pair.slices.count))
    }
}

/// Compares weights, each streamed by blocks of rows over all threads. A weight that lies turned on one side is held
/// whole on that side.
struct WeightComparison: Sendable {
    let threads: Int
    private let kernels: RowComparison.KernelPointer

    init(threads: Int) {
        self.threads = max(1, threads)
        kernels = RowComparison.KernelPointer(table: ck_math_at(DispatchLevel.current.kernelLevel))
    }

    /// Elements of a square matrix that are compared with the columns of another.
    private static let turnedElementCount = 1 << 22

    /// Elements that are compared at a time; the parts' order fixes the bits of the sums.
    private static let blockElementCount = 1 << 17

    func compare(_ pair: WeightPair) throws -> WeightFigures {
        var result = WeightFigures(pair)
        guard pair.reference.isReal, pair.test.isReal else {
            result.hasSameBytes = try holdSameBytes(pair)
            result.hasSameBits = result.hasSameBytes
            result.differenceClass = Tolerance.differenceClass(of: result)
            return result
        }
        let blocks = try compareBlocks(pair)
        var figures = DifferenceFigures()
        for block in blocks {
            figures.add(block.sums, at: block.begin)
            result.beyond.count += block.beyond.count
            result.beyond.worst = max(result.beyond.worst, block.beyond.worst)
            if result.beyond.first == nil { result.beyond.first = block.beyond.first }
            for (slice, count) in block.beyondBySlice.enumerated() { result.beyondBySlice[slice] += count }
        }
        result.figures = figures
        result.hasSameBits = try hasSameBits(pair, figures)
        result.differenceClass = Tolerance.differenceClass(of: result)
        if result.differenceClass == .unexplained { result.isEqualWhenTurned = try isEqualWhenTurned(pair) }
        return result
    }

    // MARK: Blocks

    private struct Block: Sendable {
        var begin: Int
        var sums = ck_comparison()
        var beyond = WeightFigures.Beyond()
        var beyondBySlice: [Int]
    }

    private func compareBlocks(_ whole: WeightPair) throws -> [Block] {
        let pair = whole.folded(toRowsOf: Self.blockElementCount)
        let shape = pair.test.shape
        guard shape.elementCount > 0 else { return [] }
        // A packed test fixes the rows; a packed reference turns the test.
        let turnsReference = pair.isTransposed && pair.test.orientation != nil
        let turnsTest = pair.isTransposed && !turnsReference
        let rowsShape = turnsTest ? pair.reference.shape : shape
        let turned = try pair.isTransposed ? WideValues.turned(turnsReference ? pair.reference : pair.test) : nil
        let step = max(1, Self.blockElementCount / max(1, rowsShape.rowElementCount))
        let count = (rowsShape.rowCount + step - 1) / step
        let results = ResultSlots<Block>(count: count)
        func compare(_ blocks: Range<Int>, of pair: WeightPair) throws {
            try Parallel.forEach(blocks.count, threads: threads) { number in
                let index = blocks.lowerBound + number
                let rows = index * step..<min((index + 1) * step, rowsShape.rowCount)
                let block = BlockOfRows(
                    pair: pair, rows: rows, columnCount: rowsShape.rowElementCount,
                    turnedReference: turnsReference ? turned : nil, turnedTest: turnsTest ? turned : nil)
                results.set(index, try self.compare(block))
            }
        }
        // The blocks stay the same, and so do the sums.
        let group = (pair.granuleRowCount + step - 1) / step
        guard group >= Self.heldBlockCount else {
            try compare(0..<count, of: pair)
            return results.all
        }
        for begin in stride(from: 0, to: count, by: group) {
            let blocks = begin..<min(begin + group, count)
            let rows = begin * step..<min(blocks.upperBound * step, rowsShape.rowCount)
            try compare(blocks, of: pair.holding(rows))
        }
        return results.all
    }

    /// From so many blocks on, what is best read together is.
    private static let heldBlockCount = 8

    private struct BlockOfRows: Sendable {
        let pair: WeightPair
        let rows: Range<Int>
        let columnCount: Int
        let turnedReference: ByteBuffer?
        let turnedTest: ByteBuffer?
        var elementCount: Int { rows.count * columnCount }
    }

    private func compare(_ block: BlockOfRows) throws -> Block {
        let pair = block.pair
        let begin = block.rows.lowerBound * block.columnCount
        var result = Block(begin: begin, beyondBySlice: [Int](repeating: 0, count: max(1, pair.slices.count)))
        let isWide = [pair.reference, pair.test].contains { $0.storage == .plain(.f64) }
        if !pair.hasOtherStorage, !pair.isTransposed, !isWide {
            try compareNarrow(block, &result)
            return result
        }
        let reference = try values(of: pair.reference, block, turned: block.turnedReference)
        let test = try values(of: pair.test, block, turned: block.turnedTest)
        defer { withExtendedLifetime((reference, test)) {} }
        let a = reference.bytes.bindMemory(to: Double.self)
        let b = test.bytes.bindMemory(to: Double.self)
        kernels.table.pointee.compare_f64(a.baseAddress, b.baseAddress, block.elementCount, &result.sums)
        if result.sums.count_equal_bits != result.sums.count {
            try check(block, a.baseAddress!, b.baseAddress!, &result)
        }
        return result
    }

    /// In float32, which holds every number of the narrower types; widened only where something differs.
    private func compareNarrow(_ block: BlockOfRows, _ result: inout Block) throws {
        let reference = try WideValues.narrow(block.pair.reference, rows: block.rows)
        let test = try WideValues.narrow(block.pair.test, rows: block.rows)
        defer { withExtendedLifetime((reference, test)) {} }
        kernels.table.pointee.compare_f32(
            reference.bytes.bindMemory(to: Float.self).baseAddress, test.bytes.bindMemory(to: Float.self).baseAddress,
            block.elementCount, &result.sums)
        guard result.sums.count_equal_bits != result.sums.count else { return }
        let a = try WideValues.widened(reference)
        let b = try WideValues.widened(test)
        defer { withExtendedLifetime((a, b)) {} }
        try check(
            block, a.bytes.bindMemory(to: Double.self).baseAddress!, b.bytes.bindMemory(to: Double.self).baseAddress!,
            &result)
    }

    private func values(
        of tensor: any LogicalTensor, _ block: BlockOfRows, turned: ByteBuffer?
    ) throws -> ByteBuffer {
        guard let turned else { return try WideValues.of(tensor, rows: block.rows) }
        let result = try ByteBuffer(byteCount: block.elementCount * 8)
        let begin = block.rows.lowerBound * block.columnCount * 8
        result.bytes.copyMemory(
            from: UnsafeRawBufferPointer(rebasing: turned.readOnly[begin..<begin + result.bytes.count]))
        return result
    }

    // MARK: Declared storage

    private func check(
        _ block: BlockOfRows, _ reference: UnsafePointer<Double>, _ test: UnsafePointer<Double>, _ result: inout Block
    ) throws {
        let pair = block.pair
        func rows(_ rounding: Rounding, isTurned: Bool) throws -> LentRounding {
            guard pair.hasOtherStorage else { return LentRounding(rows: rounding.lastPlaces, isTurned: false) }
            // The steps of a turned side lie as the tensor does.
            guard isTurned, rounding.hasSteps else {
                return LentRounding(
                    rows: try rounding.rows(isTurned ? 0..<1 : block.rows, withCodes: true), isTurned: false)
            }
            let all = try rounding.rows(0..<rounding.tensor.shape.rowCount, withCodes: false)
            return LentRounding(rows: all, isTurned: true)
        }
        let own = try rows(pair.referenceRounding, isTurned: block.turnedReference != nil)
        let other = try rows(pair.testRounding, isTurned: block.turnedTest != nil)
        let columns = block.columnCount
        for row in block.rows {
            let local = row - block.rows.lowerBound
            own.withRow(row, local) { own in
                other.withRow(row, local) { other in
                    for (slice, range) in segments(of: row, block) {
                        let place = local * columns + range.lowerBound
                        var a = own.moved(by: range.lowerBound)
                        var b = other.moved(by: range.lowerBound)
                        let found = ck_beyond_rounding(reference + place, test + place, range.count, &a, &b)
                        guard found.count > 0 else { continue }
                        result.beyond.count += Int(found.count)
                        result.beyond.worst = max(result.beyond.worst, found.worst)
                        if result.beyond.first == nil {
                            result.beyond.first = row * columns + range.lowerBound + Int(found.first)
                        }
                        result.beyondBySlice[slice] += Int(found.count)
                    }
                }
            }
        }
    }

    /// The columns of a row that belong to slices of the outputs.
    private func segments(of row: Int, _ block: BlockOfRows) -> [(slice: Int, columns: Range<Int>)] {
        let slices = block.pair.slices
        guard !slices.isEmpty else { return [(0, 0..<block.columnCount)] }
        // Outputs run along the rows of [out, in] and of vectors, along the columns of [in, out]; what is turned is
        // turned to [out, in].
        let runsAlongColumns = block.pair.referenceOrientation == .inputOutput && !block.pair.isTransposed
        if runsAlongColumns { return slices.enumerated().flatMap { slice, ranges in ranges.map { (slice, $0) } } }
        let slice = slices.firstIndex { $0.contains { $0.contains(row) } }
        return slice.map { [($0, 0..<block.columnCount)] } ?? []
    }

    // MARK: Others

    private func isEqualWhenTurned(_ pair: WeightPair) throws -> Bool {
        let dimensions = pair.reference.shape.dimensions
        guard dimensions.count == 2, dimensions[0] == dimensions[1], dimensions[0] > 1, !pair.isTransposed else {
            return false
        }
        // Some rows tell: of a matrix that is not turned, none is anywhere near the column.
        let count = min(dimensions[0], max(1, Self.turnedElementCount / dimensions[0]))
        let turned = try WideValues.turned(pair.test, columns: count)
        let reference = try WideValues.of(pair.reference, rows: 0..<count)
        defer { withExtendedLifetime((turned, reference)) {} }
        let values = reference.bytes.bindMemory(to: Double.self)
        var sums = ck_comparison()
        kernels.table.pointee.compare_f64(
            values.baseAddress, turned.bytes.bindMemory(to: Double.self).baseAddress, values.count, &sums)
        // Storage may round; a matrix that is not the reference's turned is nowhere near.
        // Beyond 1e154 squares are infinite, and say nothing.
        return sums.sum_ref2.isFinite && sums.sum_diff2 <= 0.1 * sums.sum_ref2
    }

    /// Finite numbers of one plain type have the bits that were compared; what else is equal, the stored bytes tell.
    private func hasSameBits(_ pair: WeightPair, _ figures: DifferenceFigures) throws -> Bool {
        guard figures.isIdentical, !pair.hasOtherStorage, !pair.isTransposed else { return false }
        if case .plain(let type) = pair.reference.storage, !type.isBlock, figures.referenceNonFiniteCount == 0 {
            return true
        }
        return try holdSameBytes(pair)
    }

    private func holdSameBytes(_ pair: WeightPair) throws -> Bool {
        guard pair.reference.storage == pair.test.storage, pair.reference.shape == pair.test.shape else { return false }
        return try zip(pair.reference.parts, pair.test.parts).allSatisfy { a, b in
            try pair.referenceRounding.digest(of: a) == pair.testRounding.digest(of: b)
        }
    }
}

/// The rounding of some rows, or, of a turned side, of some columns of what is stored.
private struct LentRounding {
    let rows: RoundingRows
    let isTurned: Bool

    /// - Parameters:
    ///   - row: of the whole, as it is compared.
    ///   - local: the same, counted from the first of the rows.
    func withRow(_ row: Int, _ local: Int, _ body: (ck_storage) -> Void) {
        isTurned ? rows.withColumn(row, body) : rows.withRow(local, body)
    }
}

extension ck_storage {
    /// The same from a later element of the row on.
    fileprivate func moved(by element: Int) -> ck_storage {
        var result = self
        result.offset += element
        if let codes { result.codes = codes + element }
        return result
    }
}

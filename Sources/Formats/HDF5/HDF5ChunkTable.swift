import AssayTensors

/// Where the chunks of a tensor lie, and the geometry of putting them together.
struct HDF5ChunkTable: Sendable {
    struct Place: Sendable {
        /// -1 where the chunk is not stored.
        var offset: Int
        var byteCount: Int
        /// Bit i is set where filter i was left out.
        var filterMask: UInt32
    }

    let shape: [Int]
    let chunk: [Int]
    let elementSize: Int
    let pipeline: HDF5FilterPipeline
    /// Chunks along every axis.
    let grid: [Int]
    /// Bytes of one chunk in memory.
    let chunkByteCount: Int
    /// In row-major order of the grid; empty where none is stored.
    var places: [Place] = []
    /// Elements behind one step along every axis, in the tensor and in a chunk.
    private let strides: [Int]
    private let chunkStrides: [Int]
    /// The outermost axis inside which a chunk's elements lie together in the tensor too.
    private let runAxis: Int

    /// - Precondition: all dimensions of `chunk` are positive, and the products fit.
    init(shape: [Int], chunk: [Int], elementSize: Int, pipeline: HDF5FilterPipeline) {
        self.shape = shape
        self.chunk = chunk
        self.elementSize = elementSize
        self.pipeline = pipeline
        grid = zip(shape, chunk).map { $0 == 0 ? 0 : ($0 - 1) / $1 + 1 }
        chunkByteCount = chunk.reduce(elementSize, *)
        strides = Shape.strides(of: shape)
        chunkStrides = Shape.strides(of: chunk)
        var axis = shape.count - 1
        while axis > 0, chunk[axis] == shape[axis] { axis -= 1 }
        runAxis = axis
    }

    /// Chunks of the grid; the listing bounds it.
    var gridCount: Int {
        var count = 1
        for steps in grid { count = count.multipliedReportingOverflow(by: steps).overflow ? Int.max : count * steps }
        return grid.contains(0) ? 0 : count
    }

    /// Bytes that are stored for all chunks; the most there is where the sum overflows.
    var storedByteCount: Int {
        var sum = 0
        for place in places where place.offset >= 0 {
            let (next, overflow) = sum.addingReportingOverflow(place.byteCount)
            guard !overflow else { return Int.max }
            sum = next
        }
        return sum
    }

    /// Whether a chunk's bytes are one range of the tensor's.
    var isContiguous: Bool { runAxis == 0 }

    /// The first element of a chunk.
    func position(of index: Int) -> [Int] {
        var rest = index
        var position = [Int](repeating: 0, count: grid.count)
        for axis in grid.indices.reversed() {
            position[axis] = rest % grid[axis] * chunk[axis]
            rest /= grid[axis]
        }
        return position
    }

    /// Elements of a chunk that lie inside the tensor, along every axis.
    private func extent(at position: [Int]) -> [Int] {
        position.indices.map { min(chunk[$0], shape[$0] - position[$0]) }
    }

    /// The elements from a chunk's first to its last, others of them in between.
    private func span(at position: [Int]) -> Range<Int> {
        let extent = extent(at: position)
        var first = 0
        var last = 0
        for axis in position.indices {
            first += position[axis] * strides[axis]
            last += (position[axis] + extent[axis] - 1) * strides[axis]
        }
        return first..<last + 1
    }

    /// A chunk that a range of elements needs.
    struct Need {
        var index: Int
        /// Whether all of its elements are needed.
        var isWhole: Bool
        /// The elements, where they are one range of the tensor and nothing of the chunk lies outside.
        var wholeRange: Range<Int>?
    }

    /// The chunks that hold some of `elements`.
    func needs(of elements: Range<Int>) -> [Need] {
        guard !elements.isEmpty else { return [] }
        let bandCount = gridCount / grid[0]
        let firstBand = elements.lowerBound / strides[0] / chunk[0]
        let lastBand = (elements.upperBound - 1) / strides[0] / chunk[0]
        return (firstBand * bandCount..<(lastBand + 1) * bandCount).compactMap { index in
            let position = position(of: index)
            let span = span(at: position)
            guard span.overlaps(elements) else { return nil }
            let isWhole = elements.lowerBound <= span.lowerBound && span.upperBound <= elements.upperBound
            let isFull = isWhole && isContiguous && span.count * elementSize == chunkByteCount
            return Need(index: index, isWhole: isWhole, wholeRange: isFull ? span : nil)
        }
    }

    /// Copies what `elements` needs of a chunk to its places.
    ///
    /// - Parameters:
    ///   - bytes: the chunk, `chunkByteCount` bytes.
    ///   - buffer: the bytes of `elements`.
    func scatter(
        _ bytes: UnsafeRawBufferPointer, _ index: Int, _ elements: Range<Int>,
        into buffer: UnsafeMutableRawBufferPointer
    ) {
        let start = position(of: index)
        let extent = extent(at: start)
        let runLength = extent[runAxis] * strides[runAxis]
        var offsets = [Int](repeating: 0, count: runAxis)
        var target = zip(start, strides).reduce(0) { $0 + $1.0 * $1.1 }
        var source = 0
        while true {
            let run = (target..<target + runLength).clamped(to: elements)
            if !run.isEmpty {
                let from = (source + run.lowerBound - target) * elementSize
                let to = (run.lowerBound - elements.lowerBound) * elementSize
                (buffer.baseAddress! + to).copyMemory(
                    from: bytes.baseAddress! + from, byteCount: run.count * elementSize)
            }
            guard advance(&offsets, extent, &target, &source) else { return }
        }
    }

    /// Steps to the next run; false behind the last.
    private func advance(_ offsets: inout [Int], _ extent: [Int], _ target: inout Int, _ source: inout Int) -> Bool {
        for axis in offsets.indices.reversed() {
            offsets[axis] += 1
            target += strides[axis]
            source += chunkStrides[axis]
            if offsets[axis] < extent[axis] { return true }
            target -= offsets[axis] * strides[axis]
            source -= offsets[axis] * chunkStrides[axis]
            offsets[axis] = 0
        }
        return false
    }

    /// Larger bands are not worth the memory: ranges of any length are served, and chunks decoded again.
    private static let maximumBandByteCount = 32 << 20

    /// Bytes of a band of chunks: ranges that begin at multiples of it need no chunk twice. 0 where there is none of
    /// a reasonable size.
    var bandByteCount: Int {
        let axis = shape.indices.first { chunk[$0] > 1 && shape[$0] > 1 } ?? shape.count - 1
        let before = shape[..<axis].reduce(1) { $0 &* $1 }
        let fits = before == 1 || shape[axis] % chunk[axis] == 0
        let steps = fits ? min(chunk[axis], shape[axis]) : shape[axis]
        let (elements, overflow) = steps.multipliedReportingOverflow(by: strides[axis])
        guard !overflow, elements > 0, elements <= Self.maximumBandByteCount / elementSize else { return 0 }
        return elements * elementSize
    }
}

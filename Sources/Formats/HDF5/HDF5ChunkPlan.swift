import AssayTensors

/// How a tensor is cut into chunks on writing: every chunk is one range of the tensor's bytes.
struct HDF5ChunkPlan: Sendable {
    /// The chunk's dimensions.
    let chunk: [Int]
    let chunkByteCount: Int
    /// Bytes of the tensor.
    let byteCount: Int
    private let shape: [Int]
    let elementSize: Int

    /// Bytes of a chunk that are aimed at: enough for deflate, few enough for many threads.
    private static let target = 1 << 20
    /// Smaller tensors are stored contiguously.
    private static let minimum = 4096

    /// - Returns: nil for tensors that are better stored contiguously.
    init?(shape: [Int], elementSize: Int) {
        let byteCount = shape.reduce(elementSize, *)
        guard !shape.isEmpty, byteCount >= Self.minimum else { return nil }
        // The outermost axis along which one step is not too much already.
        var axis = 0
        var tail = byteCount / shape[0]
        while axis < shape.count - 1, tail > Self.target {
            axis += 1
            tail /= shape[axis]
        }
        let isOutermost = shape[..<axis].allSatisfy { $0 == 1 }
        let steps = Self.steps(shape[axis], tail, mustDivide: !isOutermost)
        guard steps <= HDF5Limits.chunkByteCount / tail else { return nil }
        chunk = [Int](repeating: 1, count: axis) + [steps] + shape[(axis + 1)...]
        chunkByteCount = steps * tail
        self.byteCount = byteCount
        self.shape = shape
        self.elementSize = elementSize
    }

    /// Steps along the axis that is cut; inner axes are cut into equal parts, so that every row begins a chunk.
    private static func steps(_ dimension: Int, _ tail: Int, mustDivide: Bool) -> Int {
        let most = max(1, min(dimension, target / tail))
        guard mustDivide else { return most }
        let best = (1...most).last { dimension % $0 == 0 } ?? dimension
        // A dimension without useful divisors stays whole.
        return best * tail >= target / 16 ? best : dimension
    }

    /// The first element of the chunk that begins at a byte.
    func position(ofByte offset: Int) -> [Int] {
        var rest = offset / elementSize
        var position = [Int](repeating: 0, count: shape.count)
        for axis in shape.indices.reversed() {
            position[axis] = rest % shape[axis]
            rest /= shape[axis]
        }
        return position
    }
}

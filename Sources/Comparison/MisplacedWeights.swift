import AssayCheckpoints
import AssayPackings
import AssayTensors

/// Weights of the test that hold what the reference has under another name: exchanged, copied or shifted by a layer.
enum MisplacedWeights {
    /// Beyond so many weights that differ the test is another model, and nothing is looked for.
    private static let mostWeights = 100
    private static let pieceElementCount = 1 << 18

    /// Notes in figures whose weight differs unexplained where the reference has its values.
    ///
    /// Every weight of the reference that has the shape of one of those is read once more.
    static func note(in figures: inout [WeightFigures], _ pairs: [WeightPair]) throws {
        let places = figures.indices.filter { figures[$0].differenceClass == .unexplained && pairs[$0].test.isReal }
        guard !places.isEmpty, places.count <= mostWeights else { return }
        let shapes = Set(places.map { pairs[$0].test.shape.dimensions })
        var names: [Digest: String] = [:]
        for pair in pairs where pair.reference.isReal && shapes.contains(pair.reference.shape.dimensions) {
            let digest = try Self.digest(of: pair.reference)
            if names[digest] == nil { names[digest] = pair.name }
        }
        for place in places { figures[place].twin = names[try digest(of: pairs[place].test)] }
    }

    /// Of the values in float32, whatever is stored.
    private static func digest(of tensor: any LogicalTensor) throws -> Digest {
        let width = max(1, tensor.shape.rowElementCount)
        let step = max(1, pieceElementCount / width)
        var hasher = DigestHasher()
        for start in stride(from: 0, to: tensor.shape.rowCount, by: step) {
            let rows = start..<min(start + step, tensor.shape.rowCount)
            let buffer = try ByteBuffer(byteCount: rows.count * width * MemoryLayout<Float>.stride)
            defer { withExtendedLifetime(buffer) {} }
            try tensor.read(rows: rows, into: buffer.bytes.bindMemory(to: Float.self))
            hasher.update(buffer.readOnly)
        }
        return hasher.finalize()
    }
}

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
        let others = pairs.filter { $0.reference.isReal && shapes.contains($0.reference.shape.dimensions) }
        // One width for all: numbers of float64 that round to one of float32 are not the same.
        let isWide = (others.map(\.reference) + places.map { pairs[$0].test }).contains { $0.storage == .plain(.f64) }
        var names: [Digest: [String]] = [:]
        for pair in others { names[try digest(of: pair.reference, isWide: isWide), default: []].append(pair.name) }
        for place in places {
            let found = names[try digest(of: pairs[place].test, isWide: isWide)] ?? []
            figures[place].twin = found.first { $0 != pairs[place].name }
        }
    }

    /// Of the values in float32 or float64, whatever is stored.
    private static func digest(of tensor: any LogicalTensor, isWide: Bool) throws -> Digest {
        let step = max(1, pieceElementCount / max(1, tensor.shape.rowElementCount))
        var hasher = DigestHasher()
        for start in stride(from: 0, to: tensor.shape.rowCount, by: step) {
            let rows = start..<min(start + step, tensor.shape.rowCount)
            let buffer = try isWide ? WideValues.of(tensor, rows: rows) : WideValues.narrow(tensor, rows: rows)
            defer { withExtendedLifetime(buffer) {} }
            hasher.update(buffer.readOnly)
        }
        return hasher.finalize()
    }
}

import AssayCheckpoints
import AssayQuantization

/// A weight quantized whole.
struct QuantizedWeight {
    var outputs: [(info: TensorInfo, bytes: ByteBuffer)]
    var statistics: WeightStatistics
}

extension QuantizationPlan {
    /// Quantizes all rows of a weight at once.
    func quantize(_ index: Int) throws -> QuantizedWeight {
        let made = try quantize(index, rows: 0..<rowCount(of: index))
        guard case .quantize(let infos, _) = decisions[index] else { preconditionFailure() }
        return QuantizedWeight(
            outputs: Array(zip(infos, made.outputs.map(\.bytes))), statistics: statistics(of: index, made.errors))
    }
}

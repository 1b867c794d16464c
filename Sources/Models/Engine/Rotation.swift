import AssayCKernels
import AssayTensors

/// The cosines and sines of rotary positions: a row for every row of the hidden states, a column for every pair.
struct Rotation<S: Scalar>: Sendable {
    let cosines: Matrix<S>
    let sines: Matrix<S>
    let isInterleaved: Bool
    /// Features of a head before the first that is turned.
    let offset: Int

    /// - Parameters:
    ///   - positions: of every row.
    ///   - isRounded: whether angles are numbers of float32, each operation rounded, as in the library that owns the models:
    ///     far from the beginning the rounding of an angle is more than that of all that follows.
    init(_ rotary: RotarySpec, positions: [Int], _ kernels: KernelTable, isRounded: Bool) throws {
        let length = (positions.max() ?? 0) + 1
        let frequencies = RotaryFrequencies(rotary, isRounded: isRounded).values(length: length)
        cosines = try Matrix<S>(rowCount: positions.count, columnCount: frequencies.count)
        sines = try Matrix<S>(rowCount: positions.count, columnCount: frequencies.count)
        isInterleaved = rotary.isInterleaved
        offset = rotary.offset
        let factor = rotary.scaling.attentionFactor
        var values = frequencies
        func take(_ row: UnsafeMutablePointer<S>) {
            if factor != 1 {
                for pair in values.indices {
                    values[pair] = (isRounded ? Double(Float(values[pair])) : values[pair]) * factor
                }
            }
            S.take(kernels, values, row, values.count)
        }
        for (row, position) in positions.enumerated() {
            let angles = frequencies.map { frequency in
                let angle = Double(position) * frequency
                return isRounded ? Double(Float(angle)) : angle
            }
            kernels.pointer.pointee.cosine_f64(angles, &values, values.count)
            take(cosines.row(row))
            kernels.pointer.pointee.sine_f64(angles, &values, values.count)
            take(sines.row(row))
        }
        guard isRounded else { return }
        S.roundToFloat32(kernels, cosines.pointer, positions.count * frequencies.count)
        S.roundToFloat32(kernels, sines.pointer, positions.count * frequencies.count)
    }
}

/// What positions are multiplied by to give angles: `base^(-2m / dimension)` for pair m, stretched where the model says so.
///
/// - Source: `modeling_rope_utils.py` of transformers 5, its operations in their order.
struct RotaryFrequencies {
    private let rotary: RotarySpec
    /// Whether every operation's result is one of float32.
    private let isRounded: Bool

    init(_ rotary: RotarySpec, isRounded: Bool) { (self.rotary, self.isRounded) = (rotary, isRounded) }

    /// - Parameter length: one more than the greatest position.
    func values(length: Int) -> [Double] {
        let pairs = 0..<rotary.dimension / 2
        switch rotary.scaling {
        case .none: return pairs.map { frequency($0) }
        case .linear(let factor): return pairs.map { rounded(frequency($0) / factor) }
        case .dynamic(let factor, let original):
            let stretch = factor * max(Double(length), original) / original - (factor - 1)
            let power = Double(rotary.dimension) / Double(rotary.dimension - 2)
            let base = rotary.base * PortableMath.exponential(power * PortableMath.logarithm(stretch))
            return pairs.map { frequency($0, base: rounded(base)) }
        case .llama3(let factor, let low, let high, let original):
            return pairs.map { rounded(stretched(frequency($0), factor, low, high, original)) }
        case .yarn(let factor, let fast, let slow, let original, let isTruncated, _):
            let ramp = ramp(fast, slow, original, isTruncated)
            return pairs.map { pair in
                let power = power(pair, base: rotary.base)
                let kept = rounded(1 - rounded(ramp(pair)))
                let divided = rounded(1 / rounded(factor * power)) * rounded(1 - kept)
                return rounded(rounded(divided) + rounded(rounded(1 / power) * kept))
            }
        case .longRope(let short, let long, let original, _):
            let factors = Double(length) > original ? long : short
            return pairs.map { rounded(1 / rounded(rounded(factors[$0]) * power($0, base: rotary.base))) }
        }
    }

    private func rounded(_ value: Double) -> Double { isRounded ? Double(Float(value)) : value }

    /// `base^(2m / dimension)`
    private func power(_ pair: Int, base: Double) -> Double {
        rounded(
            PortableMath.exponential(
                rounded(Double(2 * pair) / Double(rotary.dimension)) * PortableMath.logarithm(base)))
    }

    private func frequency(_ pair: Int) -> Double { frequency(pair, base: rotary.base) }

    private func frequency(_ pair: Int, base: Double) -> Double { rounded(1 / power(pair, base: base)) }

    private func stretched(
        _ frequency: Double, _ factor: Double, _ low: Double, _ high: Double, _ length: Double
    ) -> Double {
        let wavelength = 2 * Double.pi / frequency
        if wavelength < length / high { return frequency }
        if wavelength > length / low { return frequency / factor }
        let smooth = (length / wavelength - low) / (high - low)
        return (1 - smooth) * frequency / factor + smooth * frequency
    }

    /// How far a pair's frequency is on the way from kept (0) to divided (1).
    private func ramp(_ fast: Double, _ slow: Double, _ original: Double, _ isTruncated: Bool) -> (Int) -> Double {
        func pair(turns: Double) -> Double {
            Double(rotary.dimension) * PortableMath.logarithm(original / (turns * 2 * Double.pi))
                / (2 * PortableMath.logarithm(rotary.base))
        }
        var (low, high) = (pair(turns: fast), pair(turns: slow))
        if isTruncated { (low, high) = (low.rounded(.down), high.rounded(.up)) }
        low = max(low, 0)
        high = min(high, Double(rotary.dimension - 1))
        // As the library does, so that nothing is divided by zero.
        if low == high { high += 0.001 }
        return { min(max((Double($0) - low) / (high - low), 0), 1) }
    }
}

extension RotaryScaling {
    /// What cosines and sines are multiplied by.
    var attentionFactor: Double {
        switch self {
        case .none, .linear, .dynamic, .llama3: 1
        case .yarn(_, _, _, _, _, let factor), .longRope(_, _, _, let factor): factor
        }
    }
}

extension BlockEngine {
    /// Turns features of every head of every row in place.
    func rotate(_ matrix: Matrix<S>, _ rotation: Rotation<S>, headDimension: Int) {
        forEachRows(of: matrix) { rows in
            for row in rows {
                for column in stride(from: rotation.offset, to: matrix.columnCount, by: headDimension) {
                    S.rotate(
                        kernels, matrix.row(row) + column, rotation.cosines.row(row), rotation.sines.row(row),
                        rotation.cosines.columnCount, isInterleaved: rotation.isInterleaved)
                }
            }
            roundRows(of: matrix, rows)
        }
    }
}

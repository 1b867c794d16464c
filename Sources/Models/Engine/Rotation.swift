import AssayCKernels
import AssayTensors

/// The cosines and sines of rotary positions: a row for every row of the hidden states, a column for every pair.
struct Rotation<S: Scalar>: Sendable {
    let cosines: Matrix<S>
    let sines: Matrix<S>
    let isInterleaved: Bool

    /// - Parameters:
    ///   - positions: of every row.
    ///   - isRounded: whether angles are numbers of float32, each operation rounded, as in the library that owns the models:
    ///     far from the beginning the rounding of an angle is more than that of all that follows.
    init(_ rotary: RotarySpec, positions: [Int], _ kernels: KernelTable, isRounded: Bool) throws {
        let frequencies = rotary.frequencies(kernels, isRounded: isRounded)
        cosines = try Matrix<S>(rowCount: positions.count, columnCount: frequencies.count)
        sines = try Matrix<S>(rowCount: positions.count, columnCount: frequencies.count)
        isInterleaved = rotary.isInterleaved
        var values = frequencies
        for (row, position) in positions.enumerated() {
            let angles = frequencies.map { frequency in
                let angle = Double(position) * frequency
                return isRounded ? Double(Float(angle)) : angle
            }
            kernels.pointer.pointee.cosine_f64(angles, &values, values.count)
            S.take(kernels, values, cosines.row(row), values.count)
            kernels.pointer.pointee.sine_f64(angles, &values, values.count)
            S.take(kernels, values, sines.row(row), values.count)
        }
        guard isRounded else { return }
        S.roundToFloat32(kernels, cosines.pointer, positions.count * frequencies.count)
        S.roundToFloat32(kernels, sines.pointer, positions.count * frequencies.count)
    }
}

extension RotarySpec {
    /// What positions are multiplied by to give angles: `base^(-2m / dimension)` for pair m, stretched where the model says
    /// so.
    ///
    /// - Parameter isRounded: whether every operation's result is one of float32.
    func frequencies(_ kernels: KernelTable, isRounded: Bool) -> [Double] {
        func rounded(_ value: Double) -> Double { isRounded ? Double(Float(value)) : value }
        let table = kernels.pointer.pointee
        var logarithm = 0.0
        table.log_f64([base], &logarithm, 1)
        return (0..<dimension / 2).map { pair in
            var power = 0.0
            table.exp_f64([rounded(Double(2 * pair) / Double(dimension)) * logarithm], &power, 1)
            return rounded(scaling.stretched(rounded(1 / rounded(power))))
        }
    }
}

extension RotaryScaling {
    /// - Source: `_compute_linear_scaling_rope_parameters` and `_compute_llama3_parameters` of transformers 5.
    fileprivate func stretched(_ frequency: Double) -> Double {
        switch self {
        case .none: return frequency
        case .linear(let factor): return frequency / factor
        case .llama3(let factor, let low, let high, let length):
            let wavelength = 2 * Double.pi / frequency
            if wavelength < length / high { return frequency }
            if wavelength > length / low { return frequency / factor }
            let smooth = (length / wavelength - low) / (high - low)
            return (1 - smooth) * frequency / factor + smooth * frequency
        }
    }
}

extension BlockEngine {
    /// Turns the first features of every head of every row in place.
    func rotate(_ matrix: Matrix<S>, _ rotation: Rotation<S>, headDimension: Int) {
        forEachRows(of: matrix) { rows in
            for row in rows {
                for column in stride(from: 0, to: matrix.columnCount, by: headDimension) {
                    S.rotate(
                        kernels, matrix.row(row) + column, rotation.cosines.row(row), rotation.sines.row(row),
                        rotation.cosines.columnCount, isInterleaved: rotation.isInterleaved)
                }
            }
            roundRows(of: matrix, rows)
        }
    }
}

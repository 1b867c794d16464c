import AssayCKernels

/// The vectors of positions that are sines and cosines, of one width, in float64.
struct SinusoidalVectors {
    private let isInterleaved: Bool
    private let width: Int
    private let frequencies: [Double]
    private let kernels: KernelTable

    init(_ positions: SinusoidalPositions, width: Int, _ kernels: KernelTable) {
        isInterleaved = positions.isInterleaved
        self.width = width
        self.kernels = kernels
        frequencies = (0..<(width + 1) / 2).map {
            PortableMath.exponential(-Double(2 * $0) / Double(width) * PortableMath.logarithm(10_000))
        }
    }

    /// The vector of a position.
    func vector(at place: Int) -> [Double] {
        let angles = frequencies.map { Double(place) * $0 }
        var (sines, cosines) = (angles, angles)
        kernels.pointer.pointee.sine_f64(angles, &sines, sines.count)
        kernels.pointer.pointee.cosine_f64(angles, &cosines, cosines.count)
        return (0..<width).map { column in
            let isSine = isInterleaved ? column % 2 == 0 : column < angles.count
            let pair = isInterleaved ? column / 2 : isSine ? column : column - angles.count
            return isSine ? sines[pair] : cosines[pair]
        }
    }
}

import AssayCheckpoints

#if canImport(Glibc)
    import Glibc
#endif

/// A random generator whose seed is known, so that a failure can be repeated (SplitMix64).
public struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    public mutating func next(below limit: Int) -> Int { Int.random(in: 0..<limit, using: &self) }

    public mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }

    /// A number between minus and plus a scale; its digits do not depend on how the library draws floating-point numbers.
    public mutating func float(_ scale: Float) -> Float { (Float(next() >> 44) / Float(1 << 19) - 1) * scale }
    public mutating func floats(_ count: Int, _ scale: Float) -> [Float] { (0..<count).map { _ in float(scale) } }

    /// Gaussian numbers of mean 0.
    public mutating func gaussian(_ count: Int, deviation: Double = 1) -> [Float] {
        (0..<count).map { _ in
            let radius = sqrt(-2 * log(Double.random(in: 0x1p-53...1, using: &self)))
            return Float(deviation * radius * cos(2 * .pi * Double.random(in: 0..<1, using: &self)))
        }
    }
}

extension CheckpointReader {
    /// All bytes of a tensor; for small ones.
    public func bytes(of tensor: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: contents.tensors[tensor].byteCount)
        try bytes.withUnsafeMutableBytes { try read(tensor, 0..<$0.count, into: $0) }
        return bytes
    }
}

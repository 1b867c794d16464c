import AssayCKernels

/// A dispatch level that this machine can run, with its table of kernels.
struct MathLevel: CustomStringConvertible {
    let description: String
    let kernels: ck_math

    /// All of them, the scalar one first: it is what the others are compared with.
    static let available: [MathLevel] = [
        ("scalar", CK_SCALAR), ("avx2", CK_AVX2), ("avx512", CK_AVX512), ("neon", CK_NEON),
    ].compactMap { name, level in
        ck_math_at(level).map { MathLevel(description: name, kernels: $0.pointee) }
    }
}

/// Numbers that are the same on every machine (xorshift, 64 bits).
struct Seeded {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func bits() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }

    /// Of 0 ..< limit.
    mutating func below(_ limit: Int) -> Int { Int(bits() >> 33) % limit }

    /// Of -1 ..< 1, a multiple of 2^-23: exact in float32.
    mutating func unit() -> Double { Double(bits() >> 40) * 0x1p-23 - 1 }

    mutating func floats(_ count: Int, scale: Float = 1) -> [Float] { (0..<count).map { _ in Float(unit()) * scale } }
    mutating func doubles(_ count: Int) -> [Double] { (0..<count).map { _ in unit() } }
}

/// Whether two arrays hold the same bits.
func sameBits<T>(_ a: [T], _ b: [T]) -> Bool {
    a.withUnsafeBytes { a in b.withUnsafeBytes { b in a.elementsEqual(b) } }
}

/// FNV-1a over the bytes of an array, little-endian as every machine of ours is.
func digest<T>(_ values: [T]) -> UInt64 {
    values.withUnsafeBytes { bytes in
        bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}

@testable import AssayTensors

/// Packs codes into the bytes of a tensor: one long little-endian bit string, first element in the lowest bits.
func packed(_ codes: [UInt64], _ type: ElementType) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: (codes.count * type.bitCount + 7) / 8)
    for (index, code) in codes.enumerated() {
        for bit in 0..<type.bitCount where code >> UInt64(bit) & 1 == 1 {
            let place = index * type.bitCount + bit
            bytes[place / 8] |= 1 << UInt8(place % 8)
        }
    }
    return bytes
}

/// The codes of a tensor of whole-byte elements.
func codes(_ bytes: some Collection<UInt8>, _ type: ElementType) -> [UInt64] {
    let bytes = Array(bytes)
    let width = type.bitCount / 8
    return stride(from: 0, to: bytes.count, by: width).map { start in
        (0..<width).reduce(0) { $0 | UInt64(bytes[start + $1]) << UInt64(8 * $1) }
    }
}

extension ElementConversion {
    /// Converts packed codes to codes, with both buffers `offset` bytes off their alignment.
    func converted(
        _ source: [UInt64], offset: Int = 0
    ) -> (codes: [UInt64], tally: ConversionTally) {
        let input = [UInt8](repeating: 0xAA, count: offset) + packed(source, self.source)
        let canary: UInt8 = 0x5C
        let byteCount = source.count * destination.bitCount / 8
        var output = [UInt8](repeating: canary, count: offset + byteCount + 1)
        let tally = input.withUnsafeBytes { input in
            output.withUnsafeMutableBytes { output in
                convert(
                    UnsafeRawBufferPointer(rebasing: input[offset...]),
                    to: UnsafeMutableRawBufferPointer(rebasing: output[offset..<offset + byteCount]),
                    count: source.count)
            }
        }
        precondition(output.last == canary, "wrote past the end")
        return (AssayTensorsTests.codes(output[offset..<offset + byteCount], destination), tally)
    }
}

extension ElementType {
    static let floating = scalars.filter(\.isFloating)
    /// The types to which others are narrowed.
    static let roundedTo: [ElementType] = [.f64, .f32, .bf16, .f16, .f8e4m3, .f8e5m2, .f8e4m3fnuz, .f8e5m2fnuz]

    /// Whether a code of the type is NaN, by the definition of the type.
    func isNaN(_ code: UInt64) -> Bool {
        switch self {
        case .f64: Double(bitPattern: code).isNaN
        case .f32: Float(bitPattern: UInt32(code)).isNaN
        case .bf16: code & 0x7FFF > 0x7F80
        case .f16: code & 0x7FFF > 0x7C00
        case .f8e4m3: code & 0x7F == 0x7F
        case .f8e5m2: code & 0x7F > 0x7C
        case .f8e4m3fnuz, .f8e5m2fnuz: code == 0x80
        case .f8e8m0: code == 0xFF
        default: false
        }
    }
}

extension DispatchLevel {
    static let available = allCases.filter(\.isAvailable)
}

/// A small generator with a printed seed, so that a failing case comes back.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {  // splitmix64
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}

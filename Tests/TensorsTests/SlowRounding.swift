import AssayTensors

/// Rounding to nearest even by comparing with the midpoints between neighbours: no bits are shifted, nothing is added.
///
/// The neighbours come from torch's table of all codes. Every midpoint has few enough bits to be exact in float64, so
/// the comparison is exact for every float32 and float64.
struct SlowRounding: Sendable {
    let type: GoldenType
    /// `midpoints[code]` lies between the magnitudes of `code` and `code + 1`; the last is half a step above the
    /// largest.
    let midpoints: [Double]
    let largest: Int
    private let notANumber: UInt64

    init(_ type: GoldenType) {
        self.type = type
        let magnitudes = type.values.prefix(1 << type.magnitudeBits).map(Double.init)
        let finite = magnitudes.prefix { $0.isFinite }
        let largest = finite.count - 1
        let step = finite[largest] - finite[largest - 1]
        midpoints = (0..<finite.count).map { $0 < largest ? (finite[$0] + finite[$0 + 1]) / 2 : finite[$0] + step / 2 }
        self.largest = largest
        notANumber = UInt64(type.values.firstIndex { $0.isNaN }!)
    }

    /// What a value becomes; nil for NaN, which tests compare as a class.
    struct Result: Equatable {
        var code: UInt64
        var tally = ConversionTally()
    }

    func round(_ value: Double) -> Result? {
        guard !value.isNaN else { return nil }
        var low = 0
        var high = midpoints.count
        while low < high {
            let middle = (low + high) / 2
            if isAbove(middle, value.magnitude) { low = middle + 1 } else { high = middle }
        }
        return result(magnitudeCode: low, value)
    }

    /// Whether a magnitude rounds to more than `code`: it lies above the midpoint that follows, or on it while `code`
    /// is odd.
    func isAbove(_ code: Int, _ magnitude: Double) -> Bool {
        magnitude > midpoints[code] || (magnitude == midpoints[code] && code % 2 == 1)
    }

    /// - Parameter magnitudeCode: the code of the rounded magnitude, `largest + 1` where it is beyond.
    func result(magnitudeCode: Int, _ value: Double) -> Result {
        let sign: UInt64 = value.sign == .minus ? 1 << UInt64(type.magnitudeBits) : 0
        guard magnitudeCode > largest else {
            let isZero = magnitudeCode == 0
            let hasNegativeZero = type.beyond != .notANumber
            return Result(
                code: UInt64(magnitudeCode) | (isZero && !hasNegativeZero ? 0 : sign),
                tally: ConversionTally(underflowed: isZero && value != 0 ? 1 : 0))
        }
        switch type.beyond {
        case .infinity:
            return Result(
                code: UInt64(largest + 1) | sign, tally: ConversionTally(overflowed: value.isInfinite ? 0 : 1))
        case .saturation:
            return Result(code: UInt64(largest) | sign, tally: ConversionTally(overflowed: 1))
        case .notANumber:
            return Result(code: notANumber, tally: ConversionTally(overflowed: 1))
        }
    }
}

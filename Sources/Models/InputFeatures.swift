import AssayCheckpoints
import SystemPackage

/// Numbers that a model is fed instead of tokens: mel spectrograms or pixels, one input after the other, row-major.
public struct InputFeatures: Sendable, Equatable {
    public enum Numbers: Sendable, Equatable {
        case float32([Float])
        /// Where some are no numbers of float32.
        case float64([Double])

        public var count: Int {
            switch self {
            case .float32(let values): values.count
            case .float64(let values): values.count
            }
        }
    }

    public let kind: FeatureSpec.Kind
    /// [batch, bins, frames] or [batch, channels, height, width]
    public let shape: [Int]
    public let numbers: Numbers

    public var batchCount: Int { shape[0] }
    /// Numbers of one input.
    var inputCount: Int { shape.dropFirst().reduce(1, *) }

    /// - Parameter source: what messages call the file.
    /// - Throws: `CheckpointError` where the shape is not that of its kind, without an element, or a number is not finite.
    public init(
        _ kind: FeatureSpec.Kind, shape: [Int], _ numbers: Numbers, source: FilePath
    ) throws(CheckpointError) {
        self.kind = kind
        self.shape = shape
        self.numbers = numbers
        let place = CheckpointError.Place.part(kind.member.rawValue)
        guard shape.count == kind.axes.count, !shape.contains(0) else {
            throw CheckpointError(
                source, place, expected: "[\(kind.axes.joined(separator: ", "))], each at least 1", found: "\(shape)")
        }
        precondition(numbers.count == shape.reduce(1, *))
        if let index = numbers.firstNotFinite {
            throw CheckpointError(
                source, place, expected: "finite numbers",
                found: "\(numbers.isNaN(index) ? "NaN" : "infinity") in input \(index / inputCount)")
        }
    }

    /// Numbers of float64, held as float32 where that is exact: the same numbers are the same input, however they are stored.
    public static func numbers(exactly values: [Double]) -> Numbers {
        values.allSatisfy { Double(Float($0)) == $0 || $0.isNaN }
            ? .float32(values.map { Float($0) }) : .float64(values)
    }

    /// Some of the inputs.
    func part(_ inputs: Range<Int>, source: FilePath) throws(CheckpointError) -> InputFeatures {
        let range = inputs.lowerBound * inputCount..<inputs.upperBound * inputCount
        let part: Numbers =
            switch numbers {
            case .float32(let values): .float32(Array(values[range]))
            case .float64(let values): .float64(Array(values[range]))
            }
        return try InputFeatures(kind, shape: [inputs.count] + shape.dropFirst(), part, source: source)
    }

    /// The numbers as a file holds them: row-major, little-endian.
    public var bytes: [UInt8] {
        switch numbers {
        case .float32(let values): values.withUnsafeBytes { Array($0) }
        case .float64(let values): values.withUnsafeBytes { Array($0) }
        }
    }

    var digest: Digest {
        switch numbers {
        case .float32(let values): values.withUnsafeBytes { Digest.of($0) }
        case .float64(let values): values.withUnsafeBytes { Digest.of($0) }
        }
    }

    /// "2 images of [3, 224, 224]"
    var summary: String {
        let noun = batchCount == 1 ? String(kind.noun.dropLast()) : kind.noun
        return "\(batchCount) \(noun) of \(Array(shape.dropFirst()))"
    }

    /// "F32", or "F64" where some are no numbers of float32.
    var typeName: String { if case .float32 = numbers { "F32" } else { "F64" } }
}

extension InputFeatures.Numbers {
    fileprivate var firstNotFinite: Int? {
        switch self {
        case .float32(let values): values.firstIndex { !$0.isFinite }
        case .float64(let values): values.firstIndex { !$0.isFinite }
        }
    }

    fileprivate func isNaN(_ index: Int) -> Bool {
        switch self {
        case .float32(let values): values[index].isNaN
        case .float64(let values): values[index].isNaN
        }
    }
}

extension FeatureSpec.Kind {
    /// What the tensor is called.
    public var member: TokenBatch.Member {
        switch self {
        case .mel: .inputFeatures
        case .pixels: .pixelValues
        }
    }

    /// What the axes are.
    public var axes: [String] {
        switch self {
        case .mel: ["batch", "mel bins", "frames"]
        case .pixels: ["batch", "channels", "height", "width"]
        }
    }

    /// "images", "spectrograms"
    public var noun: String {
        switch self {
        case .mel: "spectrograms"
        case .pixels: "images"
        }
    }
}

extension FeatureSpec {
    /// What the numbers of a batch are: "[batch, 3, 224, 224]".
    public var described: String {
        "[" + (["batch", "\(channelCount)"] + extents.map(String.init)).joined(separator: ", ") + "]"
    }
}

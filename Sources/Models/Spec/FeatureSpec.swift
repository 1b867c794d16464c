/// How numbers become vectors of positions: convolutions one behind the other, whose last places are the positions, row by
/// row; a vector of the class may stand before them.
public struct FeatureSpec: Sendable, Equatable {
    /// What the numbers are.
    public enum Kind: String, Sendable, CaseIterable {
        /// A logarithmic mel spectrogram, [batch, bins, frames].
        case mel
        /// An image, [batch, channels, height, width].
        case pixels
    }

    public var kind: Kind
    public var channelCount: Int
    /// Of the axes behind the channels: [frames], or [height, width].
    public var extents: [Int]
    /// At most two, in the order in which they run.
    public var convolutions: [ConvolutionSpec]
    /// Whether a learned vector stands at position 0, before those of the numbers.
    public var hasClassVector: Bool

    /// - Precondition: there are one or two convolutions, of as many axes as the numbers.
    public init(
        _ kind: Kind, channelCount: Int, extents: [Int], convolutions: [ConvolutionSpec], hasClassVector: Bool = false
    ) {
        precondition((1...2).contains(convolutions.count))
        precondition(convolutions.allSatisfy { $0.kernel.count == extents.count })
        self.kind = kind
        self.channelCount = channelCount
        self.extents = extents
        self.convolutions = convolutions
        self.hasClassVector = hasClassVector
    }

    /// The weights of a convolution by its number.
    public static let modules: [Module] = [.convolution, .secondConvolution]

    /// The extents of what a convolution reads, by its number, and at last of what the last one gives.
    public var stages: [[Int]] {
        convolutions.reduce(into: [extents]) { stages, convolution in
            stages.append(convolution.extents(of: stages[stages.count - 1]))
        }
    }

    /// Positions of a sequence.
    public var positionCount: Int { stages.last!.reduce(1, *) + (hasClassVector ? 1 : 0) }

    /// What the numbers of `batchCount` inputs are: [batch, channels, ...].
    public func shape(batchCount: Int) -> [Int] { [batchCount, channelCount] + extents }
}

/// A linear layer over a window that moves along the axes: `y(p) = activation(Σ_c Σ_t w(c, t) x(c, p · stride + t − padding) + b)`,
/// with zeros around x. Its weight is [outputs, channels, kernel...].
public struct ConvolutionSpec: Sendable, Equatable {
    /// Channels that it gives.
    public var outputCount: Int
    /// Of every axis, in the order of the extents.
    public var kernel: [Int]
    public var stride: [Int]
    public var padding: [Int]
    public var hasBias: Bool
    public var activation: Activation?

    public init(
        outputCount: Int, kernel: [Int], stride: [Int], padding: [Int]? = nil, hasBias: Bool = true,
        activation: Activation? = nil
    ) {
        self.outputCount = outputCount
        self.kernel = kernel
        self.stride = stride
        self.padding = padding ?? kernel.map { _ in 0 }
        self.hasBias = hasBias
        self.activation = activation
    }

    /// Windows that do not overlap and leave nothing between them: one a patch.
    static func patches(_ size: [Int], outputCount: Int, hasBias: Bool) -> ConvolutionSpec {
        ConvolutionSpec(outputCount: outputCount, kernel: size, stride: size, hasBias: hasBias)
    }

    /// Places of the window along every axis; what is left behind the last is not read.
    func extents(of input: [Int]) -> [Int] {
        input.indices.map { max(0, (input[$0] + 2 * padding[$0] - kernel[$0]) / stride[$0] + 1) }
    }
}

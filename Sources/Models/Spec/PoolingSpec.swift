/// A row for every sequence, made of that of one position: a norm, a linear layer with an activation, a projection, in this
/// order, each where there is one.
public struct PoolingSpec: Sendable, Equatable {
    /// Which position of a sequence.
    public enum Position: Sendable, Equatable {
        case first
        /// The first of those with the greatest token.
        case greatestToken
        /// The first with this token; the first of all where none has it.
        case firstToken(Int)
    }

    /// A linear layer with a bias.
    public struct Layer: Sendable, Equatable {
        /// nil for the hidden size.
        public var outputSize: Int?
        public var activation: Activation
    }

    public var position = Position.first
    public var norm: NormSpec?
    public var layer: Layer?
    public var projection: Projection?

    /// A linear layer without bias.
    public struct Projection: Sendable, Equatable {
        public var outputSize: Int
        /// Whether rows are divided by their Euclidean length.
        public var isNormalized: Bool
    }

    /// Features of the row; nil for the hidden size.
    var outputSize: Int? { projection?.outputSize ?? layer?.outputSize }

    public init(
        _ position: Position = .first, norm: NormSpec? = nil, layer: Layer? = nil, projection: Projection? = nil
    ) {
        self.position = position
        self.norm = norm
        self.layer = layer
        self.projection = projection
    }

    /// A linear layer over the first position's row, as BERT has it.
    static func ofFirst(_ activation: Activation, outputSize: Int? = nil) -> PoolingSpec {
        PoolingSpec(layer: Layer(outputSize: outputSize, activation: activation))
    }
}

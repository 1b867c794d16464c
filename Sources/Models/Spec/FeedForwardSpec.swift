/// `output(activation(input(x)))`, or `output(activation(gate(x)) · input(x))`.
public struct FeedForwardSpec: Sendable, Equatable {
    public var innerSize: Int
    public var activation: Activation
    public var gating = Gating.none
    public var hasBias = true

    public enum Gating: String, Sendable {
        /// No gate.
        case none
        /// Gate and input have a matrix each.
        case separate
        /// One matrix: the gate's outputs, then the input's.
        case joined
    }

    public init(innerSize: Int, activation: Activation, gating: Gating = .none, hasBias: Bool = true) {
        self.innerSize = innerSize
        self.activation = activation
        self.gating = gating
        self.hasBias = hasBias
    }
}

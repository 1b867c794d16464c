/// `output(activation(input(x)))`, or `output(activation(gate(x)) · (input(x) + inputOffset))`.
public struct FeedForwardSpec: Sendable, Equatable {
    public var innerSize: Int
    public var activation: Activation
    public var gating = Gating.none
    public var hasBias = true
    /// Of a gated one: gates become at most this before the activation, inputs at most this in magnitude; nil for as
    /// they are.
    public var clamp: Double?
    /// Of a gated one: what is added to inputs, once they are clamped.
    public var inputOffset = 0.0

    public enum Gating: String, Sendable {
        /// No gate.
        case none
        /// Gate and input have a matrix each.
        case separate
        /// One matrix: the gate's outputs, then the input's.
        case joined
        /// One matrix: an output of the gate and one of the input by turns.
        case alternating
    }

    public init(innerSize: Int, activation: Activation, gating: Gating = .none, hasBias: Bool = true) {
        self.innerSize = innerSize
        self.activation = activation
        self.gating = gating
        self.hasBias = hasBias
    }
}

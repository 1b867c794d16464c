/// An elementwise function between two linear layers.
public enum Activation: String, CaseIterable, Sendable {
    /// x Φ(x), with the error function.
    case geluErf
    /// 0.5 x (1 + tanh(√(2/π) (x + 0.044715 x³)))
    case geluTanh
    /// x sigmoid(1.702 x)
    case quickGELU
    /// max(x, 0)
    case relu
    /// max(x, 0)²
    case reluSquared
    /// x sigmoid(x)
    case silu
    case tanh

    /// The function that a configuration's word stands for, or nil where we have none.
    ///
    /// - Source: the table `ACT2FN` of transformers 5; `gelu_fast` there writes √(2/π) as 0.7978845608, which is
    ///   `geluTanh` to 4e-11, far below the spacing of float32.
    public init?(configurationName name: String) {
        guard let entry = Self.configurationNames.first(where: { $0.name == name }) else { return nil }
        self = entry.activation
    }

    /// Every word of a configuration that we can compute.
    public static let configurationNames: [(name: String, activation: Activation)] = [
        ("gelu", .geluErf), ("gelu_python", .geluErf),
        ("gelu_new", .geluTanh), ("gelu_pytorch_tanh", .geluTanh), ("gelu_fast", .geluTanh),
        ("quick_gelu", .quickGELU),
        ("relu", .relu), ("relu2", .reluSquared),
        ("silu", .silu), ("swish", .silu),
        ("tanh", .tanh),
    ]
}

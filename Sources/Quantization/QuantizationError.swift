import AssayCheckpoints

/// A weight has values that a scheme cannot hold: which tensor, where in it, what.
public struct QuantizationError: AssayError, Equatable {
    public var tensor: String
    /// The element's place in the tensor as it is stored.
    public var index: [Int]
    public var problem: String

    public init(tensor: String, index: [Int], problem: String) {
        self.tensor = tensor
        self.index = index
        self.problem = problem
    }

    public var exitStatus: ExitStatus { .numbersDiffer }
    public var description: String { "tensor '\(tensor.escapedForDisplay)': element \(index) \(problem)" }
}

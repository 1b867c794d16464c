import AssayCheckpoints

/// A weight has values that a scheme cannot hold: which file, which tensor, where in it, what.
public struct QuantizationError: AssayError, Equatable {
    /// Nil where the work knows tensors alone; who knows the file adds it.
    public var file: String?
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
    public var description: String {
        (file.map { $0 + ": " } ?? "") + "tensor '\(tensor.escapedForDisplay)': element \(index) \(problem)"
    }
}

extension QuantizationError {
    /// Does some work, and adds the file to what it says of the weights in it.
    public static func naming<Result>(_ file: @autoclosure () -> String, _ work: () throws -> Result) throws -> Result {
        do { return try work() } catch var error as QuantizationError {
            error.file = error.file ?? file()
            throw error
        }
    }

    /// What an element is that is a finite number of float64 and none of float32, in which all rounding begins.
    public static func beyondFloat32(_ value: Double, scheme: String) -> String {
        "is \(value), which \(scheme) cannot hold: it is made of F32, which ends at \(Float.greatestFiniteMagnitude)"
    }

    /// "-3.0 to 5e+38" of some numbers.
    public static func range(of values: some Collection<Float>) -> String {
        "\(values.min() ?? 0) to \(values.max() ?? 0)"
    }
}

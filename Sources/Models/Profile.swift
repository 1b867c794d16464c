import AssayCKernels
import AssayTensors

/// How exactly a forward pass computes; every figure says which.
public enum Profile: String, CaseIterable, Sendable {
    /// Weights widened exactly to float64, everything in float64: the oracle.
    case ref64
    /// float32 values; every operation computed in float64 and rounded once.
    case ref32
    /// float32 throughout.
    case fast32

    /// The type of hidden states, taps and logits.
    public var precision: Precision { self == .ref64 ? .float64 : .float32 }
}

/// The type of activations.
public enum Precision: String, Sendable {
    case float32 = "F32"
    case float64 = "F64"

    public var byteCount: Int { self == .float32 ? 4 : 8 }
}

/// What a forward pass needs besides a model and tokens. None of it but the profile changes a bit of any result.
public struct RunSettings: Sendable {
    public var profile: Profile
    public var threads: Int
    public var level: DispatchLevel

    public init(
        profile: Profile = .fast32, threads: Int = Parallel.availableThreads, level: DispatchLevel? = nil
    ) {
        self.profile = profile
        self.threads = threads
        self.level = level ?? .current
    }
}

/// The version of the arithmetic: it rises whenever any bit of a result may change, and figures are compared only
/// within one.
public enum Arithmetic {
    public static var version: Int { Int(CK_ARITHMETIC_VERSION) }
}

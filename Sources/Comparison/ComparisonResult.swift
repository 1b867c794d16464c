import AssayCheckpoints
import AssayModels

/// Everything that a comparison found.
public struct ComparisonResult: Sendable {
    /// A side as reports name it.
    public struct Side: Sendable {
        public var name: String
        public var description: String
        /// "f32", "int4-g32 and f32"; empty for captures.
        public var storages: String
    }

    /// What the models were fed.
    public struct Tokens: Sendable {
        public var batchCount: Int
        public var length: Int
        /// Positions that are read.
        public var readCount: Int
        /// What it is where it is not tokens alone: "2 images of [3, 224, 224]".
        public var summary: String?
        public var digest: Digest
    }

    public let reference: Side
    public let test: Side
    public let profile: Profile
    public internal(set) var tolerance: Tolerance
    public internal(set) var structure: StructureFindings
    /// Every weight that both sides have; nil where a side has none.
    public internal(set) var weights: [WeightFigures]?
    /// Whether a table of them is wanted.
    public internal(set) var showsWeights = false
    /// Unexplained weights behind the first tap that is outside; all of them where there is no such tap.
    public internal(set) var suspects: [WeightFigures] = []
    public internal(set) var tokens: Tokens?
    /// Nil where activations were not compared.
    public internal(set) var taps: [TapFigures]?
    /// How far the experts agree, layer by layer; empty where there are none.
    public internal(set) var routing: [RoutingFigures] = []
    /// Whether only some taps were wanted.
    public internal(set) var choosesTaps = false
    /// Whether a side was captured elsewhere, so that there is no isolated error.
    public internal(set) var isAccumulatedOnly = false
    public internal(set) var logits: LogitsFigures?
    /// What makes the sides part at the first tap that is outside, where a known cause does.
    public internal(set) var diagnosis: Diagnosis?
    /// What was not compared, and why; sentences.
    public internal(set) var notes: [String] = []

    init(_ reference: ComparisonSide, _ test: ComparisonSide, profile: Profile, tolerance: Tolerance) {
        self.reference = Side(name: reference.name, description: reference.description, storages: reference.storages)
        self.test = Side(name: test.name, description: test.description, storages: test.storages)
        self.profile = profile
        self.tolerance = tolerance
        structure = StructureFindings(reference, test)
    }
}

import AssayCheckpoints
import AssayPackings
import AssayTensors

// A forward pass in steps, each of which takes hidden states and gives hidden states:
//
//     var state = try runner.embed(observe)
//     for layer in 0..<runner.layerCount { state = try runner.block(layer, [state], observe)[0] }
//     let features = try runner.finish([state], observe)[0]
//     try runner.forEachLogits([features]) { rows, logits in ... }
//
// `ForwardPass.run` is this. A comparison walks two runners in lockstep: it holds one hidden state of the reference and
// one of the test, runs the reference's block on its own state, and the test's block on both at once,
// `test.block(layer, [testState, referenceState], observe)`: accumulated and isolated error, the weights read once. A
// third runner over the reference's model under `ref64` gives the noise floor of a block. A state may come from a
// runner of another profile: it is widened exactly, or rounded to nearest even.

/// Runs the steps of one model's forward pass over one batch of tokens, one weight matrix in memory at a time.
///
/// The bits of every result depend on the model, the tokens of the sequence, and the profile; not on the number of
/// threads, the dispatch level, the other sequences of the batch, the other states of a call, or whether anybody
/// observes.
public final class BlockRunner: Sendable {
    public let model: Model
    public let tokens: TokenBatch
    public let settings: RunSettings
    private let engine: any Engine

    /// - Throws: `StructureError` where the model's tensors are not what its configuration says; `CheckpointError` where
    ///   the tokens do not suit the model.
    public init(_ model: Model, tokens: TokenBatch, settings: RunSettings = RunSettings()) throws {
        try model.report.requireSound(model.name)
        try tokens.check(against: model.spec)
        self.model = model
        self.tokens = tokens
        self.settings = settings
        engine =
            switch settings.profile {
            case .fast32: try BlockEngine<Float>(model, tokens, settings)
            case .ref32, .ref64: try BlockEngine<Double>(model, tokens, settings)
            }
    }

    public var layerCount: Int { model.spec.layerCount }
    public var hasLogits: Bool { model.spec.head != nil }

    /// All taps in the order of the forward pass.
    public var plannedTaps: [PlannedTap] { TapPlan(model.spec, tokens).taps }

    /// The taps of one step, in order.
    public func plannedTaps(of step: ForwardStep) -> [PlannedTap] { TapPlan(model.spec, tokens).taps(of: step) }

    /// What enters block 0: [batch · time, hidden].
    ///
    /// - Throws: what reading the weights throws, and what `observe` throws.
    public func embed(_ observe: TapObserver? = nil) throws -> HiddenState {
        try engine.embed(observe)
    }

    /// What leaves a block, for each of some hidden states that enter it.
    ///
    /// - Parameters:
    ///   - layer: from 0 on.
    ///   - states: each [batch · time, hidden], of either precision. A state of another shape is a mistake of the caller.
    ///   - observe: called for a tap of every state before the next tap.
    public func block(
        _ layer: Int, _ states: [HiddenState], _ observe: TapObserver? = nil
    ) throws -> [HiddenState] {
        precondition((0..<layerCount).contains(layer) && states.allSatisfy(isHiddenState))
        return try engine.block(layer, states, observe)
    }

    /// The last steps but the logits: final norm, pooler, the head's transform.
    ///
    /// - Returns: what enters the product with the head's matrix, or the final hidden states of a bare body.
    public func finish(_ states: [HiddenState], _ observe: TapObserver? = nil) throws -> [HiddenState] {
        precondition(states.allSatisfy(isHiddenState))
        return try engine.finish(states, observe)
    }

    /// Logits of all rows in pieces of some rows, all states' at once; nothing for a bare body.
    ///
    /// - Parameters:
    ///   - features: what `finish` gave.
    ///   - body: gets the rows of a piece and, for every state, their logits, [rows, vocabulary].
    public func forEachLogits(
        _ features: [HiddenState], _ body: (_ rows: Range<Int>, _ logits: [HiddenState]) throws -> Void
    ) throws {
        guard hasLogits else { return }
        precondition(features.allSatisfy { isState($0, model.spec.head?.width ?? model.spec.hiddenSize) })
        let rowCount = tokens.batchCount * tokens.length
        let step = logitsRowsPerPiece
        for start in stride(from: 0, to: rowCount, by: step) {
            let rows = start..<min(start + step, rowCount)
            try body(rows, engine.logits(features, rows))
        }
    }

    /// Logits of some rows, for each of some features that `finish` gave: [rows, vocabulary].
    ///
    /// - Precondition: the model has a head.
    public func logits(_ features: [HiddenState], rows: Range<Int>) throws -> [HiddenState] {
        precondition(hasLogits)
        return try engine.logits(features, rows)
    }

    /// Rows of logits that are in memory at a time.
    public var logitsRowsPerPiece: Int {
        max(1, Self.logitsByteCount / (model.spec.vocabularySize * settings.profile.precision.byteCount))
    }

    private static let logitsByteCount = 64 << 20

    private func isHiddenState(_ state: HiddenState) -> Bool { isState(state, model.spec.hiddenSize) }

    private func isState(_ state: HiddenState, _ featureCount: Int) -> Bool {
        state.rowCount == tokens.batchCount * tokens.length && state.featureCount == featureCount
    }
}

/// A step of a forward pass.
public enum ForwardStep: Sendable, Equatable {
    case embed
    case block(Int)
    case finish
    case logits
}

/// The steps as an engine of one number type does them.
protocol Engine: Sendable {
    func embed(_ observe: TapObserver?) throws -> HiddenState
    func block(_ layer: Int, _ states: [HiddenState], _ observe: TapObserver?) throws -> [HiddenState]
    func finish(_ states: [HiddenState], _ observe: TapObserver?) throws -> [HiddenState]
    func logits(_ features: [HiddenState], _ rows: Range<Int>) throws -> [HiddenState]
}

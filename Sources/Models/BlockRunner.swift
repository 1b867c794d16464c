import AssayCheckpoints
import AssayPackings
import AssayTensors

// A forward pass in steps, each of which takes hidden states and gives hidden states:
//
//     var state = [HiddenState]()
//     for step in runner.steps { state = try runner.advance(step, state, observe) }
//     try runner.forEachLogits(state) { rows, logits in ... }
//
// `ForwardPass.run` is this. A comparison walks two runners in lockstep: it holds one hidden state of the reference and
// one of the test, advances the reference on its own state, and the test on both at once,
// `test.advance(step, [testState, referenceState], observe)`: accumulated and isolated error, the weights read once. A
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
    /// What every stack is fed.
    private let parts: [TokenBatch]
    private let plan: TapPlan
    private let engines: [any Engine]

    /// - Throws: `StructureError` where the model's tensors are not what its configuration says; `CheckpointError` where
    ///   the tokens do not suit the model.
    public init(_ model: Model, tokens: TokenBatch, settings: RunSettings = RunSettings()) throws {
        try model.report.requireSound(model.name)
        try tokens.check(against: model.spec)
        try model.checkCopies()
        try model.checkPositionTables()
        self.model = model
        self.tokens = tokens
        self.settings = settings
        let parts = model.spec.stacks.map { tokens.part(for: $0) }
        self.parts = parts
        plan = TapPlan(model.spec, batchCounts: parts.map(\.batchCount), lengths: parts.map(\.length))
        engines = try parts.indices.map { stack in
            switch settings.profile {
            case .fast32: try BlockEngine<Float>(model, parts, stack: stack, settings)
            case .ref32, .ref64: try BlockEngine<Double>(model, parts, stack: stack, settings)
            }
        }
    }

    /// The steps before the logits, in order.
    public var steps: [ForwardStep] { model.spec.steps.filter { $0 != .logits } }
    public var hasLogits: Bool { model.spec.head != nil }

    /// All taps in the order of the forward pass.
    public var plannedTaps: [PlannedTap] { plan.taps }

    /// The taps of one step, in order.
    public func plannedTaps(of step: ForwardStep) -> [PlannedTap] { plan.taps(of: step) }

    /// What a stack is fed.
    public func tokens(of stack: Int) -> TokenBatch { parts[stack] }

    /// Does one step for some states.
    ///
    /// - Parameters:
    ///   - step: one of `steps`.
    ///   - states: what the step before gave, [batch · time, hidden] each, of either precision; none before the first
    ///     step, which gives one. A state of another shape is a mistake of the caller.
    ///   - observe: called for a tap of every state before the next tap.
    /// - Returns: what leaves the step, for each of the states. The last step of the last stack gives what enters the
    ///   product with the head's matrix, or the final hidden states of a bare body.
    /// - Throws: what reading the weights throws, and what `observe` throws.
    public func advance(
        _ step: ForwardStep, _ states: [HiddenState], _ observe: TapObserver? = nil
    ) throws -> [HiddenState] {
        switch step {
        case .embed(let stack):
            precondition(stack == 0 ? states.isEmpty : fit(states, finished: stack - 1))
            let embedded = try engines[stack].embed(observe)
            // All states enter a further stack alike; what they bring from the one before is remembered.
            return stack == 0 ? [embedded] : states.map { embedded.behind($0) }
        case .block(let stack, let layer):
            precondition(fit(states, stack))
            return zip(try engines[stack].block(layer, states, observe), states).map { $0.behind($1.earlier) }
        case .finish(let stack):
            precondition(fit(states, stack))
            return zip(try engines[stack].finish(states, observe), states).map { $0.behind($1.earlier) }
        case .logits: preconditionFailure("logits come in pieces of rows")
        }
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
        let last = engines.count - 1
        precondition(fit(features, finished: last))
        let rowCount = self.rowCount(finished: last)
        let step = logitsRowsPerPiece
        for start in stride(from: 0, to: rowCount, by: step) {
            let rows = start..<min(start + step, rowCount)
            try body(rows, engines[last].logits(features, rows))
        }
    }

    /// Logits of some rows, for each of some features that `finish` gave: [rows, vocabulary].
    ///
    /// - Precondition: the model has a head.
    public func logits(_ features: [HiddenState], rows: Range<Int>) throws -> [HiddenState] {
        precondition(hasLogits)
        return try engines[engines.count - 1].logits(features, rows)
    }

    /// Logits of a row.
    public var logitCount: Int { plan.taps(of: .logits).first?.featureCount ?? 0 }

    /// Rows of logits that are in memory at a time.
    public var logitsRowsPerPiece: Int {
        max(1, Self.logitsByteCount / (logitCount * settings.profile.precision.byteCount))
    }

    private static let logitsByteCount = 64 << 20

    private func fit(_ states: [HiddenState], _ stack: Int) -> Bool {
        let rowCount = parts[stack].batchCount * parts[stack].length
        let featureCount = model.spec.stacks[stack].hiddenSize
        return states.allSatisfy { $0.rowCount == rowCount && $0.featureCount == featureCount }
    }

    /// Whether states are what `finish` gives of a stack.
    private func fit(_ states: [HiddenState], finished stack: Int) -> Bool {
        let featureCount = model.spec.featureCount(finished: stack)
        return states.allSatisfy { $0.rowCount == rowCount(finished: stack) && $0.featureCount == featureCount }
    }

    private func rowCount(finished stack: Int) -> Int {
        parts[stack].batchCount * (model.spec.head?.isOfPooled == true ? 1 : parts[stack].length)
    }
}

/// A step of a forward pass.
public enum ForwardStep: Sendable, Equatable {
    case embed(stack: Int)
    case block(stack: Int, layer: Int)
    case finish(stack: Int)
    case logits
}

/// The steps of one stack as an engine of one number type does them.
protocol Engine: Sendable {
    func embed(_ observe: TapObserver?) throws -> HiddenState
    func block(_ layer: Int, _ states: [HiddenState], _ observe: TapObserver?) throws -> [HiddenState]
    func finish(_ states: [HiddenState], _ observe: TapObserver?) throws -> [HiddenState]
    func logits(_ features: [HiddenState], _ rows: Range<Int>) throws -> [HiddenState]
}

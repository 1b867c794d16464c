import AssayModels
import AssayTensors

/// What makes the sides part, proved: the reference with this mistake in it gives what the test gave.
public struct Diagnosis: Sendable {
    /// The tap where the sides part: "layers.3.mlp_act".
    public let tap: String
    /// What the test does: "GELU approximated by tanh for the model's activation".
    public let mistake: String
    /// Others that give the same over these tokens.
    public let alternatives: [String]
    /// Relative L2 of the tap against the reference as it is.
    public let before: Double
    /// Relative L2 of the tap against the reference with the mistake.
    public let after: Double
    /// Whether it is the reference that has the mistake, the test being a model and the reference captured.
    public internal(set) var isOfReference = false
}

/// Tries the known causes at the step where two sides part.
struct Diagnostician {
    /// The side that is right; its weights rounded to the test's storage where that is coarser.
    let reference: Model
    let settings: RunSettings
    let tokens: TokenBatch
    /// What the test's configuration says; nil where it is captured.
    let other: TransformerSpec?
    /// What the test gave at a tap when the reference's own states entered the step, [rows, features].
    let test: (_ tap: PlannedTap, _ step: ForwardStep, _ states: [HiddenState]) throws -> HiddenState?

    /// Rows of logits that are looked at: enough to tell one cause from another.
    private static let logitsRowCount = 128

    /// - Parameter allowed: relative L2 up to which two sides that do the same may differ at this tap.
    /// - Returns: nil where no known cause gives what the test gave.
    func diagnose(_ tap: TapFigures, allowed: Double) throws -> Diagnosis? {
        guard let name = TapName(tap.name) else { return nil }
        let place = Cause.Place(role: tap.role, layer: tap.layer, point: name.point)
        let runner = try BlockRunner(reference, tokens: tokens, settings: settings)
        guard
            let step = reference.spec.steps.first(where: { runner.plannedTaps(of: $0).contains { $0.name == tap.name } }
            ),
            let planned = runner.plannedTaps(of: step).first(where: { $0.name == tap.name })
        else { return nil }
        let states = try states(before: step, runner)
        guard let found = try test(planned, step, states) else { return nil }
        let before = try error(found, runner, planned, step, states)
        guard before > allowed else { return nil }
        var fitting: [(mistake: String, after: Double)] = []
        func attempt(_ mistake: String, _ model: Model) throws {
            let variant = try BlockRunner(model, tokens: tokens, settings: settings)
            guard variant.plannedTaps(of: step).contains(planned) else { return }
            let after = try error(found, variant, planned, step, states)
            if after <= allowed, after < before / 4 { fitting.append((mistake, after)) }
        }
        for cause in Causes.all where cause.points.contains(name.point) {
            for model in cause.make(reference, place) { try attempt(cause.mistake, model) }
        }
        if fitting.isEmpty, let (mistake, model) = otherConfiguration { try attempt(mistake, model) }
        guard let best = fitting.min(by: { $0.after < $1.after }) else { return nil }
        let others = fitting.map(\.mistake).filter { $0 != best.mistake }
        return Diagnosis(
            tap: tap.name, mistake: best.mistake, alternatives: others, before: before, after: best.after)
    }

    /// No known mistake, but what the test's configuration says in words: the reference computed by it.
    private var otherConfiguration: (mistake: String, model: Model)? {
        guard let other, other != reference.spec, let model = reference.computing(other) else { return nil }
        let own = Dictionary(reference.spec.facts.map { ($0.name, $0.value) }) { first, _ in first }
        let differing = other.facts.filter { own[$0.name] != nil && own[$0.name] != $0.value }
        guard !differing.isEmpty else { return nil }
        let words = differing.prefix(3).map { "\($0.name) \($0.value) for \(own[$0.name] ?? "none")" }
        let more = differing.count > 3 ? " and \(differing.count - 3) more" : ""
        return ("another configuration (\(words.joined(separator: "; "))\(more))", model)
    }

    /// What enters a step; for logits what enters the norm before them, which a capture may lack the tap of.
    private func states(before step: ForwardStep, _ runner: BlockRunner) throws -> [HiddenState] {
        var states: [HiddenState] = []
        for earlier in runner.steps {
            if earlier == (step == .logits ? runner.steps.last : step) { break }
            states = try runner.advance(earlier, states)
        }
        return states
    }

    /// The tap's relative L2 against what a runner gives.
    private func error(
        _ found: HiddenState, _ runner: BlockRunner, _ tap: PlannedTap, _ step: ForwardStep, _ states: [HiddenState]
    ) throws -> Double {
        guard let own = try Self.values(of: tap, step, states, runner) else { return .infinity }
        let rows = RowComparison(threads: settings.threads)
        let ledger = TapLedger([tap], columns: [], rows: rows, floorScale: 1)
        let segments = TapSegments(runner, firstSequence: 0).of(tap.rows)
        let looked = segments.segments.filter { $0.upperBound <= min(own.rowCount, found.rowCount) }
        own.withNumbers { own in
            found.withNumbers {
                ledger.add(
                    .accumulated, tap.name, own, $0, segments: looked[...], features: tap.featureCount, offset: 0)
            }
        }
        return ledger.taps(leastFloor: 0)[0].accumulated.relativeL2
    }

    /// What a runner gives at a tap; of logits the first rows.
    static func values(
        of tap: PlannedTap, _ step: ForwardStep, _ states: [HiddenState], _ runner: BlockRunner
    ) throws -> HiddenState? {
        if step == .logits {
            let features = try runner.advance(runner.steps.last!, states)
            let rowCount = min(features[0].rowCount, logitsRowCount, runner.logitsRowsPerPiece)
            return try runner.logits(features, rows: 0..<rowCount)[0]
        }
        var result: HiddenState?
        _ = try runner.advance(step, states) { _, values in
            guard values.tap.name == tap.name else { return }
            result = try HiddenState(
                rowCount: values.tap.rowCount, featureCount: values.tap.featureCount, copying: values.values)
        }
        return result
    }
}

import AssayCheckpoints
import AssayModels
import AssayTensors

/// Compares captured activations with a model's, or with others: only accumulated error exists, as nothing can be run on
/// the reference's states in a program that is not here. The noise floor is the model's own run against float64 from the
/// first tap on.
struct CaptureComparison {
    let settings: RunSettings
    let pattern: TapPattern
    let tolerance: Tolerance

    struct Outcome {
        var taps: [TapFigures]
        var logits: LogitsFigures?
        /// Taps that cannot be compared, sentences.
        var unmatched: [String]
        /// Taps of the model that the capture lacks.
        var missing: [String] = []
    }

    /// Whether a captured shape says the same as [batch, time, features]: batch and time may be joined, or left out where
    /// they are one, and features may be cut, as into [heads, width], or left out where there is one.
    static func isForm(_ shape: [Int], of planned: [Int]) -> Bool {
        let rows = planned.dropLast()
        return (0...shape.count).contains { cut in
            let own = shape[..<cut]
            return shape[cut...].reduce(1, *) == planned.last
                && (own == [rows.reduce(1, *)] || own.filter { $0 != 1 } == rows.filter { $0 != 1 })
        }
    }

    // MARK: Capture and model

    /// - Parameter isReference: whether the model is the reference.
    func run(
        _ model: Model, _ capture: CapturedActivations, isReference: Bool, _ tokens: TokenBatch, batchCount: Int?
    ) throws -> Outcome {
        let all = try BlockRunner(model, tokens: tokens, settings: settings).plannedTaps
        var unmatched: [String] = []
        let planned = all.filter { tap in
            guard pattern.matches(tap.name), let shape = capture[tap.name]?.shape else { return false }
            if Self.isForm(shape, of: tap.shape) { return true }
            unmatched.append("tap '\(tap.name)': \(tap.shape) in the model, \(shape) in the capture")
            return false
        }
        for name in capture.tapNames where pattern.matches(name) && !all.contains(where: { $0.name == name }) {
            unmatched.append("tap '\(name.escapedForDisplay)' is not one of this model")
        }
        let rows = RowComparison(threads: settings.threads)
        let ledger = TapLedger(
            planned, columns: [.floor], rows: rows, floorScale: settings.profile == .ref64 ? 0x1p-29 : 1)
        var logits = LogitsFigures(of: model.spec)
        let step = model.spec.sequencesPerPart(
            batchCount ?? LockstepComparison.sequencesPerPart(planned, tokens), of: tokens)
        for first in stride(from: 0, to: tokens.batchCount, by: step) {
            let part = try tokens.part(first..<min(first + step, tokens.batchCount))
            let walk = try CaptureWalk(
                self, model, capture, isReference: isReference, part, firstSequence: first, ledger, rows)
            try walk.run(&logits)
        }
        return Outcome(
            taps: ledger.taps(leastFloor: Tolerance.unitRoundoff(settings.profile)),
            logits: logits.positions.isEmpty ? nil : logits, unmatched: unmatched,
            missing: all.map(\.name).filter { pattern.matches($0) && capture[$0] == nil })
    }

    // MARK: Two captures

    func run(_ a: CapturedActivations, _ b: CapturedActivations, _ tokens: TokenBatch?) throws -> Outcome {
        var unmatched: [String] = []
        var planned: [PlannedTap] = []
        for tap in a.taps where pattern.matches(tap.name) {
            let name = tap.name.escapedForDisplay
            guard let other = b[tap.name]?.shape else {
                unmatched.append("tap '\(name)' is only in A")
                continue
            }
            if tap.shape == other || Self.isForm(other, of: tap.shape) {
                planned.append(PlannedTap(name: tap.name, shape: tap.shape))
            } else if Self.isForm(tap.shape, of: other) {
                planned.append(PlannedTap(name: tap.name, shape: other))
            } else {
                unmatched.append("tap '\(name)': \(tap.shape) in A, \(other) in B")
            }
        }
        unmatched += b.tapNames.filter { pattern.matches($0) && a[$0] == nil }.map {
            "tap '\($0.escapedForDisplay)' is only in B"
        }
        let rows = RowComparison(threads: settings.threads)
        let ledger = TapLedger(planned, columns: [], rows: rows, floorScale: 1)
        var logits = LogitsFigures(isCausal: false)
        for tap in planned { try compare(a, b, tap, tokens, rows, ledger, &logits) }
        return Outcome(
            taps: ledger.taps(leastFloor: 0), logits: logits.positions.isEmpty ? nil : logits, unmatched: unmatched)
    }

    /// Rows in pieces of bounded size.
    private func compare(
        _ a: CapturedActivations, _ b: CapturedActivations, _ tap: PlannedTap, _ tokens: TokenBatch?,
        _ rows: RowComparison, _ ledger: TapLedger, _ logits: inout LogitsFigures
    ) throws {
        guard tap.rowCount > 0, tap.featureCount > 0 else { return }
        let name = TapName(tap.name)
        // Keys and values of cross attention are the encoder's.
        let isOfEarlier = ["cross_k", "cross_v"].contains(name?.point)
        let tokens = tokens?.part(for: isOfEarlier ? .encoder : name?.role ?? .only)
        let isMasked =
            tap.shape.count == 3 && tokens.map { [$0.batchCount, $0.length] == Array(tap.shape[..<2]) } == true
        // Without tokens every position counts.
        let length = tap.shape.count == 3 ? tap.shape[1] : tap.rowCount
        let segments =
            isMasked ? RowSegments(tokens!, firstSequence: 0) : RowSegments(rowCount: tap.rowCount, length: length)
        let comparison = LogitsComparison(rows, tokens: isMasked ? tokens : nil, length: length, isCausal: false)
        for piece in segments.pieces(rowCount: max(1, (16 << 20) / (8 * max(1, tap.featureCount)))) {
            let range = piece.first!.lowerBound..<piece.last!.upperBound
            try a.read(a[tap.name]!, rows: range, features: tap.featureCount).withNumbers { own in
                try b.read(b[tap.name]!, rows: range, features: tap.featureCount).withNumbers { other in
                    ledger.add(
                        .accumulated, tap.name, own, other, segments: piece, firstRow: range.lowerBound,
                        features: tap.featureCount, offset: 0)
                    guard TapName.outputs.contains(tap.name) else { return }
                    try comparison.add(
                        own, other, segments: piece, firstRow: range.lowerBound, classes: tap.featureCount,
                        firstSequence: 0, to: &logits)
                }
            }
        }
    }
}

/// A model's walk over some sequences, held against a capture.
private final class CaptureWalk {
    private let capture: CapturedActivations
    private let isReference: Bool
    private let tokens: TokenBatch
    private let firstSequence: Int
    private let ledger: TapLedger
    private let rows: RowComparison
    private let segments: TapSegments
    private let runner: BlockRunner
    private let exact: BlockRunner

    init(
        _ comparison: CaptureComparison, _ model: Model, _ capture: CapturedActivations, isReference: Bool,
        _ tokens: TokenBatch, firstSequence: Int, _ ledger: TapLedger, _ rows: RowComparison
    ) throws {
        self.capture = capture
        self.isReference = isReference
        self.tokens = tokens
        self.firstSequence = firstSequence
        self.ledger = ledger
        self.rows = rows
        var exactSettings = comparison.settings
        exactSettings.profile = exactSettings.profile.exactCounterpart
        runner = try BlockRunner(model, tokens: tokens, settings: comparison.settings)
        exact = try BlockRunner(model, tokens: tokens, settings: exactSettings)
        segments = TapSegments(runner, firstSequence: firstSequence)
    }

    func run(_ logits: inout LogitsFigures) throws {
        var (state, exactState): (HiddenState?, HiddenState?)
        func advance(_ step: (BlockRunner, [HiddenState], @escaping TapObserver) throws -> [HiddenState]) throws {
            var taps: [String: HiddenState] = [:]
            state = try step(runner, state.map { [$0] } ?? []) { [self] _, values in
                guard ledger.holds(values.tap.name) else { return }
                taps[values.tap.name] = try HiddenState(
                    rowCount: values.tap.rowCount, featureCount: values.tap.featureCount, copying: values.values)
                try compare(values)
            }[0]
            let kept = taps
            exactState = try step(exact, exactState.map { [$0] } ?? []) { [self] _, values in
                guard let own = kept[values.tap.name] else { return }
                own.withNumbers { add(.floor, values.tap, $0, values.values) }
            }[0]
        }
        for step in runner.steps { try advance { try $0.advance(step, $1, $2) } }
        guard let tap = runner.model.spec.outputTap, ledger.holds(tap), let state, let exactState else { return }
        try compareLogits(tap, state, exactState, &logits)
    }

    private func compare(_ values: TapValues) throws {
        let first = firstSequence * (values.tap.rowCount / tokens.batchCount)
        let captured = try capture.read(
            capture[values.tap.name]!, rows: first..<first + values.tap.rowCount, features: values.tap.featureCount)
        captured.withNumbers { captured in
            add(
                .accumulated, values.tap, isReference ? values.values : captured, isReference ? captured : values.values
            )
        }
    }

    private func add(_ column: TapLedger.Column, _ tap: PlannedTap, _ reference: LentNumbers, _ test: LentNumbers) {
        let segments = segments.of(tap.rows)
        ledger.add(
            column, tap.name, reference, test, segments: segments.segments[...], features: tap.featureCount,
            offset: firstSequence * segments.length)
    }

    private func compareLogits(
        _ tap: String, _ state: HiddenState, _ exactState: HiddenState, _ logits: inout LogitsFigures
    ) throws {
        let tokens = runner.tokens(of: runner.model.spec.stacks.count - 1)
        let segments = segments.ofLogits
        let comparison = LogitsComparison(rows, tokens: tokens, length: segments.length, isCausal: logits.isCausal)
        let classes = runner.logitCount
        let offset = firstSequence * segments.length
        for piece in segments.pieces(rowCount: min(runner.logitsRowsPerPiece, exact.logitsRowsPerPiece) / 4) {
            let range = piece.first!.lowerBound..<piece.last!.upperBound
            let own = try runner.logits([state], rows: range)[0]
            let wide = try exact.logits([exactState], rows: range)[0]
            let captured = try capture.read(
                capture[tap]!, rows: range.lowerBound + offset..<range.upperBound + offset, features: classes)
            let (reference, test) = isReference ? (own, captured) : (captured, own)
            func add(_ column: TapLedger.Column, _ a: HiddenState, _ b: HiddenState) {
                a.withNumbers { a in
                    b.withNumbers {
                        ledger.add(
                            column, tap, a, $0, segments: piece, firstRow: range.lowerBound, features: classes,
                            offset: offset)
                    }
                }
            }
            add(.floor, own, wide)
            add(.accumulated, reference, test)
            // A lone logit is no distribution.
            guard classes > 1 else { continue }
            try reference.withNumbers { reference in
                try test.withNumbers {
                    try comparison.add(
                        reference, $0, segments: piece, firstRow: range.lowerBound, classes: classes,
                        firstSequence: firstSequence, to: &logits)
                }
            }
        }
    }
}

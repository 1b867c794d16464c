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
    }

    // MARK: Capture and model

    /// - Parameter isReference: whether the model is the reference.
    func run(
        _ model: Model, _ capture: CapturedActivations, isReference: Bool, _ tokens: TokenBatch, batchCount: Int?
    ) throws -> Outcome {
        let all = try BlockRunner(model, tokens: tokens, settings: settings).plannedTaps
        var unmatched: [String] = []
        let planned = all.filter { tap in
            guard pattern.matches(tap.name), let shape = capture.shape(of: tap.name) else { return false }
            if shape == tap.shape { return true }
            unmatched.append("tap '\(tap.name)': \(tap.shape) in the model, \(shape) in the capture")
            return false
        }
        for name in capture.tapNames where pattern.matches(name) && !all.contains(where: { $0.name == name }) {
            unmatched.append("tap '\(name)' is not one of this model")
        }
        let rows = RowComparison(threads: settings.threads)
        let ledger = TapLedger(
            planned, columns: [.floor], rows: rows, floorScale: settings.profile == .ref64 ? 0x1p-29 : 1)
        var logits = LogitsFigures(isCausal: model.spec.blocks[0].attention.isCausal)
        let step = batchCount ?? LockstepComparison.sequencesPerPart(planned, tokens)
        for first in stride(from: 0, to: tokens.batchCount, by: step) {
            let part = try tokens.part(first..<min(first + step, tokens.batchCount))
            let walk = try CaptureWalk(
                self, model, capture, isReference: isReference, part, firstSequence: first, ledger, rows)
            try walk.run(&logits)
        }
        return Outcome(
            taps: ledger.taps(leastFloor: Tolerance.unitRoundoff(settings.profile)),
            logits: logits.positions.isEmpty ? nil : logits, unmatched: unmatched)
    }

    // MARK: Two captures

    func run(_ a: CapturedActivations, _ b: CapturedActivations, _ tokens: TokenBatch?) throws -> Outcome {
        var unmatched: [String] = []
        var planned: [PlannedTap] = []
        for name in a.tapNames where pattern.matches(name) {
            guard let own = a.shape(of: name), let other = b.shape(of: name) else {
                unmatched.append("tap '\(name)' is only in A")
                continue
            }
            if own == other {
                planned.append(PlannedTap(name: name, shape: own))
            } else {
                unmatched.append("tap '\(name)': \(own) in A, \(other) in B")
            }
        }
        unmatched += b.tapNames.filter { pattern.matches($0) && a.shape(of: $0) == nil }.map {
            "tap '\($0)' is only in B"
        }
        let rows = RowComparison(threads: settings.threads)
        let ledger = TapLedger(planned, columns: [], rows: rows, floorScale: 1)
        var logits = LogitsFigures(isCausal: false)
        for tap in planned where tap.shape.count >= 2 {
            try compare(a, b, tap, tokens, rows, ledger, &logits)
        }
        return Outcome(
            taps: ledger.taps(leastFloor: 0), logits: logits.positions.isEmpty ? nil : logits, unmatched: unmatched)
    }

    /// Rows in pieces of bounded size.
    private func compare(
        _ a: CapturedActivations, _ b: CapturedActivations, _ tap: PlannedTap, _ tokens: TokenBatch?,
        _ rows: RowComparison, _ ledger: TapLedger, _ logits: inout LogitsFigures
    ) throws {
        let length = tap.shape.count == 3 ? tap.shape[1] : 1
        guard length > 0, tap.rowCount > 0 else { return }
        // Without tokens every position counts.
        let unmasked = try TokenBatch(
            inputIDs: [[Int]](repeating: [Int](repeating: 0, count: length), count: tap.shape[0]))
        let isMasked =
            tap.shape.count == 3 && tokens.map { [$0.batchCount, $0.length] == Array(tap.shape[..<2]) } == true
        let batch = isMasked ? tokens! : unmasked
        let segments = RowSegments(batch, firstSequence: 0)
        let comparison = LogitsComparison(rows, tokens: batch, isCausal: false)
        for piece in segments.pieces(rowCount: max(1, (16 << 20) / (8 * max(1, tap.featureCount)))) {
            let range = piece.first!.lowerBound..<piece.last!.upperBound
            try a.read(tap.name, rows: range).withNumbers { own in
                try b.read(tap.name, rows: range).withNumbers { other in
                    ledger.add(
                        .accumulated, tap.name, own, other, segments: piece, firstRow: range.lowerBound,
                        features: tap.featureCount, offset: 0)
                    guard tap.name == "logits" else { return }
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
        guard runner.hasLogits, ledger.holds("logits"), let state, let exactState else { return }
        try compareLogits(state, exactState, &logits)
    }

    private func compare(_ values: TapValues) throws {
        let first = firstSequence * (values.tap.rowCount / tokens.batchCount)
        let captured = try capture.read(values.tap.name, rows: first..<first + values.tap.rowCount)
        captured.withNumbers { captured in
            add(
                .accumulated, values.tap, isReference ? values.values : captured, isReference ? captured : values.values
            )
        }
    }

    private func add(_ column: TapLedger.Column, _ tap: PlannedTap, _ reference: LentNumbers, _ test: LentNumbers) {
        let segments = segments.of(ledger.rows(of: tap.name))
        ledger.add(
            column, tap.name, reference, test, segments: segments.segments[...], features: tap.featureCount,
            offset: firstSequence * segments.length)
    }

    private func compareLogits(_ state: HiddenState, _ exactState: HiddenState, _ logits: inout LogitsFigures) throws {
        let tokens = runner.tokens(of: runner.model.spec.stacks.count - 1)
        let segments = segments.ofLogits
        let comparison = LogitsComparison(rows, tokens: tokens, isCausal: logits.isCausal)
        let classes = runner.model.spec.logitCount
        let offset = firstSequence * tokens.length
        for piece in segments.pieces(rowCount: min(runner.logitsRowsPerPiece, exact.logitsRowsPerPiece) / 4) {
            let range = piece.first!.lowerBound..<piece.last!.upperBound
            let own = try runner.logits([state], rows: range)[0]
            let wide = try exact.logits([exactState], rows: range)[0]
            let captured = try capture.read("logits", rows: range.lowerBound + offset..<range.upperBound + offset)
            let (reference, test) = isReference ? (own, captured) : (captured, own)
            func add(_ column: TapLedger.Column, _ a: HiddenState, _ b: HiddenState) {
                a.withNumbers { a in
                    b.withNumbers {
                        ledger.add(
                            column, "logits", a, $0, segments: piece, firstRow: range.lowerBound, features: classes,
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

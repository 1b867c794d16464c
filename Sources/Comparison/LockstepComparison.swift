import AssayCheckpoints
import AssayModels
import AssayTensors

/// Walks two models block by block over the same tokens: the test's block runs on its own hidden states and on the
/// reference's, the reference's once more in float64 (the noise floor), and once more with its weights rounded to
/// the test's storage (the storage term).
///
/// Memory holds the hidden states, the reference's taps of one block, and a weight matrix; long batches go in parts of
/// some sequences, which changes no figure.
struct LockstepComparison {
    let reference: Model
    let test: Model
    /// The reference with its weights rounded to the test's storage; nil where the storages are the same.
    let rounded: Model?
    let settings: RunSettings
    let pattern: TapPattern
    /// Gets bytes of weights as they have been walked through.
    let progress: @Sendable (Int) -> Void

    /// Bytes of the reference's taps of one block that may be held.
    private static let heldByteCount = 192 << 20

    func run(
        _ tokens: TokenBatch, batchCount: Int?
    ) throws -> (taps: [TapFigures], routing: [RoutingFigures], logits: LogitsFigures?) {
        let planned = try plannedTaps(tokens)
        let rows = RowComparison(threads: settings.threads)
        let isWide = settings.profile == .ref64
        let ledger = TapLedger(
            planned, columns: rounded == nil ? [.isolated, .floor] : [.isolated, .floor, .storage], rows: rows,
            floorScale: isWide ? 0x1p-29 : 1)
        let routing = try RoutingLedger(reference, test)
        var logits = LogitsFigures(of: reference.spec)
        let step = reference.spec.sequencesPerPart(batchCount ?? Self.sequencesPerPart(planned, tokens), of: tokens)
        for first in stride(from: 0, to: tokens.batchCount, by: step) {
            let part = try tokens.part(first..<min(first + step, tokens.batchCount))
            let walk = try LockstepWalk(self, part, firstSequence: first, ledger, routing, rows)
            try walk.run(&logits)
        }
        return (
            ledger.taps(leastFloor: Tolerance.unitRoundoff(settings.profile)), routing.figures,
            logits.positions.isEmpty ? nil : logits
        )
    }

    /// Taps that both have in the same shape and that are wanted.
    private func plannedTaps(_ tokens: TokenBatch) throws -> [PlannedTap] {
        let own = try BlockRunner(reference, tokens: tokens, settings: settings).plannedTaps
        let other = try BlockRunner(test, tokens: tokens, settings: settings).plannedTaps
        return own.filter { pattern.matches($0.name) && other.contains($0) }
    }

    /// As many sequences as keep a block's taps within bounds.
    static func sequencesPerPart(_ taps: [PlannedTap], _ tokens: TokenBatch) -> Int {
        let blocks = Dictionary(grouping: taps.filter { !TapName.outputs.contains($0.name) }) {
            $0.name.split(separator: ".").dropLast()
        }
        let widest =
            blocks.values.map { $0.reduce(0) { $0 + $1.rowCount * $1.featureCount / tokens.batchCount } }.max() ?? 0
        return max(1, min(tokens.batchCount, heldByteCount / max(1, 8 * widest)))
    }
}

extension TransformerSpec {
    /// As many sequences as are wanted, or all where the results of some depend on others.
    func sequencesPerPart(_ wanted: Int, of tokens: TokenBatch) -> Int {
        head?.comparesStacks == true ? tokens.batchCount : wanted
    }
}

extension Profile {
    /// The profile that stands for exact arithmetic beside this one; beside float64 itself, float32, whose floor is scaled
    /// down.
    var exactCounterpart: Profile { self == .ref64 ? .ref32 : .ref64 }
}

/// The walk over some sequences.
private final class LockstepWalk {
    /// Runs one step of a runner on some states.
    private typealias Advance = (BlockRunner, [HiddenState], @escaping TapObserver) throws -> [HiddenState]

    private let comparison: LockstepComparison
    private let tokens: TokenBatch
    private let firstSequence: Int
    private let ledger: TapLedger
    private let routing: RoutingLedger
    private let rows: RowComparison
    private let segments: TapSegments
    private let reference: BlockRunner
    private let test: BlockRunner
    private let exact: BlockRunner
    private let rounded: BlockRunner?

    /// What left the last step.
    private var state: HiddenState?
    private var testState: HiddenState?
    private var isolatedState: HiddenState?
    private var exactState: HiddenState?
    private var roundedState: HiddenState?

    init(
        _ comparison: LockstepComparison, _ tokens: TokenBatch, firstSequence: Int, _ ledger: TapLedger,
        _ routing: RoutingLedger, _ rows: RowComparison
    ) throws {
        self.comparison = comparison
        self.tokens = tokens
        self.firstSequence = firstSequence
        self.ledger = ledger
        self.routing = routing
        self.rows = rows
        var exactSettings = comparison.settings
        exactSettings.profile = exactSettings.profile.exactCounterpart
        reference = try BlockRunner(comparison.reference, tokens: tokens, settings: comparison.settings)
        test = try BlockRunner(comparison.test, tokens: tokens, settings: comparison.settings)
        exact = try BlockRunner(comparison.reference, tokens: tokens, settings: exactSettings)
        rounded = try comparison.rounded.map {
            try BlockRunner($0, tokens: tokens, settings: comparison.settings)
        }
        segments = TapSegments(reference, firstSequence: firstSequence)
    }

    func run(_ logits: inout LogitsFigures) throws {
        for step in reference.steps { try advance { try $0.advance(step, $1, $2) } }
        guard let tap = reference.model.spec.outputTap, test.hasLogits, ledger.holds(tap) else { return }
        try compareLogits(tap, &logits)
    }

    // MARK: Steps

    private func advance(_ step: @escaping Advance) throws {
        var taps: [String: HiddenState] = [:]
        let inputs = state.map { [$0] } ?? []
        routing.beginStep()
        let next = try step(reference, inputs) { [ledger, routing] _, values in
            guard ledger.holds(values.tap.name) || routing.holds(values.tap.name) else { return }
            taps[values.tap.name] = try HiddenState(
                rowCount: values.tap.rowCount, featureCount: values.tap.featureCount, copying: values.values)
        }
        let kept = taps
        exactState = try step(exact, inputs) { [self] _, values in add(.floor, values, to: kept) }[0]
        roundedState = try rounded.map {
            try step($0, inputs) { [self] _, values in add(.storage, values, to: kept) }[0]
        }
        try advanceTest(step, inputs, kept)
        state = next[0]
        let walked = comparison.reference.checkpoint.reader.contents.tensors.reduce(0) { $0 + $1.byteCount }
        comparison.progress(walked / reference.steps.count)
    }

    private func advanceTest(_ step: Advance, _ inputs: [HiddenState], _ kept: [String: HiddenState]) throws {
        // Where the states are the same, so is what comes of them.
        if let own = testState, let other = inputs.first, !own.hasSameBytes(as: other) {
            let results = try step(test, [own, other]) { [self] index, values in
                add(index == 0 ? .accumulated : .isolated, values, to: kept)
            }
            (testState, isolatedState) = (results[0], results[1])
        } else {
            let results = try step(test, inputs) { [self] _, values in
                add(.accumulated, values, to: kept)
                add(.isolated, values, to: kept)
            }
            (testState, isolatedState) = (results[0], results[0])
        }
    }

    private func add(_ column: TapLedger.Column, _ values: TapValues, to kept: [String: HiddenState]) {
        guard let reference = kept[values.tap.name], reference.featureCount == values.tap.featureCount else { return }
        let segments = segments.of(values.tap.rows)
        let offset = firstSequence * segments.length
        reference.withNumbers {
            routing.add(
                column, values.tap.name, $0, values.values, segments: segments.segments,
                features: values.tap.featureCount)
            let looked = column == .floor ? segments.without(routing.unsteadyRows) : segments.segments
            ledger.add(
                column, values.tap.name, $0, values.values, segments: looked[...],
                features: values.tap.featureCount, offset: offset)
        }
    }

    // MARK: Logits

    private func compareLogits(_ tap: String, _ logits: inout LogitsFigures) throws {
        guard let state, let testState, let isolatedState, let exactState else { return }
        let tokens = reference.tokens(of: reference.model.spec.stacks.count - 1)
        let segments = segments.ofLogits
        let comparison = LogitsComparison(rows, tokens: tokens, length: segments.length, isCausal: logits.isCausal)
        let classes = reference.logitCount
        let runners = [reference, test, exact] + (rounded.map { [$0] } ?? [])
        for piece in segments.pieces(rowCount: (runners.map(\.logitsRowsPerPiece).min() ?? 1) / 4) {
            let range = piece.first!.lowerBound..<piece.last!.upperBound
            let own = try reference.logits([state], rows: range)[0]
            func add(_ column: TapLedger.Column, _ values: HiddenState) {
                own.withNumbers { own in
                    values.withNumbers {
                        ledger.add(
                            column, tap, own, $0, segments: piece, firstRow: range.lowerBound, features: classes,
                            offset: firstSequence * segments.length)
                    }
                }
            }
            add(.floor, try exact.logits([exactState], rows: range)[0])
            if let rounded, let roundedState {
                add(.storage, try rounded.logits([roundedState], rows: range)[0])
            }
            let isSame = testState === isolatedState
            let results = try test.logits(isSame ? [testState] : [testState, isolatedState], rows: range)
            add(.accumulated, results[0])
            add(.isolated, results[isSame ? 0 : 1])
            // A lone logit is no distribution.
            guard classes > 1 else { continue }
            try own.withNumbers { own in
                try results[0].withNumbers {
                    try comparison.add(
                        own, $0, segments: piece, firstRow: range.lowerBound, classes: classes,
                        firstSequence: firstSequence, to: &logits)
                }
            }
        }
    }
}

extension RowSegments {
    /// Runs of segments that together span few rows.
    func pieces(rowCount: Int) -> [ArraySlice<Range<Int>>] {
        var pieces: [ArraySlice<Range<Int>>] = []
        var begin = 0
        for index in segments.indices {
            if index > begin, segments[index].upperBound - segments[begin].lowerBound > rowCount {
                pieces.append(segments[begin..<index])
                begin = index
            }
        }
        if begin < segments.count { pieces.append(segments[begin...]) }
        return pieces
    }
}

extension HiddenState {
    /// Whether both are the same numbers, in what they remember too.
    func hasSameBytes(as other: HiddenState) -> Bool {
        if let earlier, let otherEarlier = other.earlier, !earlier.hasSameBytes(as: otherEarlier) { return false }
        guard rowCount == other.rowCount, featureCount == other.featureCount, precision == other.precision else {
            return false
        }
        return withNumbers { own in other.withNumbers { own.bytes.elementsEqual($0.bytes) } }
    }
}

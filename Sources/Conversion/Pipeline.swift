import AssayCheckpoints
import AssayTensors
import Synchronization

/// Moves the tensors of one output file from a reader through their steps to a writer, on several threads, in bounded
/// memory. Digests of both sides are taken on the way.
struct Pipeline {
    let reader: any CheckpointReader
    let steps: [any TensorStep]
    /// The positions of each step's outputs in the writer's plan.
    let positions: [[Int]]
    let writer: any CheckpointWriter
    let threads: Int
    /// About so many bytes of the source at a time on each thread.
    let pieceTarget: Int
    let takesDigests: Bool
    /// Told how many bytes of the source were done since the last call.
    let progress: (@Sendable (Int) -> Void)?

    struct StepResult: Sendable {
        var sourceDigest: Digest?
        var outputDigests: [Digest?]
        var findings: StepFindings
    }

    /// Runs every step.
    ///
    /// - Returns: one result a step.
    func run() throws -> [StepResult] {
        let runs = steps.indices.map {
            StepRun(
                pieces: pieces(of: $0), check: reader.contentCheck(of: steps[$0].source),
                takesDigests: takesDigests, outputCount: steps[$0].outputs.count)
        }
        let units = units(of: runs)
        let commits = Turnstile()
        let firstError = Mutex<(any Error)?>(nil)
        try Parallel.forEach(units.count, threads: threads) { index in
            let unit = units[index]
            do {
                for piece in unit.pieces {
                    try process(unit.step, piece, runs[unit.step], commitNumber: unit.firstNumber + piece, commits)
                }
            } catch {
                if !(error is Turnstile.Aborted) { firstError.withLock { $0 = $0 ?? error } }
                commits.abort()
                for run in runs { run.turns.abort() }
                // What others report then is that they were sent away; the cause is this one.
                throw firstError.withLock { $0 } ?? error
            }
        }
        // Where a source was not read in order, its digest takes a reading of its own.
        let results = ResultSlots<StepResult>(count: steps.count)
        try Parallel.forEach(steps.count, threads: threads) { results.set($0, try result(of: $0, runs[$0])) }
        return results.all
    }

    // MARK: Work

    /// The state of one step while its pieces run.
    private final class StepRun: Sendable {
        let pieces: [StepPiece]
        /// Whether the source must pass by in order, or be read for that: for its digest, or what it says of its bytes.
        let followsSource: Bool
        let turns = Turnstile()
        let state: Mutex<State>

        struct State: Sendable {
            var source = DigestHasher()
            /// What the source says of its bytes.
            var check: (any ContentCheck)?
            var tookSource = false
            var outputs: [DigestHasher]
            var findings = StepFindings()
        }

        init(pieces: [StepPiece], check: (any ContentCheck)?, takesDigests: Bool, outputCount: Int) {
            self.pieces = pieces
            followsSource = takesDigests || check != nil
            state = Mutex(State(check: check, outputs: Array(repeating: DigestHasher(), count: outputCount)))
        }
    }

    /// What one thread takes at a time: some pieces of one step. `firstNumber` counts pieces over all steps.
    private struct Unit {
        var step: Int
        var pieces: Range<Int>
        var firstNumber: Int
    }

    private func pieces(of step: Int) -> [StepPiece] {
        let granularity = positions[step].map { writer.granularity(of: $0) }.max() ?? 0
        return steps[step].pieces(reader, target: pieceTarget, granularity: granularity)
    }

    /// Where pieces may be written in any order, small steps stay whole, so that no thread waits for another's digest,
    /// and the largest go first, so that all threads end together. Otherwise every piece is a unit, in order.
    private func units(of runs: [StepRun]) -> [Unit] {
        var firstNumber = 0
        let firstNumbers = runs.map { run in
            defer { firstNumber += run.pieces.count }
            return firstNumber
        }
        func single(_ step: Int) -> [Unit] {
            runs[step].pieces.indices.map {
                Unit(step: step, pieces: $0..<$0 + 1, firstNumber: firstNumbers[step])
            }
        }
        guard writer.pieceOrder == .any else { return runs.indices.flatMap(single) }
        let total = steps.reduce(0) { $0 + $1.sourceByteCount }
        let largest = steps.indices.sorted {
            (steps[$0].sourceByteCount, $1) > (steps[$1].sourceByteCount, $0)
        }
        return largest.flatMap { step in
            steps[step].sourceByteCount > total / (2 * threads)
                ? single(step)
                : [Unit(step: step, pieces: runs[step].pieces.indices, firstNumber: firstNumbers[step])]
        }
    }

    private func process(
        _ step: Int, _ piece: Int, _ run: StepRun, commitNumber: Int, _ commits: Turnstile
    ) throws {
        var wasDelivered = false
        let findings = try steps[step].process(run.pieces[piece], reader) { delivery in
            wasDelivered = true
            if run.followsSource {
                try run.turns.pass(piece) { run.state.withLock { take(delivery, steps[step].isCopy, &$0) } }
            }
            try write(step, delivery, commitNumber, commits)
        }
        precondition(wasDelivered, "a step delivers each of its pieces")
        run.state.withLock { $0.findings.join(findings) }
        progress?(run.pieces[piece].sourceRange.count)
    }

    private func write(_ step: Int, _ delivery: StepDelivery, _ number: Int, _ commits: Turnstile) throws {
        let isPlanned = writer.pieceOrder == .planned
        precondition(!isPlanned || delivery.outputs.count == 1, "a planned writer takes one output a piece")
        for (output, range, bytes) in delivery.outputs {
            try writer.write(positions[step][output], range, bytes) { commit in
                if isPlanned { try commits.pass(number, commit) } else { try commit() }
            }
        }
    }

    private func take(_ delivery: StepDelivery, _ isCopy: Bool, _ state: inout StepRun.State) {
        if let source = delivery.source {
            if takesDigests { state.source.update(source) }
            state.check?.update(source)
            state.tookSource = true
        }
        if isCopy || !takesDigests { return }
        for (output, _, bytes) in delivery.outputs { state.outputs[output].update(bytes) }
    }

    private func result(of step: Int, _ run: StepRun) throws -> StepResult {
        var state = run.state.withLock { $0 }
        state.findings.quantization = steps[step].figures(state.findings.errors)
        let passedBy = state.tookSource || steps[step].sourceByteCount == 0
        if passedBy { try state.check?.finish() }
        let separate = try run.followsSource && !passedBy ? reader.digest(of: steps[step].source) : nil
        guard takesDigests else {
            return StepResult(
                sourceDigest: nil, outputDigests: Array(repeating: nil, count: state.outputs.count),
                findings: state.findings)
        }
        let source = separate ?? state.source.finalize()
        let outputs = steps[step].isCopy ? [source] : state.outputs.map { $0.finalize() }
        return StepResult(sourceDigest: source, outputDigests: outputs, findings: state.findings)
    }
}

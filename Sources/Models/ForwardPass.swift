/// A whole forward pass: the steps of a `BlockRunner`, one after the other.
public enum ForwardPass {
    /// Runs the model and shows the taps that a pattern names; stops behind the last of them.
    ///
    /// Logits come in pieces of rows, everything else whole.
    ///
    /// - Parameter progress: called after each step of `BlockRunner.steps`; the logits are one more.
    /// - Throws: what the steps throw, and what `observe` throws.
    public static func run(
        _ runner: BlockRunner, taps pattern: TapPattern = .everything, progress: () -> Void = {},
        _ observe: (TapValues) throws -> Void
    ) throws {
        try withoutActuallyEscaping(observe) { observe in
            try walk(runner, pattern, progress) { _, values in
                if pattern.matches(values.tap.name) { try observe(values) }
            }
        }
    }

    private static func walk(
        _ runner: BlockRunner, _ pattern: TapPattern, _ progress: () -> Void, _ observe: @escaping TapObserver
    ) throws {
        var remaining = plannedTaps(of: runner, taps: pattern).count
        func isDone(after step: ForwardStep) -> Bool {
            remaining -= runner.plannedTaps(of: step).filter { pattern.matches($0.name) }.count
            return remaining == 0
        }
        if remaining == 0 { return }
        var state: [HiddenState] = []
        for step in runner.steps {
            state = try runner.advance(step, state, observe)
            progress()
            if isDone(after: step) { return }
        }
        let tap = runner.plannedTaps(of: .logits)[0]
        try runner.forEachLogits(state) { rows, logits in
            try logits[0].withNumbers { try observe(0, TapValues(tap: tap, rows: rows, values: $0)) }
        }
    }

    /// The taps that a run with this pattern will show, in order.
    public static func plannedTaps(of runner: BlockRunner, taps pattern: TapPattern = .everything) -> [PlannedTap] {
        runner.plannedTaps.filter { pattern.matches($0.name) }
    }
}

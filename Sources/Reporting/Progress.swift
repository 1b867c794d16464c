import Synchronization

#if canImport(Glibc)
    import Glibc
#endif

/// A line on standard error that says how far a long piece of work is, how fast it goes and how long it still takes.
///
/// It appears on a terminal only, and there where a line can be taken back, and only once the work has lasted a moment.
public final class Progress: Sendable {
    private let label: String
    private let total: Int
    private let countsBytes: Bool
    private let isShown: Bool
    private let state = Mutex(State())

    private struct State: Sendable {
        var done = 0
        /// When the first bytes were done: other work may lie between the making of a line and its own.
        var begin: Double?
        var lastShown = 0.0
        var wasShown = false
    }

    /// - Parameters:
    ///   - label: what is being done: "converting".
    ///   - total: bytes in all.
    ///   - quiet: never shown.
    public convenience init(_ label: String, total: Int, quiet: Bool) {
        self.init(label, total, countsBytes: true, quiet)
    }

    /// For work whose parts take about as long as each other: the blocks of a model.
    public convenience init(_ label: String, steps: Int, quiet: Bool) {
        self.init(label, steps, countsBytes: false, quiet)
    }

    private init(_ label: String, _ total: Int, countsBytes: Bool, _ quiet: Bool) {
        self.label = label
        self.total = total
        self.countsBytes = countsBytes
        isShown = !quiet && Terminal.errorTakesLinesBack
    }

    /// Seconds on a clock that never goes back.
    public static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    public func advance(_ count: Int) {
        guard isShown else { return }
        let now = Self.now()
        let line = state.withLock { state -> String? in
            state.done += count
            let begin = state.begin ?? now
            state.begin = begin
            guard now - begin > 0.3, now - state.lastShown > 0.1 else { return nil }
            state.lastShown = now
            state.wasShown = true
            return text(state.done, after: now - begin)
        }
        if let line {
            try? Terminal.write("\r\u{1B}[K" + TextTable.shortened(line, to: Terminal.width(of: 2) - 1), to: 2)
        }
    }

    /// Does work that advances, and takes the line away however that ends.
    public func whileShown<R>(_ work: () throws -> R) rethrows -> R {
        defer { finish() }
        return try work()
    }

    /// Takes the line away again.
    public func finish() {
        let wasShown = state.withLock { state in
            defer { state.wasShown = false }
            return state.wasShown
        }
        if wasShown { try? Terminal.write("\r\u{1B}[K", to: 2) }
    }

    private func text(_ done: Int, after seconds: Double) -> String {
        let share = total > 0 ? min(1, Double(done) / Double(total)) : 0
        let rate = Double(done) / seconds
        let left = rate > 0 ? Double(max(0, total - done)) / rate : 0
        let filled = Int(share * 20)
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 20 - filled)
        let speed = countsBytes ? "  \(Quantities.bytes(Int(rate)))/s" : ""
        return "\(label) [\(bar)] \(Int(share * 100)) %\(speed)  \(Quantities.duration(left)) left"
    }
}

import AssayCSystem
import Synchronization

/// Work divided over a bounded number of threads, fewer where the system gives no more.
public enum Parallel {
    /// The number of threads this process may use at most.
    public static var availableThreads: Int { max(1, Int(csystem_processor_count())) }

    /// Runs `body(0), ..., body(count - 1)`, each once, on at most `threads` threads; the next free thread takes the
    /// next index, in ascending order. The order of *results* must not depend on it: bodies write to places of their
    /// own.
    ///
    /// - Throws: the error of the lowest failing index among those that ran; later indices are skipped after a
    ///   failure.
    public static func forEach(
        _ count: Int, threads: Int, _ body: @Sendable (Int) throws -> Void
    ) throws {
        guard threads > 1, count > 1 else {
            for index in 0..<count { try body(index) }
            return
        }
        let next = Atomic<Int>(0)
        let failure = Mutex<(index: Int, error: any Error)?>(nil)
        ThreadPool.shared.run(helpers: min(threads, count) - 1) {
            while true {
                let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
                guard index < count else { return }
                do {
                    try body(index)
                } catch {
                    next.store(count, ordering: .relaxed)
                    failure.withLock { if $0 == nil || index < $0!.index { $0 = (index, error) } }
                }
            }
        }
        if let failure = failure.withLock({ $0 }) { throw failure.error }
    }

    /// The same for bodies that cannot fail.
    public static func forEach(_ count: Int, threads: Int, _ body: @Sendable (Int) -> Void) {
        guard threads > 1, count > 1 else {
            for index in 0..<count { body(index) }
            return
        }
        let next = Atomic<Int>(0)
        ThreadPool.shared.run(helpers: min(threads, count) - 1) {
            while true {
                let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
                guard index < count else { return }
                body(index)
            }
        }
    }

    /// Cuts `0..<count` into at most `parts` ranges of nearly equal length, none empty.
    public static func ranges(_ count: Int, parts: Int) -> [Range<Int>] {
        let parts = max(1, min(parts, count))
        return (0..<parts).map { count * $0 / parts..<count * ($0 + 1) / parts }.filter { !$0.isEmpty }
    }
}

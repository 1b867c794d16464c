import Glibc
import Synchronization
import Testing

@testable import AssayTensors

@Suite struct ParallelTests {
    struct Failure: Error, Equatable { var index: Int }

    @Test(arguments: [0, 1, 2, 1000], [1, 2, 7, 2000])
    func everyIndexRunsOnce(_ count: Int, _ threads: Int) {
        let runs = Mutex([Int](repeating: 0, count: count))
        Parallel.forEach(count, threads: threads) { index in runs.withLock { $0[index] += 1 } }
        #expect(runs.withLock { $0 } == [Int](repeating: 1, count: count))
    }

    /// Work that asks for help itself, asked for by several threads at once that are none of the pool's.
    @Test(arguments: [2, 5]) func worksWithinWork(_ threads: Int) {
        let runs = Mutex([Int](repeating: 0, count: 4 * 8 * 16))
        let work = Work { caller in
            Parallel.forEach(8, threads: threads) { outer in
                Parallel.forEach(16, threads: threads) { inner in
                    runs.withLock { $0[(caller * 8 + outer) * 16 + inner] += 1 }
                }
            }
        }
        let callers = (0..<4).map { number in
            var thread = pthread_t()
            let argument = Unmanaged.passRetained(Caller(work, number)).toOpaque()
            pthread_create(
                &thread, nil,
                { argument in
                    let caller = Unmanaged<Caller>.fromOpaque(argument!).takeRetainedValue()
                    caller.work.body(caller.number)
                    return nil
                }, argument)
            return thread
        }
        for caller in callers { pthread_join(caller, nil) }
        #expect(runs.withLock { $0 } == [Int](repeating: 1, count: 4 * 8 * 16))
    }

    private struct Work: Sendable { let body: @Sendable (Int) -> Void }

    private final class Caller {
        let work: Work
        let number: Int
        init(_ work: Work, _ number: Int) { (self.work, self.number) = (work, number) }
    }

    @Test func oneThreadKeepsTheOrder() {
        let order = Mutex<[Int]>([])
        Parallel.forEach(50, threads: 1) { index in order.withLock { $0.append(index) } }
        #expect(order.withLock { $0 } == Array(0..<50))
    }

    @Test(arguments: [1, 2, 3]) func noMoreThreadsRunThanAllowed(_ threads: Int) {
        let running = Atomic<Int>(0)
        let most = Mutex(0)
        Parallel.forEach(200, threads: threads) { _ in
            let now = running.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue
            most.withLock { $0 = max($0, now) }
            running.wrappingSubtract(1, ordering: .sequentiallyConsistent)
        }
        #expect(most.withLock { $0 } <= threads)
    }

    @Test func oneThreadStopsAtTheFirstError() {
        let ran = Atomic<Int>(0)
        let error = #expect(throws: Failure.self) {
            try Parallel.forEach(100, threads: 1) { index in
                ran.wrappingAdd(1, ordering: .relaxed)
                if index >= 3 { throw Failure(index: index) }
            }
        }
        #expect(error == Failure(index: 3))
        #expect(ran.load(ordering: .relaxed) == 4)
    }

    /// Indices begin in ascending order, so the lowest failing one has begun before any higher one can fail.
    @Test(arguments: [2, 4]) func theLowestFailingIndexIsReported(_ threads: Int) {
        for _ in 0..<100 {
            let error = #expect(throws: Failure.self) {
                try Parallel.forEach(64, threads: threads) { index in
                    if index >= 5 { throw Failure(index: index) }
                }
            }
            #expect(error == Failure(index: 5))
        }
    }

    @Test func anErrorSkipsWhatHasNotBegun() {
        let ran = Atomic<Int>(0)
        #expect(throws: Failure.self) {
            try Parallel.forEach(1_000_000, threads: 2) { index in
                ran.wrappingAdd(1, ordering: .relaxed)
                if index == 0 { throw Failure(index: 0) }
                usleep(100)
            }
        }
        #expect(ran.load(ordering: .relaxed) < 1_000_000)
    }

    @Test(arguments: [0, 1, 2, 10, 1001], [0, 1, 3, 10, 5000])
    func rangesCoverAllAndNoneIsEmpty(_ count: Int, _ parts: Int) {
        let ranges = Parallel.ranges(count, parts: parts)
        #expect(ranges.flatMap(Array.init) == Array(0..<count))
        #expect(ranges.count <= max(1, parts))
        let lengths = ranges.map(\.count)
        #expect(!lengths.contains(0) && (lengths.max() ?? 0) - (lengths.min() ?? 0) <= 1)
    }
}

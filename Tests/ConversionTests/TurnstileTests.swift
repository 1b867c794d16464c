import AssayTensors
import Synchronization
import Testing

@testable import AssayConversion

@Suite struct Turnstiles {
    private struct Failure: Error {}

    @Test(arguments: [1, 2, 4]) func letPiecesThroughInOrder(_ threads: Int) throws {
        let turnstile = Turnstile()
        let order = Mutex<[Int]>([])
        try Parallel.forEach(500, threads: threads) { index in
            try turnstile.pass(index) { order.withLock { $0.append(index) } }
        }
        #expect(order.withLock { $0 } == Array(0..<500))
    }

    @Test func sendEverybodyAwayAfterAFailure() {
        let turnstile = Turnstile()
        #expect(throws: Failure.self) { try turnstile.pass(0) { throw Failure() } }
        #expect(throws: Turnstile.Aborted.self) { try turnstile.pass(1) {} }
    }
}

import AssayCheckpoints
import Synchronization

/// Things that are costly to make and serve one thread at a time: as many as threads ever used at once, lent again and
/// again.
final class WorkerPool<Worker>: @unchecked Sendable {  // reason: a worker is lent to one thread at a time
    private let lock = Mutex(())
    private var idle: [Worker] = []
    private let make: @Sendable () throws -> Worker

    init(_ make: @escaping @Sendable () throws -> Worker) { self.make = make }

    func with<R>(_ body: (Worker) throws -> R) throws -> R {
        let worker = try lock.withLock { _ in idle.popLast() } ?? make()
        defer { lock.withLock { _ in idle.append(worker) } }
        return try body(worker)
    }
}

/// Memory that grows to what was needed most.
struct ScratchBuffer {
    private var buffer: ByteBuffer?

    /// Valid until the next call.
    mutating func bytes(_ count: Int) throws -> UnsafeMutableRawBufferPointer {
        if let buffer, buffer.bytes.count >= count { return buffer.prefix(count) }
        buffer = nil
        let buffer = try ByteBuffer(byteCount: count)
        self.buffer = buffer
        return buffer.bytes
    }
}

import AssayCheckpoints
import Synchronization

/// Decoded bytes of which a part was asked for, so that the next range finds them; the ones used least recently go first.
final class BufferCache<Key: Hashable & Sendable>: Sendable {
    private struct Entry {
        var bytes: ByteBuffer
        var lastUse: Int
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        var byteCount = 0
        var clock = 0
        /// Held by who makes the bytes of a key.
        var turns: [Key: Turn] = [:]
    }

    private final class Turn: Sendable {
        let mutex = Mutex(())
    }

    /// Bytes that are kept at most; one entry may be larger, and is then the only one: whoever reads it in ranges would make it
    /// for each.
    private let limit: Int
    private let state = Mutex(State())

    init(limit: Int = 64 << 20) { self.limit = limit }

    func bytes(_ key: Key) -> ByteBuffer? {
        state.withLock { state in
            state.clock += 1
            state.entries[key]?.lastUse = state.clock
            return state.entries[key]?.bytes
        }
    }

    /// The bytes of a key. Where they are not kept one thread makes them, and others that want them wait for it.
    func bytes(_ key: Key, orMake make: () throws -> ByteBuffer) throws -> ByteBuffer {
        if let kept = bytes(key) { return kept }
        let turn = state.withLock { state in
            let turn = state.turns[key] ?? Turn()
            state.turns[key] = turn
            return turn
        }
        defer { state.withLock { $0.turns[key] = nil } }
        return try turn.mutex.withLock { _ in
            if let kept = bytes(key) { return kept }
            let bytes = try make()
            keep(bytes, as: key)
            return bytes
        }
    }

    func keep(_ bytes: ByteBuffer, as key: Key) {
        let size = bytes.bytes.count
        state.withLock { state in
            guard state.entries[key] == nil else { return }
            while state.byteCount + size > limit,
                let oldest = state.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                state.byteCount -= oldest.value.bytes.bytes.count
                state.entries[oldest.key] = nil
            }
            state.clock += 1
            state.entries[key] = Entry(bytes: bytes, lastUse: state.clock)
            state.byteCount += size
        }
    }
}

import AssayCDigest

/// XXH3 with 64 bits, over bytes that arrive in pieces: it finds damage as fast as memory is read, and proves nothing
/// against intent.
package struct XXH3: Sendable {
    private var state = State()

    package init() {}

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        if !isKnownUniquelyReferenced(&state) { state = State(copying: state) }
        XXH3_64bits_update(state.pointer, base, bytes.count)
    }

    package func finalize() -> UInt64 { XXH3_64bits_digest(state.pointer) }

    /// The hash of some bytes at once.
    package static func hash(of bytes: UnsafeRawBufferPointer) -> UInt64 { XXH3_64bits(bytes.baseAddress, bytes.count) }

    /// The hash of a text's UTF-8.
    package static func hash(ofText text: String) -> UInt64 {
        if let hash = text.utf8.withContiguousStorageIfAvailable({ hash(of: UnsafeRawBufferPointer($0)) }) {
            return hash
        }
        return Array(text.utf8).withUnsafeBytes { hash(of: $0) }
    }

    /// The library's state, which lies at multiples of 64 bytes, as no value of Swift's does.
    private final class State: @unchecked Sendable {  // reason: it changes only while it has one owner
        let pointer: OpaquePointer

        /// There is memory for it, or there is none for the object either.
        init() {
            pointer = XXH3_createState()!
            XXH3_64bits_reset(pointer)
        }

        init(copying other: State) {
            pointer = XXH3_createState()!
            XXH3_copyState(pointer, other.pointer)
        }

        deinit { XXH3_freeState(pointer) }
    }
}

import AssayCDigest

/// XXH3 with 64 bits, over bytes that arrive in pieces: it finds damage as fast as memory is read, and proves nothing
/// against intent.
package struct XXH3: Sendable {
    private var state = cdigest_xxh3()

    package init() { cdigest_xxh3_begin(&state) }

    package mutating func update(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        cdigest_xxh3_update(&state, base, bytes.count)
    }

    package func finalize() -> UInt64 { withUnsafePointer(to: state) { cdigest_xxh3_end($0) } }

    /// The hash of some bytes at once.
    package static func hash(of bytes: UnsafeRawBufferPointer) -> UInt64 {
        var hasher = XXH3()
        hasher.update(bytes)
        return hasher.finalize()
    }
}

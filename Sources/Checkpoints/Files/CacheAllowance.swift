import Synchronization

/// How much of the system's page cache a long copy may fill. What it reads and writes beyond that is dropped from the
/// cache at once, and at its end all the rest is, so that other programs keep what is theirs; a copy within the allowance
/// leaves its files in the cache, where the next run finds them.
public final class CacheAllowance: Sendable {
    private let byteCount: Int
    private let passed = Atomic<Int>(0)

    /// Bytes read and written.
    public static let usualByteCount = 4 << 30

    public init(byteCount: Int = CacheAllowance.usualByteCount) { self.byteCount = byteCount }

    /// Whether more was read and written than is allowed.
    var isExceeded: Bool { passed.load(ordering: .relaxed) > byteCount }

    /// Counts bytes that were read or written.
    func pass(_ byteCount: Int) { passed.add(byteCount, ordering: .relaxed) }
}

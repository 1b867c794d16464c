/// What a file says of a tensor's bytes beyond what every reading checks. It is checked while the bytes pass by, from the
/// first to the last, and not where only some of them are wanted.
public protocol ContentCheck: Sendable {
    mutating func update(_ bytes: UnsafeRawBufferPointer)

    /// - Throws: `CheckpointError` where the bytes were others.
    func finish() throws
}

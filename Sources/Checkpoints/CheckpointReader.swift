import AssayTensors

/// An opened checkpoint: its contents are known, its data is lent piece by piece.
///
/// Readers are safe to use from several threads, and hold no tensor data between calls (beyond bounded caches).
public protocol CheckpointReader: Sendable {
    var contents: CheckpointContents { get }

    /// Fills `buffer` with the bytes `range` of a tensor, row-major and little-endian.
    ///
    /// - Parameters:
    ///   - tensor: position in `contents.tensors`.
    ///   - range: bytes inside `0..<byteCount`, on borders of whole units of the element type.
    ///   - buffer: exactly as long as `range`.
    /// - Throws: `CheckpointError` where the data is damaged, `SystemError` where it cannot be read.
    func read(_ tensor: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws

    /// Bytes that are best read together (a compressed chunk, a band of chunks): ranges that begin at multiples of it
    /// decode nothing twice. Always a multiple of the element type's unit; 0 where any range is as good.
    func granularity(of tensor: Int) -> Int

    /// What the file says of a tensor's bytes beyond what every reading checks, to be checked while they pass by; nil where
    /// it says nothing.
    func contentCheck(of tensor: Int) -> (any ContentCheck)?

    /// Compares a tensor with what the file says of its bytes where every reading of all of them does, for those who want
    /// some of them alone.
    ///
    /// - Throws: `CheckpointError` where the bytes are others.
    func requireIntact(_ tensor: Int) throws
}

extension CheckpointReader {
    public func granularity(of tensor: Int) -> Int { 0 }

    public func contentCheck(of tensor: Int) -> (any ContentCheck)? { nil }

    public func requireIntact(_ tensor: Int) throws {}

    /// The pieces of a tensor of about `target` bytes each, on borders that suit this reader.
    ///
    /// - Returns: ranges that cover `0..<byteCount` in order; none for an empty tensor.
    public func pieces(of tensor: Int, target: Int) -> [Range<Int>] {
        let info = contents.tensors[tensor]
        let step = pieceByteCount(
            target: target, units: [info.elementType.unitByteCount], preferred: granularity(of: tensor))
        return stride(from: 0, to: info.byteCount, by: step).map { $0..<min($0 + step, info.byteCount) }
    }

    /// Streams a tensor through `body` in order, in pieces of about `target` bytes.
    public func forEachPiece(
        of tensor: Int, target: Int = 4 << 20, _ body: (Range<Int>, UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let ranges = pieces(of: tensor, target: target)
        guard let longest = ranges.first?.count else { return }
        let buffer = try ByteBuffer(byteCount: longest)
        defer { withExtendedLifetime(buffer) {} }
        for range in ranges {
            let part = buffer.prefix(range.count)
            try read(tensor, range, into: part)
            try body(range, UnsafeRawBufferPointer(part))
        }
    }

    /// The SHA-256 of a tensor's bytes, streamed; what the file says of them is checked.
    public func digest(of tensor: Int) throws -> Digest {
        var hasher = DigestHasher()
        var check = contentCheck(of: tensor)
        try forEachPiece(of: tensor) { _, bytes in
            hasher.update(bytes)
            check?.update(bytes)
        }
        try check?.finish()
        return hasher.finalize()
    }
}

/// The multiple of every one of `units` that is nearest below `target`, at least their least common multiple; of `preferred`
/// too, unless that makes much more of it than either: then about as much is taken as the larger of both, and what lies on
/// a border is read twice.
///
/// - Parameter preferred: 0 where nothing is.
public func pieceByteCount(target: Int, units: [Int], preferred: Int) -> Int {
    let needed = units.filter { $0 > 0 }.reduce(1) { leastCommonMultiple($0, $1) ?? .max }
    let wanted = max(target, needed, preferred)
    guard let common = leastCommonMultiple(needed, max(1, preferred)), common / 2 <= wanted else {
        return wanted / needed * needed
    }
    return max(common, target / common * common)
}

/// - Returns: nil where it does not fit.
private func leastCommonMultiple(_ a: Int, _ b: Int) -> Int? {
    let (product, overflow) = (a / greatestCommonDivisor(a, b)).multipliedReportingOverflow(by: b)
    return overflow ? nil : product
}

private func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int {
    b == 0 ? a : greatestCommonDivisor(b, a % b)
}

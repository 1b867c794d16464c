import AssayCheckpoints

/// What is wrong in a pickle; the reader adds the file.
struct PickleFault: Error {
    var offset: Int
    var expected: String
    var found: String
}

/// The bytes of a pickle, read in order, a buffer at a time.
struct PickleStream {
    /// Larger pickles are refused: tensors lie outside of it, and no model has so many names.
    static let maximumByteCount = 128 << 20
    private static let bufferByteCount = 64 << 10

    private let source: any ByteSource
    private let maximumByteCount: Int
    private let limit: Int
    /// What may be kept at a time, on the stack, in the memo and in the heap together. Dozens of bytes of memory can stand for
    /// one of the pickle.
    let maximumValueCount: Int
    /// What 400,000 tensors take, some 40 a tensor.
    private static let mostValues = 1 << 24
    private var buffer: [UInt8] = []
    private var bufferStart = 0
    /// Where the next byte lies in the source.
    private(set) var position = 0

    /// - Parameters:
    ///   - source: begins with the pickle, which may end anywhere in it.
    ///   - maximumByteCount: that are read, where fewer than of any pickle.
    ///   - maximumValueCount: the same of values.
    init(
        _ source: any ByteSource, maximumByteCount: Int = Self.maximumByteCount,
        maximumValueCount: Int = Self.mostValues
    ) {
        self.source = source
        self.maximumValueCount = min(maximumValueCount, Self.mostValues)
        self.maximumByteCount = min(maximumByteCount, Self.maximumByteCount)
        limit = min(source.byteCount, self.maximumByteCount)
    }

    var isAtEnd: Bool { position == source.byteCount }

    /// The most bytes that can be read.
    var byteCount: Int { limit }

    mutating func byte() throws -> UInt8 {
        if position - bufferStart >= buffer.count { try refill() }
        defer { position += 1 }
        return buffer[position - bufferStart]
    }

    /// - Throws: before anything is allocated, where so many bytes are not there.
    mutating func bytes(_ count: Int) throws -> [UInt8] {
        guard count >= 0, count <= limit - position else { throw shortage("\(count.inBytes)") }
        let start = position - bufferStart
        defer { position += count }
        if start + count <= buffer.count { return Array(buffer[start..<start + count]) }
        return try source.bytes(position..<position + count)
    }

    /// Requires that so many bytes follow.
    func require(_ count: Int) throws {
        guard count <= limit - position else { throw shortage("a frame of \(count.inBytes)") }
    }

    mutating func number<T: FixedWidthInteger>(_ type: T.Type) throws -> T {
        try bytes(MemoryLayout<T>.size).number(0, type)
    }

    /// The text up to a line feed, which is passed.
    mutating func line() throws -> String {
        var bytes: [UInt8] = []
        while true {
            let next = try byte()
            if next == UInt8(ascii: "\n") { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(next)
        }
    }

    private mutating func refill() throws {
        guard position < limit else { throw shortage("an operation") }
        buffer = try source.bytes(position..<min(limit, position + Self.bufferByteCount))
        bufferStart = position
    }

    private func shortage(_ expected: String) -> PickleFault {
        let isCapped = limit < source.byteCount
        return PickleFault(
            offset: position, expected: isCapped ? "a pickle of at most \(maximumByteCount) bytes" : expected,
            found: isCapped
                ? "a longer one" : "\((limit - position).inBytes); the pickle is cut off; download the file again")
    }
}

import AssayCheckpoints

/// Walks through the header of a file, front to back, in a window of bounded size.
struct GGUFCursor {
    let file: InputFile
    var isBigEndian = false
    /// Where the next byte lies.
    private(set) var offset = 0
    private var window: [UInt8] = []
    private var windowStart = 0

    private static let windowByteCount = 1 << 18

    private let maximumByteCount: Int

    /// - Parameter maximumByteCount: of a header.
    init(_ file: InputFile, atMost maximumByteCount: Int) {
        self.file = file
        self.maximumByteCount = maximumByteCount
    }

    var bytesLeft: Int { file.byteCount - offset }

    func error(at offset: Int? = nil, expected: String, found: String) -> CheckpointError {
        CheckpointError(file.path, .byte(offset ?? self.offset), expected: expected, found: found)
    }

    /// The next bytes.
    ///
    /// - Parameter what: names them in a message; made only for one, as strings come by the hundred thousand.
    /// - Throws: `CheckpointError` where the file ends before, or the header is larger than any.
    mutating func take(_ count: Int, _ what: @autoclosure () -> String) throws -> ArraySlice<UInt8> {
        guard count >= 0, count <= bytesLeft else {
            throw error(
                expected: "\(what()), \(count.inBytes)", found: "the file's end after \(bytesLeft); download it again")
        }
        guard offset + count <= maximumByteCount else {
            throw error(expected: "a header of at most \(maximumByteCount) bytes", found: "\(what()) beyond that")
        }
        if offset + count > windowStart + window.count {
            window = try file.bytes(offset..<offset + min(bytesLeft, max(count, Self.windowByteCount)))
            windowStart = offset
        }
        let start = offset - windowStart
        offset += count
        return window[start..<start + count]
    }

    /// The next number of so many bytes (1 to 8), in the file's order.
    mutating func word(_ byteCount: Int, _ what: @autoclosure () -> String) throws -> UInt64 {
        UInt64(try take(byteCount, what()), isBigEndian: isBigEndian)
    }

    mutating func u32(_ what: @autoclosure () -> String) throws -> UInt32 {
        UInt32(truncatingIfNeeded: try word(4, what()))
    }

    mutating func u64(_ what: @autoclosure () -> String) throws -> UInt64 { try word(8, what()) }

    /// The bytes of a string: its length, then they.
    mutating func string(_ what: @autoclosure () -> String, atMost limit: Int = .max) throws -> ArraySlice<UInt8> {
        let start = offset
        let length = try u64("the length of \(what())")
        guard length <= UInt64(min(limit, bytesLeft)) else {
            let bound =
                limit < bytesLeft
                ? "of at most \(limit.inBytes)" : "that ends inside the file (\(bytesLeft.inBytes) left)"
            throw error(
                at: start, expected: "\(what()) \(bound)",
                found: "length \(length)" + (limit < bytesLeft ? "" : "; if the file is cut off, download it again"))
        }
        return try take(Int(length), what())
    }
}

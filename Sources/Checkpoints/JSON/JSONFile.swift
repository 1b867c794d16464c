import SystemPackage

extension JSONValue {
    /// Parses the text of a file.
    ///
    /// - Parameter asPython: whether `NaN` and `Infinity` are numbers, which keep their text.
    /// - Throws: `CheckpointError` with the byte where it is no JSON.
    public init(parsing bytes: [UInt8], in path: FilePath, asPython: Bool = false) throws {
        do {
            try self.init(parsing: bytes, asPython: asPython)
        } catch let error as JSONError {
            throw CheckpointError(path, .byte(error.offset), expected: error.expected, found: error.found)
        }
    }

    /// Reads and parses a whole file.
    ///
    /// - Parameters:
    ///   - kind: what the file should be, for messages: "an index".
    ///   - maximumByteCount: more is refused unread.
    ///   - asPython: whether `NaN` and `Infinity` are numbers, which keep their text.
    /// - Throws: `CheckpointError` where it is too long or no JSON; `SystemError`.
    public init(
        reading file: InputFile, _ kind: String, atMost maximumByteCount: Int, asPython: Bool = false
    ) throws {
        let bytes = try Self.bytes(of: file, kind, atMost: maximumByteCount)
        try self.init(parsing: bytes, in: file.path, asPython: asPython)
    }

    /// The text of a whole file, for those who scan it themselves; parameters and errors as above.
    package static func bytes(of file: InputFile, _ kind: String, atMost maximumByteCount: Int) throws -> [UInt8] {
        guard file.byteCount <= maximumByteCount else {
            throw CheckpointError(
                file.path, .file, expected: "\(kind) of at most \(maximumByteCount) bytes", found: "\(file.byteCount)")
        }
        let bytes = try file.bytes(0..<file.byteCount)
        if let standIn = StandIn.describe(Array(bytes.prefix(512))) {
            throw CheckpointError(file.path, .file, expected: kind, found: standIn)
        }
        return bytes
    }
}

import AssayCheckpoints
import AssayTensors
import SystemPackage

/// The JSON header of a safetensors file, checked against the rules of the format in their order: length, syntax,
/// each entry alone, then all entries against each other and the file.
struct SafetensorsHeader {
    /// The format's own limit.
    static let maximumByteCount = 100_000_000
    static let metadataKey = "__metadata__"

    struct Entry: Equatable {
        var info: TensorInfo
        /// Bytes from the end of the header.
        var range: Range<Int>
    }

    /// By position in the file.
    var entries: [Entry]
    var metadata: [(key: String, value: String)]
    /// The header as it stands, padding included.
    var bytes: [UInt8]
    /// What is wrong with the end of the file: bytes behind the last tensor, where anything could hide.
    private(set) var surplus: CheckpointError?

    /// Where the data begins.
    var dataOffset: Int { 8 + bytes.count }

    /// Reads and checks the header of a file.
    ///
    /// - Parameter limit: bytes of the largest header that is believed.
    /// - Throws: `CheckpointError`.
    init(of file: InputFile, atMost limit: Int = maximumByteCount) throws {
        let bytes = try Self.headerBytes(of: file, atMost: limit)
        let parser = try SafetensorsHeaderParser.parse(bytes, file.path)
        entries = parser.entries
        metadata = parser.metadata
        self.bytes = bytes
        try Self.checkCoverage(&entries, file.path)
        surplus = try Self.surplus(behind: entries.last, of: file.byteCount - 8 - bytes.count, file.path)
    }

    /// Parses a header that is kept elsewhere; its data is not at hand.
    init(parsing bytes: [UInt8], _ path: FilePath) throws {
        let parser = try SafetensorsHeaderParser.parse(bytes, path)
        entries = parser.entries
        metadata = parser.metadata
        self.bytes = bytes
        try Self.checkCoverage(&entries, path)
    }

    /// The header length that opens a file: 8 bytes, unsigned, little-endian.
    static func length(_ bytes: [UInt8]) -> UInt64 { bytes.number(0, UInt64.self) }

    private static func headerBytes(of file: InputFile, atMost limit: Int) throws -> [UInt8] {
        let prefix = try file.prefix(8)
        guard prefix.count == 8 else {
            throw CheckpointError(
                file.path, .byte(0), expected: "8 bytes of header length", found: "a file of \(prefix.count.inBytes)")
        }
        let length = length(prefix)
        guard length <= UInt64(maximumByteCount) else {
            throw CheckpointError(
                file.path, .byte(0), expected: "a header of at most \(maximumByteCount) bytes, the format's limit",
                found: "a header length of \(length)")
        }
        guard length <= UInt64(limit) else {
            throw CheckpointError(
                file.path, .byte(0), expected: "a header of at most \(limit.inBytes) in a file packed so small",
                found: "a header length of \(length)")
        }
        guard length <= UInt64(file.byteCount - 8) else {
            throw CheckpointError(
                file.path, .byte(0), expected: "a header that ends inside the file of \(file.byteCount.inBytes)",
                found: "a header length of \(length); if the file is cut off, download it again")
        }
        guard length >= 2 else {
            throw CheckpointError(
                file.path, .byte(0), expected: "a header of at least 2 bytes, '{}'",
                found: "a header length of \(length)")
        }
        return try file.bytes(8..<8 + Int(length))
    }

    /// Sorts the entries by position and checks that they cover the data without overlap or hole.
    private static func checkCoverage(_ entries: inout [Entry], _ path: FilePath) throws {
        entries.sort {
            ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
        }
        var end = 0
        var previous: Entry?
        for entry in entries {
            let start = entry.range.lowerBound
            if start < end, let previous {
                throw CheckpointError(
                    path, .tensor(entry.info.name),
                    expected:
                        "data_offsets from byte \(end), where tensor '\(previous.info.name.escapedForDisplay)' ends",
                    found: "an overlap from byte \(start) on")
            }
            guard start == end else {
                throw CheckpointError(
                    path, .tensor(entry.info.name), expected: "data_offsets that begin at \(end), without a hole",
                    found: "\(start), which leaves a hole of \((start - end).inBytes) that belongs to no tensor")
            }
            end = entry.range.upperBound
            previous = entry
        }
    }

    /// - Throws: `CheckpointError` where the data ends before the last tensor does.
    private static func surplus(
        behind last: Entry?, of dataByteCount: Int, _ path: FilePath
    ) throws -> CheckpointError? {
        let end = last?.range.upperBound ?? 0
        if end > dataByteCount {
            throw CheckpointError(
                path, last.map { .tensor($0.info.name) } ?? .file,
                expected: "\(end.inBytes) of data behind the header",
                found:
                    "\(dataByteCount), which is \((end - dataByteCount).inBytes) less: the file is cut off; download it"
                    + " again")
        }
        guard end < dataByteCount else { return nil }
        let surplus = dataByteCount - end
        return CheckpointError(
            path, .part("end"), expected: "the file to end with the last tensor",
            found: "\(surplus.inBytes) more; if they are not wanted, cut them off with 'truncate -s -\(surplus) FILE'")
    }
}

import AssayCheckpoints
import AssayTensors

/// A file's structure as the helper's listing tells it: parsed, not yet believed.
struct HDF5Structure {
    /// The listing is none: a mistake of the helper, or the wrong program.
    struct Malformed: Error {
        var offset: Int
        var expected: String
        var found: String
    }

    struct Dataset {
        var path = ""
        var type = JSONObject()
        var shape: [JSONNumber] = []
        var storedByteCount = 0
        var layout: Layout?
        var fill: [UInt8]?
        var attributes = JSONObject()
    }

    enum Layout {
        /// nil where no space was allocated.
        case contiguous(Int?)
        case compact([UInt8])
        case chunked(Chunks)
    }

    struct Chunks {
        var chunk: [JSONNumber] = []
        var filters: [Filter] = []
        var offsets: [Int] = []
        var sizes: [Int] = []
        var masks: [Int] = []
    }

    struct Filter {
        var identifier: Int
        var name: String
        var parameters: [Int]
    }

    struct Group {
        /// With a final slash; "/" for the root.
        var path: String
        var isEmpty: Bool
        var attributes: JSONObject
    }

    var datasets: [Dataset] = []
    var aliases: [(path: String, target: String)] = []
    var groups: [Group] = []
    var warnings: [String] = []

    /// - Throws: `CheckpointError` for what the helper found wrong; `JSONError` or `Malformed` where the listing is none.
    init(parsing listing: [UInt8], of file: InputFile) throws {
        var isComplete = false
        var lineCount = 0
        try listing.withUnsafeBytes { bytes in
            var start = 0
            while let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
                guard !isComplete else { throw Malformed(offset: start, expected: "the end", found: "another line") }
                let line = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
                isComplete = try take(line, lineCount, file)
                lineCount += 1
                start = end + 1
            }
        }
        guard isComplete else {
            throw Malformed(offset: listing.count, expected: "a last line", found: "the end of the listing")
        }
    }

    /// - Returns: whether it was the last line.
    private mutating func take(_ line: UnsafeRawBufferPointer, _ number: Int, _ file: InputFile) throws -> Bool {
        var scanner = JSONScanner(line)
        var dataset: Dataset?
        var chunks: Chunks?
        var group: Group?
        var alias: String?
        var isLast = false
        try scanner.object { scanner, key, offset in
            switch key {
            case "dataset": dataset = Dataset(path: try scanner.string())
            case "group": group = Group(path: try scanner.string(), isEmpty: false, attributes: JSONObject())
            case "alias": alias = try scanner.string()
            case "of": aliases.append((alias ?? "", try scanner.string()))
            case "warning": warnings.append(try scanner.string().escapedForDisplay)
            case "error": throw try Self.error(&scanner, file)
            case "end": isLast = try scanner.integer() == number
            case "empty": group?.isEmpty = try scanner.value().bool == true
            case "attributes":
                let attributes = try scanner.value().object ?? JSONObject()
                dataset?.attributes = attributes
                group?.attributes = attributes
            case "type": dataset?.type = try scanner.value().object ?? JSONObject()
            case "shape": dataset?.shape = try Self.numbers(&scanner)
            case "stored": dataset?.storedByteCount = try scanner.integer()
            case "fill": dataset?.fill = [UInt8](hexadecimal: try scanner.string())
            case "contiguous": dataset?.layout = .contiguous(try Self.address(&scanner))
            case "compact": dataset?.layout = .compact([UInt8](hexadecimal: try scanner.string()) ?? [])
            case "chunk": chunks = Chunks(chunk: try Self.numbers(&scanner))
            case "filters": chunks?.filters = try Self.filters(&scanner)
            case "offsets": chunks?.offsets = try Self.integers(&scanner)
            case "sizes": chunks?.sizes = try Self.integers(&scanner)
            case "masks": chunks?.masks = try Self.integers(&scanner)
            default:
                throw Malformed(offset: offset, expected: "a key of a listing", found: "'\(key.escapedForDisplay)'")
            }
        }
        try scanner.end()
        if let chunks { dataset?.layout = .chunked(chunks) }
        if let dataset { datasets.append(dataset) }
        if let group { groups.append(group) }
        return isLast
    }

    /// The helper escapes names already; whoever took it over need not.
    private static func error(_ scanner: inout JSONScanner, _ file: InputFile) throws -> CheckpointError {
        let parts = try scanner.value().array?.map { $0.string?.escapedForDisplay ?? "?" } ?? []
        guard parts.count == 3 else { throw Malformed(offset: 0, expected: "three texts of an error", found: "others") }
        let place: CheckpointError.Place = parts[0] == "file" ? .file : .part(parts[0])
        return CheckpointError(file.path, place, expected: parts[1], found: parts[2])
    }

    private static func address(_ scanner: inout JSONScanner) throws -> Int? {
        if scanner.peekValue() == "n" {
            _ = try scanner.value()
            return nil
        }
        return try scanner.integer()
    }

    private static func numbers(_ scanner: inout JSONScanner) throws -> [JSONNumber] {
        var values: [JSONNumber] = []
        try scanner.array { scanner, _ in values.append(try scanner.number()) }
        return values
    }

    private static func integers(_ scanner: inout JSONScanner) throws -> [Int] {
        var values: [Int] = []
        try scanner.array { scanner, _ in values.append(try scanner.integer()) }
        return values
    }

    private static func filters(_ scanner: inout JSONScanner) throws -> [Filter] {
        var values: [Filter] = []
        try scanner.array { scanner, _ in
            guard let parts = try scanner.value().array, parts.count == 3, let identifier = parts[0].int else {
                throw Malformed(offset: scanner.offset, expected: "a filter", found: "something else")
            }
            values.append(
                Filter(
                    identifier: identifier, name: parts[1].string ?? "",
                    parameters: parts[2].array?.map { $0.int ?? -1 } ?? []))
        }
        return values
    }
}

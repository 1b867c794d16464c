import AssayCheckpoints
import AssayTensors

/// A file's structure as the helper's listing tells it: parsed, not yet believed.
struct HDF5Structure {
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

}

/// Reads a listing as it comes, so that only what it says is kept.
struct HDF5ListingParser {
    /// The listing is none: a mistake of the helper, or the wrong program.
    struct Malformed: Error {
        var offset: Int
        var expected: String
        var found: String
    }

    private typealias Dataset = HDF5Structure.Dataset
    private typealias Group = HDF5Structure.Group
    private typealias Chunks = HDF5Structure.Chunks
    private typealias Filter = HDF5Structure.Filter

    private let file: InputFile
    private var structure = HDF5Structure()
    /// The begin of a line whose end has not come yet.
    private var rest: [UInt8] = []
    private var byteCount = 0
    private var lineCount = 0
    private var isComplete = false

    init(_ file: InputFile) { self.file = file }

    /// Takes any number of bytes, which may end in the middle of a line.
    ///
    /// - Throws: `CheckpointError` for what the helper found wrong; `JSONError` or `Malformed` where the listing is none.
    mutating func take(_ piece: UnsafeRawBufferPointer) throws {
        var start = 0
        while let end = piece[start...].firstIndex(of: UInt8(ascii: "\n")) {
            let part = UnsafeRawBufferPointer(rebasing: piece[start..<end])
            start = end + 1
            guard !rest.isEmpty else {
                try takeLine(part)
                continue
            }
            rest.append(contentsOf: part)
            let line = rest
            rest = []
            try line.withUnsafeBytes { try takeLine($0) }
        }
        rest.append(contentsOf: piece[start...])
        byteCount += piece.count
    }

    /// - Throws: `Malformed` where the last line has not come.
    func finish() throws -> HDF5Structure {
        guard isComplete else {
            throw Malformed(offset: byteCount, expected: "a last line", found: "the end of the listing")
        }
        return structure
    }

    private mutating func takeLine(_ line: UnsafeRawBufferPointer) throws {
        guard !isComplete else { throw Malformed(offset: byteCount, expected: "the end", found: "another line") }
        isComplete = try isLast(line)
        lineCount += 1
    }

    /// Takes a line, and says whether it was the last.
    private mutating func isLast(_ line: UnsafeRawBufferPointer) throws -> Bool {
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
            case "of": structure.aliases.append((alias ?? "", try scanner.string()))
            case "warning": structure.warnings.append(try scanner.string().escapedForDisplay)
            case "error": throw try Self.error(&scanner, file)
            case "end": isLast = try scanner.integer() == lineCount
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
        if let dataset { structure.datasets.append(dataset) }
        if let group { structure.groups.append(group) }
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

import AssayCheckpoints
import AssayTensors
import SystemPackage

/// Scans the header's JSON into entries; every entry is checked alone.
struct SafetensorsHeaderParser {
    private(set) var entries: [SafetensorsHeader.Entry] = []
    private(set) var metadata: [(key: String, value: String)] = []
    private var names = NameSet()
    private let path: FilePath

    private init(_ path: FilePath) { self.path = path }

    static func parse(_ bytes: [UInt8], _ path: FilePath) throws -> SafetensorsHeaderParser {
        guard bytes.first == UInt8(ascii: "{") else {
            throw CheckpointError(
                path, .byte(8), expected: "a header that begins with '{'",
                found: bytes.first.map { "byte 0x\(String($0, radix: 16))" } ?? "nothing")
        }
        var parser = SafetensorsHeaderParser(path)
        do {
            try JSONScanner.scan(bytes) { try parser.scanHeader(&$0) }
        } catch let error as JSONError {
            throw CheckpointError(
                path, .part("header: byte \(8 + error.offset)"), expected: error.expected, found: error.found)
        }
        return parser
    }

    private mutating func scanHeader(_ scanner: inout JSONScanner) throws {
        try scanner.object { scanner, name, offset in
            guard names.insert(name) else {
                throw CheckpointError(
                    path, name == SafetensorsHeader.metadataKey ? .part("header") : .tensor(name),
                    expected: "each name once",
                    found: "'\(name.escapedForDisplay)' a second time at byte \(8 + offset)")
            }
            if name == SafetensorsHeader.metadataKey {
                try scanMetadata(&scanner)
            } else {
                entries.append(try scanEntry(&scanner, name: name))
            }
        }
    }

    private mutating func scanMetadata(_ scanner: inout JSONScanner) throws {
        var keys = NameSet()
        try scanner.object { scanner, key, offset in
            guard keys.insert(key) else {
                throw JSONError(
                    offset: offset, expected: "each metadata key once", found: "'\(key.escapedForDisplay)' again")
            }
            guard scanner.peekValue() == "\"" else { throw scanner.unexpected("a metadata value that is a string") }
            metadata.append((key, try scanner.string()))
        }
    }

    private func scanEntry(_ scanner: inout JSONScanner, name: String) throws -> SafetensorsHeader.Entry {
        var dtype: String?
        var dimensions: [Int]?
        var offsets: [Int]?
        try scanner.object { scanner, key, offset in
            func once<T>(_ old: T?) throws {
                guard old == nil else {
                    throw JSONError(offset: offset, expected: "'\(key)' once in a tensor", found: "it a second time")
                }
            }
            switch key {
            case "dtype":
                try once(dtype)
                dtype = try scanner.string()
            case "shape":
                try once(dimensions)
                dimensions = try scanCounts(&scanner)
            case "data_offsets":
                try once(offsets)
                offsets = try scanCounts(&scanner)
            default:
                throw JSONError(
                    offset: offset, expected: "dtype, shape or data_offsets", found: "'\(key.escapedForDisplay)'")
            }
        }
        return try makeEntry(name, dtype, dimensions, offsets)
    }

    /// A list of integers that are not negative.
    private func scanCounts(_ scanner: inout JSONScanner) throws -> [Int] {
        var counts: [Int] = []
        try scanner.array { scanner, _ in
            let isSigned = scanner.peekValue() == "-"
            let count = try scanner.integer()
            guard !isSigned else {
                throw JSONError(
                    offset: scanner.offset, expected: "an integer that is not negative",
                    found: count == 0 ? "-0" : "\(count)")
            }
            counts.append(count)
        }
        return counts
    }

    private func makeEntry(
        _ name: String, _ dtype: String?, _ dimensions: [Int]?, _ offsets: [Int]?
    ) throws -> SafetensorsHeader.Entry {
        func refuse(_ expected: String, _ found: String) -> CheckpointError {
            CheckpointError(path, .tensor(name), expected: expected, found: found)
        }
        guard let dtype, let dimensions, let offsets else {
            let missing = [("dtype", dtype == nil), ("shape", dimensions == nil), ("data_offsets", offsets == nil)]
            throw refuse(
                "dtype, shape and data_offsets",
                "no " + missing.filter(\.1).map(\.0).joined(separator: " and no "))
        }
        guard offsets.count == 2 else {
            throw refuse("data_offsets [begin, end]", "\(offsets.count) numbers")
        }
        guard offsets[0] <= offsets[1] else {
            throw refuse("data_offsets that begin before they end", "[\(offsets[0]), \(offsets[1])]")
        }
        guard let type = ElementType(rawValue: dtype), !type.isBlock else {
            let known = ElementType.scalars.map(\.name).joined(separator: " ")
            throw refuse("a dtype that is known (\(known))", "'\(dtype.escapedForDisplay.prefix(40))'")
        }
        guard let shape = Shape(dimensions) else {
            let shown = dimensions.prefix(8).map(String.init).joined(separator: ", ")
            throw refuse(
                "a shape of at most \(Shape.maximumRank) dimensions whose product fits 63 bits",
                "[\(shown)\(dimensions.count > 8 ? ", ...] with \(dimensions.count) dimensions" : "]")")
        }
        guard let info = TensorInfo(name: name, elementType: type, shape: shape) else {
            throw refuse(
                "a size of whole bytes that fits 63 bits",
                "\(type.name) \(shape), \(type.bitCount) bits an element")
        }
        let range = offsets[0]..<offsets[1]
        guard range.count == info.byteCount else {
            throw refuse(
                "data_offsets that span \(info.byteCount.inBytes) (\(type.name) \(shape))", "\(range.count)")
        }
        return SafetensorsHeader.Entry(info: info, range: range)
    }
}

import AssayCheckpoints
import AssayTensors
import SystemPackage

/// Reads the index' text, strictly: every member that this version knows, each once, and no other.
struct ZPlanesIndexParser {
    private let file: FilePath
    /// Where the index begins: chunks lie before.
    private let dataEnd: Int
    private var tensors: [ZPlanesIndex.Entry] = []
    private var positions = NameMap<Int>()

    /// - Parameter dataEnd: offset of the index in the file.
    static func parse(_ text: UnsafeRawBufferPointer, dataEnd: Int, in file: FilePath) throws -> ZPlanesIndex {
        var parser = ZPlanesIndexParser(file: file, dataEnd: dataEnd)
        do {
            var scanner = JSONScanner(text)
            let index = try parser.index(&scanner)
            try scanner.end()
            return index
        } catch let error as JSONError {
            throw CheckpointError(
                file, .part("index"), expected: "\(error.expected) at byte \(error.offset) of its text",
                found: error.found)
        }
    }

    private init(file: FilePath, dataEnd: Int) {
        self.file = file
        self.dataEnd = dataEnd
    }

    // MARK: The whole

    private mutating func index(_ scanner: inout JSONScanner) throws -> ZPlanesIndex {
        var digest: Digest?
        var metadata: [(key: String, value: String)] = []
        var header: ZPlanesIndex.KeptHeader?
        var seen = Members(
            ["zplanes", "codec", "content_digest", "metadata", "header", "tensors"], in: .part("index"), file)
        try scanner.object { scanner, key, _ in
            switch try seen.take(key) {
            case "zplanes": try self.checkVersion(&scanner)
            case "codec": try self.checkCodec(&scanner)
            case "content_digest": digest = try self.contentDigest(&scanner)
            case "metadata": metadata = try self.metadata(&scanner)
            case "header": header = try self.header(&scanner)
            default: try scanner.array { scanner, _ in try self.tensor(&scanner) }
            }
        }
        try seen.require(["zplanes", "codec", "content_digest", "tensors"])
        return ZPlanesIndex(contentDigest: digest!, metadata: metadata, header: header, tensors: tensors)
    }

    private func checkVersion(_ scanner: inout JSONScanner) throws {
        let version = try scanner.integer()
        guard version == ZPlanes.version else { throw newer("version \(ZPlanes.version)", "version \(version)") }
    }

    private func checkCodec(_ scanner: inout JSONScanner) throws {
        let codec = try scanner.string()
        guard codec == ZPlanesIndex.codec else {
            throw newer("codec '\(ZPlanesIndex.codec)'", "'\(codec.escapedForDisplay)'")
        }
    }

    private func contentDigest(_ scanner: inout JSONScanner) throws -> Digest {
        let text = try scanner.string()
        guard let digest = Digest(hexadecimal: text) else {
            throw error("64 hexadecimal digits of content digest", "'\(text.escapedForDisplay)'")
        }
        return digest
    }

    private func metadata(_ scanner: inout JSONScanner) throws -> [(key: String, value: String)] {
        var pairs: [(key: String, value: String)] = []
        var keys = NameSet()
        try scanner.object { scanner, key, _ in
            guard keys.insert(key) else {
                throw self.error("each metadata key once", "'\(key.escapedForDisplay)' again")
            }
            pairs.append((key, try scanner.string()))
        }
        return pairs
    }

    private func header(_ scanner: inout JSONScanner) throws -> ZPlanesIndex.KeptHeader {
        var format = ""
        var numbers: [String: Int] = [:]
        var seen = Members(["format", "offset", "size", "text_size"], in: .part("header"), file)
        try scanner.object { scanner, key, _ in
            if try seen.take(key) == "format" {
                format = try scanner.string()
            } else {
                numbers[key] = try scanner.integer()
            }
        }
        try seen.require(["format", "offset", "size", "text_size"])
        let range = try extent(numbers["offset"]!, numbers["size"]!, of: .part("header"))
        let textByteCount = try TextFrame.bound(
            UInt64(clamping: numbers["text_size"]!), frameByteCount: range.count, limit: ZPlanes.maximumHeaderByteCount,
            what: "header", in: file)
        return ZPlanesIndex.KeptHeader(formatName: format, range: range, textByteCount: textByteCount)
    }

    /// A range of the file that lies between the head and the index.
    private func extent(_ offset: Int, _ count: Int, of place: CheckpointError.Place) throws -> Range<Int> {
        let (end, overflow) = offset.addingReportingOverflow(count)
        guard offset >= ZPlanesMark.head.byteCount, count > 0, !overflow, end <= dataEnd else {
            throw CheckpointError(
                file, place,
                expected: "data between byte \(ZPlanesMark.head.byteCount) and the index at byte \(dataEnd)",
                found: "\(count.inBytes) at byte \(offset)")
        }
        return offset..<end
    }

    // MARK: One tensor

    private struct Description {
        var name: String?
        var type: ElementType?
        var dimensions: [Int] = []
        var digest: Digest?
        var sameAs: String?
        var aliasOf: String?
        var chunkByteCount: Int?
        var offset: Int?
        var records: [ChunkRecord]?
    }

    private mutating func tensor(_ scanner: inout JSONScanner) throws {
        var described = Description()
        var seen = Members(
            ["name", "type", "shape", "sha256", "same_as", "alias_of", "chunk_size", "offset", "chunks"],
            in: .part("tensor \(tensors.count) of the index"), file)
        try scanner.object { scanner, key, _ in
            try self.member(try seen.take(key), of: &described, &scanner)
            if let name = described.name { seen.place = .tensor(name) }
        }
        try seen.require(["name", "type", "shape", "sha256"])
        let name = described.name!
        guard positions.updateValue(tensors.count, forKey: name) == nil else {
            throw CheckpointError(file, .tensor(name), expected: "each name once", found: "it again")
        }
        guard let shape = Shape(described.dimensions),
            var info = TensorInfo(name: name, elementType: described.type!, shape: shape)
        else {
            throw CheckpointError(
                file, .tensor(name), expected: "a shape of a size that fits, in whole bytes",
                found: "\(described.dimensions)")
        }
        if let target = described.sameAs {
            try seen.refuse(["chunk_size", "offset", "chunks"], beside: "same_as")
            let storage = try sameAs(target, info)
            info.aliasOf = described.aliasOf
            try checkAlias(info, storage)
            tensors.append(ZPlanesIndex.Entry(info: info, digest: described.digest!, storage: storage))
        } else {
            try seen.refuse(["alias_of"], beside: "chunks")
            try seen.require(["chunk_size", "offset", "chunks"])
            let chunks = try chunkList(described, info)
            tensors.append(ZPlanesIndex.Entry(info: info, digest: described.digest!, storage: .chunks(chunks)))
        }
    }

    private func member(_ key: String, of described: inout Description, _ scanner: inout JSONScanner) throws {
        switch key {
        case "name": described.name = try scanner.string()
        case "type":
            let text = try scanner.string()
            guard let type = ElementType(rawValue: text) else {
                throw newer("an element type that is known", "'\(text.escapedForDisplay)'")
            }
            described.type = type
        case "shape":
            var dimensions: [Int] = []
            try scanner.array { scanner, index in
                guard index < Shape.maximumRank else {
                    throw self.error("at most \(Shape.maximumRank) dimensions", "more")
                }
                dimensions.append(try scanner.integer())
            }
            described.dimensions = dimensions
        case "sha256":
            let text = try scanner.string()
            guard let bytes = Base64.decode(text), bytes.count == 32 else {
                throw error("a SHA-256 in base64", "'\(text.escapedForDisplay)'")
            }
            described.digest = Digest(bytes: bytes)
        case "same_as": described.sameAs = try scanner.string()
        case "alias_of": described.aliasOf = try scanner.string()
        case "chunk_size": described.chunkByteCount = try scanner.integer()
        case "offset": described.offset = try scanner.integer()
        default: described.records = try records(&scanner)
        }
    }

    private func sameAs(_ target: String, _ info: TensorInfo) throws -> ZPlanesIndex.Storage {
        let found =
            if let position = positions[target], position < tensors.count {
                tensors[position]
            } else {
                throw CheckpointError(
                    file, .tensor(info.name), expected: "'same_as' to name an earlier tensor",
                    found: "'\(target.escapedForDisplay)'")
            } as ZPlanesIndex.Entry
        guard case .chunks = found.storage else {
            throw CheckpointError(
                file, .tensor(info.name), expected: "'same_as' to name a tensor with chunks of its own",
                found: "'\(target.escapedForDisplay)', which has none")
        }
        guard found.info.byteCount == info.byteCount else {
            throw CheckpointError(
                file, .tensor(info.name),
                expected: "as many bytes as '\(target.escapedForDisplay)' has, \(found.info.byteCount)",
                found: "\(info.byteCount)")
        }
        return .sameAs(positions[target]!)
    }

    /// An alias names an earlier tensor, which is none, of its type and shape and with the same bytes.
    private func checkAlias(_ info: TensorInfo, _ storage: ZPlanesIndex.Storage) throws {
        guard let target = info.aliasOf else { return }
        guard let position = positions[target], position < tensors.count, tensors[position].info.aliasOf == nil,
            tensors[position].info.elementType == info.elementType, tensors[position].info.shape == info.shape,
            storage == .sameAs(position) || storage == tensors[position].storage
        else {
            throw CheckpointError(
                file, .tensor(info.name),
                expected: "'alias_of' to name an earlier tensor of this type, shape and bytes, which is no alias",
                found: "'\(target.escapedForDisplay)'")
        }
    }

    // MARK: Chunks

    private func records(_ scanner: inout JSONScanner) throws -> [ChunkRecord] {
        var records: [ChunkRecord] = []
        try scanner.array { scanner, _ in
            var name: String?
            var sizes: [Int] = []
            var check = ""
            var runs: [UInt16]?
            try scanner.array { scanner, index in
                switch index {
                case 0: name = try scanner.string()
                case 1: try scanner.array { scanner, _ in sizes.append(try self.frameByteCount(&scanner)) }
                case 2: check = try scanner.string()
                case 3: runs = try self.runs(&scanner)
                default: throw self.newer("a chunk of three or four parts", "more")
                }
            }
            records.append(try self.record(name, sizes, check, runs))
        }
        return records
    }

    private func record(
        _ name: String?, _ sizes: [Int], _ check: String, _ flat: [UInt16]?
    ) throws -> ChunkRecord {
        guard let name else { throw error("a transform in every chunk", "none") }
        guard let transform = PlaneTransform(rawValue: name) else {
            let known = PlaneTransform.allCases.map { "'\($0.rawValue)'" }.joined(separator: ", ")
            throw newer("one of the transforms \(known)", "'\(name.escapedForDisplay)'")
        }
        guard (flat != nil) == (transform == .ranks) else {
            throw error(
                "a table of pairs for the transform 'ranks' and no other",
                "'\(name)' \(flat == nil ? "without" : "with") one")
        }
        let runs = flat.flatMap(PairRuns.init)
        guard (runs != nil) == (flat != nil) else {
            throw error("runs of ascending pairs, 1 to 256 of the 512", "\(flat!)")
        }
        guard let check = UInt64(hexadecimal: check) else {
            throw error("a check of 16 lower-case hexadecimal digits in every chunk", "'\(check.escapedForDisplay)'")
        }
        return ChunkRecord(transform: transform, runs: runs, frameByteCounts: sizes, check: check)
    }

    private func frameByteCount(_ scanner: inout JSONScanner) throws -> Int {
        let count = try scanner.integer()
        guard count > 0, count <= dataEnd else { throw error("frames of 1 to \(dataEnd.inBytes)", "\(count)") }
        return count
    }

    private func runs(_ scanner: inout JSONScanner) throws -> [UInt16] {
        var runs: [UInt16] = []
        try scanner.array { scanner, index in
            guard let number = UInt16(exactly: try scanner.integer()), index < 1024 else {
                throw self.error("runs of ascending pairs, 1 to 256 of the 512", "other numbers")
            }
            runs.append(number)
        }
        return runs
    }

    private func chunkList(_ described: Description, _ info: TensorInfo) throws -> ZPlanesIndex.ChunkList {
        let size = described.chunkByteCount!
        let records = described.records!
        let place = CheckpointError.Place.tensor(info.name)
        let unit = info.elementType.unitByteCount
        guard size > 0, size <= ZPlanes.maximumChunkByteCount, size.isMultiple(of: unit) else {
            throw CheckpointError(
                file, place,
                expected: "a chunk size of at most \(ZPlanes.maximumChunkByteCount) bytes, a multiple of \(unit)",
                found: "\(size)")
        }
        let count = info.byteCount / size + (info.byteCount.isMultiple(of: size) ? 0 : 1)
        guard records.count == count else {
            throw CheckpointError(
                file, place, expected: "\(count) chunks of \(size.inBytes) for \(info.byteCount.inBytes) of data",
                found: "\(records.count)")
        }
        for (index, record) in records.enumerated() {
            guard record.transform.applies(to: info.elementType) else {
                throw CheckpointError(
                    file, place, expected: "a transform for \(info.elementType.name) in chunk \(index)",
                    found: "'\(record.transform.rawValue)'")
            }
            let planes = record.transform.planeByteCounts(ofChunk: size, info.elementType).count
            guard record.frameByteCounts.count == planes else {
                throw CheckpointError(
                    file, place, expected: "\(planes) planes in chunk \(index)",
                    found: "\(record.frameByteCounts.count)")
            }
        }
        guard let list = ZPlanesIndex.ChunkList(offset: described.offset!, chunkByteCount: size, records: records)
        else {
            throw CheckpointError(file, place, expected: "frames within the file", found: "sizes whose sum overflows")
        }
        if count > 0 { _ = try extent(list.offset, list.extent.count, of: place) }
        return list
    }

    // MARK: Sentences

    private func error(_ expected: String, _ found: String) -> CheckpointError {
        CheckpointError(file, .part("index"), expected: expected, found: found)
    }

    private func newer(_ expected: String, _ found: String) -> CheckpointError {
        error(expected, "\(found), made by a newer version of this program")
    }

    /// The members of one object: known ones, each once.
    private struct Members {
        let known: [String]
        let file: FilePath
        var place: CheckpointError.Place
        private var seen: [String] = []

        init(_ known: [String], in place: CheckpointError.Place, _ file: FilePath) {
            self.known = known
            self.place = place
            self.file = file
        }

        mutating func take(_ key: String) throws -> String {
            guard known.contains(key) else {
                throw CheckpointError(
                    file, place, expected: "members that are known",
                    found: "'\(key.escapedForDisplay)', made by a newer version of this program")
            }
            guard !seen.contains(key) else {
                throw CheckpointError(file, place, expected: "each member once", found: "'\(key)' again")
            }
            seen.append(key)
            return key
        }

        func require(_ keys: [String]) throws {
            for key in keys where !seen.contains(key) {
                throw CheckpointError(file, place, expected: "a member '\(key)'", found: "none")
            }
        }

        func refuse(_ keys: [String], beside other: String) throws {
            for key in keys where seen.contains(key) {
                throw CheckpointError(file, place, expected: "no '\(key)' beside '\(other)'", found: "both")
            }
        }
    }
}

import AssayCheckpoints
import AssayTensors

/// The header of a file: everything but the data, checked.
struct GGUFHeader {
    let version: UInt32
    let isBigEndian: Bool
    let metadata: GGUFMetadata
    let tensors: [TensorInfo]
    /// Where each tensor's data begins in the file.
    let offsets: [Int]
    /// Where the data begins.
    let dataStart: Int
    let warnings: [String]

    var alignment: Int { metadata.alignment }

    /// Bytes of the smallest records: an empty key with a number of one byte, a name of one byte with no dimension.
    private static let leastEntryByteCount: UInt64 = 8 + 1 + 4 + 1
    private static let leastTensorByteCount: UInt64 = 8 + 1 + 4 + 4 + 8

    /// Reads and checks.
    ///
    /// - Throws: `CheckpointError`.
    init(of file: InputFile, atMost byteCount: Int = GGUF.maximumHeaderByteCount) throws {
        var cursor = GGUFCursor(file, atMost: byteCount)
        version = try Self.version(&cursor)
        isBigEndian = cursor.isBigEndian
        let start = cursor.offset
        let tensorCount = try cursor.u64("the number of tensors")
        let entryCount = try cursor.u64("the number of metadata entries")
        let left = UInt64(cursor.bytesLeft)
        guard tensorCount <= left / Self.leastTensorByteCount, entryCount <= left / Self.leastEntryByteCount,
            tensorCount * Self.leastTensorByteCount + entryCount * Self.leastEntryByteCount <= left
        else {
            throw cursor.error(
                at: start, expected: "as many tensors and metadata entries as \(left.inBytes) can hold",
                found: "\(tensorCount) tensors and \(entryCount) entries")
        }
        metadata = try GGUFMetadataParser.parse(&cursor, count: Int(entryCount))
        var parser = GGUFTensorParser(alignment: metadata.alignment)
        for _ in 0..<Int(tensorCount) { try parser.parse(&cursor) }
        let layout = try parser.layout(behind: cursor.offset, file)
        tensors = parser.tensors
        offsets = layout.offsets
        dataStart = layout.dataStart
        warnings = metadata.warnings + layout.warnings
    }

    private static func version(_ cursor: inout GGUFCursor) throws -> UInt32 {
        let magic = try cursor.take(min(4, cursor.bytesLeft), "the mark")
        guard magic.elementsEqual(GGUF.magic) else {
            throw cursor.error(
                at: 0, expected: "the mark 'GGUF'",
                found: "'\(String(decoding: magic, as: UTF8.self).escapedForDisplay)'")
        }
        let start = cursor.offset
        var version = try cursor.u32("the version")
        // No version is that high; the low half of a turned number is zero.
        if version & 0xFFFF == 0 {
            cursor.isBigEndian = true
            version = version.byteSwapped
        }
        guard GGUF.readVersions.contains(version) else {
            let order = cursor.isBigEndian ? " (in a big-endian file)" : ""
            throw cursor.error(
                at: start, expected: "version 2 or 3",
                found: version == 1
                    ? "version 1\(order), which was in use for some days of 2023; convert the model again"
                    : "version \(version)\(order)")
        }
        return version
    }
}

/// Parses the records of tensors, and lays their data out.
struct GGUFTensorParser {
    let alignment: Int
    private(set) var tensors: [TensorInfo] = []
    private var relativeOffsets: [UInt64] = []
    private var names = NameSet()

    init(alignment: Int) { self.alignment = alignment }

    mutating func parse(_ cursor: inout GGUFCursor) throws {
        let name = try name(&cursor)
        let path = cursor.file.path
        func error(_ expected: String, _ found: String) -> CheckpointError {
            CheckpointError(path, .tensor(name), expected: expected, found: found)
        }
        let shape = try shape(&cursor, error)
        let number = try cursor.u32("the type of a tensor")
        guard let type = GGUFType.elementType(number) else {
            throw error("an element type that is known", GGUFType.describe(number))
        }
        if cursor.isBigEndian, type.isBlock, GGUFType.swappedHalves(in: type) == nil {
            throw error(
                "a type whose big-endian form is defined (numbers, q4_0, q8_0, q4_K, q6_K, mxfp4, nvfp4)", type.name)
        }
        guard let info = TensorInfo(name: name, elementType: type, shape: shape) else {
            let row = shape.dimensions.last ?? 1
            throw row % type.elementsPerUnit == 0
                ? error("a size that fits 63 bits", "\(type.name) \(shape)")
                : error("rows of a multiple of \(type.elementsPerUnit) elements (\(type.name))", "\(row)")
        }
        tensors.append(info)
        relativeOffsets.append(try cursor.u64("the offset of a tensor"))
    }

    private mutating func name(_ cursor: inout GGUFCursor) throws -> String {
        let start = cursor.offset
        let bytes = try cursor.string("a tensor's name", atMost: GGUF.maximumNameByteCount)
        guard !bytes.isEmpty, let name = String(validating: bytes, as: UTF8.self) else {
            throw cursor.error(
                at: start, expected: "a tensor's name in UTF-8",
                found: bytes.isEmpty ? "an empty one" : "other bytes")
        }
        guard names.insert(name) else {
            throw cursor.error(
                at: start, expected: "each tensor's name once", found: "'\(name.escapedForDisplay)' a second time")
        }
        return name
    }

    /// The dimensions stand fastest first; a tensor without any is a scalar.
    private func shape(
        _ cursor: inout GGUFCursor, _ error: (String, String) -> CheckpointError
    ) throws -> Shape {
        let rank = try cursor.u32("the number of dimensions")
        guard rank <= UInt32(GGUF.maximumRank) else {
            throw error("at most \(GGUF.maximumRank) dimensions", "\(rank)")
        }
        var dimensions: [Int] = []
        for _ in 0..<rank {
            let dimension = try cursor.u64("a dimension")
            guard dimension > 0, let dimension = Int(exactly: dimension) else {
                throw error("dimensions from 1 to 2^63 - 1", "\(dimension)")
            }
            dimensions.append(dimension)
        }
        guard let shape = Shape(dimensions.reversed()) else {
            throw error("dimensions whose product fits 63 bits", "\(dimensions)")
        }
        return shape
    }

    /// The data begins at the next border behind the header. Every tensor begins where the one before ends, padded; so
    /// llama.cpp wants it, and so no byte has two owners.
    func layout(
        behind headerEnd: Int, _ file: InputFile
    ) throws -> (offsets: [Int], dataStart: Int, warnings: [String]) {
        let dataStart = padded(headerEnd)
        let dataByteCount = max(0, file.byteCount - dataStart)
        var (end, next) = (0, 0)
        var offsets: [Int] = []
        for (info, offset) in zip(tensors, relativeOffsets) {
            func error(_ expected: String, _ found: String) -> CheckpointError {
                CheckpointError(file.path, .tensor(info.name), expected: expected, found: found)
            }
            guard offset % UInt64(alignment) == 0 else {
                throw error("an offset that is a multiple of the alignment, \(alignment)", "\(offset)")
            }
            guard offset == UInt64(next) else {
                throw error("offset \(next), where the data of the tensor before ends", "\(offset)")
            }
            guard next <= dataByteCount, info.byteCount <= dataByteCount - next else {
                throw error(
                    "\(info.byteCount.inBytes) of data at byte \(dataStart + next)",
                    "\(max(0, dataByteCount - next)): the file is cut off; download it again")
            }
            offsets.append(dataStart + next)
            end = next + info.byteCount
            next = padded(end)
        }
        let surplus = dataByteCount - next
        return (
            offsets, dataStart, surplus > 0 ? ["\(surplus.inBytes) behind the last tensor, which nobody reads"] : []
        )
    }

    /// The next border at or above; inside a file sums cannot overflow, as alignments fit 32 bits.
    private func padded(_ offset: Int) -> Int { (offset + alignment - 1) / alignment * alignment }
}

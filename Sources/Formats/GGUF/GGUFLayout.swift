import AssayCheckpoints
import AssayTensors
import SystemPackage

/// Where things lie in a GGUF file that is to be written: version 3, little-endian, the tensors in the plan's order, each
/// padded to the alignment.
enum GGUFLayout {
    static func makeWriter(_ plan: WritePlan, _ output: OutputFile) throws -> FlatWriter {
        let metadata = try GGUFMetadataWriter(plan)
        let places = try places(of: plan, alignment: metadata.alignment)
        let header = try header(of: plan, metadata, places.offsets, version: GGUF.version)
        let dataStart = try FilePlace.padded(header.count, adding: 0, to: metadata.alignment)
        let total = try FilePlace.padded(dataStart, adding: places.end)
        return try FlatWriter(
            header: header, offsets: places.offsets.map { dataStart + $0 }, byteCount: total, output)
    }

    /// The header for other metadata in front of the same data: where it would end too early, an entry that means nothing
    /// fills it up.
    ///
    /// - Throws: `UsageError` where it would end too late.
    static func header(of plan: WritePlan, fitting old: GGUFHeader, _ path: FilePath) throws -> [UInt8] {
        var metadata = try GGUFMetadataWriter(plan)
        guard !old.isBigEndian, metadata.alignment == old.alignment else {
            throw UsageError(
                "\(path.forDisplay): \(old.isBigEndian ? "is big-endian" : "'\(GGUFMetadata.alignmentKey)' moves the data"),"
                    + " so its header cannot be changed in place; convert it to a new file")
        }
        let places = try places(of: plan, alignment: old.alignment)
        var header = try header(of: plan, metadata, places.offsets, version: old.version)
        if header.count + old.alignment <= old.dataStart {
            metadata.fill(old.dataStart - header.count)
            header = try Self.header(of: plan, metadata, places.offsets, version: old.version)
        }
        try GGUF.requireRoom(header.count, in: old.dataStart, path)
        guard try FilePlace.padded(header.count, adding: 0, to: old.alignment) == old.dataStart else {
            throw UsageError(
                "\(path.forDisplay): the header would be too short by \((old.dataStart - header.count).inBytes), too few to fill;"
                    + " convert it to a new file, without --in-place")
        }
        return header + [UInt8](repeating: 0, count: old.dataStart - header.count)
    }

    /// Where each tensor begins behind the header, and where the last one ends, padded.
    private static func places(of plan: WritePlan, alignment: Int) throws -> (offsets: [Int], end: Int) {
        var end = 0
        var offsets: [Int] = []
        for tensor in plan.tensors {
            offsets.append(end)
            end = try FilePlace.padded(end, adding: tensor.byteCount, to: alignment)
        }
        return (offsets, end)
    }

    private static func header(
        of plan: WritePlan, _ metadata: GGUFMetadataWriter, _ offsets: [Int], version: UInt32
    ) throws -> [UInt8] {
        var header = GGUF.magic + version.littleEndianBytes
        header += UInt64(plan.tensors.count).littleEndianBytes + UInt64(metadata.count).littleEndianBytes
        header += metadata.bytes
        for (tensor, offset) in zip(plan.tensors, offsets) { header += record(of: tensor, at: offset) }
        guard header.count <= GGUF.maximumHeaderByteCount else {
            throw UsageError(
                "gguf: a header of at most \(GGUF.maximumHeaderByteCount) bytes is written, this one would have"
                    + " \(header.count)")
        }
        return header
    }

    private static func record(of tensor: TensorInfo, at offset: Int) -> [UInt8] {
        let name = Array(tensor.name.utf8)
        var bytes = UInt64(name.count).littleEndianBytes + name
        bytes += UInt32(tensor.shape.rank).littleEndianBytes
        for dimension in tensor.shape.dimensions.reversed() { bytes += UInt64(dimension).littleEndianBytes }
        // The capabilities hold no other types.
        bytes += GGUFType.number(of: tensor.elementType)!.littleEndianBytes
        return bytes + UInt64(offset).littleEndianBytes
    }
}

import AssayCheckpoints
import AssayTensors

/// Where things lie in a GGUF file that is to be written: version 3, little-endian, the tensors in the plan's order, each
/// padded to the alignment.
enum GGUFLayout {
    static func makeWriter(_ plan: WritePlan, _ output: OutputFile) throws -> FlatWriter {
        let metadata = try GGUFMetadataWriter(plan)
        var header = GGUF.magic + GGUF.version.littleEndianBytes
        header += UInt64(plan.tensors.count).littleEndianBytes + UInt64(metadata.count).littleEndianBytes
        header += metadata.bytes
        var end = 0
        var relativeOffsets: [Int] = []
        for tensor in plan.tensors {
            header += Self.record(of: tensor, at: end)
            relativeOffsets.append(end)
            end = try FilePlace.padded(end, adding: tensor.byteCount, to: metadata.alignment)
        }
        guard header.count <= GGUF.maximumHeaderByteCount else {
            throw UsageError(
                "gguf: a header of at most \(GGUF.maximumHeaderByteCount) bytes is written, this one would have"
                    + " \(header.count)")
        }
        let dataStart = try FilePlace.padded(header.count, adding: 0, to: metadata.alignment)
        let total = try FilePlace.padded(dataStart, adding: end)
        return try FlatWriter(
            header: header, offsets: relativeOffsets.map { dataStart + $0 }, byteCount: total, output)
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

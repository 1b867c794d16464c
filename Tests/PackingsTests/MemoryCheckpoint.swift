import AssayCheckpoints
import AssayTensors

/// A checkpoint of tensors held in memory.
struct MemoryCheckpoint: CheckpointReader {
    var contents: CheckpointContents
    private var data: [[UInt8]]

    init(_ tensors: [(name: String, type: ElementType, shape: [Int], bytes: [UInt8])]) {
        contents = CheckpointContents(
            formatName: "memory",
            tensors: tensors.map { TensorInfo(name: $0.name, elementType: $0.type, shape: Shape($0.shape)!)! })
        data = tensors.map(\.bytes)
        for (info, bytes) in zip(contents.tensors, data) { precondition(info.byteCount == bytes.count, info.name) }
    }

    func read(_ tensor: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        buffer.copyBytes(from: data[tensor][range])
    }
}

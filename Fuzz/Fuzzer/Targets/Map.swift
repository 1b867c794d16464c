import AssayCheckpoints
import AssayFormats
import AssayTensors

@testable import AssayConversion

extension FuzzTarget {
    static let map = FuzzTarget(
        name: "map", fixtures: ["golden/map/map.json"],
        words: [
            "{\"assayMap\":1,\"rules\":[", "\"from\":", "\"to\":", "\"axis\":", "\"sizes\":[", "\"transpose\":[",
            "h.*.w", "b",
            "9223372036854775807",
        ],
        maximumByteCount: 4096
    ) { bytes in
        let map = try TensorMap(reading: UnnamedFile.holding(bytes))
        // Rules that do not fit the tensors at hand are a matter of usage.
        let made: [MappedTensor]
        do { made = try map.apply(to: tensors, of: "fuzz") } catch is UsageError { return }
        // Whatever was accepted can be read, every byte of it.
        for tensor in made {
            let (type, shape) = try tensor.part.arrangement.result(of: tensor.part.sources.map { tensors[$0] })
            let info = TensorInfo(name: tensor.name, elementType: type, shape: shape)!
            let reader = RearrangedReader(Zeros(), [tensor.part], tensors: [info])
            try reader.forEachPiece(of: 0) { _, _ in }
        }
    }

    private static let tensors = [
        ("h.0.w", .f32, [2, 3]), ("h.1.w", .f32, [2, 3]), ("h.0.b", .f32, [3]), ("b", .q40, [4, 64]),
        ("h.0.x", .bf16, [2, 0, 5]), ("s", .f32, []), ("h.0.f", .f4, [3, 2]), ("h.1.f", .f4, [2, 3]),
    ].map { (name: String, type: ElementType, shape: [Int]) in
        TensorInfo(name: name, elementType: type, shape: Shape(shape)!)!
    }

    private struct Zeros: CheckpointReader {
        let contents = CheckpointContents(formatName: "fuzz", tensors: FuzzTarget.tensors)

        func read(_ tensor: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
            precondition(range.lowerBound >= 0 && range.upperBound <= contents.tensors[tensor].byteCount)
            precondition(buffer.count == range.count)
            buffer.initializeMemory(as: UInt8.self, repeating: 0)
        }
    }
}

import AssayCheckpoints
import AssayTensors

/// A checkpoint in memory: made up, or copied from another and changed.
struct MemoryCheckpoint: CheckpointReader {
    private(set) var contents: CheckpointContents
    private var bytes: [[UInt8]] = []

    init(metadata: [(key: String, value: String)] = []) {
        contents = CheckpointContents(formatName: "memory", tensors: [], metadata: metadata)
    }

    init(copying reader: any CheckpointReader, metadata: [(key: String, value: String)]? = nil) throws {
        self.init(metadata: metadata ?? reader.contents.metadata)
        for (index, info) in reader.contents.tensors.enumerated() {
            var data = [UInt8](repeating: 0, count: info.byteCount)
            try data.withUnsafeMutableBytes { try reader.read(index, 0..<info.byteCount, into: $0) }
            set(info.name, info.elementType, info.shape.dimensions, data)
        }
    }

    mutating func set(_ name: String, _ type: ElementType, _ shape: [Int], _ data: [UInt8]) {
        let info = TensorInfo(name: name, elementType: type, shape: Shape(shape)!)!
        precondition(info.byteCount == data.count)
        if let index = contents.tensors.firstIndex(where: { $0.name == name }) {
            contents.tensors[index] = info
            bytes[index] = data
        } else {
            contents.tensors.append(info)
            bytes.append(data)
        }
    }

    mutating func remove(_ name: String) {
        guard let index = contents.tensors.firstIndex(where: { $0.name == name }) else { return }
        contents.tensors.remove(at: index)
        bytes.remove(at: index)
    }

    func shape(_ name: String) -> [Int] { contents.tensors.first { $0.name == name }!.shape.dimensions }

    /// The float32 values of a tensor.
    subscript(name: String) -> [Float] {
        get {
            let index = contents.tensors.firstIndex { $0.name == name }!
            precondition(contents.tensors[index].elementType == .f32)
            return bytes[index].withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
        }
        set { set(name, .f32, shape(name), newValue.withUnsafeBytes { Array($0) }) }
    }

    /// The same with every float32 tensor rounded to another type.
    func cast(to type: ElementType) -> MemoryCheckpoint {
        let conversion = ElementConversion(from: .f32, to: type)!
        var result = MemoryCheckpoint(metadata: contents.metadata)
        for (info, data) in zip(contents.tensors, bytes) {
            var converted = [UInt8](repeating: 0, count: info.shape.elementCount * type.bitCount / 8)
            converted.withUnsafeMutableBytes { target in
                data.withUnsafeBytes { source in
                    _ = conversion.convert(source, to: target, count: info.shape.elementCount)
                }
            }
            result.set(info.name, type, info.shape.dimensions, converted)
        }
        return result
    }

    func read(_ tensor: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        bytes[tensor].withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
    }
}

/// Numbers that look random and are the same everywhere.
struct SeededNumbers {
    private var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

    mutating func next(below limit: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt64(limit))
    }

    /// About normal: the sum of some uniform numbers.
    mutating func float(_ scale: Float) -> Float {
        var sum: Float = 0
        for _ in 0..<6 { sum += Float(next(below: 1 << 20)) / Float(1 << 19) - 1 }
        return sum / 1.414 * scale
    }

    mutating func floats(_ count: Int, _ scale: Float) -> [Float] { (0..<count).map { _ in float(scale) } }
}

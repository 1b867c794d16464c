import AssayCheckpoints
import AssayTensors

/// A checkpoint in memory, float32: made up, or copied from another and changed.
struct MemoryCheckpoint: CheckpointReader {
    private(set) var contents: CheckpointContents
    private var values: [[Float]] = []

    init() { contents = CheckpointContents(formatName: "memory", tensors: []) }

    /// The float32 tensors of another checkpoint.
    init(copying reader: any CheckpointReader) {
        self.init()
        for (index, info) in reader.contents.tensors.enumerated() where info.elementType == .f32 {
            var numbers = [Float](repeating: 0, count: info.shape.elementCount)
            try! numbers.withUnsafeMutableBytes { try reader.read(index, 0..<info.byteCount, into: $0) }
            self[info.name] = (info.shape.dimensions, numbers)
        }
    }

    subscript(name: String) -> (shape: [Int], values: [Float])? {
        get {
            contents.tensors.firstIndex { $0.name == name }.map { (contents.tensors[$0].shape.dimensions, values[$0]) }
        }
        set {
            if let index = contents.tensors.firstIndex(where: { $0.name == name }) {
                contents.tensors.remove(at: index)
                values.remove(at: index)
            }
            guard let newValue else { return }
            contents.tensors.append(TensorInfo(name: name, elementType: .f32, shape: Shape(newValue.shape)!)!)
            values.append(newValue.values)
        }
    }

    func read(_ tensor: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        values[tensor].withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
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

    mutating func float(_ scale: Float) -> Float { (Float(next(below: 1 << 20)) / Float(1 << 19) - 1) * scale }
    mutating func floats(_ count: Int, _ scale: Float) -> [Float] { (0..<count).map { _ in float(scale) } }
}

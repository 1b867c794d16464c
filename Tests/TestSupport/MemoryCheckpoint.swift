import AssayCheckpoints
import AssayTensors
import SystemPackage

/// A checkpoint in memory: made up, or copied from another and changed.
public struct MemoryCheckpoint: CheckpointReader {
    public private(set) var contents: CheckpointContents
    private var bytes: [[UInt8]] = []

    public init(metadata: [(key: String, value: String)] = []) {
        contents = CheckpointContents(formatName: "memory", tensors: [], metadata: metadata)
    }

    public init(_ tensors: [(name: String, type: ElementType, shape: [Int], bytes: [UInt8])]) {
        self.init()
        for tensor in tensors { set(tensor.name, tensor.type, tensor.shape, tensor.bytes) }
    }

    /// - Parameter metadata: what stands in place of the reader's own.
    public init(copying reader: any CheckpointReader, metadata: [(key: String, value: String)]? = nil) throws {
        self.init(metadata: metadata ?? reader.contents.metadata)
        for (index, info) in reader.contents.tensors.enumerated() {
            set(info.name, info.elementType, info.shape.dimensions, try reader.bytes(of: index))
        }
    }

    // MARK: Tensors

    /// Adds a tensor, or replaces the one of that name where it stands.
    public mutating func set(_ name: String, _ type: ElementType, _ shape: [Int], _ data: [UInt8]) {
        let info = TensorInfo(name: name, elementType: type, shape: Shape(shape)!)!
        precondition(info.byteCount == data.count, name)
        if let index = index(of: name) {
            contents.tensors[index] = info
            bytes[index] = data
        } else {
            contents.tensors.append(info)
            bytes.append(data)
        }
    }

    /// Adds or replaces a tensor of float32.
    public mutating func set(_ name: String, _ shape: [Int], _ values: [Float]) {
        set(name, .f32, shape, values.withUnsafeBytes { Array($0) })
    }

    public mutating func remove(_ name: String) {
        guard let index = index(of: name) else { return }
        contents.tensors.remove(at: index)
        bytes.remove(at: index)
    }

    public func shape(_ name: String) -> [Int] { contents.tensors[index(of: name)!].shape.dimensions }

    /// The values of a tensor of float32.
    public subscript(name: String) -> [Float] {
        get {
            let index = index(of: name)!
            precondition(contents.tensors[index].elementType == .f32)
            return bytes[index].withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
        }
        set { set(name, shape(name), newValue) }
    }

    private func index(of name: String) -> Int? { contents.tensors.firstIndex { $0.name == name } }

    // MARK: The whole

    /// Writes a safetensors file.
    public func write(to path: FilePath) throws {
        let metadata = contents.metadata.map { (key: $0.key, value: JSONValue.string($0.value)) }
        var (header, data) = (JSONObject([("__metadata__", .object(JSONObject(metadata)))]), [UInt8]())
        for (info, bytes) in zip(contents.tensors, bytes) {
            header[info.name] = [
                "dtype": .string(info.elementType.name),
                "shape": .array(info.shape.dimensions.map { JSONValue($0) }),
                "data_offsets": [JSONValue(data.count), JSONValue(data.count + bytes.count)],
            ]
            data += bytes
        }
        try TestFiles.write(SafetensorsBytes.file(JSONValue.object(header).compactText, data: data), to: path)
    }

    /// The same with every float32 tensor rounded to another type.
    public func cast(to type: ElementType) -> MemoryCheckpoint {
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

    /// The same with every float32 matrix of a block of the model, whose name has a number, in blocks of a type.
    public func inBlocks(of type: ElementType) -> MemoryCheckpoint {
        let conversion = ElementConversion(from: .f32, to: type)!
        var result = self
        for (info, data) in zip(contents.tensors, bytes)
        where info.shape.rank == 2 && info.name.contains(where: \.isNumber) && info.elementType == .f32 {
            var converted = [UInt8](repeating: 0, count: type.byteCount(of: info.shape)!)
            converted.withUnsafeMutableBytes { target in
                data.withUnsafeBytes { source in
                    _ = conversion.convert(source, to: target, count: info.shape.elementCount)
                }
            }
            result.set(info.name, type, info.shape.dimensions, converted)
        }
        return result
    }

    /// Changes the bytes of a tensor.
    public mutating func change(_ name: String, _ body: (inout [UInt8]) -> Void) { body(&bytes[index(of: name)!]) }

    public func read(_ tensor: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        bytes[tensor].withUnsafeBytes { buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[range])) }
    }
}

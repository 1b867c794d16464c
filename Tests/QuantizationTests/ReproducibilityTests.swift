import AssayCheckpoints
import AssayPackings
import AssayTensors
import AssayTestSupport
import Testing

@testable import AssayQuantization

#if canImport(Glibc)
    import Glibc
#endif

/// [96, 256] numbers between -1 and 1, most of them small, made without any function of a library.
private func exactWeight(as type: ElementType) -> MemoryWeight {
    var numbers = SeededRandom(seed: 20_261_124)
    let values = (0..<96 * 256).map { index -> Float in
        // 9 bits, so that the cube's rounding to bf16 is all that a type takes away.
        let uniform = Float(Int(numbers.next() >> 55) - 256) / 256
        let cube = uniform * uniform * uniform * (index / 256 % 3 == 0 ? 0.125 : 1)
        switch type {
        case .bf16: return Float(bitPattern: cube.bitPattern & 0xFFFF_0000)
        case .f16: return Float(Float16(cube))
        default: return cube
        }
    }
    return MemoryWeight([96, 256], values, as: type, named: "layer.weight")
}

private func quantized(
    _ scheme: QuantizationScheme, _ type: ElementType
) throws -> (plan: QuantizationPlan, weight: QuantizedWeight) {
    let weight = exactWeight(as: type)
    let plan = try QuantizationPlan(
        scheme, weights: [CandidateWeight(name: weight.name, tensor: weight, orientation: .outputInput)],
        options: QuantizationOptions(threads: 2))
    return (plan, try plan.quantize(0))
}

/// What every machine and dispatch level must reproduce: the first bytes of the SHA-256 of all stored parts.
private let digests = [
    "int4-g128 BF16": "0096c11d57485d29",
    "int4-g128 F16": "0327b83c7d4c7be1",
    "int4-g128 F32": "b60b4bad03d72414",
    "int4-g128-asym BF16": "ac5f1a6171f4639f",
    "int4-g128-asym F16": "4469af4ca8d72cad",
    "int4-g128-asym F32": "1477d6269cad8cee",
    "int4-g32 BF16": "a71df45c61162945",
    "int4-g32 F16": "dff8e033b4148846",
    "int4-g32 F32": "66010c6c576520cc",
    "int4-g32-asym BF16": "fa7361edc8ceb51d",
    "int4-g32-asym F16": "e776d57f445a6834",
    "int4-g32-asym F32": "3ea284ceb6d1803a",
    "int4-g64 BF16": "70757bf031a140c1",
    "int4-g64 F16": "aa719f91ec843001",
    "int4-g64 F32": "9544b9b144e03f15",
    "int4-g64-asym BF16": "df7942e3bf2e8b33",
    "int4-g64-asym F16": "883b9e7be4a00c16",
    "int4-g64-asym F32": "20e8257b29515fc3",
    "int8 BF16": "6db3d07e8b12e9d0",
    "int8 F16": "77c977e72fce34ec",
    "int8 F32": "d7e7c002d2c7780f",
    "int8-g128 BF16": "bccd6b4b6a37536e",
    "int8-g128 F16": "c341922463ab798e",
    "int8-g128 F32": "b8bce92b4e7220d0",
    "int8-g32 BF16": "b321439fdb060f15",
    "int8-g32 F16": "49c95b517de262d4",
    "int8-g32 F32": "a500d2f1ba0cc558",
    "int8-g64 BF16": "ee1000d883357bea",
    "int8-g64 F16": "d0e3562fb93e4901",
    "int8-g64 F32": "0da53f096964343d",
]

@Test func everyMachineMakesTheSameFile() throws {
    for scheme in SchemeRegistry.all {
        for type in [ElementType.f32, .bf16, .f16] {
            var hasher = DigestHasher()
            for part in try quantized(scheme, type).weight.outputs { hasher.update(part.bytes.readOnly) }
            let digest = hasher.finalize().description.prefix(16)
            let name = "\(scheme.name) \(type.name)"
            #expect(digests[name] == String(digest), "\(name)")
        }
    }
}

/// Writes a folder for every scheme and type, for `fixtures/make/check_compressed_tensors.py`, where ASSAY_CHECK_FOLDER
/// names a folder: the configuration, the stored parts, and `decoded.json`, the digest of what we decode.
@Test(.enabled(if: getenv("ASSAY_CHECK_FOLDER") != nil)) func filesForTheLibrary() throws {
    let root = String(cString: getenv("ASSAY_CHECK_FOLDER"))
    for scheme in SchemeRegistry.all {
        for type in [ElementType.f32, .bf16, .f16] {
            let (plan, weight) = try quantized(scheme, type)
            let folder = "\(root)/\(scheme.name)-\(type.name)"
            try #require(mkdir(folder, 0o755) == 0)
            let configuration: JSONValue = ["quantization_config": .object(try #require(plan.configuration))]
            try write(Array(configuration.prettyText.utf8), to: folder + "/config.json")
            try write(safetensors(weight.outputs), to: folder + "/model.safetensors")

            let tensor = try LogicalCheckpoint(MemoryCheckpoint(weight.outputs), name: "memory").tensors[0]
            var values = [Float](repeating: .nan, count: tensor.shape.elementCount)
            try values.withUnsafeMutableBufferPointer { try tensor.read(rows: 0..<96, into: $0) }
            var hasher = DigestHasher()
            values.withUnsafeBytes { hasher.update($0) }
            let decoded: JSONValue = ["layer.weight": .string(hasher.finalize().description)]
            try write(Array(decoded.prettyText.utf8), to: folder + "/decoded.json")
        }
    }
}

private func safetensors(_ parts: [(info: TensorInfo, bytes: ByteBuffer)]) -> [UInt8] {
    var members: [(String, JSONValue)] = []
    var data: [UInt8] = []
    for (info, bytes) in parts.reversed() {
        let end = data.count + info.byteCount
        members.append(
            (
                info.name,
                [
                    "dtype": .string(info.elementType.name),
                    "shape": .array(info.shape.dimensions.map { JSONValue($0) }),
                    "data_offsets": [JSONValue(data.count), JSONValue(end)],
                ]
            ))
        data += bytes.array
    }
    var header = Array(JSONValue.object(JSONObject(members.map { ($0.0, $0.1) })).compactText.utf8)
    while header.count % 8 != 0 { header.append(0x20) }
    return withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) } + header + data
}

private func write(_ bytes: [UInt8], to path: String) throws {
    let file = try #require(fopen(path, "w"))
    defer { fclose(file) }
    #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
}

import AssayCheckpoints
import AssayFormats
import AssayPackings
import AssayTensors
import AssayTestSupport
import SystemPackage
import Testing

private let fixtures: FilePath = {
    var path = FilePath(#filePath)
    path.removeLastComponent()
    return path.appending("../../fixtures/golden").lexicallyNormalized()
}()

/// Single weights written by the compressed-tensors library, with what it decodes them to.
private let golden = fixtures.appending("packings/compressed-tensors")

struct GoldenCase: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var label: String

    func open() throws -> (packed: LogicalCheckpoint, configuration: JSONObject, expected: any CheckpointReader) {
        let folder = golden.appending(testDescription)
        let file = try InputFile(folder.appending("config.json"))
        let configuration = try JSONValue(parsing: file.bytes(0..<file.byteCount)).object!
        let reader = try Checkpoint.reader(of: folder.appending("model.safetensors"), ReadingOptions())
        let expected = try Checkpoint.reader(of: folder.appending("expected.safetensors"), ReadingOptions())
        return (try LogicalCheckpoint(reader, configuration: configuration, name: "memory"), configuration, expected)
    }
}

private let cases = [
    GoldenCase(testDescription: "int4-g32-f32", label: "int4-g32"),
    GoldenCase(testDescription: "int4-g32-asym-bf16", label: "int4-g32-asym"),
    GoldenCase(testDescription: "int4-g64-asym-f16", label: "int4-g64-asym"),
    GoldenCase(testDescription: "int4-g128-f16", label: "int4-g128"),
    GoldenCase(testDescription: "int4-channel-asym-f32", label: "int4-asym"),
    GoldenCase(testDescription: "int4-tensor-bf16", label: "int4"),
    GoldenCase(testDescription: "int4-tensor-asym-f32", label: "int4-asym"),
    GoldenCase(testDescription: "int8-channel-f32", label: "int8"),
    GoldenCase(testDescription: "int8-channel-asym-bf16", label: "int8-asym"),
    GoldenCase(testDescription: "int8-g32-f16", label: "int8-g32"),
    GoldenCase(testDescription: "int2-g32-asym-f32", label: "int2-g32-asym"),
    GoldenCase(testDescription: "int3-g32-asym-f32", label: "int3-g32-asym"),
    GoldenCase(testDescription: "int5-channel-asym-bf16", label: "int5-asym"),
    GoldenCase(testDescription: "int6-channel-f16", label: "int6"),
    GoldenCase(testDescription: "int7-g32-asym-f32", label: "int7-g32-asym"),
    GoldenCase(testDescription: "naive-int8-channel-f32", label: "int8"),
    GoldenCase(testDescription: "naive-int8-channel-asym-bf16", label: "int8-asym"),
    GoldenCase(testDescription: "naive-int8-tensor-f16", label: "int8"),
    GoldenCase(testDescription: "naive-int8-tensor-asym-f32", label: "int8-asym"),
    GoldenCase(testDescription: "naive-int8-g32-asym-f32", label: "int8-g32-asym"),
]

private func bytes(of name: String, in reader: any CheckpointReader) throws -> [UInt8] {
    let index = try #require(reader.contents.indexByName()[name])
    var bytes = [UInt8](repeating: 0, count: reader.contents.tensors[index].byteCount)
    try bytes.withUnsafeMutableBytes { try reader.read(index, 0..<$0.count, into: $0) }
    return bytes
}

private func values(_ tensor: any LogicalTensor, rows: Range<Int>) throws -> [Float] {
    var values = [Float](repeating: .nan, count: rows.count * tensor.shape.rowElementCount)
    try values.withUnsafeMutableBufferPointer { try tensor.read(rows: rows, into: $0) }
    return values
}

@Test(arguments: cases) func everyFormDecodesToTheLibrarysBits(_ golden: GoldenCase) throws {
    let (packed, _, expected) = try golden.open()
    #expect(packed.tensors.count == 1)
    let tensor = try #require(packed["layer.weight"] as? any QuantizedTensor)
    #expect(tensor.storage.label == golden.label)
    #expect(tensor.orientation == .outputInput)
    #expect(tensor.parts.count == packed.reader.contents.tensors.count)

    let rows = tensor.shape.rowCount
    let decoded = try values(tensor, rows: 0..<rows)
    #expect(decoded.withUnsafeBytes { Array($0) } == (try bytes(of: "layer.weight", in: expected)))
    // Any rows alone are the same rows.
    for first in 0..<rows {
        for last in first + 1...min(first + 3, rows) {
            let part = try values(tensor, rows: first..<last)
            #expect(part == Array(decoded[first * tensor.shape.rowElementCount..<last * tensor.shape.rowElementCount]))
        }
    }
    // Integers, scales and zero points make the values.
    var codes = [Int8](repeating: 0, count: decoded.count)
    try codes.withUnsafeMutableBufferPointer { try tensor.readCodes(rows: 0..<rows, into: $0) }
    #expect(codes.map(UInt8.init(bitPattern:)) == (try bytes(of: "layer.codes", in: expected)))
    let scales = try #require(try tensor.readScales(rows: 0..<rows))
    let zeroPoints = try tensor.readZeroPoints(rows: 0..<rows)
    #expect(scales.count == rows * tensor.groupsPerRow)
    let largest = decoded.map(abs).max()!
    for (index, value) in decoded.enumerated() {
        let group = index / tensor.groupElementCount
        let exact = Float(Int(codes[index]) - Int(zeroPoints?[group] ?? 0)) * scales[group]
        #expect(abs(exact - value) <= max(abs(exact) / 256, largest / 1e6))
    }
}

@Test(arguments: cases) func bareFilesTellTheirOwnBits(_ golden: GoldenCase) throws {
    let (packed, _, _) = try golden.open()
    let bare = try LogicalCheckpoint(packed.reader, name: "memory")
    let rows = 0..<packed.tensors[0].shape.rowCount
    #expect(try values(bare.tensors[0], rows: rows) == values(packed.tensors[0], rows: rows))
}

@Test(
    arguments: [
        "int8-channel", "int8-channel-asymmetric", "int8-tensor", "pack-int3-channel-odd", "pack-int4-channel-odd",
        "pack-int4-g32", "pack-int4-g32-asymmetric", "pack-int4-g32-asymmetric-bf16", "pack-int8-g32",
    ]) func wholeModelsDecodeToTheLibrarysBits(_ name: String) throws
{
    let folder = fixtures.appending("compressed-tensors").appending(name)
    func json(_ name: String) throws -> JSONObject {
        let file = try InputFile(folder.appending(name))
        return try JSONValue(parsing: file.bytes(0..<file.byteCount)).object!
    }
    let reader = try Checkpoint.reader(of: folder.appending("model.safetensors"), ReadingOptions())
    let checkpoint = try LogicalCheckpoint(reader, configuration: json("config.json"), name: "memory")
    let expected = try json("expected.json")
    #expect(checkpoint.tensors.count { $0 is any QuantizedTensor } == expected.members.count)
    for (name, entry) in expected.members {
        let tensor = try #require(checkpoint[name] as? any QuantizedTensor)
        let decoded = try values(tensor, rows: 0..<tensor.shape.rowCount)
        var hasher = DigestHasher()
        decoded.withUnsafeBytes { hasher.update($0) }
        #expect(hasher.finalize().description == entry.object?["sha256"]?.string, "\(name)")
        // In float64 the same numbers.
        var wide = [Double](repeating: .nan, count: decoded.count)
        try wide.withUnsafeMutableBufferPointer { try tensor.read(rows: 0..<tensor.shape.rowCount, into: $0) }
        #expect(wide == decoded.map(Double.init))
    }
}

// MARK: - Refusals

/// Parts of an int4-g32-asym weight [20, 64], to be spoiled.
private struct PartSet {
    var tensors: [(name: String, type: ElementType, shape: [Int], bytes: [UInt8])] = []

    init() {
        add("m.weight_packed", .i32, [20, 8])
        add("m.weight_scale", .f32, [20, 2])
        add("m.weight_zero_point", .i32, [3, 2])
        tensors.append(("m.weight_shape", .i64, [2], Self.integers([20, 64])))
    }

    static func integers(_ values: [Int]) -> [UInt8] { values.flatMap { withUnsafeBytes(of: Int64($0)) { Array($0) } } }

    mutating func add(_ name: String, _ type: ElementType, _ shape: [Int]) {
        tensors.append((name, type, shape, [UInt8](repeating: 0, count: type.byteCount(of: Shape(shape)!)!)))
    }

    mutating func remove(_ name: String) { tensors.removeAll { $0.name == name } }
}

struct Refusal: Sendable, CustomTestStringConvertible {
    var testDescription: String { sentence }
    fileprivate var spoil: @Sendable (inout PartSet) -> Void
    var configuration: String = "{}"
    var sentence: String
}

private func configuration(bits: Int, symmetric: Bool, groupSize: String) -> String {
    """
    {"quantization_config": {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": \(bits), "type": "int",
    "symmetric": \(symmetric), "group_size": \(groupSize)}}}}}
    """
}

private let refusals = [
    Refusal(
        spoil: { $0.remove("m.weight_packed") },
        sentence: "tensor 'm.weight_scale': stands without weight_packed or weight"),
    Refusal(spoil: { $0.remove("m.weight_scale") }, sentence: "tensor 'm.weight_packed': weight_scale is missing"),
    Refusal(spoil: { $0.remove("m.weight_shape") }, sentence: "tensor 'm.weight_packed': weight_shape is missing"),
    Refusal(
        spoil: { $0.add("m.weight", .f32, [20, 64]) },
        sentence: "tensor 'm.weight_packed': m.weight stands beside it; one of them is too many"),
    Refusal(
        spoil: { $0.add("m.weight_g_idx", .i32, [64]) },
        sentence: "tensor 'm.weight_g_idx': compressed-tensors with activation order are not read yet"),
    Refusal(
        spoil: { $0.add("m.weight_global_scale", .f32, [1]) },
        sentence: "tensor 'm.weight_global_scale': compressed-tensors' floating-point packings are not read yet"),
    Refusal(
        spoil: {
            $0.remove("m.weight_packed")
            $0.add("m.weight_packed", .u8, [20, 32])
        },
        sentence: "tensor 'm.weight_packed': integers are packed in I32 of 2 dimensions, this is U8 [20, 32];"
            + " other packings of compressed-tensors are not read yet"),
    Refusal(
        spoil: {
            $0.remove("m.weight_packed")
            $0.add("m.weight_packed", .i32, [20, 17])
        },
        sentence: "tensor 'm.weight_packed': [20, 17] holds no integers of 2 to 8 bits for weight_shape [20, 64]"),
    Refusal(
        spoil: {
            $0.remove("m.weight_packed")
            $0.add("m.weight_packed", .i32, [19, 8])
        },
        sentence: "tensor 'm.weight_packed': [19, 8] has not the 20 rows of weight_shape [20, 64]"),
    Refusal(
        spoil: {
            $0.remove("m.weight_shape")
            $0.tensors.append(("m.weight_shape", .i64, [2], PartSet.integers([20, -64])))
        },
        sentence: "tensor 'm.weight_shape': [20, -64] is no shape of a weight"),
    Refusal(
        spoil: {
            $0.remove("m.weight_shape")
            $0.tensors.append(("m.weight_shape", .i64, [2], PartSet.integers([20, .max])))
        },
        sentence: "tensor 'm.weight_shape': [20, 9223372036854775807] is no shape of a weight"),
    Refusal(
        spoil: {
            $0.remove("m.weight_shape")
            $0.tensors.append(("m.weight_shape", .i64, [3], PartSet.integers([2, 10, 64])))
        },
        sentence: "tensor 'm.weight_shape': expected 2 integers (I64 [2]), found I64 [3]; weights of 3 dimensions are"
            + " not read yet"),
    Refusal(
        spoil: {
            $0.remove("m.weight_scale")
            $0.add("m.weight_scale", .f32, [20, 3])
        },
        sentence: "tensor 'm.weight_scale': [20, 3] fits neither the tensor [1], nor the channels [20, 1], nor groups"
            + " that divide the 64 columns of the weight [20, 64]"),
    Refusal(
        spoil: {
            $0.remove("m.weight_scale")
            $0.add("m.weight_scale", .f8e4m3, [20, 2])
        },
        sentence: "tensor 'm.weight_scale': scales are F32, BF16 or F16, this is F8_E4M3"),
    Refusal(
        spoil: {
            $0.remove("m.weight_zero_point")
            $0.add("m.weight_zero_point", .i32, [2, 2])
        },
        sentence: "tensor 'm.weight_zero_point': I32 [2, 2] fits neither the scales [20, 2] as I8 nor 20 rows of 4"
            + " bits packed in I32"),
    Refusal(
        spoil: { _ in }, configuration: configuration(bits: 8, symmetric: false, groupSize: "32"),
        sentence: "tensor 'm.weight_packed': [20, 8] holds 4 bits an element for weight_shape [20, 64], but"
            + " quantization_config says 8"),
    Refusal(
        spoil: { _ in }, configuration: configuration(bits: 4, symmetric: true, groupSize: "32"),
        sentence:
            "tensor 'm.weight_zero_point': must be 0 everywhere: quantization_config says that the weights are symmetric"
    ),
    Refusal(
        spoil: { $0.remove("m.weight_zero_point") },
        configuration: configuration(bits: 4, symmetric: false, groupSize: "32"),
        sentence: "tensor 'm.weight_zero_point': is missing: quantization_config says that the weights are asymmetric"),
    Refusal(
        spoil: { _ in }, configuration: configuration(bits: 4, symmetric: false, groupSize: "64"),
        sentence: "tensor 'm.weight_scale': [20, 2] makes groups of 32 elements, quantization_config says 64"),
    Refusal(
        spoil: { _ in }, configuration: configuration(bits: 4, symmetric: false, groupSize: "null"),
        sentence: "tensor 'm.weight_scale': [20, 2] makes groups of 32 elements, quantization_config says whole rows"),
    Refusal(
        spoil: {
            for part in ["packed", "shape"] { $0.remove("m.weight_" + part) }
            $0.add("m.weight", .f8e4m3, [20, 64])
        },
        sentence: "tensor 'm.weight': a scale or zero point stands beside F8_E4M3 [20, 64]; of such forms only I8"
            + " [out, in] is read yet"),
    Refusal(
        spoil: {
            $0.tensors = []
            $0.add("m.weight_packed", .i32, [20, 1])
            $0.add("m.weight_scale", .f32, [20, 1])
            $0.tensors.append(("m.weight_shape", .i64, [2], PartSet.integers([20, 4])))
        },
        sentence: "tensor 'm.weight_packed': [20, 1] could hold 2 or 3 or 4 or 5 or 6 or 7 or 8 bits an element for"
            + " weight_shape [20, 4]; a config.json with quantization_config tells which"),
]

/// What would make the weights others is not passed over.
@Test(arguments: [
    (
        #""format":"marlin-24","config_groups":{"g":{"weights":{}}}"#,
        #"format: expected "pack-quantized" or "int-quantized" or "naive-quantized" or "dense" or null or "mixed-precision", found "marlin-24""#
    ),
    (
        #""transform_config":{"config_groups":{"R1":{}}}"#,
        #"transform_config: expected null or {}, found {"config_groups":{"R1":{}}}"#
    ),
    (
        #""sparsity_config":{"format":"sparse-bitmask"}"#,
        #"sparsity_config.format: expected "dense", found "sparse-bitmask""#
    ),
    (
        #""config_groups":{"g":{"format":"marlin-24","weights":{}}}"#,
        #"config_groups.g.format: expected "pack-quantized" or "int-quantized" or "naive-quantized" or "dense" or null, found "marlin-24""#
    ),
    (
        #""config_groups":{"g":{"weights":{"num_bits":"4"}}}"#,
        #"config_groups.g.weights.num_bits: expected a number, found "4""#
    ),
    (
        #""config_groups":{"g":{"weights":{"num_bits":4,"type":"float"}}}"#,
        #"config_groups.g.weights.type: expected "int" or null, found "float""#
    ),
    (
        #""config_groups":{"g":{"weights":{"num_bits":4,"dynamic":true}}}"#,
        "config_groups.g.weights.dynamic: expected false or null, found true"
    ),
    (#""foo":1"#, "foo: expected only keys that are known here, found 1"),
    (
        #""config_groups":{"g":{"weights":{},"foo":1}}"#,
        "config_groups.g.foo: expected only keys that are known here, found 1"
    ),
    (
        #""config_groups":{"g":{"weights":{"foo":1}}}"#,
        "config_groups.g.weights.foo: expected only keys that are known here, found 1"
    ),
    (
        #""config_groups":{"g":{"weights":{"actorder":"group"}}}"#,
        #"config_groups.g.weights.actorder: expected "weight" or "static" or false or null, found "group""#
    ),
    (
        #""config_groups":{"g":{"weights":{"strategy":"block"}}}"#,
        #"config_groups.g.weights.strategy: expected "group" or "channel" or "tensor" or null, found "block""#
    ),
    (
        #""config_groups":{"g":{"weights":{"group_size":-5}}}"#,
        "config_groups.g.weights.group_size: expected a number from 1 on, -1 or null, found -5"
    ),
    (
        #""config_groups":{"g":{"weights":{"group_size":32,"strategy":"channel"}}}"#,
        "config_groups.g.weights.group_size: expected -1 or null with the strategy 'channel', found 32"
    ),
    (
        #""format":"dense","config_groups":{"g":{"format":"pack-quantized","weights":{}}}"#,
        #"format: expected "pack-quantized" or "mixed-precision" or null, found "dense""#
    ),
    (
        #""config_groups":{"g":{"weights":{"block_structure":[2,2]}}}"#,
        "config_groups.g.weights.block_structure: expected null, found [2,2]"
    ),
    (
        #""config_groups":{"g":{"weights":{"zp_dtype":"torch.float8_e4m3fn"}}}"#,
        #"config_groups.g.weights.zp_dtype: expected "torch.int8" or "torch.int32" or null, found "torch.float8_e4m3fn""#
    ),
]) func otherWaysOfPackingAreRefusedByName(_ member: String, _ sentence: String) throws {
    let text = #"{"quantization_config":{"quant_method":"compressed-tensors",\#(member)}}"#
    let configuration = try JSONValue(parsing: Array(text.utf8)).object
    let error = #expect(throws: StructureError.self) {
        try LogicalCheckpoint(MemoryCheckpoint(PartSet().tensors), configuration: configuration, name: "memory")
    }
    #expect(error?.description == "memory: quantization_config." + sentence)
}

/// What concerns no weight is nobody's business.
@Test(arguments: [
    #""format":"naive-quantized""#, #""format":"float-quantized","config_groups":null"#,
    #""transform_config":{"config_groups":{}}"#, #""config_groups":{"g":{"weights":null,"format":"x"}}"#,
    #""config_groups":{"g":{"weights":{"type":"int","symmetric":true}}}"#,
    #""format":"pack-quantized","config_groups":{"g":{"weights":{"type":"int","num_bits":4,"symmetric":false,"group_size":32}}}"#,
]) func whatIsSaidOfOtherThingsIsPassedOver(_ member: String) throws {
    let text = #"{"quantization_config":{"quant_method":"compressed-tensors",\#(member)}}"#
    let configuration = try JSONValue(parsing: Array(text.utf8)).object
    _ = try LogicalCheckpoint(MemoryCheckpoint(PartSet().tensors), configuration: configuration, name: "memory")
}

/// What the configuration says otherwise than what is stored, of PartSet's int4-g32-asym.
@Test(arguments: [
    (
        #""format":"dense""#, "",
        "m.weight_packed': is packed in words, but quantization_config says the format dense"
    ),
    (
        #""format":"int-quantized""#, "",
        "m.weight_packed': is packed in words, but quantization_config says the format int-quantized"
    ),
    (
        #""ignore":["re:.*"]"#, "",
        "m.weight_packed': is quantized, but quantization_config.ignore has 're:.*'"
    ),
    (#""ignore":["m"]"#, "", "m.weight_packed': is quantized, but quantization_config.ignore has 'm'"),
    (
        #""version":"1""#, #""targets":[],"#,
        "m.weight_packed': is quantized, but no targets in quantization_config name it"
    ),
    (
        #""version":"1""#, #""targets":["re:.*nope"],"#,
        "m.weight_packed': is quantized, but no targets in quantization_config name it"
    ),
]) func whatContradictsTheTensorsIsRefused(_ member: String, _ targets: String, _ sentence: String) throws {
    let error = #expect(throws: StructureError.self) {
        try LogicalCheckpoint(
            MemoryCheckpoint(PartSet().tensors), configuration: declaration(member, targets), name: "memory")
    }
    #expect(error?.description == "memory: tensor '" + sentence)
}

private func declaration(_ member: String, _ inGroup: String = "", strategy: String = "group") throws -> JSONObject? {
    let groupSize = strategy == "group" ? 32 : -1
    let text = """
        {"quantization_config":{"quant_method":"compressed-tensors",\(member),"config_groups":{"g":{\(inGroup)"weights":
        {"num_bits":4,"type":"int","symmetric":false,"group_size":\(groupSize),"strategy":"\(strategy)"}}}}}
        """
    return try JSONValue(parsing: Array(text.utf8)).object
}

@Test func groupsThatAreNoneNameNothing() throws {
    let text = #"{"quantization_config":{"quant_method":"compressed-tensors","config_groups":{}}}"#
    let configuration = try JSONValue(parsing: Array(text.utf8)).object
    let error = #expect(throws: StructureError.self) {
        try LogicalCheckpoint(MemoryCheckpoint(PartSet().tensors), configuration: configuration, name: "memory")
    }
    #expect(
        error?.description
            == "memory: tensor 'm.weight_packed': is quantized, but no targets in quantization_config name it")
}

@Test(arguments: [
    ("channel", "makes groups of 32 elements, quantization_config says whole rows"),
    ("tensor", "makes groups of 32 elements, quantization_config says one scale for the tensor"),
]) func strategiesAreThoseOfTheScales(_ strategy: String, _ words: String) throws {
    let error = #expect(throws: StructureError.self) {
        try LogicalCheckpoint(
            MemoryCheckpoint(PartSet().tensors), configuration: declaration(#""ignore":[]"#, strategy: strategy),
            name: "memory")
    }
    #expect(error?.description == "memory: tensor 'm.weight_scale': [20, 2] " + words)
}

/// What llm-compressor writes, and what only a running model could tell.
@Test(arguments: [
    (#""ignore":["lm_head","re:.*mlp.gate$"]"#, #""targets":["Linear"],"#), (#""version":"1""#, #""targets":["m"],"#),
    (#""ignore":["re:visual.*","Embedding"]"#, #""targets":["re:.*m"],"#),
    (#""version":"1""#, #""targets":["model.m"],"#), (#""version":"1""#, #""targets":["re:(a|m)+"],"#),
    (#""run_compressed":true,"global_compression_ratio":1.9"#, #""targets":["LlamaAttention"],"#),
]) func whatFitsTheTensorsIsTaken(_ member: String, _ targets: String) throws {
    let checkpoint = try LogicalCheckpoint(
        MemoryCheckpoint(PartSet().tensors), configuration: declaration(member, targets), name: "memory")
    #expect(checkpoint.notes == [])
}

/// Zero points that are 0 everywhere say what the configuration says without them: 8 in every four bits, or bytes of 0.
@Test(arguments: [
    ("packed", ElementType.i32, [3, 2], [0x88, 0x88, 0x88, 0x88]), ("plain", .i8, [20, 2], [0, 0, 0, 0]),
])
func zeroPointsOfZeroAreSymmetric(_ form: String, _ type: ElementType, _ shape: [Int], _ word: [UInt8]) throws {
    let symmetric = try JSONValue(parsing: Array(configuration(bits: 4, symmetric: true, groupSize: "32").utf8)).object
    var parts = PartSet()
    parts.remove("m.weight_zero_point")
    let plain = try LogicalCheckpoint(MemoryCheckpoint(parts.tensors), configuration: symmetric, name: "memory")
    let byteCount = type.byteCount(of: Shape(shape)!)!
    var points = (0..<byteCount).map { word[$0 % 4] }
    parts.tensors.append(("m.weight_zero_point", type, shape, points))
    let checkpoint = try LogicalCheckpoint(MemoryCheckpoint(parts.tensors), configuration: symmetric, name: "memory")
    #expect(checkpoint.tensors.map(\.name) == ["m.weight"])
    #expect(checkpoint.tensors[0].parts.count == 4)
    #expect(checkpoint.tensors[0].storage == plain.tensors[0].storage)
    #expect(try values(checkpoint.tensors[0], rows: 0..<20) == values(plain.tensors[0], rows: 0..<20))
    // The last row's second group is no zero.
    points[type == .i8 ? byteCount - 1 : 21] ^= 0x10
    parts.remove("m.weight_zero_point")
    parts.tensors.append(("m.weight_zero_point", type, shape, points))
    let error = #expect(throws: StructureError.self) {
        try LogicalCheckpoint(MemoryCheckpoint(parts.tensors), configuration: symmetric, name: "memory")
    }
    #expect(error?.description.contains("must be 0 everywhere") == true)
}

/// The scales of activations that a model folder holds are no weights of the model; that they are not used is said.
@Test(arguments: [
    "m.input_scale", "m.input_zero_point", "m.output_scale", "m.output_zero_point", "layers.0.self_attn.k_scale",
    "layers.0.self_attn.v_scale", "layers.0.self_attn.q_scale", "layers.0.self_attn.k_proj.output_scale",
])
func scalesOfActivationsAreNoWeights(_ name: String) throws {
    var parts = PartSet()
    parts.add(name, .bf16, [1])
    parts.add("norm.weight_scale_of_another_kind", .f32, [1])
    let reader = MemoryCheckpoint(parts.tensors)
    let text = configuration(bits: 4, symmetric: false, groupSize: "32")
    let checkpoint = try LogicalCheckpoint(
        reader, configuration: JSONValue(parsing: Array(text.utf8)).object, name: "memory")
    #expect(checkpoint.tensors.map(\.name) == ["m.weight", "norm.weight_scale_of_another_kind"])
    #expect(checkpoint.unused == [4])
    #expect(checkpoint.notes == ["scales and zero points of activations are not used: \(name)"])
    #expect(checkpoint.replacingTensors { $0 }.unused == checkpoint.unused)
    // Nothing says of a bare file that they are scales.
    #expect(try LogicalCheckpoint(reader, name: "memory").unused == [])
}

/// The library's old name of the key, which nothing reads any more, is not passed over.
@Test(arguments: ["{}", #"{"quant_method":"compressed-tensors"}"#]) func theOldKeyIsRefused(_ value: String) throws {
    let configuration = try JSONValue(parsing: Array(#"{"compression_config":\#(value)}"#.utf8)).object
    let error = #expect(throws: StructureError.self) {
        try LogicalCheckpoint(MemoryCheckpoint(PartSet().tensors), configuration: configuration, name: "memory")
    }
    #expect(
        error?.description
            == "memory: compression_config: expected none (an older name of quantization_config, which nothing reads any"
            + " more: rename it), found an object")
}

/// Activations that would be rounded too are not: that is said.
@Test(arguments: [
    (#""kv_cache_scheme":{"num_bits":8}"#, "", "kv_cache_scheme"),
    (#""version":"1""#, #""input_activations":{"num_bits":8},"#, "config_groups.g.input_activations"),
    (
        #""kv_cache_scheme":{"num_bits":8}"#, #""output_activations":{},"#,
        "config_groups.g.output_activations, kv_cache_scheme"
    ),
]) func whatIsNotComputedIsSaid(_ member: String, _ inGroup: String, _ keys: String) throws {
    let checkpoint = try LogicalCheckpoint(
        MemoryCheckpoint(PartSet().tensors), configuration: declaration(member, inGroup), name: "memory")
    #expect(
        checkpoint.notes == [
            "quantization_config quantizes more than weights (\(keys)), which is not computed here: activations are as they"
                + " are"
        ])
    #expect(checkpoint.replacingTensors { $0 }.notes == checkpoint.notes)
}

@Test(arguments: refusals) func spoiledPartsAreRefusedByName(_ refusal: Refusal) throws {
    var parts = PartSet()
    refusal.spoil(&parts)
    let configuration = try JSONValue(parsing: Array(refusal.configuration.utf8)).object
    let reader = MemoryCheckpoint(parts.tensors)
    let error = #expect(throws: StructureError.self) {
        try LogicalCheckpoint(reader, configuration: configuration, name: "memory")
    }
    #expect(error?.description == "memory: " + refusal.sentence)
    #expect(error?.exitStatus == .structureDiffers)
}

@Test func wholePartsAreAccepted() throws {
    let parts = PartSet()
    for text in ["{}", configuration(bits: 4, symmetric: false, groupSize: "32")] {
        let configuration = try JSONValue(parsing: Array(text.utf8)).object
        let checkpoint = try LogicalCheckpoint(
            MemoryCheckpoint(parts.tensors), configuration: configuration, name: "memory")
        #expect(checkpoint.tensors.map(\.name) == ["m.weight"])
        #expect(checkpoint.tensors[0].shape == Shape([20, 64]))
    }
}

@Test func plainTensorsBesideStayPlain() throws {
    var parts = PartSet()
    parts.add("m.bias", .f32, [20])
    parts.add("norm.weight", .f32, [64])
    parts.add("m.input_scale", .f32, [1])
    let checkpoint = try LogicalCheckpoint(MemoryCheckpoint(parts.tensors), name: "memory")
    #expect(checkpoint.tensors.map(\.name) == ["m.weight", "m.bias", "norm.weight", "m.input_scale"])
}

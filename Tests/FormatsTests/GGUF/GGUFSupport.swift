import AssayCheckpoints
import AssayTensors
import AssayTestSupport
import SystemPackage

@testable import AssayFormats

/// Files made by the gguf package, and what it says is in them.
enum GGUFGoldens {
    static let folder = TestFiles.fixtures.appending("golden").appending("gguf")
    static let manifest = try! JSONValue(parsing: TestFiles.bytes(folder.appending("manifest.json"))).object!
    static let files = manifest["files"]!.object!
    static let parts = manifest["parts"]!.object!
    static let fileNames = files.members.map(\.key)

    static func expected(_ name: String) -> JSONObject { (files[name] ?? parts[name])!.object! }
}

/// Writes a file of some tensors with their bytes.
func ggufBytes(
    _ tensors: [SampleTensor], metadata: [(key: String, value: String)] = [], part: CheckpointPart? = nil
) throws -> [UInt8] {
    let folder = try TemporaryFolder()
    let path = folder.path.appending("x.gguf")
    var plan = WritePlan(tensors: tensors.map(\.info), metadata: metadata)
    plan.part = part
    try GGUF.capabilities.check(plan, formatName: GGUF.name)
    let writer = try GGUF.makeWriter(plan, OutputFile(creating: path), WritingOptions())
    for (index, tensor) in tensors.enumerated() {
        try tensor.bytes.withUnsafeBytes { try writer.write(index, 0..<$0.count, $0) { try $0() } }
    }
    try writer.finish(digests: tensors.map(\.digest))
    return try TestFiles.bytes(path)
}

/// The tensors and bytes of an opened file.
func samples(of reader: any CheckpointReader) throws -> [SampleTensor] {
    try reader.contents.tensors.enumerated().map { index, info in
        SampleTensor(info.name, info.elementType, info.shape.dimensions, try reader.bytes(of: index))
    }
}

/// A file put together by hand, right or wrong.
struct GGUFBuilder {
    var magic = Array("GGUF".utf8)
    var version: UInt32 = 3
    var tensorCount: UInt64?
    var entryCount: UInt64?
    var entries: [[UInt8]] = []
    var tensors: [[UInt8]] = []
    var alignment = 32
    var data: [UInt8] = []

    static func text(_ text: String, length: UInt64? = nil) -> [UInt8] {
        (length ?? UInt64(text.utf8.count)).littleEndianBytes + Array(text.utf8)
    }

    static func entry(_ key: String, _ type: UInt32, _ value: [UInt8]) -> [UInt8] {
        text(key) + type.littleEndianBytes + value
    }

    static func tensor(
        _ name: String, _ dimensions: [UInt64], type: UInt32 = 0, offset: UInt64 = 0, rank: UInt32? = nil
    ) -> [UInt8] {
        text(name) + (rank ?? UInt32(dimensions.count)).littleEndianBytes
            + dimensions.flatMap { $0.littleEndianBytes } + type.littleEndianBytes + offset.littleEndianBytes
    }

    var bytes: [UInt8] {
        var bytes = magic + version.littleEndianBytes
        bytes += (tensorCount ?? UInt64(tensors.count)).littleEndianBytes
        bytes += (entryCount ?? UInt64(entries.count)).littleEndianBytes
        bytes += entries.flatMap { $0 } + tensors.flatMap { $0 }
        if !tensors.isEmpty { bytes += Array(repeating: 0, count: (alignment - bytes.count % alignment) % alignment) }
        return bytes + data
    }
}

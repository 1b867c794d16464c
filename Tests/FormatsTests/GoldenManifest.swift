import AssayCheckpoints
import AssayFormats
import AssayTestSupport
import SystemPackage
import Testing

/// A folder of files made by a format's own library, with what that library says is in them.
struct GoldenManifest: Sendable {
    let folder: FilePath
    private let files: JSONObject
    private let refused: JSONObject

    init(_ format: String) {
        folder = TestFiles.fixtures.appending("golden").appending(format)
        let manifest = try! JSONValue(parsing: TestFiles.bytes(folder.appending("manifest.json"))).object!
        files = manifest["files"]!.object!
        refused = manifest["refuse"]!.object!
    }

    var fileNames: [String] { files.members.map(\.key) }
    var refusedNames: [String] { refused.members.map(\.key) }

    func record(of name: String) -> JSONObject { files[name]!.object! }

    /// Opens a file and compares every tensor's type, shape and bytes, and the content digest.
    func check(_ name: String, _ options: ReadingOptions = ReadingOptions()) throws {
        let expected = record(of: name)
        let checkpoint = try Checkpoint.open(folder.appending(name), options)
        let infos = checkpoint.contents.tensors
        let tensors = expected["tensors"]!.object!
        #expect(infos.count == tensors.members.count)
        var digests: [Digest] = []
        for (index, info) in infos.enumerated() {
            let golden = try #require(tensors[info.name]?.object, "\(info.name)")
            #expect(info.elementType.name == golden["type"]?.string)
            #expect(info.shape.dimensions == golden["shape"]?.array?.compactMap(\.int))
            digests.append(try checkpoint.reader.digest(of: index))
            #expect("\(digests[index])" == golden["sha256"]?.string, "\(name): \(info.name)")
        }
        #expect("\(ContentDigest.of(infos, digests))" == expected["content_digest"]?.string)
    }

    /// Requires that a file is refused with the words of the manifest.
    func checkRefusal(_ name: String, _ options: ReadingOptions = ReadingOptions()) {
        let error = #expect(throws: CheckpointError.self) { try Checkpoint.open(folder.appending(name), options) }
        #expect(error?.description.contains(refused[name]!.string!) == true, "\(name): \(error?.description ?? "")")
    }
}

/// Flips and cuts valid files at chance, opens them and reads all they say they hold.
enum Mutations {
    /// Requires that every outcome is bytes or a refusal: a trap would end the test.
    static func run(_ original: [UInt8], named name: String, count: Int, seed: UInt64) throws {
        let folder = try TemporaryFolder()
        try forEach(of: original, count: count, seed: seed) { bytes in
            let path = try folder.write(name, bytes)
            do {
                let reader = try Checkpoint.open(path).reader
                for (index, info) in reader.contents.tensors.enumerated() where info.byteCount < 1 << 24 {
                    _ = try reader.digest(of: index)
                }
            } catch is CheckpointError {
                return
            }
        }
    }

    /// Hands out the bytes flipped, cut, spliced with a part of themselves, and with tokens of JSON.
    static func forEach(of original: [UInt8], count: Int, seed: UInt64, _ body: ([UInt8]) throws -> Void) throws {
        var random = SeededRandom(seed: seed)
        for _ in 0..<count {
            var bytes = original
            for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<10, using: &random) {
                case 0: bytes.removeLast(bytes.count - place)
                case 1: bytes.remove(at: place)
                case 2: bytes[place] = [0, 0x7F, 0x80, 0xFF].randomElement(using: &random)!
                case 3: bytes.insert(contentsOf: tokens.randomElement(using: &random)!.utf8, at: place)
                case 4:
                    let length = Int.random(in: 1...60, using: &random)
                    let source = Int.random(in: 0..<original.count, using: &random)
                    bytes.insert(contentsOf: original[source...].prefix(length), at: place)
                default: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                }
            }
            try body(bytes)
        }
    }

    private static let tokens = [
        "\"", "\\", "\\u", "\\ud800", "{", "}", "[", "]", ",", ":", "null", "-", "1e9", "9223372036854775807", "0.5",
        "18446744073709551615",
    ]
}

/// Writes checkpoints as the pipeline does: pieces in any order.
enum Writing {
    static func write(
        _ format: any CheckpointFormat.Type, _ plan: WritePlan, _ data: [[UInt8]], to path: FilePath
    ) throws {
        try format.capabilities.check(plan, formatName: format.name)
        let output = try OutputFile(creating: path)
        let writer = try format.makeWriter(plan, output, WritingOptions())
        for (index, info) in plan.tensors.enumerated().reversed() where info.aliasOf == nil && info.byteCount > 0 {
            let middle = info.byteCount / 2 / info.elementType.unitByteCount * info.elementType.unitByteCount
            for range in [middle..<info.byteCount, 0..<middle] where !range.isEmpty {
                try data[index].withUnsafeBytes { bytes in
                    try writer.write(index, range, UnsafeRawBufferPointer(rebasing: bytes[range])) { try $0() }
                }
            }
        }
        try writer.finish(digests: [])
    }
}

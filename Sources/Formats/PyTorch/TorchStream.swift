import AssayCheckpoints
import SystemPackage

/// The form before PyTorch 1.6: five pickles in a row (a magic number, a version, facts about the system, the object, the
/// keys of the storages), then each storage as a count and its bytes.
struct TorchStream {
    let root: PickleValue
    let heap: PickleHeap
    let pickleByteCount: Int
    private let storages: NameMap<FileRange>
    private let path: FilePath

    /// 0x1950A86A20F9469CFC6C.
    private static let magic: [UInt8] = [0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]
    private static let version = 1001

    /// - Throws: `PickleFault`, `CheckpointError`.
    init(_ file: InputFile) throws {
        path = file.path
        var machine = PickleMachine(PickleStream(file))
        guard case .long(Self.magic) = try machine.run() else {
            throw PickleFault(
                offset: 0, expected: "the number that PyTorch begins its files with",
                found: "a Python pickle of something else")
        }
        let version = try machine.run()
        guard version.int == Self.version else {
            throw PickleFault(offset: 0, expected: "version \(Self.version)", found: version.kind)
        }
        _ = try machine.run()
        root = try machine.run()
        let keys = try machine.run()
        heap = machine.heap
        pickleByteCount = machine.stream.position
        storages = try Self.storages(keys, heap, from: pickleByteCount, in: file)
    }

    private static func storages(
        _ keys: PickleValue, _ heap: PickleHeap, from begin: Int, in file: InputFile
    ) throws -> NameMap<FileRange> {
        guard case .list(let list) = keys else {
            throw PickleFault(offset: begin, expected: "a list of the storages' keys", found: keys.kind)
        }
        let named = NameMap(heap.storages.map { ($0.key, $0) })
        var result = NameMap<FileRange>()
        var position = begin
        for value in heap.sequences[list] {
            guard let key = value.text, let storage = named[key], result[key] == nil else {
                throw PickleFault(offset: begin, expected: "keys of storages, each once", found: value.kind)
            }
            let range = try self.range(of: storage, at: position, in: file)
            result[key] = FileRange(file: file, range: range)
            position = range.upperBound
        }
        guard position == file.byteCount else {
            throw CheckpointError(
                file.path, .byte(position), expected: "the file to end with the last storage",
                found: "\((file.byteCount - position).inBytes) more")
        }
        return result
    }

    private static func range(of storage: TorchStorage, at position: Int, in file: InputFile) throws -> Range<Int> {
        let place = CheckpointError.Place.part("storage '\(storage.key.escapedForDisplay)' at byte \(position)")
        guard file.byteCount - position >= 8 else {
            throw CheckpointError(
                file.path, place, expected: "a count of 8 bytes",
                found: "the end: the file is cut off; download it again")
        }
        let count = try file.bytes(position..<position + 8).number(0, Int64.self)
        guard count == storage.count else {
            throw CheckpointError(
                file.path, place, expected: "\(storage.count) elements, as the pickle says", found: "\(count)")
        }
        let left = file.byteCount - position - 8
        guard let byteCount = storage.byteCount, byteCount <= left else {
            throw CheckpointError(
                file.path, place, expected: "\(storage.count) elements of \(storage.elementByteCount.inBytes)",
                found: "\(left.inBytes): the file is cut off; download it again")
        }
        return position + 8..<position + 8 + byteCount
    }

    func storage(_ storage: TorchStorage) throws -> any ByteSource {
        guard let range = storages[storage.key] else {
            throw CheckpointError(
                path, .part("storage '\(storage.key.escapedForDisplay)'"), expected: "a storage the pickle asks for",
                found: "none")
        }
        guard range.byteCount == storage.byteCount else {
            throw CheckpointError(
                path, .part("storage '\(storage.key.escapedForDisplay)'"),
                expected: "\(range.byteCount.inBytes) wherever it is named",
                found: "\(storage.count) elements of \(storage.elementByteCount.inBytes)")
        }
        return range
    }
}

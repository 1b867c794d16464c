import AssayCheckpoints
@testable import AssayFormats
import AssayTensors
import AssayTestSupport
import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// What the HDF5 tests share: opening with the built `assay` as helper, and writing as the pipeline does.
enum HDF5Tests {
    static let reading = ReadingOptions(hdf5Helper: AssayTool.path, threads: 2)

    static func open(_ path: FilePath, _ options: ReadingOptions = reading) throws -> any CheckpointReader {
        try HDF5.open(InputFile(path), options)
    }

    /// A helper that runs shell commands instead of reading a file.
    ///
    /// It is a link to a script that is never written: one just written could still be open in a process that another
    /// test is starting, and the system refuses to run what is open for writing.
    static func standIn(_ commands: String, named name: String = "helper", in folder: TemporaryFolder) throws
        -> FilePath
    {
        try folder.write(name + ".commands", Array((commands + "\n").utf8))
        let link = folder.path.appending(name)
        try SystemCall.link(link, to: TestFiles.fixtures.appending("stand-in-helper"))
        return link
    }

    /// Writes a checkpoint as the pipeline does, on several threads, in pieces as small as the writer allows.
    static func write(
        _ plan: WritePlan, _ data: [[UInt8]], to path: FilePath, deflateLevel: Int? = nil, threads: Int = 2,
        target: Int = 1 << 16
    ) throws {
        try HDF5.capabilities.check(plan, formatName: HDF5.name)
        let output = try OutputFile(creating: path)
        let writer = try HDF5.makeWriter(plan, output, WritingOptions(deflateLevel: deflateLevel))
        var pieces: [(tensor: Int, range: Range<Int>)] = []
        for (index, tensor) in plan.tensors.enumerated() where tensor.aliasOf == nil {
            let step = pieceByteCount(
                target: target, units: [tensor.elementType.unitByteCount, writer.granularity(of: index)], preferred: 0)
            for start in stride(from: 0, to: tensor.byteCount, by: step) {
                pieces.append((index, start..<min(start + step, tensor.byteCount)))
            }
        }
        let turns = Turns()
        let list = pieces
        try Parallel.forEach(list.count, threads: threads) { number in
            let (tensor, range) = list[number]
            try data[tensor].withUnsafeBytes { bytes in
                try writer.write(tensor, range, UnsafeRawBufferPointer(rebasing: bytes[range])) { commit in
                    try turns.take(number, commit)
                }
            }
        }
        try writer.finish(digests: data.map { $0.withUnsafeBytes { Digest.of($0) } })
    }

    /// All bytes of a tensor, read in pieces of about `target` bytes.
    static func bytes(_ reader: any CheckpointReader, _ tensor: Int, target: Int = 4 << 20) throws -> [UInt8] {
        var result: [UInt8] = []
        try reader.forEachPiece(of: tensor, target: target) { _, bytes in result.append(contentsOf: bytes) }
        return result
    }
}

/// Lets pieces commit in the order of their numbers.
final class Turns: @unchecked Sendable {  // reason: its state is guarded by the mutex
    private var mutex = pthread_mutex_t()
    private var condition = pthread_cond_t()
    private var next = 0

    init() {
        pthread_mutex_init(&mutex, nil)
        pthread_cond_init(&condition, nil)
    }

    func take(_ number: Int, _ body: () throws -> Void) throws {
        pthread_mutex_lock(&mutex)
        while next != number { pthread_cond_wait(&condition, &mutex) }
        pthread_mutex_unlock(&mutex)
        defer {
            pthread_mutex_lock(&mutex)
            next += 1
            pthread_cond_broadcast(&condition)
            pthread_mutex_unlock(&mutex)
        }
        try body()
    }
}

extension HDF5Helper {
    /// All that it prints.
    func listing(of file: InputFile) throws -> [UInt8] {
        var bytes: [UInt8] = []
        try list(file) { bytes.append(contentsOf: $0) }
        return bytes
    }
}

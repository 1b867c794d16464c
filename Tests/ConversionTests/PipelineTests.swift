import AssayCheckpoints
import AssayFormats
import AssayTensors
import AssayTestSupport
import Synchronization
import SystemPackage
import Testing

@testable import AssayConversion

/// Tensors in memory.
private struct MemoryReader: CheckpointReader {
    let contents: CheckpointContents
    let data: [[UInt8]]

    init(_ tensors: [TensorInfo], seed: UInt64) {
        var random = SeededRandom(seed: seed)
        contents = CheckpointContents(formatName: "memory", tensors: tensors)
        data = tensors.map { random.bytes($0.byteCount) }
    }

    func read(_ tensor: Int, _ range: Range<Int>, into buffer: UnsafeMutableRawBufferPointer) throws {
        buffer.copyBytes(from: data[tensor][range])
    }
}

/// Notes what it is given; may fail at some piece.
private final class NotingWriter: CheckpointWriter {
    let pieceOrder: PieceOrder
    let failsAt: Int?
    let commits = Mutex<[String]>([])
    let bytes = Mutex<[Int: [Range<Int>: [UInt8]]]>([:])

    init(_ order: PieceOrder, failsAt: Int? = nil) {
        pieceOrder = order
        self.failsAt = failsAt
    }

    func granularity(of tensor: Int) -> Int { 16 }

    func write(
        _ tensor: Int, _ range: Range<Int>, _ piece: UnsafeRawBufferPointer,
        inTurn: (() throws -> Void) throws -> Void
    ) throws {
        let copy = Array(piece)
        try inTurn {
            let count = commits.withLock {
                $0.append("\(tensor):\(range.lowerBound)")
                return $0.count
            }
            if count == failsAt { throw SystemError("write", "x", .noSpace) }
            bytes.withLock { $0[tensor, default: [:]][range] = copy }
        }
    }

    func finish(digests: [Digest]) throws {}

    func all(_ tensor: Int) -> [UInt8] {
        bytes.withLock { $0[tensor, default: [:]].sorted { $0.key.lowerBound < $1.key.lowerBound }.flatMap(\.value) }
    }
}

@Suite struct Pipelines {
    private static let tensors = [("a", 1000), ("empty", 0), ("b", 17), ("c", 40_000)].map {
        TensorInfo(name: $0, elementType: .u8, shape: Shape([$1])!)!
    }

    private func pipeline(_ writer: NotingWriter, threads: Int, _ reader: MemoryReader) -> Pipeline {
        Pipeline(
            reader: reader, steps: Self.tensors.indices.map { CopyStep(source: $0, info: Self.tensors[$0]) },
            positions: Self.tensors.indices.map { [$0] }, writer: writer, threads: threads, pieceTarget: 128,
            takesDigests: true, progress: nil)
    }

    @Test(arguments: [1, 2, 3, 8], [PieceOrder.any, .planned])
    func moveEveryByteAndDigestBothSides(_ threads: Int, _ order: PieceOrder) throws {
        let reader = MemoryReader(Self.tensors, seed: 3)
        let writer = NotingWriter(order)
        let results = try pipeline(writer, threads: threads, reader).run()
        for (index, data) in reader.data.enumerated() {
            #expect(writer.all(index) == data)
            let digest = data.withUnsafeBytes { Digest.of($0) }
            #expect(results[index].sourceDigest == digest)
            #expect(results[index].outputDigests == [digest])
        }
        if order == .planned {
            let order = writer.commits.withLock { $0 }
            let single = NotingWriter(.planned)
            _ = try pipeline(single, threads: 1, reader).run()
            #expect(order == single.commits.withLock { $0 })
        }
    }

    @Test(.timeLimit(.minutes(1)), arguments: [1, 2, 4], [PieceOrder.any, .planned])
    func endWithTheCauseWhereAWriteFails(_ threads: Int, _ order: PieceOrder) throws {
        for failsAt in [1, 2, 7, 100] {
            let writer = NotingWriter(order, failsAt: failsAt)
            #expect(throws: SystemError("write", "x", .noSpace)) {
                try pipeline(writer, threads: threads, MemoryReader(Self.tensors, seed: 4)).run()
            }
        }
    }

    @Test(arguments: [ElementType.bf16, .f16, .f64, .f8e4m3, .f8e5m2])
    func castInPiecesAsInOne(_ type: ElementType) throws {
        let source = TensorInfo(name: "w", elementType: .f32, shape: Shape([33, 7])!)!
        let target = TensorInfo(name: "w", elementType: type, shape: source.shape)!
        let conversion = try #require(ElementConversion(from: .f32, to: type))
        let reader = MemoryReader([source], seed: 5)
        var whole = [UInt8](repeating: 0, count: target.byteCount)
        reader.data[0].withUnsafeBytes { bytes in
            _ = whole.withUnsafeMutableBytes { conversion.convert(bytes, to: $0, count: 231) }
        }
        for pieceTarget in [1, 64, 100, 1 << 20] {
            let writer = NotingWriter(.any)
            let step = CastStep(source: 0, from: source, to: target, conversion)
            _ = try Pipeline(
                reader: reader, steps: [step], positions: [[0]], writer: writer, threads: 2, pieceTarget: pieceTarget,
                takesDigests: true, progress: nil
            ).run()
            #expect(writer.all(0) == whole)
        }
    }
}

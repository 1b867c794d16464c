import AssayCheckpoints
import AssayTensors
import AssayTestSupport
import Glibc
import Synchronization
import SystemPackage
import Testing

@testable import AssayFormats

/// A tensor with its bytes.
struct SampleTensor: Sendable {
    var info: TensorInfo
    var bytes: [UInt8]

    init(_ name: String, _ type: ElementType, _ dimensions: [Int], aliasOf: String? = nil, _ bytes: [UInt8]) {
        info = TensorInfo(name: name, elementType: type, shape: Shape(dimensions)!, aliasOf: aliasOf)!
        self.bytes = bytes
        precondition(bytes.count == info.byteCount)
    }

    var digest: Digest { bytes.withUnsafeBytes { Digest.of($0) } }
}

/// Numbers from a seed: SplitMix64.
struct SeededBytes {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    static func random(_ count: Int, seed: UInt64) -> [UInt8] {
        var source = SeededBytes(state: seed)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 8)
        while bytes.count < count { withUnsafeBytes(of: source.next()) { bytes += $0 } }
        return Array(bytes[..<count])
    }

    /// Weights as networks have them: near a normal distribution of small deviation.
    static func weights(_ count: Int, seed: UInt64) -> [Float] {
        var source = SeededBytes(state: seed)
        return (0..<count).map { _ in
            let sum = (0..<8).reduce(Float(0)) { total, _ in total + Float(source.next() >> 40) / Float(1 << 24) - 0.5 }
            return sum * 0.03
        }
    }
}

extension Array {
    /// The elements' bytes, little-endian as this machine has them.
    var rawBytes: [UInt8] { withUnsafeBytes { [UInt8]($0) } }
}

extension TemporaryFolder {
    /// A file of these bytes, opened.
    func file(_ bytes: [UInt8], _ name: String = "x.zplanes") throws -> InputFile {
        return try InputFile(try write(name, bytes))
    }
}

/// Writes tensors as the pipeline does: pieces on several threads, committed in the order of the plan.
func zplanesBytes(
    _ tensors: [SampleTensor], metadata: [(key: String, value: String)] = [], header: OriginalHeader? = nil,
    chunkByteCount: Int? = nil, threads: Int = 1, chunksInPiece: Int = 1, level: DispatchLevel = .current
) throws -> [UInt8] {
    let folder = try TemporaryFolder()
    let path = folder.path.appending("written.zplanes")
    let plan = WritePlan(tensors: tensors.map(\.info), metadata: metadata, originalHeader: header)
    let output = try OutputFile(creating: path)
    let writer = try ZPlanesWriter(plan, output, chunkByteCount: chunkByteCount, level: level)
    var pieces: [(tensor: Int, range: Range<Int>)] = []
    for (index, tensor) in tensors.enumerated() where tensor.info.aliasOf == nil {
        let step = writer.granularity(of: index) * chunksInPiece
        pieces += stride(from: 0, to: tensor.bytes.count, by: step).map {
            (index, $0..<min($0 + step, tensor.bytes.count))
        }
    }
    let turn = Atomic<Int>(0)
    let all = pieces
    try Parallel.forEach(all.count, threads: threads) { number in
        let (index, range) = all[number]
        try tensors[index].bytes.withUnsafeBytes { bytes in
            try writer.write(index, range, UnsafeRawBufferPointer(rebasing: bytes[range])) { commit in
                while turn.load(ordering: .acquiring) != number { sched_yield() }
                try commit()
                turn.store(number + 1, ordering: .releasing)
            }
        }
    }
    try writer.finish(digests: tensors.map(\.digest))
    return try InputFile(path).bytes(0..<InputFile(path).byteCount)
}

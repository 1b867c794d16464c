import AssayCheckpoints
import AssayFormats
import AssayTensors
import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// Opens a checkpoint and reads all of every tensor into new memory, as the owners' libraries do, on request:
/// `format-reader THREADS HDF5_HELPER FILE [f32]` answers every line on its standard input with the seconds that passed, those
/// of processors, and the bytes. With `f32` blocks are dequantized. A script can so alternate it with others.
@main struct ReadBenchmark {
    let reader: any CheckpointReader
    let threads: Int
    let dequantizes: Bool

    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count >= 4, let threads = Int(arguments[1]) else {
            print("usage: format-reader THREADS HDF5_HELPER FILE [f32]")
            exit(64)
        }
        let options = ReadingOptions(hdf5Helper: FilePath(arguments[2]), threads: threads)
        while readLine() != nil {
            let (begin, processorBegin) = (seconds(CLOCK_MONOTONIC), seconds(CLOCK_PROCESS_CPUTIME_ID))
            let reader = try Checkpoint.open(FilePath(arguments[3]), options).reader
            let run = ReadBenchmark(reader: reader, threads: threads, dequantizes: arguments.count > 4)
            let byteCount = try run.readAll()
            print(seconds(CLOCK_MONOTONIC) - begin, seconds(CLOCK_PROCESS_CPUTIME_ID) - processorBegin, byteCount)
            fflush(nil)
        }
    }

    private static func seconds(_ clock: clockid_t) -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    /// Threads take tensors where there are many, as in a conversion, else parts of one.
    ///
    /// - Returns: the bytes that were filled.
    private func readAll() throws -> Int {
        let tensors = reader.contents.tensors.indices.filter { reader.contents.tensors[$0].aliasOf == nil }
        let isMany = tensors.count >= 2 * threads
        try Parallel.forEach(tensors.count, threads: isMany ? threads : 1) { index in
            try read(tensors[index], threads: isMany ? 1 : threads)
        }
        return tensors.reduce(0) { $0 + byteCount(of: $1) }
    }

    private func isDequantized(_ tensor: Int) -> Bool {
        dequantizes && reader.contents.tensors[tensor].elementType.isBlock
    }

    private func byteCount(of tensor: Int) -> Int {
        let info = reader.contents.tensors[tensor]
        return isDequantized(tensor) ? 4 * info.shape.elementCount : info.byteCount
    }

    /// A tensor into memory of its own, which is then given back.
    private func read(_ tensor: Int, threads: Int) throws {
        let result = try ByteBuffer(byteCount: byteCount(of: tensor))
        defer { withExtendedLifetime(result) {} }
        let pieces = reader.pieces(of: tensor, target: isDequantized(tensor) ? 1 << 18 : 4 << 20)
        try Parallel.forEach(pieces.count, threads: threads) { index in
            if isDequantized(tensor) {
                try dequantize(tensor, pieces[index], into: result.bytes)
            } else {
                let part = UnsafeMutableRawBufferPointer(rebasing: result.bytes[pieces[index]])
                try reader.read(tensor, pieces[index], into: part)
            }
        }
    }

    private func dequantize(_ tensor: Int, _ range: Range<Int>, into result: UnsafeMutableRawBufferPointer) throws {
        let type = reader.contents.tensors[tensor].elementType
        let stored = try ByteBuffer(byteCount: range.count)
        defer { withExtendedLifetime(stored) {} }
        try reader.read(tensor, range, into: stored.bytes)
        let first = range.lowerBound / type.unitByteCount * type.elementsPerUnit
        let count = range.count / type.unitByteCount * type.elementsPerUnit
        let part = UnsafeMutableRawBufferPointer(rebasing: result[4 * first..<4 * (first + count)])
        _ = ElementConversion(from: type, to: .f32)!.convert(stored.readOnly, to: part, count: count)
    }
}

import AssayCheckpoints
import AssayFormats
import AssayTensors
import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// Opens a checkpoint and reads all of every tensor, on request: `format-reader MODE THREADS HDF5_HELPER FILE [f32]` answers
/// every line on its standard input with the seconds that passed, those of processors, and the bytes. In the mode `whole` every
/// tensor gets new memory of its own, as in the owners' libraries; in `pieces` it passes by in pieces, as in a conversion. With
/// `f32` blocks are dequantized. A script can so alternate it with others.
@main struct ReadBenchmark {
    let reader: any CheckpointReader
    let threads: Int
    let isWhole: Bool
    let dequantizes: Bool

    static func main() throws {
        let arguments = CommandLine.arguments
        guard arguments.count >= 5, ["whole", "pieces"].contains(arguments[1]), let threads = Int(arguments[2]) else {
            print("usage: format-reader whole|pieces THREADS HDF5_HELPER FILE [f32]")
            exit(64)
        }
        let options = ReadingOptions(hdf5Helper: FilePath(arguments[3]), threads: threads)
        while readLine() != nil {
            let (begin, processorBegin) = (seconds(CLOCK_MONOTONIC), seconds(CLOCK_PROCESS_CPUTIME_ID))
            let reader = try Checkpoint.open(FilePath(arguments[4]), options).reader
            let run = ReadBenchmark(
                reader: reader, threads: threads, isWhole: arguments[1] == "whole", dequantizes: arguments.count > 5)
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

    private func read(_ tensor: Int, threads: Int) throws {
        let whole = isWhole ? try ByteBuffer(byteCount: byteCount(of: tensor)) : nil
        defer { withExtendedLifetime(whole) {} }
        let pieces = reader.pieces(of: tensor, target: isDequantized(tensor) ? 1 << 18 : 4 << 20)
        try Parallel.forEach(pieces.count, threads: threads) { index in
            let range = isDequantized(tensor) ? floats(of: tensor, pieces[index]) : pieces[index]
            let piece = whole == nil ? try ByteBuffer(byteCount: range.count) : nil
            defer { withExtendedLifetime(piece) {} }
            let target = piece?.bytes ?? UnsafeMutableRawBufferPointer(rebasing: whole!.bytes[range])
            if isDequantized(tensor) {
                try dequantize(tensor, pieces[index], into: target)
            } else {
                try reader.read(tensor, pieces[index], into: target)
            }
        }
    }

    /// Where the bytes of some blocks are once they are float32.
    private func floats(of tensor: Int, _ range: Range<Int>) -> Range<Int> {
        let type = reader.contents.tensors[tensor].elementType
        func place(_ byte: Int) -> Int { 4 * (byte / type.unitByteCount * type.elementsPerUnit) }
        return place(range.lowerBound)..<place(range.upperBound)
    }

    private func dequantize(_ tensor: Int, _ range: Range<Int>, into target: UnsafeMutableRawBufferPointer) throws {
        let stored = try ByteBuffer(byteCount: range.count)
        defer { withExtendedLifetime(stored) {} }
        try reader.read(tensor, range, into: stored.bytes)
        let type = reader.contents.tensors[tensor].elementType
        _ = ElementConversion(from: type, to: .f32)!.convert(stored.readOnly, to: target, count: target.count / 4)
    }
}

/// LZF, the compression of h5py's own filter (number 32000): literal runs and copies of what came at most 8 KiB before.
enum LZF {
    /// Unpacks a stream that must give exactly the bytes of `result`.
    static func decompress(_ stream: UnsafeRawBufferPointer, into result: UnsafeMutableRawBufferPointer) throws {
        var (used, made) = (0, 0)
        while used < stream.count {
            let control = Int(stream[used])
            used += 1
            if control < 32 {
                let count = control + 1
                guard count <= stream.count - used else { throw damage }
                guard count <= result.count - made else { throw tooLong(result) }
                (result.baseAddress! + made).copyMemory(from: stream.baseAddress! + used, byteCount: count)
                used += count
                made += count
                continue
            }
            // Three bits of length, where seven of them continue in a byte of its own; 13 bits of distance.
            let isLong = control >> 5 == 7
            guard stream.count - used >= (isLong ? 2 : 1) else { throw damage }
            let count = control >> 5 + 2 + (isLong ? Int(stream[used]) : 0)
            used += isLong ? 1 : 0
            let distance = (control & 0x1F) << 8 + Int(stream[used]) + 1
            used += 1
            guard distance <= made else { throw damage }
            guard count <= result.count - made else { throw tooLong(result) }
            // Byte by byte: what is copied may be made by the copy itself.
            for index in made..<made + count { result[index] = result[index - distance] }
            made += count
        }
        guard made == result.count else {
            throw HDF5FilterPipeline.Damage(expected: "a stream of \(result.count.inBytes)", found: "one of \(made)")
        }
    }

    private static var damage: HDF5FilterPipeline.Damage {
        HDF5FilterPipeline.Damage(expected: "a whole LZF stream", found: "damaged LZF data")
    }

    private static func tooLong(_ result: UnsafeMutableRawBufferPointer) -> HDF5FilterPipeline.Damage {
        HDF5FilterPipeline.Damage(expected: "a stream of \(result.count.inBytes)", found: "a longer one")
    }
}

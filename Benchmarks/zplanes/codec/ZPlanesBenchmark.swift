import AssayFormats
import AssayTensors

#if canImport(Glibc)
    import Glibc
#endif

/// The zplanes codec, memory to memory, on request: `zplanes-codec TYPE THREADS FILE` answers every line "compress" or
/// "decompress" on its standard input with "SECONDS BYTES". A script can so alternate it with others.
@main struct ZPlanesBenchmark {
    static func main() throws {
        guard CommandLine.arguments.count == 4, let type = ElementType(name: CommandLine.arguments[1]),
            let threads = Int(CommandLine.arguments[2])
        else {
            print("usage: zplanes-codec TYPE THREADS FILE")
            exit(64)
        }
        let original = try contents(of: CommandLine.arguments[3])
        let codec = ZPlanesCodec(elementType: type, threads: threads)
        let restored = UnsafeMutableRawBufferPointer.allocate(byteCount: original.count, alignment: 64)
        restored.initializeMemory(as: UInt8.self, repeating: 0)
        var compressed = try codec.compress(UnsafeRawBufferPointer(original))
        while let line = readLine() {
            let seconds =
                if line == "compress" {
                    try time { compressed = try codec.compress(UnsafeRawBufferPointer(original), reusing: compressed) }
                } else {
                    try time { try codec.decompress(compressed, into: restored) }
                }
            if line == "decompress" {
                guard memcmp(original.baseAddress!, restored.baseAddress!, original.count) == 0 else {
                    print("differs")
                    exit(1)
                }
            }
            print(seconds, compressed.byteCount)
            fflush(nil)
        }
    }

    private static func time(_ body: () throws -> Void) throws -> Double {
        let clock = ContinuousClock()
        let elapsed = try clock.measure(body)
        return Double(elapsed.components.seconds) + Double(elapsed.components.attoseconds) * 1e-18
    }

    private static func contents(of path: String) throws -> UnsafeMutableRawBufferPointer {
        let descriptor = open(path, O_RDONLY)
        let count = Int(lseek(descriptor, 0, SEEK_END))
        guard descriptor >= 0, count > 0 else {
            print("\(path): cannot be read")
            exit(4)
        }
        let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 64)
        var done = 0
        while done < count {
            let got = pread(descriptor, bytes.baseAddress! + done, count - done, off_t(done))
            guard got > 0 else { exit(4) }
            done += got
        }
        close(descriptor)
        return bytes
    }
}

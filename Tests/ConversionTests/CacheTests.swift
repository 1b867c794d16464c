import AssayFormats
import AssayTestSupport
import SystemPackage
import Testing

@testable import AssayCheckpoints
@testable import AssayConversion

#if canImport(Glibc)
    import Glibc
#endif

/// Large copies leave the page cache to others.
@Suite struct PageCacheUse {
    /// How many bytes of a file lie in the page cache.
    private func cachedByteCount(_ path: FilePath) throws -> Int {
        let file = try InputFile(path)
        let descriptor = try #require(file.place?.descriptor)
        let map = try #require(mmap(nil, file.byteCount, PROT_READ, MAP_SHARED, descriptor, 0))
        defer { munmap(map, file.byteCount) }
        let page = sysconf(Int32(_SC_PAGESIZE))
        var pages = [UInt8](repeating: 0, count: (file.byteCount + page - 1) / page)
        try #require(mincore(map, file.byteCount, &pages) == 0)
        return pages.reduce(0) { $0 + Int($1 & 1) } * page
    }

    @Test(arguments: [1 << 20, 1 << 30]) func isBoundedByTheAllowance(_ allowance: Int) throws {
        let folder = try TemporaryFolder()
        let byteCount = 48 << 20
        let header = "{\"a\":{\"dtype\":\"U8\",\"shape\":[\(byteCount)],\"data_offsets\":[0,\(byteCount)]}}"
        let source = try folder.write(
            "a.safetensors", SafetensorsBytes.file(header, data: SafetensorsBytes.zeros(byteCount)))
        // What is not on the disk cannot be dropped.
        try OutputFile(changing: source).synchronize()
        // A file system in memory has no other place for them.
        let file = try InputFile(source)
        SystemCall.dropFromCache(try #require(file.place?.descriptor))
        guard try cachedByteCount(source) < byteCount / 2 else { return }
        let destination = folder.path.appending("b.safetensors")
        var reading = ReadingOptions()
        reading.cache = CacheAllowance(byteCount: allowance)
        do {
            var options = ConversionOptions(destination: destination)
            options.reading = reading
            options.threads = 2
            try ConversionPlan.convert(Checkpoint.open(source, reading), options, to: nil).run().publish()
        }
        for path in [source, destination] {
            let cached = try cachedByteCount(path)
            if allowance < byteCount {
                #expect(cached < byteCount / 10, "\(path): \(cached)")
            } else {
                #expect(cached > byteCount / 2, "\(path): \(cached)")
            }
        }
    }
}

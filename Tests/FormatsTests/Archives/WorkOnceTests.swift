import AssayCheckpoints
import AssayTestSupport
import Dispatch
import Synchronization
import SystemPackage
import Testing

@testable import AssayFormats

#if canImport(Glibc)
    import Glibc
#endif

/// A file that is slow to read, and which bytes of it were.
private final class SlowSource: ByteSource {
    private let file: InputFile
    private let seen = Mutex<[Range<Int>]>([])

    init(_ file: InputFile) { self.file = file }

    var byteCount: Int { file.byteCount }
    var ranges: [Range<Int>] { seen.withLock { $0 } }

    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws {
        seen.withLock { $0.append(offset..<offset + buffer.count) }
        usleep(2000)
        try file.read(at: offset, into: buffer)
    }
}

/// Runs a body on threads of its own, all at once. `Parallel` takes no more than there are processors.
private func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) throws -> Void) {
    let group = DispatchGroup()
    for index in 0..<count {
        DispatchQueue(label: "thread \(index)").async(group: group) {
            #expect(throws: Never.self) { try body(index) }
        }
    }
    group.wait()
}

/// Costly work that is wanted several times is done once.
@Suite struct WorkOnce {
    @Test func aStoredMemberIsCheckedByOneThread() throws {
        let bytes = SeededBytes.random(3 << 20, seed: 1)
        let folder = try TemporaryFolder()
        let path = try folder.write("x.npz", bytes)
        let source = SlowSource(try InputFile(path))
        let file = InputFile(path, holding: source)
        let member = ZipMember(
            name: "x", method: .stored, checksum: bytes.withUnsafeBytes { PieceChecksums.checksum(of: $0) },
            storedByteCount: bytes.count, byteCount: bytes.count, headerOffset: 0)
        let checked = CheckedSource(FileRange(file: file, range: 0..<source.byteCount), member, file.path)
        onThreads(8) { _ in try checked.check() }
        #expect(source.ranges == (0..<3).map { $0 << 20..<($0 + 1) << 20 })
    }

    @Test func theFrontOfADeflatedMemberIsUnpackedAlone() throws {
        let bytes = SeededBytes.random(200_000, seed: 2)
        let stored = Self.deflatedInStoredBlocks(bytes)
        let folder = try TemporaryFolder()
        let path = try folder.write("x.npz", stored)
        let source = SlowSource(try InputFile(path))
        let member = ZipMember(
            name: "x", method: .deflated, checksum: bytes.withUnsafeBytes { PieceChecksums.checksum(of: $0) },
            storedByteCount: stored.count, byteCount: bytes.count, headerOffset: 0)
        let inflated = InflatedMember(
            FileRange(file: InputFile(path, holding: source), range: 0..<stored.count), member, isChecked: true, path,
            BufferCache(), key: 0)
        #expect(try inflated.bytes(8..<100) == Array(bytes[8..<100]))
        #expect(source.ranges.allSatisfy { $0.upperBound < stored.count / 2 })
        #expect(try inflated.bytes(0..<bytes.count) == bytes)
    }

    /// A deflate stream that compresses nothing.
    private static func deflatedInStoredBlocks(_ bytes: [UInt8]) -> [UInt8] {
        stride(from: 0, to: bytes.count, by: 0xFFFF).flatMap { begin in
            let block = bytes[begin..<min(begin + 0xFFFF, bytes.count)]
            let count = UInt16(block.count)
            let head = [count, ~count].flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
            return [begin + block.count == bytes.count ? 1 : 0] + head + block
        }
    }

    @Test func bytesThatAreKeptAreMadeByOneThread() throws {
        let cache = BufferCache<Int>()
        let made = Mutex<[Int]>([])
        onThreads(8) { index in
            let bytes = try cache.bytes(index % 2) {
                made.withLock { $0.append(index % 2) }
                usleep(2000)
                let bytes = try ByteBuffer(byteCount: 8)
                bytes.bytes.storeBytes(of: UInt64(index % 2), as: UInt64.self)
                return bytes
            }
            #expect(bytes.readOnly.load(as: UInt64.self) == UInt64(index % 2))
        }
        #expect(made.withLock { $0.sorted() } == [0, 1])
    }

    @Test func whatCouldNotBeMadeIsMadeByTheNext() throws {
        let cache = BufferCache<Int>()
        #expect(throws: UsageError.self) { try cache.bytes(0) { throw UsageError("no") } }
        #expect(try cache.bytes(0) { try ByteBuffer(byteCount: 5) }.bytes.count == 5)
        #expect(try cache.bytes(0) { throw UsageError("no") }.bytes.count == 5)
    }

    @Test func recognizingSeekableZstdLooksAtTheFirstFrameAlone() throws {
        let path = SeekableZstdGoldens.folder.appending("pyzstd-small-frames.safetensors.zst")
        let source = SlowSource(try InputFile(path))
        let file = InputFile(path, holding: source)
        #expect(try SeekableZstd<Safetensors>.recognizes(file))
        let table = try SeekTable(
            of: file, 0..<file.byteCount, maximumContentByteCount: 1 << 20, place: .part("seek table"))
        let others = table.frame(1).lowerBound..<table.frameByteCount
        #expect(table.frameCount > 3 && !source.ranges.contains { $0.overlaps(others) })
    }
}

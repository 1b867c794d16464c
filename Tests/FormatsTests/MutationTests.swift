import AssayCheckpoints
import AssayFormats
import AssayTensors
import AssayTestSupport
import SystemPackage
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// Good files, damaged at random: each is refused by a sentence, or read, and then what it claims is what it gives.
/// `ASSAY_MUTANTS=100000` makes so many of each format; `ASSAY_SEED=7` makes others.
@Suite struct MutationTests {
    private static let count = number("ASSAY_MUTANTS") ?? 300
    private static let seed = UInt64(number("ASSAY_SEED") ?? 1)

    private static let trials = Trials(
        "Damage", "copies of good files of every format, damaged at random, opened and read")

    private static func number(_ variable: String) -> Int? { getenv(variable).flatMap { Int(String(cString: $0)) } }

    @Test(arguments: DamagedFormat.all.map(\.format)) func damagedFilesAreRefusedOrRead(_ format: String) throws {
        let base = DamagedFormat.all.first { $0.format == format }!
        let bases = try base.bytes()
        let folder = try TemporaryFolder()
        let originals = try bases.indices.map { index in
            let path = try folder.write("original-" + base.name(of: index), bases[index])
            return try Self.digests(of: Checkpoint.reader(of: path, HDF5Tests.reading))
        }
        var mutations = DamagedCopies(of: bases, seed: Self.seed)
        // A process for every file takes its time.
        let isSlow = ["hdf5", "keras"].contains(format)
        let count = isSlow ? max(1, Self.count / 2) : Self.count
        var readCount = 0
        for number in 0..<count {
            let (bytes, index) = mutations.next()
            let path = try folder.write(base.name(of: index), bytes)
            do {
                let reader = try Checkpoint.reader(of: path, HDF5Tests.reading)
                let digests = try Self.digests(of: reader)
                readCount += 1
                // What vouches for every bit of its tensors gives the original's or nothing.
                guard reader.contents.storedDigests != nil else { continue }
                #expect(digests == originals[index], "\(format), seed \(Self.seed), number \(number)")
            } catch let error as any AssayError {
                let isOrderly =
                    [.invalidFile, .structureDiffers].contains(error.exitStatus) && Self.isSentence("\(error)")
                #expect(isOrderly, "\(format), seed \(Self.seed), number \(number): \(error)")
            }
        }
        #expect(readCount < count)
        try Self.trials.record(count)
        print("\(format): \(count) damaged files, seed \(Self.seed), \(readCount) read")
    }

    private static func isSentence(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count < 8000 && !text.unicodeScalars.contains { $0.value < 0x20 }
    }

    /// Reads everything twice, in pieces of different sizes.
    private static func digests(of reader: any CheckpointReader) throws -> [String: Digest] {
        var result: [String: Digest] = [:]
        for (index, info) in reader.contents.tensors.enumerated() {
            #expect(info.byteCount == info.elementType.byteCount(of: info.shape))
            var hasher = DigestHasher()
            try reader.forEachPiece(of: index, target: 1000) { _, bytes in hasher.update(bytes) }
            let digest = try reader.digest(of: index)
            #expect(hasher.finalize() == digest, "'\(info.name.escapedForDisplay)' reads differently in pieces")
            result[info.name] = digest
        }
        return result
    }
}

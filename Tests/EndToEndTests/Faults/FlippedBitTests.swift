import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// A bit of what is written becomes another one on the way to the disk: nothing of it is published, or it was one that says
/// nothing.
@Suite(.enabled(if: !AssayTool.isWatched)) struct FlippedBits {
    private static let trials = Trials(
        "Faults",
        "one bit of one write changed on its way to the disk, while files, folders and shards of each format are written",
        findings: [
            "a configuration, an index, metadata (typed values too), a second name and a certificate were not read again, and the certificate spoke"
                + " of the damaged bytes",
            "a header that the disk had changed was blamed on the source's metadata",
        ])

    @Test(arguments: FaultCase.all) func areNoticed(_ fault: FaultCase) throws {
        let work = try fault.prepare()
        let records = try TemporaryFolder()
        let before = try FolderState(of: work.path)
        try #require(try fault.run(work, log: records.path.appending("all")).exitCode == 0)
        let after = try FolderState(of: work.path)
        let content = try Self.content(fault, work)
        let writes = try RecordedCall.all(in: records.path.appending("all")).filter { $0.name == "pwrite" }
        var random = SeededRandom(seed: UInt64(fault.name.utf8.count))
        let isAll = getenv("ASSAY_FAULTS") != nil
        var found: [String] = []
        var count = 0
        for write in writes.shuffled(using: &random).prefix(isAll ? 1000 : 8) {
            let bits = write.data.count * 8
            // Of a header one of every byte, as each may mean something else.
            let chosen =
                isAll && write.numbers.0 == 0 && bits <= 8192
                ? stride(from: 0, to: bits, by: 8).map { $0 + random.next(below: 8) }
                : (0..<(isAll ? 4 : 2)).map { _ in random.next(below: max(1, bits)) }
            for bit in chosen {
                try before.restore(work.path)
                let outcome = try fault.run(work, ["\(write.number)=flip \(bit)"])
                let state = try FolderState(of: work.path)
                // What was set aside is not what is published; and some bits nobody reads.
                let isHarmless = try outcome.exitCode == 0 && (state == after || Self.content(fault, work) == content)
                if !isHarmless, outcome.exitCode != 4 || state != before {
                    found.append("\(write.number) bit \(bit) of \(write.paths): \(outcome)")
                }
                count += 1
            }
        }
        #expect(found.isEmpty, "\(found.joined(separator: "\n"))")
        try Self.trials.record(count)
    }

    /// All that anybody reads of the destination: its tensors and metadata, its files beside them, and whether the certificate
    /// holds.
    private static func content(_ fault: FaultCase, _ work: TemporaryFolder) throws -> [String] {
        let path = work.path.appending(fault.destination)
        let shown = try AssayTool.run(["inspect", path.string, "--digest", "--json"])
        let verified = try AssayTool.run(["verify", path.string, "--json"])
        guard fault.isFolder else { return [shown.output, verified.output] }
        let names = try SystemCall.tree(in: path).map(\.name)
        let texts = try names.filter { $0.hasSuffix("json") }.map {
            String(decoding: try TestFiles.bytes(path.pushing(FilePath($0))), as: UTF8.self)
        }
        return [shown.output, verified.output] + names + texts
    }
}

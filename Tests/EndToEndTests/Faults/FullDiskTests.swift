import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// A small file system of its own, in memory; taken away with the value.
final class SmallDisk {
    let path: FilePath
    private let folder: TemporaryFolder

    /// - Returns: nil where this user may not mount one, which is said.
    init?(byteCount: Int) throws {
        folder = try TemporaryFolder()
        path = folder.path.appending("disk")
        try SystemCall.makeFolder(path)
        guard try Self.mount(["-t", "tmpfs", "-o", "size=\(byteCount)", "tmpfs", path.string]) else {
            print("skipped: this user may not mount a small disk")
            return nil
        }
    }

    private static func mount(_ words: [String]) throws -> Bool {
        // Whatever it has to say is said by the test.
        try Program.run(["/bin/sh", "-c", "exec mount \"$@\" 2>/dev/null", "sh"] + words) == 0
    }

    func makeReadOnly() throws -> Bool { try Self.mount(["-o", "remount,ro", path.string]) }

    deinit { _ = try? Program.run(["umount", "-l", path.string]) }
}

/// Disks that are full, and limits of the size of files.
@Suite(.enabled(if: !AssayTool.isWatched)) struct FullDisks {
    private static let commands = [
        ["convert", "@", "x.safetensors"], ["convert", "@", "x.zplanes"], ["convert", "@", "x.h5"],
        ["convert", "@", "x.gguf"], ["convert", "@", "x.bin"], ["convert", "@", "x.npz"], ["convert", "@", "x.zt"],
        ["convert", "@", "x.safetensors.zst"], ["convert", "@", "x", "--shard-size", "100kB"],
        ["quantize", "@", "x", "--scheme", "int8"], ["convert", "@", "x.h5", "--deflate", "1"],
        ["run", "@", "--tokens", "@/tokens-short.json", "--capture", "x.safetensors"],
        ["diff", "@", "@", "--report", "x.html"],
    ]
    /// 5.9 MB.
    private static let model = TestFiles.fixtures.appending("gpt2-kjv").string

    private func words(_ arguments: [String], _ folder: FilePath) -> [String] {
        arguments.map {
            $0.hasPrefix("@") ? Self.model + $0.dropFirst() : $0.hasPrefix("x") ? folder.appending($0).string : $0
        }
    }

    private func mustFail(
        _ outcome: AssayTool.Outcome, _ words: [String], _ folder: FilePath,
        _ sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        #expect(outcome.exitCode == 4, "\(outcome.errors)", sourceLocation: sourceLocation)
        let sentences = outcome.errors.split(separator: "\n").filter { !$0.hasPrefix("note: ") }
        #expect(sentences.count == 1, sourceLocation: sourceLocation)
        #expect(words.contains { outcome.errors.contains($0) }, "\(outcome.errors)", sourceLocation: sourceLocation)
        // The name that people gave, not the one it has until it is complete.
        #expect(!outcome.errors.contains("assay-partial"), "\(outcome.errors)", sourceLocation: sourceLocation)
        #expect(try SystemCall.names(in: folder) == [], sourceLocation: sourceLocation)
    }

    /// With the look at the free space beforehand, and without it.
    @Test(arguments: commands) func areSaidAndLeaveNothing(_ arguments: [String]) throws {
        guard let disk = try SmallDisk(byteCount: 16 << 10) else { return }
        for orders in [[], ["statvfs=fail 38"]] {
            let outcome = try AssayTool.run(
                words(arguments, disk.path), environment: FaultLibrary.environment(under: disk.path, orders))
            try mustFail(outcome, ["No space left on device", "bytes are free there"], disk.path)
        }
        try Trials("Full disks", "a file system of 16 kB, told beforehand, and on writing").record(2)
    }

    @Test(arguments: commands) func asFarAsAFileMayGrow(_ arguments: [String]) throws {
        let folder = try TemporaryFolder()
        let outcome = try AssayTool.run(
            words(arguments, folder.path), limits: AssayTool.Limits(fileByteCount: 8 << 10))
        try mustFail(outcome, ["raise the file size limit (ulimit -f)"], folder.path)
        try Trials("Full disks", "RLIMIT_FSIZE of 8 kB").record(1)
    }
}

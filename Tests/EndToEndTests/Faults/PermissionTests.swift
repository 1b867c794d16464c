import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// Who may read what is written.
@Suite struct Permissions {
    private static let trials = Trials(
        "Permissions", "umasks, and modes of what is replaced",
        findings: ["what replaced a private file could be read by all, at last and while it was made"])
    private let work: TemporaryFolder
    private let model: TestModel

    init() throws {
        work = try TemporaryFolder()
        model = try TestModel()
    }

    private func mode(_ name: String) throws -> UInt32 {
        try #require(try SystemCall.status(work.path.pushing(FilePath(name)))).mode & 0o777
    }

    private func convert(_ name: String, umask: String, _ options: String...) throws {
        let source = name.contains(".") ? model.weights.string : model.path
        let outcome = try AssayTool.run(
            ["convert", source, work.path.appending(name).string] + options,
            limits: AssayTool.Limits(shell: "umask \(umask)"))
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
    }

    @Test(arguments: [("022", 0o644, 0o755), ("077", 0o600, 0o700)] as [(String, UInt32, UInt32)])
    func isWhomTheCallerLets(_ umask: String, _ file: UInt32, _ folder: UInt32) throws {
        try convert("b.h5", umask: umask)
        try convert("n", umask: umask)
        for name in ["b.h5", "b.h5.certificate.json", "n/model.safetensors", "n/config.json", "n/certificate.json"] {
            #expect(try mode(name) == file, "\(name)")
        }
        #expect(try mode("n") == folder)
    }

    /// Nor is it meanwhile.
    @Test(.enabled(if: !AssayTool.isWatched), arguments: ["b.h5", "n"], [[], ["--resume"]])
    func isNobodyNewMeanwhile(_ name: String, _ options: [String]) throws {
        try convert(name, umask: "077")
        let run = try AssayTool.start(
            ["convert", name.contains(".") ? model.weights.string : model.path, work.path.appending(name).string]
                + ["--overwrite", "--dtype", "f16"] + options,
            environment: FaultLibrary.environment(under: work.path, ["fsync=signal \(SIGSTOP)"]))
        try #require(run.waitUntilStopped())
        let made = work.names.filter { $0.contains(".assay-partial") }
        #expect(made.count == 1)
        for name in made { #expect(try mode(name) & 0o077 == 0, "\(name)") }
        run.send(SIGKILL)
        _ = try run.wait()
        try Self.trials.record(1)
    }

    /// What replaces a file is read by nobody who could not read that.
    @Test func isNobodyNewWhereSomethingIsReplaced() throws {
        try convert("b.h5", umask: "077")
        try convert("b.h5", umask: "022", "--overwrite")
        #expect(try mode("b.h5") == 0o600)
        #expect(try mode("b.h5.certificate.json") == 0o600)
        try convert("n", umask: "077")
        try convert("n", umask: "022", "--overwrite", "--dtype", "f16")
        for name in ["n/model.safetensors", "n/config.json", "n/certificate.json"] {
            #expect(try mode(name) == 0o600, "\(name)")
        }
        #expect(try mode("n") == 0o700)
        try Self.trials.record(18)
    }
}

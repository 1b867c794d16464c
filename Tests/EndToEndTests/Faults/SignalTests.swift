import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// The process that looks at HDF5 files ends with the one that waits for it, and sees no other file.
@Suite(.enabled(if: !AssayTool.isWatched)) struct HelpersOfHDF5 {
    @Test func areNotLeftBehind() throws {
        let (model, work) = (try TestModel(), try TemporaryFolder())
        let path = work.path.appending("a.h5").string
        #expect(try AssayTool.run(["convert", model.weights.string, path]).exitCode == 0)
        let run = try AssayTool.start(
            ["inspect", path],
            environment: FaultLibrary.environment(under: work.path, ["pread=signal \(SIGSTOP)"], inChild: true),
            limits: AssayTool.Limits(shell: "exec 9<\(path)"))
        var child = ""
        for _ in 0..<500 where child.isEmpty {
            usleep(10_000)
            let children = (try? Self.text("/proc/\(run.child)/task/\(run.child)/children")) ?? ""
            child = children.split(separator: " ").first.map { String($0) } ?? ""
            if !child.isEmpty, (try? Self.state(child)) != "T" { child = "" }
        }
        try #require(!child.isEmpty)
        // Standard input, output and error, the file, and what the fault library itself opens.
        let open = try SystemCall.names(in: FilePath("/proc/\(child)/fd")).compactMap { Int($0) }
        #expect(open.sorted().filter { $0 < 900 } == [0, 1, 2, 3])
        run.send(SIGKILL)
        _ = try run.wait()
        var isGone = false
        for _ in 0..<200 where !isGone {
            usleep(10_000)
            isGone = (try? Self.state(child)).map { $0 == "Z" } ?? true
        }
        #expect(isGone)
        if !isGone { kill(pid_t(child)!, SIGKILL) }
    }

    /// Only the process that looks at a file ends with its parent, not the one that writes one.
    @Test func writingGoesOnWithoutTheShell() throws {
        let work = try TemporaryFolder()
        var random = SeededRandom(seed: 3)
        let count = 4 << 20
        let source = try work.write(
            "a.safetensors",
            SafetensorsBytes.file(
                #"{"w":{"dtype":"F32","shape":[\#(count)],"data_offsets":[0,\#(4 * count)]}}"#,
                data: random.floats(count, 1).withUnsafeBytes { Array($0) }))
        let target = work.path.appending("a.h5")
        // A shell that starts it, waits until it writes, and ends.
        let begun = "'\(work.path)'/.a.h5.*.assay-partial"
        let command =
            "'\(AssayTool.path)' convert '\(source)' '\(target)' --deflate 9 --threads 1 >/dev/null 2>&1 &"
            + " for i in 1 2 3 4 5 6 7 8 9; do sleep 0.1; [ -s \(begun) ] && break; done; sleep 0.1"
        #expect(system(command) == 0)
        var isMade = false
        for _ in 0..<3000 where !isMade {
            usleep(10_000)
            isMade = try SystemCall.status(target) != nil
        }
        #expect(isMade)
        #expect(try AssayTool.run(["inspect", target.string, "--digest"]).exitCode == 0)
    }

    private static func text(_ path: String) throws -> String {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let descriptor = try SystemCall.openForReading(FilePath(path))
        defer { close(descriptor) }
        let count = read(descriptor, &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }

    /// "T" of a process that is stopped, "Z" of one that is dead.
    private static func state(_ process: String) throws -> String {
        let stat = try text("/proc/\(process)/stat")
        return stat.split(separator: ")").last.map { String($0.dropFirst().prefix(1)) } ?? ""
    }
}

/// What an interrupted run does, and what is ignored.
@Suite struct Interruptions {
    private let work: TemporaryFolder
    private let source: FilePath

    /// 16 MB that take seconds to deflate as well as can be.
    init() throws {
        work = try TemporaryFolder()
        var random = SeededRandom(seed: 1)
        let piece = random.floats(1 << 18, 1).withUnsafeBytes { Array($0) }
        let data = (0..<16).flatMap { _ in piece }
        source = try work.write(
            "a.safetensors",
            SafetensorsBytes.file(
                #"{"a":{"dtype":"F32","shape":[4096,1024],"data_offsets":[0,16777216]}}"#, data: data))
    }

    private func start(_ limits: AssayTool.Limits? = nil) throws -> AssayTool.Running {
        try AssayTool.start(
            ["convert", source.string, work.path.appending("b.h5").string, "--deflate", "12", "--threads", "8"],
            limits: limits)
    }

    /// Waits until the run has something to lose.
    private func waitForATemporary() {
        for _ in 0..<400 where !work.names.contains(where: { $0.hasSuffix(".assay-partial") }) { usleep(10_000) }
    }

    /// All threads are at work, more than there are processors.
    @Test(arguments: [SIGINT, SIGTERM, SIGHUP]) func tidyUpWithinASecond(_ signal: CInt) throws {
        let running = try start()
        waitForATemporary()
        usleep(100_000)
        let clock = ContinuousClock()
        let begin = clock.now
        running.send(signal)
        running.send(signal)
        let outcome = try running.wait()
        #expect(outcome.exitCode == 128 + signal)
        #expect(outcome.output.isEmpty && outcome.errors.isEmpty)
        #expect(clock.now - begin < .seconds(1))
        #expect(work.names == ["a.safetensors"])
        try Trials("Crashes", "SIGINT, SIGTERM, SIGHUP while all threads work: gone without a trace in a second")
            .record(1)
    }

    /// nohup, and shells for what runs in the background, ask for that.
    @Test func areIgnoredWhereTheCallerIgnoresThem() throws {
        let running = try start(AssayTool.Limits(shell: "trap '' HUP INT"))
        waitForATemporary()
        running.send(SIGHUP)
        running.send(SIGINT)
        usleep(200_000)
        #expect(running.isRunning)
        running.send(SIGTERM)
        #expect(try running.wait().exitCode == 128 + SIGTERM)
        #expect(work.names == ["a.safetensors"])
    }
}

/// Standard output that takes nothing.
@Suite struct BrokenOutputs {
    private let model: TestModel
    private let work: TemporaryFolder

    init() throws {
        model = try TestModel()
        work = try TemporaryFolder()
    }

    private static let commands = [
        ["inspect", "@"], ["inspect", "@", "--json"], ["inspect", "@", "--stats"], ["convert", "@", "out"],
        ["convert", "@", "out", "--json"], ["convert", "@", "out", "--dry-run"],
        ["quantize", "@", "out", "--scheme", "int8", "--json"], ["verify", "@", "--against", "@"],
        ["verify", "@", "--against", "@", "--json"], ["diff", "@", "@"], ["diff", "@", "@", "--json"],
        ["run", "@", "--tokens", "@/tokens.json"], ["run", "@", "--tokens", "@/tokens.json", "--json"], ["--help"],
        ["help", "convert"], ["--version"], [],
    ]

    private func words(_ arguments: [String]) -> [String] {
        arguments.map {
            $0.hasPrefix("@") ? model.path + $0.dropFirst() : $0 == "out" ? work.path.appending("out").string : $0
        }
    }

    @Test(arguments: commands) func thatAreFullAreExitCode4(_ arguments: [String]) throws {
        let outcome = try AssayTool.run(words(arguments), output: .file("/dev/full"))
        #expect(outcome.exitCode == 4)
        #expect(
            outcome.errors.hasPrefix("error: standard output: cannot write to it: No space left on device;")
                && outcome.errors.filter { $0 == "\n" }.count == 1, "\(outcome.errors)")
    }

    /// As a process ends that the signal for it ends: what was not read to its end is not a success.
    @Test(arguments: commands) func thatNobodyReadsEndQuietly(_ arguments: [String]) throws {
        let outcome = try AssayTool.run(words(arguments), output: .closedPipe)
        #expect(outcome.exitCode == 128 + SIGPIPE)
        #expect(outcome.errors.isEmpty, "\(outcome.errors)")
    }

    /// No file gets the number of what the caller closed, and what is printed into itself.
    @Test(arguments: ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]) func thatAreClosedLeaveFilesAlone(_ closed: String) throws
    {
        let target = work.path.appending("b.safetensors")
        let outcome = try AssayTool.run(
            ["convert", model.weights.string, target.string, "--json"],
            limits: AssayTool.Limits(shell: "exec \(closed)"))
        #expect(outcome.exitCode == (closed.contains(" >") || closed.hasPrefix(">") ? 4 : 0), "\(outcome.errors)")
        #expect(try TestFiles.bytes(target) == TestFiles.bytes(model.weights))
        let missing = try AssayTool.run(
            ["inspect", target.string + "x"], limits: AssayTool.Limits(shell: "exec \(closed)"))
        #expect(missing.exitCode == 64)
        try Trials(
            "Output", "standard input, output and error closed",
            findings: ["a file could get the number of a stream that was closed, and what is printed was sent to it"]
        ).record(2)
    }

    @Test func areRecorded() throws {
        try Trials(
            "Output", "commands whose standard output is full, or read by nobody",
            findings: [
                "help on a full device was exit code 0", "a verdict that nobody read was exit code 0",
            ]
        ).record(2 * Self.commands.count)
    }
}

import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// Runs that are ended from outside: at every call of the system, and at random moments.
@Suite(.enabled(if: !AssayTool.isWatched)) struct Crashes {
    /// Ends a run by a signal just before each of its calls; unless all are asked for, before the last and some others.
    ///
    /// - Parameter check: what is wrong; nil where nothing is.
    private static func forEachCall(
        of fault: FaultCase, _ signal: CInt, _ few: Int, andTheLast many: Int,
        _ check: (_ outcome: AssayTool.Outcome, _ state: FolderState, _ before: FolderState, _ after: FolderState)
            -> String?
    ) throws -> Int {
        let work = try fault.prepare()
        let log = try TemporaryFolder()
        let before = try FolderState(of: work.path)
        try #require(try fault.run(work, log: log.path.appending("all")).exitCode == 0)
        let after = try FolderState(of: work.path)
        let calls = try RecordedCall.all(in: log.path.appending("all"))
        var found: [String] = []
        // From the end, which is where things take their places, every call.
        let step = getenv("ASSAY_FAULTS") == nil ? max(1, calls.count / few) : 1
        let numbers = (1...calls.count).filter { $0 % step == 0 || $0 > calls.count - many }
        for number in numbers {
            try before.restore(work.path)
            let outcome = try fault.run(work, ["\(number)=signal \(signal)"])
            let state = try FolderState(of: work.path)
            guard
                let wrong = try check(outcome, state, before, after) ?? fault.faultGoingOn(in: work, after: after)
            else { continue }
            found.append("\(number) \(calls[number - 1].name) \(calls[number - 1].paths): \(wrong) \(outcome.errors)")
        }
        #expect(found.isEmpty, "\(found.joined(separator: "\n"))")
        // The next run is not hindered by what lies there.
        if fault.isInPlace { try before.restore(work.path) }
        _ = try fault.run(work)
        return numbers.count
    }

    @Test(arguments: (getenv("ASSAY_FAULTS") == nil ? FaultCase.some : FaultCase.all) + [FaultCase.resumed])
    func byKillAtEveryCallLeaveOldOrNew(_ fault: FaultCase) throws {
        let count = try Self.forEachCall(of: fault, SIGKILL, 8, andTheLast: 25) { outcome, state, before, after in
            outcome.exitCode == -SIGKILL
                ? fault.fault(in: state, before: before, after: after) : "exit code \(outcome.exitCode)"
        }
        try Trials("Crashes", "`kill -9` just before each system call").record(count)
    }

    /// Whoever interrupts finds no trace.
    @Test(arguments: [SIGINT, SIGTERM, SIGHUP], getenv("ASSAY_FAULTS") == nil ? FaultCase.some : FaultCase.all)
    func byAnInterruptionAtEveryCallLeaveNoTrace(_ signal: CInt, _ fault: FaultCase) throws {
        let count = try Self.forEachCall(of: fault, signal, 5, andTheLast: signal == SIGINT ? 20 : 3) {
            outcome, state, before, after in
            guard outcome.exitCode == 128 + signal || outcome.exitCode == 0 && state == after else {
                return "exit code \(outcome.exitCode)"
            }
            return state == before || state == after ? nil : "left: \(state.differences(from: before))"
        }
        try Trials(
            "Crashes", "SIGINT, SIGTERM, SIGHUP just before each system call",
            findings: [
                "an interruption could fall between the data and its certificate",
                "what was being removed when the interruption came stayed",
            ]
        ).record(count)
    }

    /// At random moments of longer runs, on two threads: 20 times, or as often as `ASSAY_KILLS` says.
    @Test(arguments: [
        ["convert", "@/a.safetensors", "@/b.zplanes"], ["quantize", "@/a.safetensors", "@/n", "--scheme", "int4-g32"],
        ["convert", "@/a.safetensors", "@/n", "--shard-size", "1MB", "--overwrite"],
    ]) func byKillAtRandomMoments(_ words: [String]) throws {
        let total = getenv("ASSAY_KILLS").flatMap { Int(String(cString: $0)) } ?? 20
        let work = try TemporaryFolder()
        var random = SeededRandom(seed: UInt64(words.count))
        try work.write("a.safetensors", Self.matrices(&random))
        let isFolder = words.contains("@/n")
        var fault = FaultCase(
            words[0], words + (words[0] == "quantize" ? ["--include", "*", "--shard-size", "1MB"] : []),
            isFolder ? "n" : "b.zplanes", isFolder: isFolder)
        fault.threads = 2
        if words.contains("--overwrite") {
            try #require(try fault.run(work).exitCode == 0)
            try TestFiles.write(
                Array("{}".utf8), to: work.path.appending("n").appending("certificate.json"))
        }
        let before = try FolderState(of: work.path)
        let clock = ContinuousClock()
        let begin = clock.now
        try #require(try fault.run(work).exitCode == 0)
        let microseconds = Int((clock.now - begin) / .microseconds(1))
        let after = try FolderState(of: work.path)
        let wanted = (total + 2) / 3
        var killed = 0
        // Some are faster.
        for _ in 0..<4 * wanted where killed < wanted {
            try before.restore(work.path)
            let running = try fault.start(work)
            usleep(UInt32(random.next(below: microseconds)))
            running.send(SIGKILL)
            if try running.wait().exitCode == -SIGKILL { killed += 1 }
            let state = try FolderState(of: work.path)
            #expect(fault.fault(in: state, before: before, after: after) == nil)
        }
        try before.restore(work.path)
        #expect(try fault.run(work).exitCode == 0)
        try Trials("Crashes", "`kill -9` at random moments of conversions and quantizations").record(killed)
    }

    /// 8 MB in 32 matrices.
    private static func matrices(_ random: inout SeededRandom) -> [UInt8] {
        let entries = (0..<32).map {
            #""layers.\#($0).weight":{"dtype":"F32","shape":[256,256],"data_offsets":[\#($0 << 18),\#(($0 + 1) << 18)]}"#
        }
        let floats = random.floats(256 * 256, 1)
        let data = (0..<32).flatMap { _ in floats.withUnsafeBytes { Array($0) } }
        return SafetensorsBytes.file("{" + entries.joined(separator: ",") + "}", data: data)
    }
}

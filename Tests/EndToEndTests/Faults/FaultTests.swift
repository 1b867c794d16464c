import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// Each call that a run makes of the system fails once: either nobody notices, or the run says what failed, and everything
/// is as it was.
@Suite(.enabled(if: !AssayTool.isWatched)) struct Faults {
    private static let trials = Trials(
        "Faults",
        "one system call failing, every one in turn, while files, folders and shards of each format are written",
        findings: [
            "a folder that could not be listed to its end was taken for a shorter one, and files of a model stayed behind",
            "a conversion whose certificate could not be written was there without one",
            "what could not be made durable stood under its final name, in place of the old",
            "a certificate that could not be read was taken for something else",
            "a change in place that failed early left its copy of the old header behind",
            "where names cannot be exchanged, the new data stayed beside the old certificate when the last rename failed",
        ])

    /// With how it fails, by the call's name: out of space where space is taken, else by a fault of the device.
    private static func failure(of name: String) -> Errno {
        switch name {
        case "create", "pwrite", "fallocate", "mkdir", "write": .noSpace
        case "fadvise": .invalidArgument
        case "flock": .noLocks
        case "opendir": .tooManyOpenFiles
        case "remove", "fchmod": .permissionDenied
        default: .ioError
        }
    }

    /// Calls whose failure may not pass unseen.
    private static let grave: Set<String> = [
        "create", "openForWriting", "pread", "pwrite", "fsync", "ftruncate", "fallocate", "rename", "exchange",
        "renameWithoutReplacing", "mkdir", "fstat", "stat", "write", "fchmod",
    ]

    /// The last 25 calls, which are those by which everything takes its place, and some of the others, unless all are
    /// asked for.
    private static func chosen(_ calls: [RecordedCall], _ fault: FaultCase) -> [RecordedCall] {
        let (early, late) = (calls.dropLast(25), calls.suffix(25))
        guard getenv("ASSAY_FAULTS") == nil else { return calls }
        var random = SeededRandom(seed: UInt64(fault.name.utf8.count))
        return Array(early.shuffled(using: &random).prefix(15) + late)
    }

    @Test(arguments: FaultCase.all + [FaultCase.resumed]) func atEveryCall(_ fault: FaultCase) throws {
        let work = try fault.prepare()
        let records = try TemporaryFolder()
        let before = try FolderState(of: work.path)
        let outcome = try fault.run(work, log: records.path.appending("all"))
        try #require(outcome.exitCode == 0, "\(outcome.errors)")
        let after = try FolderState(of: work.path)
        let all = try RecordedCall.all(in: records.path.appending("all"))
        // By then all is in its place, and only what was kept for an interruption is taken away.
        let harmless = fault.isResumed ? all.last { $0.name == "fsync" }?.number : nil
        let calls = Self.chosen(all, fault)
        var found: [String] = []
        for call in calls {
            try before.restore(work.path)
            let log = records.path.appending("\(call.number)")
            let outcome = try fault.run(work, ["\(call.number)=fail \(Self.failure(of: call.name).rawValue)"], log: log)
            let state = try FolderState(of: work.path)
            let wrong =
                try Self.wrong(
                    call, outcome, fault.isResumed ? state.withoutTemporaries : state, before, after,
                    mayPassUnseen: call.number == harmless)
                ?? Self.retriedFlush(call, log, fault) ?? fault.faultGoingOn(in: work, after: after)
            if let wrong { found.append("\(call.number) \(call.name) \(call.paths): \(wrong)\n\(outcome.errors)") }
            SystemCall.removeIfPresent(log)
        }
        #expect(found.isEmpty, "\(found.joined(separator: "\n"))")
        // Nothing of all that is in the way of the next run.
        try before.restore(work.path)
        #expect(try fault.run(work).exitCode == 0)
        #expect(try FolderState(of: work.path) == after)
        try Self.trials.record(calls.count)
    }

    private static func wrong(
        _ call: RecordedCall, _ outcome: AssayTool.Outcome, _ state: FolderState, _ before: FolderState,
        _ after: FolderState, mayPassUnseen: Bool
    ) throws -> String? {
        // What cannot be removed or listed stays, under a name that says what it is.
        let mayLeave = ["remove", "opendir", "readdir", "lstat"].contains(call.name)
        let state = mayLeave ? state.withoutTemporaries : state
        // What was printed is not taken back.
        let expected = call.name == "write" ? after : before
        switch outcome.exitCode {
        case 0:
            if grave.contains(call.name), !mayPassUnseen { return "nobody noticed" }
            return state == after ? nil : "not complete: \(state.differences(from: after))"
        case 4:
            let sentences = outcome.errors.split(separator: "\n").filter { !$0.hasPrefix("note: ") }
            if sentences.count != 1 || !sentences[0].hasPrefix("error: ") { return "not one sentence" }
            return state == expected ? nil : "not as it was: \(state.differences(from: expected))"
        default: return "exit code \(outcome.exitCode)"
        }
    }

    /// The system drops what it could not flush, so another attempt would succeed for nothing. What is put back in place is
    /// written anew first.
    private static func retriedFlush(_ call: RecordedCall, _ log: FilePath, _ fault: FaultCase) throws -> String? {
        guard call.name == "fsync" else { return nil }
        let calls = try RecordedCall.all(in: log).filter { $0.number > call.number }
        let inode = try #require(try RecordedCall.all(in: log).first { $0.number == call.number }).inode
        let again = calls.firstIndex { $0.name == "fsync" && $0.inode == inode }
        let written = calls.firstIndex { ["pwrite", "exchange"].contains($0.name) || $0.name.hasPrefix("rename") }
        guard let again, written.map({ $0 > again }) ?? true else { return nil }
        return "flushed again"
    }

    /// Interruptions, short counts and file systems without some calls are nobody's business.
    @Test(arguments: FaultCase.all) func areUnseenWhereNothingIsLost(_ fault: FaultCase) throws {
        let work = try fault.prepare()
        let before = try FolderState(of: work.path)
        try #require(try fault.run(work).exitCode == 0)
        let after = try FolderState(of: work.path)
        let missing = ["fallocate=fail 95", "flock=fail 37", "statvfs=fail 38", "fadvise=fail 22"]
        let orders = [
            ["*=interrupt"], ["pread=short 1", "pwrite=short 1", "read=short 1", "write=short 1"],
            missing + ["exchange=fail 22", "renameWithoutReplacing=fail 22"],
        ]
        for orders in orders {
            try before.restore(work.path)
            let outcome = try fault.run(work, orders)
            #expect(outcome.exitCode == 0, "\(orders): \(outcome.errors)")
            #expect(try FolderState(of: work.path) == after, "\(orders)")
        }
        try Trials(
            "Faults", "every call interrupted, every read and write one byte long, calls that a file system lacks",
            findings: ["an interrupted look at a file was a failure"]
        ).record(orders.count)
    }

    /// A folder that takes nothing is said before the work, and by the name that the user gave.
    @Test(arguments: [FaultCase.toEveryFormat[0], FaultCase.folders[0], FaultCase.resumed])
    func inAFolderThatTakesNothingNameTheDestination(_ fault: FaultCase) throws {
        let work = try fault.prepare()
        let before = try FolderState(of: work.path)
        let outcome = try fault.run(work, ["access=fail 13"])
        let destination = work.path.appending(fault.destination).string
        #expect(outcome.exitCode == 4)
        #expect(
            outcome.errors.hasPrefix("error: \(destination): cannot write into its folder: Permission denied;")
                && outcome.errors.filter { $0 == "\n" }.count == 1, "\(outcome.errors)")
        #expect(try FolderState(of: work.path) == before)
    }

    /// A disk that breaks for good while a file is changed where it lies: the old header is kept, and the file not read
    /// before that is put back.
    @Test func inPlaceForGoodLeaveTheOldHeader() throws {
        let fault = FaultCase.others.first(where: \.isInPlace)!
        let work = try fault.prepare()
        let records = try TemporaryFolder()
        let before = try FolderState(of: work.path)
        try #require(try fault.run(work, log: records.path.appending("all")).exitCode == 0)
        let after = try FolderState(of: work.path)
        try before.restore(work.path)
        let file = work.path.appending(fault.destination)
        let write = try #require(
            try RecordedCall.all(in: records.path.appending("all")).first { $0.name == "pwrite" && $0.paths == [file] })
        // Half of the header is written, then nothing more.
        let outcome = try fault.run(work, ["\(write.number)=short 100", "\(write.number + 1)=stay 5"])
        #expect(outcome.exitCode == 4)
        #expect(outcome.errors.contains("what had been done could not be taken back"), "\(outcome.errors)")
        let state = try FolderState(of: work.path)
        #expect(state.part(fault.destination) != before.part(fault.destination))
        #expect(fault.fault(in: state, before: before, after: after) == nil)
        let shown = try AssayTool.run(["inspect", file.string])
        #expect(shown.exitCode == 3 && shown.errors.contains("put it back with 'dd if="), "\(shown.errors)")
    }

    /// The process that looks at HDF5 files, too, says what failed instead of finding the file at fault.
    /// Where the system gives no threads, or few files, the work is done without, or refused: nothing hangs, nothing is left.
    @Test(arguments: [0, 1, 2]) func threadsThatCannotBeHadAreDoneWithout(_ count: Int) throws {
        for arguments in Self.threaded {
            let work = try TemporaryFolder()
            let environment = try FaultLibrary.environment(under: work.path, threads: count)
            let outcome = try AssayTool.run(
                arguments(work.path.string) + ["--threads", "4"], environment: environment)
            #expect(outcome.exitCode == 0, "\(outcome)")
        }
        try Self.scarcity.record(Self.threaded.count)
    }

    @Test(arguments: 4...14) func fewDescriptorsAreSaid(_ count: Int) throws {
        for arguments in Self.threaded {
            let work = try TemporaryFolder()
            let outcome = try AssayTool.run(
                arguments(work.path.string), limits: AssayTool.Limits(shell: "ulimit -n \(count)"))
            #expect(outcome.exitCode == 0 || outcome.exitCode == 4, "\(count): \(outcome)")
            #expect(outcome.exitCode == 0 || work.names.isEmpty, "\(count): \(work.names)")
        }
        try Self.scarcity.record(Self.threaded.count)
    }

    private static let scarcity = Trials(
        "Faults", "commands to which the system gives few threads or files",
        findings: ["it stood still for ever where no thread could be made, and crashed where few files could be opened"]
    )

    /// Commands that use several threads; what they make lies in a folder.
    private static let threaded: [@Sendable (String) -> [String]] = {
        let models = TestFiles.fixtures.string + "/golden/models"
        let (model, tokens) = ("\(models)/gpt2-odd-heads", "\(models)/gpt2-odd-heads/tokens.json")
        return [
            { ["convert", model, $0 + "/made", "--dtype", "bf16"] },
            { ["quantize", model, $0 + "/made", "--scheme", "int8"] },
            { _ in ["inspect", model, "--stats"] },
            { ["run", model, "--tokens", tokens, "--capture", $0 + "/made.safetensors"] },
            { ["diff", model, model, "--tokens", tokens, "--report", $0 + "/made.html"] },
        ]
    }()

    /// Where the process cannot be listened to, nothing is wrong with the file.
    @Test func onListeningToThatChild() throws {
        let work = try TemporaryFolder()
        var environment = try FaultLibrary.environment(under: work.path)
        environment["FAULTS_POLL"] = "\(EINVAL)"
        let file = TestFiles.fixtures.string + "/golden/hdf5/types.h5"
        let outcome = try AssayTool.run(["inspect", file], environment: environment)
        #expect(outcome.exitCode == 4, "\(outcome.errors)")
        #expect(outcome.errors.contains("cannot listen to the process that looks at it"), "\(outcome.errors)")
    }

    @Test func inTheChildThatReadsHDF5() throws {
        let fault = FaultCase.others[0]
        let work = try fault.prepare()
        let records = try TemporaryFolder()
        let before = try FolderState(of: work.path)
        try #require(try fault.run(work, log: records.path.appending("all"), inChild: true).exitCode == 0)
        let after = try FolderState(of: work.path)
        let calls = try RecordedCall.all(in: records.path.appending("all"))
        #expect(calls.contains { $0.name == "pread" })
        for call in calls {
            for order in ["fail 5", "fail 4", "short 1"] where order != "short 1" || call.name == "pread" {
                try before.restore(work.path)
                let outcome = try fault.run(work, ["\(call.number)=\(order)"], inChild: true)
                let state = try FolderState(of: work.path)
                if order == "fail 5", call.name != "close", call.name != "fadvise" {
                    #expect(outcome.exitCode == 4, "\(call.name): \(outcome.errors)")
                    #expect(state == before)
                } else {
                    #expect(outcome.exitCode == 0, "\(call.name) \(order): \(outcome.errors)")
                    #expect(state == after)
                }
            }
        }
        try Trials("Faults", "system calls failing in the process that reads HDF5").record(3 * calls.count)
    }
}

import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// What a run had done when the power failed, as far as it was flushed, and any part of the rest.
@Suite(.enabled(if: !AssayTool.isWatched)) struct PowerLosses {
    private static let trials = Trials(
        "Power loss", "states that a disk may be left in by the recorded writes of a run",
        findings: [
            "files in the inner folders of a model were not made durable before the folder was published"
        ])

    @Test(arguments: FaultCase.all + [FaultCase.resumed]) func leaveOldOrNew(_ fault: FaultCase) throws {
        let work = try fault.prepare()
        let log = try TemporaryFolder()
        let before = try FolderState(of: work.path)
        var disk = try ForgetfulDisk(work.path)
        try #require(try fault.run(work, log: log.path.appending("all")).exitCode == 0)
        let after = try FolderState(of: work.path)
        try disk.replay(RecordedCall.all(in: log.path.appending("all")))
        var random = SeededRandom(seed: 8)
        var found: [String] = []
        var states: [FolderState] = []
        let count = disk.forEachLoss(&random) { step, isLast, state in
            if let wrong = fault.fault(in: state, before: before, after: after) { found.append("\(step): \(wrong)") }
            // A run that said it was done is done.
            if isLast, state.withoutTemporaries != after {
                found.append("at the end: \(state.differences(from: after))")
            }
            if fault.isResumed { states.append(state) }
        }
        #expect(found.isEmpty, "\(found.count) of \(count): \(found.prefix(5))")
        #expect(count > 30)
        try Self.trials.record(count)
        guard fault.isResumed else { return }
        #expect(Self.keepsWhatIsFinished(disk, fault))
        try goOn(fault, states, in: work, before, after)
    }

    /// Whether at each step of a run with `--resume`, until it is over, all files but the last are known to be finished that
    /// were finished, whatever is lost.
    private static func keepsWhatIsFinished(_ disk: ForgetfulDisk, _ fault: FaultCase) -> Bool {
        var random = SeededRandom(seed: 8)
        var counts: [Int: [Int]] = [:]
        _ = disk.forEachLoss(&random) { step, _, state in
            guard state.part(fault.destination).entries.isEmpty else { return }
            let finished = state.part("\(fault.destination).assay-partial/finished").entries.keys
            counts[step, default: []].append(finished.count { $0.hasSuffix("json") })
        }
        let whole = counts.values.compactMap { $0.max() }.max()!
        return whole > 1 && counts.values.contains { $0.min() == whole }
            && counts.values.allSatisfy { $0.max()! - $0.min()! <= 1 }
    }

    /// Goes on from what the disk may hold: from a sample of it, or, with `ASSAY_FAULTS`, from all.
    private func goOn(
        _ fault: FaultCase, _ states: [FolderState], in work: TemporaryFolder, _ before: FolderState,
        _ after: FolderState
    ) throws {
        var random = SeededRandom(seed: 9)
        let chosen =
            getenv("ASSAY_FAULTS") == nil ? Array(states.shuffled(using: &random).prefix(80)) : states
        let sources = before.entries.keys.filter { !$0.contains("/") }
        var found: [String] = []
        for state in chosen {
            try state.restore(work.path, but: sources)
            try Self.restoreInode(of: fault, in: work)
            guard let wrong = try fault.faultGoingOn(in: work, after: after) else { continue }
            found.append("\(state.without(sources).entries.keys.sorted()): \(wrong)")
        }
        #expect(found.isEmpty, "\(found.count) of \(chosen.count): \(found.prefix(5).joined(separator: "\n"))")
        try Trials(
            "Power loss", "such states of an interrupted run, gone on with by `--resume`",
            findings: [
                "folders of what is finished were not durable, and it was lost",
                "a run that was done was not known to be, where what it had kept was half removed",
            ]
        ).record(chosen.count)
    }

    /// Inodes are not restored with the rest, and by its inode the run knows what it made.
    private static func restoreInode(of fault: FaultCase, in work: TemporaryFolder) throws {
        let note = work.path.appending(fault.destination + ".assay-partial").appending("complete.json")
        guard try SystemCall.status(note) != nil,
            let made = try SystemCall.status(work.path.appending(fault.destination))
        else { return }
        try TestFiles.write(Array(#"{"inode":"\#(made.inode)"}"#.utf8), to: note)
    }

    /// The disk itself forgets: of a file that was never flushed nothing need be left.
    @Test func wouldBeSeenWithoutFlushes() throws {
        let fault = FaultCase.folders[0]
        let work = try fault.prepare()
        let log = try TemporaryFolder()
        let before = try FolderState(of: work.path)
        let disk = try ForgetfulDisk(work.path)
        try #require(try fault.run(work, log: log.path.appending("all")).exitCode == 0)
        let after = try FolderState(of: work.path)
        let calls = try RecordedCall.all(in: log.path.appending("all"))
        for flush in calls where flush.name == "fsync" {
            var copy = disk
            try copy.replay(calls.filter { $0.number != flush.number })
            var random = SeededRandom(seed: 8)
            var isSeen = false
            _ = copy.forEachLoss(&random) { _, isLast, state in
                isSeen =
                    isSeen || fault.fault(in: state, before: before, after: after) != nil
                    || isLast && state.withoutTemporaries != after
            }
            #expect(isSeen, "nobody would miss the flush of \(flush.paths)")
        }
    }

    /// Nor would what is finished be found again.
    @Test func wouldLoseWhatIsFinishedWithoutFlushesOfItsFolder() throws {
        let fault = FaultCase.resumed
        let work = try fault.prepare()
        let log = try TemporaryFolder()
        var disk = try ForgetfulDisk(work.path)
        try #require(try fault.run(work, log: log.path.appending("all")).exitCode == 0)
        let partial = work.path.appending(fault.destination + ".assay-partial")
        try disk.replay(
            RecordedCall.all(in: log.path.appending("all")).filter { $0.name != "fsync" || $0.paths != [partial] })
        #expect(!Self.keepsWhatIsFinished(disk, fault))
    }
}

import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

/// What a run had done when the power failed, as far as it was flushed, and any part of the rest.
@Suite(.enabled(if: !AssayTool.isWatched)) struct PowerLosses {
    private static let trials = Trials(
        "Power loss", "states that a disk may be left in by the recorded writes of a run",
        findings: [
            "files in the inner folders of a model were not made durable before the folder was published"
        ])

    @Test(arguments: FaultCase.all) func leaveOldOrNew(_ fault: FaultCase) throws {
        let work = try fault.prepare()
        let log = try TemporaryFolder()
        let before = try FolderState(of: work.path)
        var disk = try ForgetfulDisk(work.path)
        try #require(try fault.run(work, log: log.path.appending("all")).exitCode == 0)
        let after = try FolderState(of: work.path)
        try disk.replay(RecordedCall.all(in: log.path.appending("all")))
        var random = SeededRandom(seed: 8)
        var found: [String] = []
        let count = disk.forEachLoss(&random) { step, isLast, state in
            if let wrong = fault.fault(in: state, before: before, after: after) { found.append("\(step): \(wrong)") }
            // A run that said it was done is done.
            guard isLast, state.withoutTemporaries != after else { return }
            found.append("at the end: \(state.differences(from: after))")
        }
        #expect(found.isEmpty, "\(found.count) of \(count): \(found.prefix(5))")
        #expect(count > 30)
        try Self.trials.record(count)
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
}

import AssayCheckpoints
import AssayFormats
import AssayTestSupport
import AssayVerification
import SystemPackage
import Testing

@testable import AssayConversion

#if canImport(Glibc)
    import Glibc
#endif

/// Runs that are interrupted and gone on with: the end is what one run would have made, and nothing else is left.
@Suite struct Resuming {
    /// A checkpoint in five shards, of which the fourth is the largest, and an interrupted conversion of it.
    private struct Interrupted {
        static let trials = Trials(
            "Resume",
            "interrupted runs gone on with: what was kept whole, damaged or lost, the source changed or touched, other options,"
                + " versions and runs",
            findings: [
                "an older destination with the same weights passed for what the interrupted run had made",
                "a link among what was kept led to other files, which were removed",
            ])

        let folder: TemporaryFolder
        var source: FilePath { folder.path.appending("source.safetensors") }
        var destination: FilePath { folder.path.appending("made") }
        var partial: FilePath { folder.path.appending("made.assay-partial") }
        var output: FilePath { partial.appending("output") }
        let options: [String]

        /// - Parameter count: of float32 numbers in each of four tensors; the other has ten times as many.
        init(count: Int = 1024, options: [String] = []) throws {
            folder = try TemporaryFolder()
            self.options = ["--shard-size", "\(count * 4)", "--to", "safetensors", "--threads", "1"] + options
            try folder.write("source.safetensors", Self.bytes(count))
            // The file size limit ends it at the fourth file.
            let outcome = try AssayTool.run(
                command, limits: AssayTool.Limits(byteCount: 1 << 30, seconds: 20, fileByteCount: count * 16))
            #expect(outcome.exitCode == 4, "\(outcome.errors)")
            #expect(outcome.errors.contains("kept in \(partial.string); the same command goes on with it"))
            #expect(folder.names == ["made.assay-partial", "source.safetensors"])
            #expect(try SystemCall.names(in: output) == (1...3).map(Self.shard))
        }

        private static func bytes(_ count: Int) -> [UInt8] {
            var random = SeededRandom(seed: 7)
            let sizes = [count, count, count, 10 * count, count].map { $0 * 4 }
            var offset = 0
            let entries = sizes.enumerated().map { index, size in
                defer { offset += size }
                return
                    "\"t\(index)\":{\"dtype\":\"F32\",\"shape\":[\(size / 4)],\"data_offsets\":[\(offset),\(offset + size)]}"
            }
            let data = random.floats(14 * count, 3).withUnsafeBytes { Array($0) }
            return SafetensorsBytes.file("{\(entries.joined(separator: ","))}", data: data)
        }

        var command: [String] { ["convert", source.string, destination.string, "--resume"] + options }

        func run(_ more: [String] = []) throws -> AssayTool.Outcome {
            try Self.trials.record(1)
            // Options of one value are given once.
            var kept = command
            for name in more where name.hasPrefix("--") {
                if let index = kept.firstIndex(of: name), !name.hasPrefix("--set") {
                    kept.removeSubrange(index...index + 1)
                }
            }
            return try AssayTool.run(kept + more)
        }

        static func shard(_ number: Int) -> String { "model-0000\(number)-of-00005.safetensors" }

        /// What tells whether a file was written again.
        func status(_ number: Int, in folder: FilePath) throws -> SystemCall.Status {
            try #require(try SystemCall.status(folder.appending(Self.shard(number))))
        }

        /// Requires that the destination is what one run makes, and that nothing is left.
        func requireWhole() throws {
            #expect(folder.names == ["made", "source.safetensors"])
            let other = try TemporaryFolder()
            let whole = other.path.appending("made")
            let outcome = try AssayTool.run(["convert", source.string, whole.string] + options)
            #expect(outcome.exitCode == 0, "\(outcome.errors)")
            #expect(try SystemCall.names(in: whole) == SystemCall.names(in: destination))
            for name in try SystemCall.names(in: whole) {
                let same = try TestFiles.bytes(whole.appending(name)) == TestFiles.bytes(destination.appending(name))
                #expect(same, "\(name)")
            }
        }

        /// Gives a file other bytes and the times that it had.
        func change(_ file: FilePath, _ body: (inout [UInt8]) -> Void) throws {
            let before = try #require(try SystemCall.status(file))
            var bytes = try TestFiles.bytes(file)
            body(&bytes)
            let output = try OutputFile(changing: file)
            try output.write(at: 0, bytes)
            var times = [
                timespec(tv_sec: 1, tv_nsec: 0),
                timespec(tv_sec: before.modifiedSeconds, tv_nsec: before.modifiedNanoseconds),
            ]
            try #require(utimensat(AT_FDCWD, file.string, &times, 0) == 0)
        }
    }

    @Test(arguments: [[], ["--dtype", "f64"], ["--no-verify", "--certificate", "none"]])
    func keepsWhatIsFinished(_ options: [String]) throws {
        let work = try Interrupted(options: options)
        let before = try (1...3).map { try work.status($0, in: work.output) }
        let outcome = try work.run()
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(outcome.errors.contains("3 of 5 files are kept from the interrupted run"), "\(outcome.errors)")
        #expect(try (1...3).map { try work.status($0, in: work.destination) } == before)
        try work.requireWhole()
    }

    @Test(arguments: [0, 100, 4096 + 50])
    func makesADamagedFileAgain(_ byte: Int) throws {
        let work = try Interrupted()
        let kept = try work.status(3, in: work.output)
        try work.change(work.output.appending(Interrupted.shard(2))) { $0[byte] ^= 1 }
        let outcome = try work.run()
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(outcome.errors.contains("\(Interrupted.shard(2)) was damaged or lost since, and is made again"))
        #expect(try work.status(3, in: work.destination) == kept)
        try work.requireWhole()
    }

    /// What was found when a file was made goes into the certificate: a record of it that was changed is no record.
    @Test(arguments: [
        (#""digests""#, #""digest""#), (#""overflowed":0"#, #""overflowed":9223372036854775807"#),
        (#""underflowed":0"#, #""underflowed":-1"#), (#""sourceDigest":""#, #""sourceDigest":"0"#),
        (#""recordDigest":""#, #""recordDigest":"0"#), (#"{"#, #"{"recordDigest":1,"more":{"#),
    ])
    func makesAFileAgainOfWhichTheRecordWasChanged(_ old: String, _ new: String) throws {
        let work = try Interrupted()
        let record = work.partial.appending("finished").appending("1.json")
        let pieces = String(decoding: try TestFiles.bytes(record), as: UTF8.self).split(
            separator: old, maxSplits: 1, omittingEmptySubsequences: false)
        try #require(pieces.count == 2)
        try TestFiles.write(Array(pieces.joined(separator: new).utf8), to: record)
        let outcome = try work.run()
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        try work.requireWhole()
    }

    @Test func makesALostFileAgainAndRemovesAStranger() throws {
        let work = try Interrupted()
        SystemCall.removeIfPresent(work.output.appending(Interrupted.shard(1)))
        try TestFiles.write([1], to: work.output.appending("stranger.safetensors"))
        try TestFiles.write([1], to: work.partial.appending("finished").appending("1.json"))
        #expect(try work.run().exitCode == 0)
        try work.requireWhole()
    }

    /// Where bytes change and the times do not, what was read is read again.
    @Test(arguments: [false, true]) func noticesAChangedSource(_ isUnread: Bool) throws {
        let work = try Interrupted()
        try work.change(work.source) { $0[isUnread ? $0.count - 1 : $0.count - 14 * 4096 + 1] ^= 1 }
        let outcome = try work.run()
        if isUnread {
            // Nothing of it was read yet.
            #expect(outcome.exitCode == 0, "\(outcome.errors)")
            try work.requireWhole()
        } else {
            #expect(outcome.exitCode == 64)
            #expect(outcome.errors.contains("tensor 't0' of the source has changed since it was read; remove that"))
            #expect(work.folder.names == ["made.assay-partial", "source.safetensors"])
        }
    }

    @Test func noticesATouchedSource() throws {
        let work = try Interrupted()
        let bytes = try TestFiles.bytes(work.source)
        try TestFiles.write(bytes, to: work.source)
        let outcome = try work.run()
        #expect(outcome.exitCode == 64)
        #expect(outcome.errors.contains("source.safetensors of the source has changed since it was begun"))
        SystemCall.removeTree(work.partial)
        #expect(try work.run().exitCode == 0)
        try work.requireWhole()
    }

    @Test(arguments: [["--dtype", "f16"], ["--exclude", "t4"], ["--set-metadata", "a=b"], ["--shard-size", "1GB"]])
    func refusesOtherOptions(_ options: [String]) throws {
        let work = try Interrupted()
        let outcome = try work.run(options)
        #expect(outcome.exitCode == 64)
        #expect(outcome.errors.contains("was begun with other options ('assay convert "), "\(outcome.errors)")
        #expect(outcome.errors.contains("give the same, or remove that folder to begin anew"), "\(outcome.errors)")
        #expect(try SystemCall.names(in: work.output) == (1...3).map(Interrupted.shard))
    }

    /// The names and shapes of the destination stay the same; what stands under them does not.
    @Test func refusesAnotherMap() throws {
        let work = try Interrupted()
        let map = #"{"assayMap":1,"rules":[{"from":"t0","to":"t1"},{"from":"t1","to":"t0"}]}"#
        let file = try work.folder.write("map.json", Array(map.utf8))
        let outcome = try work.run(["--map", file.string])
        #expect(outcome.exitCode == 64)
        #expect(outcome.errors.contains("was begun with other options"), "\(outcome.errors)")
    }

    /// Links under the names of what is kept would lead whatever is made, or removed, out of the folder.
    @Test(arguments: ["output", "finished", "lock", "run.json", "complete.json"], [true, false])
    func followsNothingOutOfItsFolder(_ name: String, _ isLink: Bool) throws {
        let work = try Interrupted()
        let other = work.folder.path.appending("other")
        try SystemCall.makeFolder(other)
        try TestFiles.write([1], to: other.appending("mine.txt"))
        SystemCall.removeTree(work.partial.appending(name))
        let path = work.partial.appending(name)
        if isLink {
            let isFile = name == "lock" || name.hasSuffix(".json")
            try SystemCall.link(path, to: isFile ? other.appending("new") : other)
        } else {
            try #require(mkfifo(path.string, 0o600) == 0)
        }
        let outcome = try work.run()
        #expect(outcome.exitCode == 64, "\(outcome.errors)")
        #expect(
            outcome.errors.contains(isLink ? "found a symbolic link" : "found a pipe, a socket or a device"),
            "\(outcome.errors)")
        #expect(try SystemCall.names(in: other) == ["mine.txt"])
        #expect(work.folder.names == ["made.assay-partial", "other", "source.safetensors"])
    }

    @Test(arguments: ["", "{", "[1]", "{}"]) func saysWhatToDoWhereWhatItKeptIsDamaged(_ text: String) throws {
        let work = try Interrupted()
        try TestFiles.write(Array(text.utf8), to: work.partial.appending("run.json"))
        let outcome = try work.run()
        #expect(outcome.exitCode == 3, "\(outcome.errors)")
        #expect(outcome.errors.contains("remove the folder"), "\(outcome.errors)")
    }

    /// A folder of that name that holds other things is not even locked.
    @Test func putsNothingIntoTheFoldersOfOthers() throws {
        let folder = try TemporaryFolder()
        let model = try TestModel()
        let source = try folder.write("a.safetensors", try TestFiles.bytes(model.weights))
        let partial = folder.path.appending("made.assay-partial")
        try SystemCall.makeFolder(partial)
        try TestFiles.write([1], to: partial.appending("mine.txt"))
        let outcome = try AssayTool.run(
            ["convert", source.string, folder.path.appending("made/").string, "--resume", "--shard-size", "10MB"])
        #expect(outcome.exitCode == 64 && outcome.errors.contains("holds 'mine.txt'"), "\(outcome.errors)")
        #expect(try SystemCall.names(in: partial) == ["mine.txt"])
    }

    @Test func takesOtherThreadsAndMemory() throws {
        let work = try Interrupted()
        #expect(try work.run(["--threads", "3", "--memory", "30MB"]).exitCode == 0)
        try work.requireWhole()
    }

    @Test func refusesAnotherVersionAndAnotherSource() throws {
        let work = try Interrupted()
        let file = work.partial.appending("run.json")
        let text = String(decoding: try TestFiles.bytes(file), as: UTF8.self)
        let parts = text.split(separator: "\"tool\":\"assay ", omittingEmptySubsequences: false)
        try #require(parts.count == 2)
        try TestFiles.write(Array((parts[0] + "\"tool\":\"assay 99" + parts[1]).utf8), to: file)
        var outcome = try work.run()
        #expect(outcome.exitCode == 64 && outcome.errors.contains("was begun by assay 99"), "\(outcome.errors)")
        try TestFiles.write(Array(text.utf8), to: file)
        let other = try work.folder.write("other.safetensors", try TestFiles.bytes(work.source))
        outcome = try AssayTool.run(["convert", other.string, work.destination.string, "--resume"] + work.options)
        #expect(outcome.exitCode == 64 && outcome.errors.contains("was begun from other files"), "\(outcome.errors)")
        try TestFiles.write(Array("{\"tool\":".utf8), to: file)
        outcome = try work.run()
        #expect(outcome.exitCode == 3 && outcome.errors.contains("run.json"), "\(outcome.errors)")
    }

    @Test func aSecondRunSaysThatAnotherIsAtWork() throws {
        let work = try Interrupted()
        let lock = try OutputFile(changing: work.partial.appending("lock"))
        defer { withExtendedLifetime(lock) {} }
        #expect(try SystemCall.lock(lock.descriptor, lock.path))
        let outcome = try work.run()
        #expect(outcome.exitCode == 64)
        #expect(outcome.errors.contains("another run is at work on this destination"), "\(outcome.errors)")
        #expect(try SystemCall.names(in: work.output) == (1...3).map(Interrupted.shard))
    }

    @Test func anotherCommandSaysWhatIsKept() throws {
        let work = try Interrupted()
        let outcome = try AssayTool.run(["convert", work.source.string, work.destination.string] + work.options)
        #expect(outcome.exitCode == 0)
        #expect(outcome.errors.contains("made.assay-partial is kept from an interrupted run; use --resume"))
        #expect(work.folder.names == ["made", "made.assay-partial", "source.safetensors"])
    }

    /// Interrupted between the last rename and the removal of what was kept.
    @Test(arguments: [true, false]) func finishesWhatWasPublished(_ isFolder: Bool) throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        let (made, whole) = (isFolder ? ("made", "whole") : ("made.safetensors", "whole.safetensors"))
        let source = isFolder ? FilePath(model.path) : model.weights
        #expect(try AssayTool.run(["convert", source.string, work.path.appending(whole).string]).exitCode == 0)
        try publish(source, at: work.path.appending(made))
        #expect(work.names.contains(made + ".assay-partial"))

        let outcome = try AssayTool.run(["convert", source.string, work.path.appending(made).string, "--resume"])
        #expect(outcome.exitCode == 0, "\(outcome.errors)")
        #expect(outcome.errors.contains("was made by the run that was interrupted; it is checked once more"))
        #expect(!work.names.contains(made + ".assay-partial"))
        if isFolder {
            #expect(
                try SystemCall.names(in: work.path.appending(made)) == SystemCall.names(in: work.path.appending(whole)))
        } else {
            #expect(try TestFiles.bytes(work.path.appending(made)) == TestFiles.bytes(work.path.appending(whole)))
            #expect(work.names.contains(made + ".certificate.json"))
        }
    }

    /// What it put there besides the weights must be there too, as it was made.
    @Test(arguments: ["config.json", "tokens.json"], [true, false])
    func doesNotTakeForPublishedWhatLostAFile(_ name: String, _ isLost: Bool) throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        let made = work.path.appending("made")
        try publish(FilePath(model.path), at: made)
        if isLost {
            SystemCall.removeIfPresent(made.appending(name))
        } else {
            try TestFiles.write(Array("{}".utf8), to: made.appending(name))
        }
        let outcome = try AssayTool.run(["convert", model.path, made.string, "--resume"])
        #expect(outcome.exitCode == 64 && outcome.errors.contains("exists already"), "\(outcome)")
    }

    /// What was opened is what is read, whatever lies there by the time the run writes down what it is.
    @Test func knowsTheSourceThatItOpened() throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        func plan() throws -> ConversionPlan {
            try ConversionPlan.convert(
                Checkpoint.open(FilePath(model.path)), ConversionOptions(destination: work.path.appending("made")),
                to: nil)
        }
        func identity(_ plan: ConversionPlan) throws -> PartialRunIdentity {
            try PartialRunIdentity(of: plan, tool: "assay 0.1.0", command: "")
        }
        let old = try plan()
        let before = try identity(old)
        let other = model.folder.path.appending("other")
        try TestFiles.write(TestFiles.bytes(model.weights), to: other)
        try SystemCall.rename(other, to: model.weights, replacing: true)
        try identity(old).requireSame(as: before, in: work.path)
        #expect(throws: UsageError.self) { try identity(plan()).requireSame(as: before, in: work.path) }
    }

    /// An older destination with the same weights is not what the interrupted run made: other files differ.
    @Test func anOlderDestinationIsNotTakenForIt() throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        let made = work.path.appending("made")
        try model.folder.write("tokenizer_config.json", Array(#"{"v":1}"#.utf8))
        #expect(try AssayTool.run(["convert", model.path, made.string]).exitCode == 0)
        try model.folder.write("tokenizer_config.json", Array(#"{"v":2}"#.utf8))
        let command = ["convert", model.path, made.string, "--overwrite", "--resume"]
        let records = try TemporaryFolder()
        #expect(
            try AssayTool.run(
                command,
                environment: FaultLibrary.environment(under: work.path, log: records.path.appending("all"))
            ).exitCode == 0)
        let exchange = try #require(
            try RecordedCall.all(in: records.path.appending("all")).last { $0.name == "exchange" })
        SystemCall.removeTree(made)
        try model.folder.write("tokenizer_config.json", Array(#"{"v":1}"#.utf8))
        #expect(try AssayTool.run(["convert", model.path, made.string]).exitCode == 0)
        try model.folder.write("tokenizer_config.json", Array(#"{"v":2}"#.utf8))
        _ = try AssayTool.run(
            command,
            environment: FaultLibrary.environment(under: work.path, ["\(exchange.number)=signal \(SIGKILL)"]))
        #expect(work.names == ["made", "made.assay-partial"])
        let outcome = try AssayTool.run(command)
        #expect(outcome.exitCode == 0 && outcome.errors.contains("1 of 1 files are kept"), "\(outcome.errors)")
        #expect(try TestFiles.bytes(made.appending("tokenizer_config.json")) == Array(#"{"v":2}"#.utf8))
        #expect(work.names == ["made"])
    }

    /// Without digests nothing tells whether a source that was touched is the same, and that is what is said.
    @Test func aTouchedSourceWithoutDigestsIsSaidToBeUnknown() throws {
        let work = try Interrupted(options: ["--no-verify", "--certificate", "none"])
        try #require(chmod(work.source.string, 0o600) == 0)
        let outcome = try work.run()
        #expect(outcome.exitCode == 64 && outcome.errors.contains("no digests were taken"), "\(outcome.errors)")
    }

    /// Converts as far as the destination is in its place.
    private func publish(_ source: FilePath, at destination: FilePath) throws {
        var options = ConversionOptions(destination: destination)
        options.keepsProgress = true
        let plan = try ConversionPlan.convert(Checkpoint.open(source), options, to: nil)
        let partial = try PartialRun.begun(for: plan)
        try partial.begin(PartialRunIdentity(of: plan, tool: "assay 0.1.0", command: ""))
        let finished = try plan.run(keepingIn: partial)
        if let folder = finished.stagingFolder {
            let certificate = try #require(try Certificate(of: finished, operation: "convert", tool: "assay 0.1.0"))
            try TestFiles.write(certificate.fileBytes, to: folder.appending("certificate.json"))
        }
        try finished.publish()
    }

    @Test func leavesNothingWhereNothingIsFinished() throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        for target in ["a/b", "o.npy"] {
            let outcome = try AssayTool.run(["convert", model.path, work.path.string + "/" + target, "--resume"])
            #expect(outcome.exitCode == 64)
        }
        let outcome = try AssayTool.run(
            ["convert", model.path, work.path.appending("o").string, "--resume"],
            limits: AssayTool.Limits(byteCount: 1 << 30, seconds: 20, fileByteCount: 8192))
        #expect(outcome.exitCode == 4, "\(outcome.errors)")
        #expect(work.names == [])
    }

    @Test func quantizesOn() throws {
        let model = try TestModel()
        let work = try TemporaryFolder()
        let options = ["--scheme", "int8", "--shard-size", "6kB", "--threads", "1"]
        let other = try TemporaryFolder()
        let (made, whole) = (work.path.appending("made"), other.path.appending("made"))
        #expect(try AssayTool.run(["quantize", model.path, whole.string] + options).exitCode == 0)
        var limit = 4096
        var wasInterrupted = false
        while try SystemCall.status(made) == nil, limit < 1 << 20 {
            let outcome = try AssayTool.run(
                ["quantize", model.path, made.string, "--resume"] + options,
                limits: AssayTool.Limits(byteCount: 1 << 30, seconds: 20, fileByteCount: limit))
            wasInterrupted = wasInterrupted || outcome.errors.contains("the same command goes on with it")
            limit += 512
        }
        #expect(wasInterrupted)
        for name in try SystemCall.names(in: whole) {
            #expect(try TestFiles.bytes(made.appending(name)) == TestFiles.bytes(whole.appending(name)), "\(name)")
        }
    }

    @Test func survivesKillsAtRandomMoments() throws {
        let work = try Interrupted(count: 1_000_000)
        var random = SeededRandom(seed: UInt64(getpid()))
        var count = 0
        for _ in 0..<8 where try SystemCall.status(work.destination) == nil {
            let outcome = try AssayTool.kill(work.command, after: Double(random.next(below: 40)) / 1000)
            if outcome.exitCode == -SIGKILL { count += 1 }
        }
        try Trials("Resume", "`kill -9` at random moments, one after the other, each gone on with").record(count)
        if try SystemCall.status(work.destination) == nil || work.folder.names.contains("made.assay-partial") {
            let outcome = try work.run()
            #expect(outcome.exitCode == 0 || outcome.errors.contains("exists already"), "\(outcome.errors)")
        }
        try work.requireWhole()
    }
}

import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// Sources that somebody changes while they are read: at every one of a run's calls.
@Suite(.enabled(if: !AssayTool.isWatched)) struct ChangingFiles {
    enum Change: CaseIterable {
        case truncated, emptied, overwritten, disguised, replaced, removed

        func apply(to file: FilePath, other: [UInt8]) throws {
            switch self {
            case .truncated: try #require(truncate(file.string, off_t(other.count - 700)) == 0)
            case .emptied: try #require(truncate(file.string, 0) == 0)
            case .overwritten: try OutputFile(changing: file).write(at: 0, other)
            case .disguised:
                // As who copies into a file and keeps the times.
                var status = stat()
                try #require(stat(file.string, &status) == 0)
                try OutputFile(changing: file).write(at: 0, other)
                try #require(utimensat(AT_FDCWD, file.string, [status.st_atim, status.st_mtim], 0) == 0)
            case .replaced:
                let place = file.removingLastComponent().appending("other")
                try TestFiles.write(other, to: place)
                try SystemCall.rename(place, to: file, replacing: true)
            case .removed: SystemCall.removeIfPresent(file)
            }
        }
    }

    private static let commands: [[String]] = [
        ["inspect", "a", "--stats", "--digest"], ["convert", "a", "x.safetensors"], ["convert", "a", "x.zplanes"],
        ["quantize", "a", "x.safetensors", "--scheme", "int8", "--include", "*"], ["diff", "a", "b"],
        ["verify", "a", "--against", "b", "--certificate", "none"],
    ]
    private static let trials = Trials(
        "Changing sources",
        "a source truncated, emptied, overwritten (its times kept or not), replaced or removed before a system call",
        findings: [
            "run, diff, verify and inspect did not notice a source that was changed while they read it",
            "what a change made of a file was called damage",
            "a source was not known to be changed where its times were set back",
        ])
    private static let formats = ["safetensors", "zplanes", "h5", "gguf", "npz", "bin", "zt", "safetensors.zst"]

    /// Stops a run before one of its calls, changes the source, and lets the run go on: it says so, or had all it needed,
    /// and gives what it would have given before or after the change; no signal ends it.
    @Test(arguments: commands, Change.allCases) func areNoticed(_ arguments: [String], _ change: Change) throws {
        var random = SeededRandom(seed: UInt64(arguments.joined().utf8.count))
        var count = 0
        for format in Self.formats {
            // Another format for each kind of change, but for the plainest; all where all are asked for.
            let isChosen = format == "safetensors" || random.next(below: 14) == 0 || getenv("ASSAY_FAULTS") != nil
            if isChosen { count += try areNoticed(arguments, change, format, &random) }
        }
        try Self.trials.record(count)
    }

    private func areNoticed(
        _ arguments: [String], _ change: Change, _ format: String, _ random: inout SeededRandom
    ) throws -> Int {
        let work = try TemporaryFolder()
        let (old, new) = try Self.sources(format, work)
        let (source, name) = (work.path.appending("a.\(format)"), "b.\(format)")
        let target = work.path.appending(arguments.first { $0.hasPrefix("x.") } ?? "x")
        func run(_ orders: [String], log: FilePath? = nil) throws -> AssayTool.Running {
            try AssayTool.start(
                arguments.map {
                    $0 == "a"
                        ? source.string
                        : $0 == "b"
                            ? work.path.appending(name).string
                            : $0.hasPrefix("x.") ? target.string : $0
                } + ["--threads", "1"], environment: FaultLibrary.environment(under: source, orders, log: log))
        }
        func outcome(after change: Change?) throws -> (code: Int32, output: String, bytes: [UInt8]?) {
            try TestFiles.write(old, to: source)
            try change?.apply(to: source, other: new)
            let outcome = try run([]).wait()
            let made = try SystemCall.status(target) == nil ? nil : TestFiles.bytes(target)
            try Self.clear(work, keeping: name)
            return (outcome.exitCode, Self.figures(outcome.output), made)
        }
        let possible = try [outcome(after: nil), outcome(after: change)]
        try TestFiles.write(old, to: source)
        let log = work.path.appending("log")
        _ = try run([], log: log).wait()
        let calls = try RecordedCall.all(in: log)
        let firstRead = try #require(calls.first { $0.name == "pread" }).number
        try Self.clear(work, keeping: name)
        let numbers = (0..<3).map { _ in 1 + random.next(below: calls.count) }
        for number in numbers {
            try TestFiles.write(old, to: source)
            let running = try run(["\(number)=signal \(SIGSTOP)"])
            guard running.waitUntilStopped() else { Issue.record("it did not stop"); continue }
            try change.apply(to: source, other: new)
            running.send(SIGCONT)
            let outcome = try running.wait()
            let made = try SystemCall.status(target) == nil ? nil : TestFiles.bytes(target)
            let figures = Self.figures(outcome.output)
            let isWhole = possible.contains { $0 == (outcome.exitCode, figures, made) }
            let isSaid = outcome.exitCode == 4 && made == nil
            // Nothing can be wrong with what was read before the change.
            let isBlamed = outcome.exitCode == 3 && number > firstRead
            #expect((isWhole || isSaid) && !isBlamed, "\(format), call \(number) of \(calls.count): \(outcome)")
            #expect(!work.names.contains { $0.hasSuffix(".assay-partial") })
            try Self.clear(work, keeping: name)
        }
        return numbers.count
    }

    /// A part that is named by the first is opened after it, and its header read before its data.
    @Test func laterPartsAreNoticedToo() throws {
        let work = try TemporaryFolder()
        let (first, second) = (
            work.path.appending("m-00001-of-00002.gguf"), work.path.appending("m-00002-of-00002.gguf")
        )
        func write(_ dimensions: [UInt8], to path: FilePath) throws {
            // The shape of the last tensor stands before its type (4 bytes) and offset (8), then padding to 32 bytes, then data.
            var bytes = try TestFiles.bytes(path)
            let name = try #require(bytes.firstRange(of: Array("t2".utf8)))
            bytes[name.upperBound + 4] = dimensions[0]
            bytes[name.upperBound + 12] = dimensions[1]
            try OutputFile(changing: path).write(at: 0, bytes)
        }
        let data = (0..<64).map { UInt8($0) }
        let header =
            #"{"t1":{"dtype":"F32","shape":[2,4],"data_offsets":[0,32]},"#
            + #""t2":{"dtype":"F32","shape":[2,4],"data_offsets":[32,64]}}"#
        let source = try work.write("a.safetensors", SafetensorsBytes.file(header, data: data))
        try make("convert", source.string, work.path.appending("m").string, "--to", "gguf", "--shard-size", "32B")
        for path in [first, second] {
            let made = try #require(
                try SystemCall.tree(in: work.path.appending("m")).first {
                    $0.name.hasSuffix(path.string.suffix(19))
                })
            try SystemCall.rename(work.path.appending("m").appending(made.name), to: path, replacing: false)
        }
        let target = work.path.appending("x.safetensors")
        func start(_ orders: [String], log: FilePath? = nil) throws -> AssayTool.Running {
            try AssayTool.start(
                ["convert", first.string, target.string, "--certificate", "none", "--threads", "1"],
                environment: FaultLibrary.environment(under: second, orders, log: log))
        }
        func made() throws -> [UInt8]? { try SystemCall.status(target).map { _ in try TestFiles.bytes(target) } }
        let log = work.path.appending("log")
        #expect(try start([], log: log).wait().exitCode == 0)
        let old = try made()
        let calls = try RecordedCall.all(in: log)
        let lastLook = try #require(calls.last { $0.name == "stat" }).number
        SystemCall.removeIfPresent(target)
        try write([2, 4], to: second)
        #expect(try start([]).wait().exitCode == 0)
        let new = try made()
        #expect(old != new)
        for call in calls {
            SystemCall.removeIfPresent(target)
            try write([4, 2], to: second)
            let running = try start(["\(call.number)=signal \(SIGSTOP)"])
            guard running.waitUntilStopped() else { continue }
            try write([2, 4], to: second)
            running.send(SIGCONT)
            let outcome = try running.wait()
            let result = try made()
            // The data is the same: it is the header that tells.
            let isOld = result == old && call.number > lastLook
            let isWhole = outcome.exitCode == 0 && (isOld || result == new)
            #expect(isWhole || outcome.exitCode == 4 && result == nil, "\(call.number) \(call.name): \(outcome)")
        }
        try Self.trials.record(calls.count)
    }

    @Test(arguments: Change.allCases) func areNoticedUnderAForwardPass(_ change: Change) throws {
        var random = SeededRandom(seed: 4)
        let model = try TestModel()
        let old = try TestFiles.bytes(model.weights)
        let target = model.folder.path.appending("x.safetensors")
        for arguments in [
            ["run", model.path, "--tokens", model.tokens, "--capture", target.string],
            [
                "diff", TestFiles.fixtures.string + "/golden/models/gpt2-odd-heads", model.path, "--tokens",
                model.tokens,
            ],
        ] {
            let log = model.folder.path.appending("log")
            func run(_ orders: [String], log: FilePath? = nil) throws -> AssayTool.Running {
                try AssayTool.start(
                    arguments + ["--threads", "1"],
                    environment: FaultLibrary.environment(under: model.weights, orders, log: log))
            }
            #expect(try run([], log: log).wait().exitCode == 0)
            let calls = try RecordedCall.all(in: log)
            SystemCall.removeIfPresent(log)
            SystemCall.removeIfPresent(target)
            for _ in 0..<3 {
                try TestFiles.write(old, to: model.weights)
                // Behind the header, before the last look.
                let number = calls.count / 4 + random.next(below: calls.count / 2)
                let running = try run(["\(number)=signal \(SIGSTOP)"])
                try #require(running.waitUntilStopped())
                try change.apply(to: model.weights, other: old)
                running.send(SIGCONT)
                let outcome = try running.wait()
                #expect(outcome.exitCode == 4, "call \(number) of \(calls.count): \(outcome)")
                #expect(
                    model.folder.names.sorted()
                        == ["config.json", "model.safetensors", "tokens.json"].filter {
                            change != .removed || $0 != "model.safetensors"
                        })
                try TestFiles.write(old, to: model.weights)
            }
        }
        try Self.trials.record(6)
    }

    /// Two files of one length and structure with other numbers in them: what `a` is, and becomes.
    private static func sources(_ format: String, _ work: TemporaryFolder) throws -> (old: [UInt8], new: [UInt8]) {
        var random = SeededRandom(seed: 3)
        let files = try (0..<2).map { number -> [UInt8] in
            // Halves of numbers below 128: they compress alike.
            let values = (0..<1024).map { _ in Float(random.next(below: 256)) / 2 }
            let bytes = SafetensorsBytes.file(
                #"{"w":{"dtype":"F32","shape":[16,64],"data_offsets":[0,4096]}}"#,
                data: values.withUnsafeBytes { Array($0) })
            let plain = try work.write("plain.safetensors", bytes)
            if format == "safetensors" { return bytes }
            let made = work.path.appending("made.\(format)")
            try #require(
                try AssayTool.run(["convert", plain.string, made.string, "--certificate", "none", "--overwrite"])
                    .exitCode
                    == 0)
            return try TestFiles.bytes(made)
        }
        try Self.clear(work, keeping: "")
        try work.write("b.\(format)", files[0])
        return (files[0], files[1])
    }

    private static func clear(_ work: TemporaryFolder, keeping name: String) throws {
        for other in work.names where other != name { SystemCall.removeTree(work.path.appending(other)) }
    }

    /// What is printed, but for the time it took.
    private static func figures(_ output: String) -> String {
        output.split(separator: "\n").filter { !$0.contains(" s") && !$0.contains("time") }.joined(separator: "\n")
    }
}

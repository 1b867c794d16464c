import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

#if canImport(Glibc)
    import Glibc
#endif

/// Several processes at once, on the same files.
@Suite(.enabled(if: !AssayTool.isWatched)) struct Concurrency {
    private let work: TemporaryFolder
    private let model: TestModel

    init() throws {
        work = try TemporaryFolder()
        model = try TestModel()
    }

    /// A run that makes its destination in one of several types, so that it can be told who made it.
    private func convert(
        _ name: String, _ type: String, overwrites: Bool, orders: [String] = []
    ) throws -> AssayTool.Running {
        try AssayTool.start(
            [
                "convert", name.contains(".") ? model.weights.string : model.path, work.path.appending(name).string,
                "--dtype", type,
            ] + (overwrites ? ["--overwrite"] : []),
            environment: orders.isEmpty ? [:] : FaultLibrary.environment(under: work.path, orders))
    }

    /// Whoever made the destination made all of it, certificate included, and nothing else lies there.
    private func requireWhole(_ name: String, _ type: String) throws {
        let path = work.path.appending(name).string
        let verified = try AssayTool.run(["verify", path, "--against", model.path, "--json"])
        #expect(verified.exitCode == 0, "\(verified.output)\(verified.errors)")
        #expect(try AssayTool.run(["inspect", path]).output.contains(": 28 \(type.uppercased()) ("))
        #expect(work.names.sorted() == (name.contains(".") ? [name, name + ".certificate.json"] : [name]))
    }

    private static let trials = Trials(
        "Concurrent use", "two to six runs to one destination, files and folders, new and replaced",
        findings: [
            "of two runs that replaced a file, one could leave its certificate beside the other's data",
            "the second of two runs that replaced a destination replaced the first one's without a word",
            "of two certificates for one place, and of two comparisons put into one, one was lost",
        ])

    /// One is held up just before its result takes its place; the other is faster.
    @Test(arguments: ["b.safetensors", "n"], [(false, false), (true, false), (true, true)])
    func theFasterOfTwoWins(_ name: String, _ old: (isReplaced: Bool, isThere: Bool)) throws {
        let (overwrites, isThere) = old
        if isThere { #expect(try convert(name, "f64", overwrites: false).wait().exitCode == 0) }
        let slow = try convert(name, "f16", overwrites: overwrites, orders: ["flock=signal \(SIGSTOP)"])
        try #require(slow.waitUntilStopped())
        #expect(try convert(name, "bf16", overwrites: overwrites).wait().exitCode == 0)
        slow.send(SIGCONT)
        let outcome = try slow.wait()
        #expect(outcome.exitCode == 64)
        #expect(
            outcome.errors.contains("appeared while it was being written")
                || outcome.errors.contains("was changed by somebody else"), "\(outcome.errors)")
        try requireWhole(name, "bf16")
        try Self.trials.record(2)
    }

    /// One is held up in the middle of taking its place; the other waits for it.
    @Test(arguments: ["b.safetensors", "n"]) func theFirstIsNotOvertaken(_ name: String) throws {
        #expect(try convert(name, "f64", overwrites: false).wait().exitCode == 0)
        let first = try convert(name, "f16", overwrites: true, orders: ["exchange=signal \(SIGSTOP)"])
        try #require(first.waitUntilStopped())
        let second = try convert(name, "bf16", overwrites: true)
        usleep(300_000)
        #expect(second.isRunning)
        first.send(SIGCONT)
        #expect(try first.wait().exitCode == 0)
        #expect(try second.wait().exitCode == 64)
        try requireWhole(name, "f16")
        try Self.trials.record(2)
    }

    @Test(arguments: ["b.safetensors", "n"], [false, true]) func ofManyOneWins(
        _ name: String, _ overwrites: Bool
    ) throws {
        for _ in 0..<3 {
            for entry in work.names { SystemCall.removeTree(work.path.appending(entry)) }
            let types = ["f16", "bf16", "f64", "f32", "f16", "bf16"]
            let running = try types.map { ($0, try convert(name, $0, overwrites: overwrites)) }
            let outcomes = try running.map { ($0.0, try $0.1.wait()) }
            let winners = outcomes.filter { $0.1.exitCode == 0 }.map(\.0)
            #expect(outcomes.allSatisfy { [0, 64].contains($0.1.exitCode) }, "\(outcomes)")
            // With --overwrite a run that begins when another is done replaces what that made.
            #expect(overwrites ? !winners.isEmpty : winners.count == 1)
            let shown = try AssayTool.run(["inspect", work.path.appending(name).string]).output
            let type = try #require(winners.first { shown.contains(": 28 \($0.uppercased()) (") })
            try requireWhole(name, type)
            try Self.trials.record(types.count)
        }
    }

    /// What is read is the old one, whole, until the new one stands there, whole.
    @Test(arguments: ["b.safetensors", "n"]) func aReaderSeesOldOrNew(_ name: String) throws {
        #expect(try convert(name, "f64", overwrites: false).wait().exitCode == 0)
        for place in ["20", "60", "flock", "exchange"] {
            let writer = try convert(name, "f16", overwrites: true, orders: ["\(place)=signal \(SIGSTOP)"])
            try #require(writer.waitUntilStopped())
            let shown = try AssayTool.run(["inspect", work.path.appending(name).string, "--digest"])
            #expect(shown.exitCode == 0 && shown.output.contains(": 28 F64 ("), "\(shown.output)\(shown.errors)")
            writer.send(SIGKILL)
            _ = try writer.wait()
            for entry in work.names where entry.contains(".assay-p") {
                SystemCall.removeTree(work.path.appending(entry))
            }
        }
        #expect(try convert(name, "f16", overwrites: true).wait().exitCode == 0)
        try requireWhole(name, "f16")
        try Trials("Concurrent use", "a destination read while it is replaced").record(4)
    }

    /// Of two certificates for one place, and of two comparisons put into one, none is lost without a word.
    @Test func noCertificateIsLost() throws {
        let certificate = work.path.appending("shared.json").string
        func certified(_ name: String, _ orders: [String] = []) throws -> AssayTool.Running {
            try AssayTool.start(
                ["convert", model.weights.string, work.path.appending(name).string, "--certificate", certificate],
                environment: orders.isEmpty ? [:] : FaultLibrary.environment(under: work.path, orders))
        }
        let slow = try certified("a.h5", ["flock=signal \(SIGSTOP)"])
        try #require(slow.waitUntilStopped())
        #expect(try certified("b.h5").wait().exitCode == 0)
        slow.send(SIGCONT)
        let outcome = try slow.wait()
        #expect(outcome.exitCode == 64 && outcome.errors.contains("shared.json: appeared while"), "\(outcome.errors)")
        #expect(work.names == ["b.h5", "shared.json"])
        try Self.trials.record(2)

        let made = work.path.appending("m").string
        #expect(try AssayTool.run(["convert", model.path, made, "--dtype", "bf16"]).exitCode == 0)
        func compared(_ more: [String], _ orders: [String] = []) throws -> AssayTool.Running {
            try AssayTool.start(
                ["diff", model.path, made, "--certify"] + more,
                environment: orders.isEmpty ? [:] : FaultLibrary.environment(under: work.path, orders))
        }
        let first = try compared([], ["flock=signal \(SIGSTOP)"])
        try #require(first.waitUntilStopped())
        #expect(try compared(["--tokens", model.tokens]).wait().exitCode == 0)
        first.send(SIGCONT)
        #expect(try first.wait().exitCode == 0)
        let text = try JSONValue(parsing: TestFiles.bytes(FilePath(made).appending("certificate.json")))
        #expect(text.object?["predicate"]?.object?["comparisons"]?.array?.count == 2)
        try Self.trials.record(2)
    }

    @Test func tenReadTheSame() throws {
        for name in ["a.h5", "a.zplanes"] {
            let path = work.path.appending(name).string
            #expect(try AssayTool.run(["convert", model.weights.string, path]).exitCode == 0)
            let readers = try (0..<10).map { number in
                try AssayTool.start(number % 2 == 0 ? ["inspect", path, "--stats"] : ["verify", path])
            }
            let outcomes = try readers.map { try $0.wait() }
            #expect(outcomes.allSatisfy { $0.exitCode == 0 })
            #expect(Set(outcomes.map(\.output)).count == 2)
        }
        try Trials("Concurrent use", "ten readers of one file").record(20)
    }

    /// Two changes in place: the second waits for none, and takes nothing from the first.
    @Test func ofTwoChangesInPlaceOneIsRefused() throws {
        let path = try work.write(
            "a.safetensors",
            SafetensorsBytes.file(
                SafetensorsBytes.entry() + String(repeating: " ", count: 100), data: SafetensorsBytes.zeros(8)))
        func change(_ value: String, _ orders: [String] = []) throws -> AssayTool.Running {
            try AssayTool.start(
                ["convert", path.string, "--in-place", "--set-metadata", "k=\(value)"],
                environment: FaultLibrary.environment(under: work.path, orders))
        }
        // Held up when its header was made, before anything is written.
        let first = try change("first", ["flock=signal \(SIGSTOP)"])
        try #require(first.waitUntilStopped())
        #expect(try change("second").wait().exitCode == 0)
        first.send(SIGCONT)
        let outcome = try first.wait()
        #expect(outcome.exitCode == 4)
        #expect(outcome.errors.contains("it was changed while it was read"), "\(outcome.errors)")
        #expect(try AssayTool.run(["inspect", path.string]).output.contains("k: second"))
        #expect(work.names == ["a.safetensors"])
        try Trials("Concurrent use", "two changes of one file in place").record(2)
    }

    /// Nothing is written, made or taken away where the source lies, wherever that is.
    @Test func aReadOnlySourceOnAnotherFileSystem() throws {
        guard let disk = try SmallDisk(byteCount: 4 << 20) else { return }
        let source = disk.path.appending("m")
        #expect(try AssayTool.run(["convert", model.path, source.string]).exitCode == 0)
        let (before, log) = (try FolderState(of: disk.path), work.path.appending("log"))
        try #require(try disk.makeReadOnly())
        for arguments in [
            ["convert", source.string, work.path.appending("n").string, "--shard-size", "20kB"],
            ["convert", source.string, work.path.appending("x.zplanes").string],
            ["quantize", source.string, work.path.appending("q").string, "--scheme", "int8"],
            ["verify", source.string], ["inspect", source.string, "--stats"],
            ["run", source.string, "--tokens", model.tokens], ["diff", source.string, model.path],
        ] {
            let outcome = try AssayTool.run(
                arguments, environment: FaultLibrary.environment(under: disk.path, log: log))
            #expect(outcome.exitCode == 0, "\(arguments): \(outcome.errors)")
        }
        let calls = Set(try RecordedCall.all(in: log).map(\.name))
        let allowed: Set = [
            "open", "pread", "stat", "lstat", "fstat", "close", "fadvise", "opendir", "readdir", "realpath", "write",
        ]
        #expect(calls.isSubset(of: allowed), "\(calls.subtracting(allowed))")
        #expect(try FolderState(of: disk.path) == before)
        let refused = try AssayTool.run(["convert", source.string, disk.path.appending("n").string])
        #expect(refused.exitCode == 4 && refused.errors.contains("Read-only file system"), "\(refused.errors)")
        try Trials("Concurrent use", "a read-only source on another file system").record(8)
    }
}

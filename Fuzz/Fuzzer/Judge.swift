import AssayCheckpoints

#if canImport(Glibc)
    import Glibc
#endif

/// What a parser may do with an input: take it, or refuse it by one sentence, at a cost that its bytes deserve.
enum Judge {
    /// Of processor time, for inputs of some kilobytes.
    private static let seconds = 1.0
    /// That an input may take beyond what the fuzzer has.
    private static let byteCount = 120_000_000

    static func run(_ target: FuzzTarget, _ input: [UInt8]) {
        limitMemory()
        let begin = processorSeconds()
        do {
            try target.run(input)
        } catch {
            judge(error)
        }
        let end = processorSeconds()
        require(end - begin < seconds, "\(end - begin) seconds for \(input.count) bytes")
        if end + helperSeconds() > limit { finish() }
    }

    /// Seconds of processor time that the process has, whatever else the machine does.
    private static let limit = getenv("ASSAY_FUZZ_SECONDS").flatMap { Double(String(cString: $0)) } ?? .infinity

    private static func finish() -> Never {
        print("inputs: \(runCount)")
        fflush(nil)
        // To libFuzzer `exit` is a way to crash.
        _exit(0)
    }

    private static func judge(_ error: any Error) {
        guard let error = error as? any AssayError else { return fail("no error of ours: \(type(of: error)) \(error)") }
        require([.invalidFile, .structureDiffers].contains(error.exitStatus), "\(error.exitStatus): \(error)")
        require(isSentence(error.description), "no sentence: \(error.description.debugDescription)")
    }

    /// Whether a text can be shown as it is: of one line, without anything that a terminal would obey.
    static func isSentence(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count < 8000 && !text.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F }
    }

    static func require(_ isMet: Bool, _ finding: @autoclosure () -> String) {
        if !isMet { fail(finding()) }
    }

    static func fail(_ finding: String) {
        let line = "finding: \(finding)\n"
        write(2, line, line.utf8.count)
        abort()
    }

    private static func processorSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    /// The same of the processes that it started and that have ended.
    private static func helperSeconds() -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_CHILDREN.rawValue), &usage)
        return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) * 1e-6 }
    }

    // MARK: Memory

    nonisolated(unsafe) private static var runCount = 0  // reason: libFuzzer calls from one thread

    /// Memory that the process asks for beyond what it has now is refused, touched or not; the fuzzer's own corpus grows,
    /// so that the limit is set anew now and then.
    private static func limitMemory() {
        defer { runCount += 1 }
        guard runCount % 256 == 0, let pages = dataPageCount() else { return }
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_DATA.rawValue)
        getrlimit(resource, &limit)
        limit.rlim_cur = rlim_t(pages * sysconf(CInt(_SC_PAGESIZE)) + byteCount)
        setrlimit(resource, &limit)
    }

    /// The sixth number of the process's statistics.
    private static func dataPageCount() -> Int? {
        guard let file = fopen("/proc/self/statm", "r") else { return nil }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 128)
        guard fgets(&line, CInt(line.count), file) != nil else { return nil }
        let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return text.split(separator: " ").dropFirst(5).first.flatMap { Int($0) }
    }
}

import AssayCHDF5
import AssayCheckpoints
import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// The near side of the wall: runs the helper over a file and hands on what it prints, whatever becomes of it.
struct HDF5Helper {
    let program: FilePath
    /// Nil for what the size of the file makes of it.
    var seconds: Int?

    /// Has a file listed.
    ///
    /// - Parameter take: gets the listing piece by piece. What it throws is thrown at the end, unless the helper died.
    /// - Throws: `CheckpointError` where the helper died, span or printed too much over the file; `SystemError` where
    ///   it could not be started, or the system did not let it come to an end.
    func list(_ file: InputFile, _ take: (UnsafeRawBufferPointer) throws -> Void) throws {
        let seconds = seconds ?? HDF5Limits.helperSeconds(fileByteCount: file.byteCount)
        let output = try Pipe()
        let errors = try Pipe()
        let child = try spawn(file, output, errors)
        output.closeWritingEnd()
        errors.closeWritingEnd()
        let deadline = Self.now() + seconds * 1000
        var collector = Collector(
            output: output.reading, errors: errors.reading, deadline: deadline,
            limit: HDF5Limits.listingByteCount(fileByteCount: file.byteCount))
        var end = collector.run(take)
        // One that a file took over may close its pipes and stay.
        if end == .closed, !Self.ends(child, before: Self.now() + Self.graceMilliseconds) { end = .stayed }
        if end != .closed { kill(child, SIGKILL) }
        let (status, used) = Self.reap(child)
        try judge(end, status, used, collector, file, seconds)
        if let failure = collector.failure { throw failure }
    }

    // MARK: Starting

    private final class Pipe {
        let reading: CInt
        private let writingEnd: CInt
        private var isWritingOpen = true

        init() throws {
            var ends: [CInt] = [-1, -1]
            guard chdf5_pipe(&ends) == 0 else {
                throw SystemError("make a pipe for the HDF5 helper", "pipe", Errno(rawValue: errno))
            }
            reading = ends[0]
            writingEnd = ends[1]
        }

        var writing: CInt { writingEnd }

        func closeWritingEnd() {
            if isWritingOpen { close(writingEnd) }
            isWritingOpen = false
        }

        deinit {
            closeWritingEnd()
            close(reading)
        }
    }

    private func spawn(_ file: InputFile, _ output: Pipe, _ errors: Pipe) throws -> pid_t {
        guard let place = file.place else {
            throw CheckpointError(
                file.path, .file, expected: "an HDF5 file that lies there as it is",
                found: "a compressed one; unpack it first")
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output.writing, 1)
        posix_spawn_file_actions_adddup2(&actions, errors.writing, 2)
        posix_spawn_file_actions_adddup2(&actions, place.descriptor, HDF5Listing.descriptor)
        // Nor what whoever started us left open.
        chdf5_close_from(&actions, HDF5Listing.descriptor + 1)
        var child: pid_t = 0
        let words = [program.string, "hdf5-listing", "\(place.range.lowerBound)", "\(place.range.count)"]
        let code = Self.withStrings(words) { arguments in
            Self.withStrings(Self.environment) { environment in
                posix_spawn(&child, program.string, &actions, nil, arguments, environment)
            }
        }
        guard code == 0 else {
            throw SystemError("start it as the HDF5 helper", program, Errno(rawValue: code))
        }
        return child
    }

    /// Nothing that could change what libhdf5 does; a crash is to end at once, without a backtrace.
    private static var environment: [String] {
        let kept = (["LD_LIBRARY_PATH", "ASAN_OPTIONS", "LLVM_PROFILE_FILE"] as [String]).compactMap {
            name -> String? in
            getenv(name).map { "\(name)=" + String(cString: $0) }
        }
        return kept + ["SWIFT_BACKTRACE=enable=no"]
    }

    private static func withStrings<R>(
        _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> R
    ) -> R {
        let copies = strings.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        return body(copies + [nil])
    }

    // MARK: Listening

    private enum End: Equatable {
        case closed, tooLong, tooLate, stayed
        /// The system does not let us listen.
        case unheard(Errno)
    }

    /// Reads both pipes together, so that neither can fill up unread.
    private struct Collector {
        let output: CInt, errors: CInt
        private var deadline: Int
        /// Bytes of listing that may still come.
        private var allowance: Int
        private(set) var messages: [UInt8] = []
        /// What was thrown over the listing; nothing of it is handed on any more.
        private(set) var failure: (any Error)?
        private static let messageLimit = 4096

        init(output: CInt, errors: CInt, deadline: Int, limit: Int) {
            self.output = output
            self.errors = errors
            self.deadline = deadline
            allowance = limit
        }

        mutating func run(_ handOn: (UnsafeRawBufferPointer) throws -> Void) -> End {
            var open = [
                pollfd(fd: output, events: Int16(POLLIN), revents: 0),
                pollfd(fd: errors, events: Int16(POLLIN), revents: 0),
            ]
            while open.contains(where: { $0.fd >= 0 }) {
                let left = deadline - HDF5Helper.now()
                guard left > 0 else { return .tooLate }
                let ready = poll(&open, nfds_t(open.count), CInt(left))
                if ready < 0 {
                    let code = Errno(rawValue: errno)
                    if code == .interrupted { continue }
                    return .unheard(code)
                }
                // Where the deadline is long over, both of us were stopped.
                let lateness = HDF5Helper.now() - deadline
                if lateness > 1000 {
                    deadline += lateness + left
                    continue
                }
                guard ready > 0 else { return .tooLate }
                for index in open.indices where open[index].revents != 0 {
                    do throws(Errno) {
                        let isOpen = try Self.read(open[index].fd) {
                            if index == 0 { takeListing($0, handOn) } else { takeMessages($0) }
                        }
                        if !isOpen { open[index].fd = -1 }
                    } catch {
                        return .unheard(error)
                    }
                    open[index].revents = 0
                }
                if allowance < 0 { return .tooLong }
            }
            return .closed
        }

        private mutating func takeListing(
            _ piece: UnsafeRawBufferPointer, _ handOn: (UnsafeRawBufferPointer) throws -> Void
        ) {
            allowance -= piece.count
            guard allowance >= 0, failure == nil else { return }
            do { try handOn(piece) } catch { failure = error }
        }

        private mutating func takeMessages(_ piece: UnsafeRawBufferPointer) {
            if messages.count < Self.messageLimit { messages.append(contentsOf: piece) }
        }

        /// - Returns: false where the pipe has ended.
        private static func read(
            _ descriptor: CInt, _ take: (UnsafeRawBufferPointer) -> Void
        ) throws(Errno) -> Bool {
            let (count, code) = withUnsafeTemporaryAllocation(byteCount: 1 << 16, alignment: 16) { buffer in
                let count = Glibc.read(descriptor, buffer.baseAddress!, buffer.count)
                let code = errno
                if count > 0 { take(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
                return (count, Errno(rawValue: code))
            }
            if count < 0, code != .interrupted { throw code }
            return count != 0
        }
    }

    /// Milliseconds of a clock that nobody sets.
    private static func now() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }

    // MARK: The end

    /// How long a helper may take to end that has nothing more to say.
    private static let graceMilliseconds = 3000

    /// Waits for a process until a time, without taking its status.
    private static func ends(_ child: pid_t, before deadline: Int) -> Bool {
        var pause: UInt32 = 100
        while true {
            var info = siginfo_t()
            let result = waitid(P_PID, id_t(child), &info, WEXITED | WNOWAIT | WNOHANG)
            if result == -1, errno != EINTR { return true }
            // Nothing is said of one that still runs.
            if result == 0, info.si_signo == SIGCHLD { return true }
            guard now() < deadline else { return false }
            usleep(pause)
            pause = min(pause * 2, 50_000)
        }
    }

    /// - Returns: how it ended, and the seconds of processor time that it took.
    private static func reap(_ child: pid_t) -> (status: CInt, used: Double) {
        var (status, usage): (CInt, rusage) = (0, rusage())
        while wait4(child, &status, 0, &usage) == -1, errno == EINTR {}
        let used = [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) * 1e-6 }
        return (status, used)
    }

    /// What a program ends with that damage leads astray.
    private static let crashes: Set<CInt> = [SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGTRAP, SIGSYS]

    private func judge(
        _ end: End, _ status: CInt, _ used: Double, _ collector: Collector, _ file: InputFile, _ seconds: Int
    ) throws {
        func refuse(_ found: String) -> CheckpointError {
            CheckpointError(file.path, .file, expected: "a HDF5 file that libhdf5 can read", found: found)
        }
        switch end {
        case .tooLate:
            // Damage over which it turns in circles takes processor time, which is limited by itself.
            throw SystemError(
                "look at it within \(seconds) seconds", file.path, .timedOut,
                advice: "the process that does so got \(Int(used)) s of processor time; try again when the machine or"
                    + " the disk is less busy")
        case .tooLong:
            let limit = HDF5Limits.listingByteCount(fileByteCount: file.byteCount)
            throw refuse("names and attributes whose listing has more than \(limit) bytes")
        case .stayed: throw refuse("damage over which it did not end when it had said everything")
        case .unheard(let code): throw SystemError("listen to the process that looks at it", file.path, code)
        case .closed: break
        }
        let signal = status & 0x7F
        let limit = HDF5Limits.helperProcessorSeconds(fileByteCount: file.byteCount)
        // Limits are held against ticks of the clock, of which a busy machine counts more than were used.
        if signal == SIGXCPU || signal == SIGKILL, used > Double(limit) / 2 {
            throw refuse("damage over which it did not end within \(limit) seconds of processor time")
        }
        if Self.crashes.contains(signal) { throw refuse("damage over which it crashed (signal \(signal))") }
        if signal != 0 {
            throw SystemError(
                "look at it", file.path, .interrupted,
                advice: "the process that does so was ended from outside (signal \(signal))")
        }
        let code = (status >> 8) & 0xFF
        if code > HDF5Listing.unreadable {
            throw SystemError("read it", file.path, Errno(rawValue: code - HDF5Listing.unreadable))
        }
        guard code == 0 else {
            let message = String(decoding: collector.messages.prefix { $0 != 10 }, as: UTF8.self)
            throw SystemError(
                "get a listing of \(file.path.forDisplay) from it", program, .invalidArgument,
                advice: "it ended with code \(code)" + (message.isEmpty ? "" : ": \(message.escapedForDisplay)"))
        }
    }
}

import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// The built `assay`, run as its user runs it.
public enum AssayTool {
    public struct Outcome: Sendable {
        /// Below zero the signal that ended it.
        public var exitCode: Int32
        public var output: String
        public var errors: String
    }

    /// The binary lies beside the test bundle.
    public static let path: FilePath = {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let executable = FilePath(
            String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self))
        let beside = executable.removingLastComponent().appending("assay")
        if access(beside.string, X_OK) == 0 { return beside }
        // Where the runner of the toolchain loads the bundle, the bundle's path is an argument.
        for argument in CommandLine.arguments where argument.hasSuffix(".xctest") {
            return FilePath(argument).removingLastComponent().appending("assay")
        }
        return beside
    }()

    /// Runs a command and waits for it.
    ///
    /// - Parameter environment: set beside what this process has.
    public static func run(
        _ arguments: [String], environment: [String: String] = [:], limits: Limits? = nil, output: Output = .kept
    ) throws -> Outcome {
        try run(arguments.map { Array($0.utf8) }, environment: environment, limits: limits, output: output)
    }

    /// A sanitizer takes more than any limit at once.
    public static let isWatched = getenv("ASSAY_SANITIZER") != nil

    /// The same with arguments that need not be UTF-8.
    public static func run(
        _ arguments: [[UInt8]], environment: [String: String] = [:], limits: Limits? = nil, output: Output = .kept
    ) throws -> Outcome {
        try Running(arguments, environment, limits, output).wait()
    }

    /// Starts a command, which goes on beside the test.
    public static func start(
        _ arguments: [String], environment: [String: String] = [:], limits: Limits? = nil, output: Output = .kept
    ) throws -> Running {
        try Running(arguments.map { Array($0.utf8) }, environment, limits, output)
    }

    /// Starts a command, kills it when some time has passed, and waits for its end.
    public static func kill(_ arguments: [String], after seconds: Double) throws -> Outcome {
        let running = try start(arguments)
        usleep(UInt32(seconds * 1e6))
        running.send(SIGKILL)
        return try running.wait()
    }

    /// What a shell sets for the process before it becomes the program.
    public struct Limits: Sendable {
        private let command: String

        /// - Parameters:
        ///   - byteCount: of memory that is its own, whether touched or not; more is refused.
        ///   - seconds: of processor time; beyond that it is killed.
        ///   - fileByteCount: of each file that it writes; nil for any.
        public init(byteCount: Int, seconds: Int, fileByteCount: Int? = nil) {
            let files = fileByteCount.map { " && \(Limits(fileByteCount: $0).command)" } ?? ""
            let own = AssayTool.isWatched ? "true" : "ulimit -d \(byteCount >> 10) && ulimit -t \(seconds)"
            command = own + files
        }

        /// - Parameter fileByteCount: of each file that it writes, in blocks of 512.
        public init(fileByteCount: Int) { command = "ulimit -f \(fileByteCount >> 9)" }

        /// - Parameter command: of the shell: "trap '' HUP".
        public init(shell command: String) { self.command = command }

        fileprivate var words: [String] { ["/bin/sh", "-c", "\(command) && exec \"$0\" \"$@\""] }
    }

    /// Where standard output goes.
    public enum Output: Sendable {
        /// Into the outcome.
        case kept
        case file(FilePath)
        /// Into a pipe that nobody reads.
        case closedPipe
    }

    /// Runs a command of the shell.
    public static func shell(_ command: String) throws -> Outcome {
        try Running(program: ["/bin/sh", "-c", command].map { Array($0.utf8) }, [:], .kept).wait()
    }

    /// TIOCSPTLCK and TIOCGPTN, which Swift does not see.
    private static let (setLock, getNumber): (UInt, UInt) = (0x4004_5431, 0x8004_5430)

    /// Runs a command whose standard error is a terminal.
    ///
    /// - Returns: `errors` is what the terminal got.
    public static func runOnTerminal(_ arguments: [String], width: Int) throws -> Outcome {
        let terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY)
        var (isLocked, number): (CInt, CInt) = (0, 0)
        guard terminal >= 0, ioctl(terminal, setLock, &isLocked) == 0, ioctl(terminal, getNumber, &number) == 0 else {
            throw Errno(rawValue: errno)
        }
        defer { close(terminal) }
        var size = winsize(ws_row: 24, ws_col: UInt16(width), ws_xpixel: 0, ws_ypixel: 0)
        _ = ioctl(terminal, UInt(TIOCSWINSZ), &size)
        let run = try Running(
            program: [Array(path.string.utf8)] + arguments.map { Array($0.utf8) }, [:], .kept,
            terminal: FilePath("/dev/pts/\(number)"))
        var shown: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        // The end of the last writer is an error here.
        while case let count = read(terminal, &buffer, buffer.count), count > 0 { shown += buffer[..<count] }
        var outcome = try run.wait()
        outcome.errors = String(decoding: shown, as: UTF8.self)
        return outcome
    }

    /// A command that goes on.
    public final class Running {
        public let child: pid_t
        private let folder: TemporaryFolder
        private var status: Int32?

        fileprivate convenience init(
            _ arguments: [[UInt8]], _ environment: [String: String], _ limits: Limits?, _ output: Output
        ) throws {
            let program = ((limits?.words ?? []) + [path.string]).map { Array($0.utf8) }
            try self.init(program: program + arguments, environment, output)
        }

        /// - Parameter terminal: where standard error goes; nil for a file that is read afterwards.
        fileprivate init(
            program: [[UInt8]], _ environment: [String: String], _ output: Output, terminal: FilePath? = nil
        ) throws {
            folder = try TemporaryFolder()
            try folder.write("err", [])
            var actions = posix_spawn_file_actions_t()
            posix_spawn_file_actions_init(&actions)
            defer { posix_spawn_file_actions_destroy(&actions) }
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
            var pipeEnd: CInt?
            defer { if let pipeEnd { close(pipeEnd) } }
            switch output {
            case .kept: Self.send(1, to: folder.path.appending("out"), &actions)
            case .file(let path): Self.send(1, to: path, &actions)
            case .closedPipe:
                pipeEnd = try Self.pipeWithoutReader()
                posix_spawn_file_actions_adddup2(&actions, pipeEnd!, 1)
            }
            Self.send(2, to: terminal ?? folder.path.appending("err"), &actions)
            let words =
                program.map { word in
                    (word + [0]).withUnsafeBytes { strdup($0.baseAddress!.assumingMemoryBound(to: CChar.self)) }
                } + [nil]
            let settings = Self.settings(environment).map { strdup($0) } + [nil]
            defer { (words + settings).forEach { free($0) } }
            var child: pid_t = 0
            let code = posix_spawn(&child, words[0]!, &actions, nil, words, settings)
            guard code == 0 else { throw Errno(rawValue: code) }
            self.child = child
        }

        private static func send(_ number: CInt, to path: FilePath, _ actions: inout posix_spawn_file_actions_t) {
            posix_spawn_file_actions_addopen(&actions, number, path.string, O_WRONLY | O_CREAT | O_NOCTTY, 0o600)
        }

        private static func pipeWithoutReader() throws -> CInt {
            var ends: [CInt] = [0, 0]
            guard pipe(&ends) == 0 else { throw Errno(rawValue: errno) }
            close(ends[0])
            _ = fcntl(ends[1], F_SETFD, FD_CLOEXEC)
            return ends[1]
        }

        private static func settings(_ environment: [String: String]) -> [String] {
            var inherited: [String] = []
            var entry = environ
            while let text = entry.pointee {
                inherited.append(String(cString: text))
                entry += 1
            }
            // The caller's terminal is nothing to a test.
            let keys = Set(environment.keys).union(["COLUMNS"])
            return inherited.filter { !keys.contains(String($0.prefix { $0 != "=" })) }
                + environment.map { "\($0.key)=\($0.value)" }
        }

        public func send(_ signal: CInt) { Glibc.kill(child, signal) }

        /// Waits until it stops itself.
        ///
        /// - Returns: false where it ended instead.
        public func waitUntilStopped() -> Bool {
            var status: Int32 = 0
            while waitpid(child, &status, WUNTRACED) == -1 && errno == EINTR {}
            if status & 0xFF == 0x7F { return true }
            self.status = status
            return false
        }

        /// Whether it goes on.
        public var isRunning: Bool {
            var status: Int32 = 0
            if self.status == nil, waitpid(child, &status, WNOHANG) == child { self.status = status }
            return self.status == nil
        }

        public func wait() throws -> Outcome {
            var status = self.status ?? 0
            if self.status == nil {
                while waitpid(child, &status, 0) == -1 && errno == EINTR {}
                self.status = status
            }
            let signal = status & 0x7F
            return Outcome(
                exitCode: signal == 0 ? (status >> 8) & 0xFF : -signal,
                output: try text("out"), errors: try text("err"))
        }

        private func text(_ name: String) throws -> String {
            guard folder.names.contains(name) else { return "" }
            return String(decoding: try TestFiles.bytes(folder.path.appending(name)), as: UTF8.self)
        }
    }
}

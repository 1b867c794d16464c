import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// The built `assay`, run as its user runs it.
public enum AssayTool {
    public struct Outcome: Sendable {
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
        _ arguments: [String], environment: [String: String] = [:], limits: Limits? = nil
    ) throws -> Outcome {
        try run(arguments.map { Array($0.utf8) }, environment: environment, limits: limits)
    }

    /// What the process may take; beyond that memory is refused, and the process killed.
    public struct Limits: Sendable {
        /// Of memory that is its own, whether touched or not.
        public var byteCount: Int
        /// Of processor time.
        public var seconds: Int
        /// Of each file that it writes; nil for any.
        public var fileByteCount: Int?

        public init(byteCount: Int, seconds: Int, fileByteCount: Int? = nil) {
            (self.byteCount, self.seconds, self.fileByteCount) = (byteCount, seconds, fileByteCount)
        }

        /// A shell that sets them and becomes the program.
        fileprivate var words: [String] {
            // In blocks of 512 bytes.
            let file = fileByteCount.map { " && ulimit -f \($0 >> 9)" } ?? ""
            return [
                "/bin/sh", "-c", "ulimit -d \(byteCount >> 10) && ulimit -t \(seconds)\(file) && exec \"$0\" \"$@\"",
            ]
        }
    }

    /// The same with arguments that need not be UTF-8.
    public static func run(
        _ arguments: [[UInt8]], environment: [String: String] = [:], limits: Limits? = nil
    ) throws -> Outcome {
        let run = try Started(arguments, environment: environment, limits: limits)
        return try run.wait()
    }

    /// Starts a command, kills it when some time has passed, and waits for its end.
    public static func kill(_ arguments: [String], after seconds: Double) throws -> Outcome {
        let run = try Started(arguments.map { Array($0.utf8) }, environment: [:], limits: nil)
        usleep(UInt32(seconds * 1e6))
        Glibc.kill(run.child, SIGKILL)
        return try run.wait()
    }

    /// Runs a command of the shell.
    public static func shell(_ command: String) throws -> Outcome {
        try Started(program: ["/bin/sh", "-c", command].map { Array($0.utf8) }, environment: [:]).wait()
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
        let run = try Started(
            program: [Array(path.string.utf8)] + arguments.map { Array($0.utf8) }, environment: [:],
            errors: FilePath("/dev/pts/\(number)"))
        var shown: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        // The end of the last writer is an error here.
        while case let count = read(terminal, &buffer, buffer.count), count > 0 { shown += buffer[..<count] }
        var outcome = try run.wait()
        outcome.errors = String(decoding: shown, as: UTF8.self)
        return outcome
    }

    /// A running command.
    private struct Started {
        let folder: TemporaryFolder
        let child: pid_t
        private let output, errors: FilePath

        init(_ arguments: [[UInt8]], environment: [String: String], limits: Limits?) throws {
            let program = ((limits?.words ?? []) + [path.string]).map { Array($0.utf8) }
            try self.init(program: program + arguments, environment: environment)
        }

        /// - Parameter terminal: where standard error goes; nil for a file that is read afterwards.
        init(program: [[UInt8]], environment: [String: String], errors terminal: FilePath? = nil) throws {
            folder = try TemporaryFolder()
            (output, errors) = (folder.path.appending("out"), folder.path.appending("err"))
            try TestFiles.write([], to: errors)
            var actions = posix_spawn_file_actions_t()
            posix_spawn_file_actions_init(&actions)
            defer { posix_spawn_file_actions_destroy(&actions) }
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
            posix_spawn_file_actions_addopen(&actions, 1, output.string, O_WRONLY | O_CREAT, 0o600)
            posix_spawn_file_actions_addopen(&actions, 2, (terminal ?? errors).string, O_WRONLY | O_NOCTTY, 0o600)
            let words =
                program.map { word in
                    (word + [0]).withUnsafeBytes { strdup($0.baseAddress!.assumingMemoryBound(to: CChar.self)) }
                } + [nil]
            let settings = Self.variables(environment).map { strdup($0) } + [nil]
            defer { (words + settings).forEach { free($0) } }
            var child: pid_t = 0
            let code = posix_spawn(&child, words[0]!, &actions, nil, words, settings)
            guard code == 0 else { throw Errno(rawValue: code) }
            self.child = child
        }

        private static func variables(_ environment: [String: String]) -> [String] {
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

        func wait() throws -> Outcome {
            var status: Int32 = 0
            while waitpid(child, &status, 0) == -1 && errno == EINTR {}
            let signal = status & 0x7F
            return Outcome(
                exitCode: signal == 0 ? (status >> 8) & 0xFF : -signal,
                output: String(decoding: try TestFiles.bytes(output), as: UTF8.self),
                errors: String(decoding: try TestFiles.bytes(errors), as: UTF8.self))
        }
    }
}

import AssayCheckpoints
import Synchronization
import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// Standard output and error, as the command line uses them.
public enum Terminal {
    /// The width that text must fit: the environment's `COLUMNS`, else the terminal's; nil where output goes to a file or
    /// a pipe, which has none.
    public static var outputWidth: Int? { askedWidth ?? (isatty(1) != 0 ? width(of: 1) : nil) }

    private static var askedWidth: Int? {
        getenv("COLUMNS").flatMap { Int(String(cString: $0)) }.flatMap { $0 >= narrowest ? $0 : nil }
    }

    /// What is narrower is no terminal that text could be fitted to.
    private static let narrowest = 20

    /// Whether anything was written to standard output.
    public static var hasOutput: Bool { wroteOutput.load(ordering: .relaxed) }
    private static let wroteOutput = Atomic<Bool>(false)

    public static var errorIsTerminal: Bool { isatty(2) != 0 }

    /// Whether a line on it can be taken back.
    static var errorTakesLinesBack: Bool { errorIsTerminal && getenv("TERM").map { String(cString: $0) } != "dumb" }

    static func width(of descriptor: CInt) -> Int {
        var size = winsize()
        if ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col >= narrowest { return Int(size.ws_col) }
        return 80
    }

    /// Writes text to standard output, all of it.
    ///
    /// A reader that went away (`| head`) ends the process quietly, with the exit code of one that the signal for it ended:
    /// what there was to say was not heard, so it is not 0. Anything else is an error.
    public static func write(_ text: String) throws {
        wroteOutput.store(true, ordering: .relaxed)
        do {
            try write(text, to: 1)
        } catch let error as SystemError where error.errno == .brokenPipe {
            Temporaries.removeAll { exit(128 + SIGPIPE) }
        }
    }

    /// Writes a line to standard error, escaped, and broken where that is a terminal; nothing can be done where that
    /// fails.
    public static func note(_ line: String) {
        let lines = line.escaped.wrapped(to: errorIsTerminal ? width(of: 2) : nil, indent: "  ")
        try? write(lines.joined(separator: "\n") + "\n", to: 2)
    }

    static func write(_ text: String, to descriptor: CInt) throws {
        var text = text
        try text.withUTF8 { bytes in
            var done = 0
            while done < bytes.count {
                let count = Glibc.write(descriptor, bytes.baseAddress! + done, bytes.count - done)
                if count > 0 {
                    done += count
                } else if errno == EAGAIN {
                    try waitUntilWritable(descriptor)
                } else if errno != EINTR {
                    throw SystemError("write to it", "standard output", Errno(rawValue: errno))
                }
            }
        }
    }

    /// Standard output may have been set not to wait by whoever shares it.
    private static func waitUntilWritable(_ descriptor: CInt) throws {
        var file = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        guard poll(&file, 1, -1) >= 0 || errno == EINTR else {
            throw SystemError("wait for it", "standard output", Errno(rawValue: errno))
        }
    }
}

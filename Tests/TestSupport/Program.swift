import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// Other programs that tests need: a compiler, `mount`.
public enum Program {
    /// Runs one and waits for it.
    ///
    /// - Returns: its exit code, or the signal that ended it, below zero.
    /// - Throws: `Errno` where it cannot be started.
    public static func run(_ arguments: [String]) throws -> Int32 {
        let words = arguments.map { strdup($0) } + [nil]
        defer { words.forEach { free($0) } }
        var child: pid_t = 0
        let code = posix_spawnp(&child, arguments[0], nil, nil, words, environ)
        guard code == 0 else { throw Errno(rawValue: code) }
        var status: Int32 = 0
        while waitpid(child, &status, 0) == -1 && errno == EINTR {}
        return status & 0x7F == 0 ? (status >> 8) & 0xFF : -(status & 0x7F)
    }
}

import AssayFormats
import CLibFuzzer

#if canImport(Glibc)
    import Glibc
#endif

/// `assay-fuzz --list` names the targets; `assay-fuzz TARGET [ARGUMENTS OF LIBFUZZER]` runs one, for so many seconds of
/// processor time as `ASSAY_FUZZ_SECONDS` says. `scripts/fuzz` is what people call.
@main struct Main {
    nonisolated(unsafe) private static var target: FuzzTarget?  // reason: set once, before anything reads it

    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        // The program is its own helper, as `assay` is.
        let numbers = arguments.dropFirst().compactMap { UInt64($0) }
        if arguments.first == "hdf5-listing", numbers.count == 2 {
            // In libhdf5 a crash is a result. The sanitizer's handlers would end the process with a code, as if it had failed.
            for crash in [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP] { signal(crash, SIG_DFL) }
            HDF5Listing.serve(begin: numbers[0], byteCount: numbers[1])
        }
        guard let target = FuzzTarget.all.first(where: { $0.name == arguments.first }) else {
            FuzzTarget.all.forEach {
                print(([$0.name, "\($0.maximumByteCount)"] + $0.fixtures).joined(separator: " "))
            }
            exit(arguments.first == "--list" ? 0 : 64)
        }
        Self.target = target
        var words = ["assay-fuzz", "-max_len=\(target.maximumByteCount)"]
        if let dictionary = Self.dictionary(of: target) { words.append("-dict=\(dictionary)") }
        words += Array(arguments.dropFirst())
        var pointers = words.map { strdup($0) } + [nil]
        pointers.withUnsafeMutableBufferPointer { buffer in
            var count = CInt(words.count)
            var start = buffer.baseAddress
            _ = LLVMFuzzerRunDriver(&count, &start) { bytes, count in
                _ = Main.dictionaryIsRemoved
                Judge.run(Main.target!, Array(UnsafeBufferPointer(start: bytes, count: count)))
                return 0
            }
        }
    }

    private static let dictionaryPath = "/tmp/assay-fuzz-\(getpid()).dict"

    /// Once the first input comes, it was read.
    private static let dictionaryIsRemoved = unlink(dictionaryPath) == 0

    /// Writes the target's words as libFuzzer reads them.
    private static func dictionary(of target: FuzzTarget) -> String? {
        guard !target.words.isEmpty else { return nil }
        let lines = target.words.map { word in
            "\"" + word.utf8.map { "\\x" + String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() + "\"\n"
        }
        guard let file = fopen(dictionaryPath, "w") else { return nil }
        fputs(lines.joined(), file)
        fclose(file)
        return dictionaryPath
    }
}

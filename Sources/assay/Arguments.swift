import ArgumentParser
import AssayCheckpoints
import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// The arguments of the command line. They are bytes, and what parses them takes text: where one is not UTF-8, every
/// byte above ASCII stands as a scalar at the end of Unicode, which `FilePath(argument:)` turns back.
enum Arguments {
    /// U+10FF80 to U+10FFFF, which no text should hold; an argument that does is treated as if it were not UTF-8.
    private static let base: UInt32 = 0x10FF00
    private static let standIns = Unicode.Scalar(0x10FF80)!...Unicode.Scalar(0x10FFFF)!

    /// All but the program's name.
    static var texts: [String] {
        (1..<max(1, Int(CommandLine.argc))).compactMap { CommandLine.unsafeArgv[$0] }.map { argument in
            text(UnsafeRawBufferPointer(start: argument, count: strlen(argument)))
        }
    }

    private static func text(_ bytes: UnsafeRawBufferPointer) -> String {
        if let text = String(validating: bytes, as: UTF8.self), !text.unicodeScalars.contains(where: isStandIn) {
            return text
        }
        var text = String.UnicodeScalarView()
        for byte in bytes { text.append(byte < 0x80 ? Unicode.Scalar(byte) : Unicode.Scalar(base + UInt32(byte))!) }
        return String(text)
    }

    /// The options that take one value. Of two the parser would believe the last, and say nothing.
    static let singleValued: Set<String> = [
        "--against", "--batch", "--capture", "--certificate", "--deflate", "--dtype", "--manifest", "--map", "--map-a",
        "--map-b", "--memory", "--memory-length", "--profile", "--report", "--scale-type", "--scheme",
        "--segment-length", "--shard-size", "--signature", "--text", "--threads", "--to", "--tokens", "--tolerance",
    ]

    /// - Throws: `ValidationError` where an option of one value is given twice.
    static func requireOnce(_ arguments: [String]) throws {
        var seen = Set<String>()
        for argument in arguments.prefix(while: { $0 != "--" }) {
            let name = String(argument.prefix { $0 != "=" })
            guard singleValued.contains(name), !seen.insert(name).inserted else { continue }
            throw ValidationError("\(name): given twice; give it once")
        }
    }

    /// The parser takes "-threads" for seven options of one letter, and an h among them for a cry for help.
    ///
    /// - Throws: `ValidationError` where a single dash is followed by more than one letter.
    static func requireTwoDashes(_ arguments: [String]) throws {
        for argument in arguments.prefix(while: { $0 != "--" }) {
            let name = argument.dropFirst()
            guard argument.hasPrefix("-"), !name.hasPrefix("-"), name.count > 1, Double(argument) == nil else {
                continue
            }
            throw ValidationError(
                "'\(argument.escapedForDisplay)': there is no such option; '--\(String(name).escapedForDisplay)' may be meant,"
                    + " and names that begin with '-' come after '--'")
        }
    }

    /// Whether an argument is text in UTF-8.
    static func isText(_ argument: String) -> Bool { !argument.unicodeScalars.contains(where: isStandIn) }

    private static func isStandIn(_ scalar: Unicode.Scalar) -> Bool { standIns.contains(scalar) }

    fileprivate static func bytes(of text: String) -> [UInt8] {
        text.unicodeScalars.flatMap { isStandIn($0) ? [UInt8($0.value - base)] : Array(UTF8.encode($0)!) }
    }
}

extension FilePath {
    /// A file that an option names to be read.
    ///
    /// - Throws: `UsageError` where there is none.
    init(existing argument: String, of option: String) throws {
        self.init(argument: argument)
        guard try SystemCall.status(self) == nil else { return }
        throw UsageError("\(option): \(forDisplay): there is no such file")
    }

    /// The path that an argument names, byte for byte.
    init(argument: String) {
        self = (Arguments.bytes(of: argument) + [0]).withUnsafeBytes { bytes in
            FilePath(platformString: bytes.baseAddress!.assumingMemoryBound(to: CInterop.PlatformChar.self))
        }
    }
}

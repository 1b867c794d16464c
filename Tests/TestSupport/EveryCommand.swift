import AssayTensors
import SystemPackage

#if canImport(Glibc)
    import Glibc
#endif

/// Every command that reads, given a path as its user gives it. Each finds out for itself what is wrong with a file; none
/// may crash, say nothing, leave anything behind, or take more memory and time than the bytes that are there deserve,
/// whatever numbers they hold.
///
/// Each runs at one of the machine's dispatch levels, in turn; with `ASSAY_EVERY_LEVEL` in the environment at each.
public enum EveryCommand {
    /// 100 MB above what an idle process takes.
    private static let (byteCount, seconds) = (120_000_000, 1)
    /// Beyond any path and any list of names.
    private static let sentenceByteCount = 8000
    private static let limits = AssayTool.Limits(byteCount: byteCount, seconds: seconds)

    private static let refusals = Trials(
        "Bad input", "files that must be refused, through every command that reads, at the dispatch levels in turn")
    private static let acceptances = Trials(
        "Bad input", "their nearest neighbours that must be accepted, likewise")

    /// When a fault shows: data are read by those commands only that have a use for them.
    public enum Moment: Sendable { case opening, reading }

    /// What a command did that it must not do.
    public struct Misconduct: Error, CustomStringConvertible {
        public var description: String
    }

    /// Requires that each ends with the exit code and one sentence that names the file and holds the words.
    ///
    /// - Parameters:
    ///   - name: how the sentence names the file, where that is not the last part of the path.
    ///   - twin: the nearest that is accepted, for `diff` to compare with; nil compares it with itself.
    /// - Throws: `Misconduct`.
    public static func mustRefuse(
        _ path: FilePath, named name: String? = nil, exitCode: Int32 = 3, words: [String], twin: FilePath?,
        at moment: Moment = .opening
    ) throws {
        try forEach(path, twin ?? path) { command, outcome, leftovers in
            // What has no weights for a scheme is refused before its data are read.
            if moment == .reading, command == "quantize", outcome.exitCode == 64 { return nil }
            let sentences = outcome.errors.split(separator: "\n").filter { !$0.hasPrefix("note: ") }
            let expected = [name ?? path.lastComponent!.string] + words
            return if outcome.exitCode != exitCode {
                "exit code \(outcome.exitCode), not \(exitCode)"
            } else if sentences.count != 1 || !sentences[0].hasPrefix("error: ") {
                "not one sentence"
            } else if sentences[0].utf8.count > Self.sentenceByteCount {
                "a sentence of \(sentences[0].utf8.count) bytes"
            } else if let word = expected.first(where: { !outcome.errors.contains($0) }) {
                "nothing of '\(word)'"
            } else if command != "inspect", !outcome.output.isEmpty {
                "output before the refusal"
            } else {
                leftovers.first.map { "left behind: \($0)" }
            }
        }
        try refusals.record(1)
    }

    /// Requires that each is content.
    ///
    /// - Parameters:
    ///   - byteCount: of memory, where the data take more than the file does.
    ///   - seconds: of processor time, likewise.
    /// - Throws: `Misconduct`.
    public static func mustAccept(_ path: FilePath, byteCount: Int? = nil, seconds: Int? = nil) throws {
        let limits = AssayTool.Limits(byteCount: byteCount ?? Self.byteCount, seconds: seconds ?? Self.seconds)
        try forEach(path, path, limits) { command, outcome, _ in
            // Not everything holds weights for a scheme, nor anything to verify.
            if command == "quantize", outcome.exitCode == 64 { return nil }
            if command == "verify", outcome.output.contains("no tensor to look at") { return nil }
            return outcome.exitCode == 0 ? nil : "exit code \(outcome.exitCode)"
        }
        try acceptances.record(1)
    }

    /// Requires that each ends by itself: content, or with one sentence about the file and nothing left behind.
    ///
    /// - Returns: whether the file can be read.
    /// - Throws: `Misconduct`.
    @discardableResult public static func mustEndOrderly(_ path: FilePath) throws -> Bool {
        var isReadable = true
        try forEach(path, path) { command, outcome, leftovers in
            switch outcome.exitCode {
            case 0, 1: return nil
            // Nothing to quantize, or to verify.
            case 64 where command == "quantize", 2 where command == "verify": return nil
            case 2, 3:
                if command == "inspect" || command == "convert" { isReadable = false }
                let sentences = outcome.errors.split(separator: "\n").filter { !$0.hasPrefix("note: ") }
                guard sentences.count == 1, sentences[0].hasPrefix("error: ") else { return "not one sentence" }
                guard outcome.errors.contains(path.lastComponent!.string) else { return "the file is not named" }
                return leftovers.first.map { "left behind: \($0)" }
            default: return "exit code \(outcome.exitCode)"
            }
        }
        return isReadable
    }

    /// - Parameter fault: what is wrong with what a command said, and left in a folder that was empty; nil where nothing is.
    private static func forEach(
        _ path: FilePath, _ twin: FilePath, _ limits: AssayTool.Limits = limits,
        _ fault: (_ command: String, _ outcome: AssayTool.Outcome, _ leftovers: [String]) -> String?
    ) throws {
        let source = path.string
        for (number, arguments) in [
            ["inspect", source, "--stats", "--digest"],
            ["verify", source, "--against", source, "--certificate", "none"],
            ["diff", twin.string, source], ["convert", source, "x.zplanes"],
            ["quantize", source, "x.safetensors", "--scheme", "int8", "--include", "*"],
        ].enumerated() {
            for level in levels(turn: number + (path.lastComponent?.string.utf8.reduce(0) { $0 + Int($1) } ?? 0)) {
                let folder = try TemporaryFolder()
                let outcome = try AssayTool.run(
                    arguments.map { $0.hasPrefix("x.") ? folder.path.appending($0).string : $0 },
                    environment: ["ASSAY_CPU": level.rawValue], limits: limits)
                guard let fault = fault(arguments[0], outcome, folder.names) else { continue }
                throw Misconduct(
                    description: "\(arguments) at \(level): \(fault): \(outcome.output)\(outcome.errors)")
            }
        }
    }

    /// The levels that one command runs at.
    private static func levels(turn: Int) -> [DispatchLevel] {
        let all = DispatchLevel.allCases.filter(\.isAvailable)
        return getenv("ASSAY_EVERY_LEVEL") != nil ? all : [all[turn % all.count]]
    }
}

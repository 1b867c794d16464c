import ArgumentParser
import AssayCheckpoints
import AssayReporting
import AssayTensors
import Dispatch

#if canImport(Glibc)
    import Glibc
#endif

/// The way into the program: runs a command, and turns what it throws into one sentence and an exit code.
@main
enum Main {
    static func main() {
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        do {
            var command = try Self.command()
            _ = try DispatchLevel.requested()
            try command.run()
        } catch let error as any AssayError {
            fail(error.description, error.exitStatus.rawValue)
        } catch let error as DispatchLevel.UnavailableLevel {
            fail(error.description, ExitStatus.usage.rawValue)
        } catch {
            let status = Assay.exitCode(for: error)
            guard status == .validationFailure else { Assay.exit(withError: error) }
            writeJSON(Assay.message(for: error), status.rawValue)
            for line in Assay.fullMessage(for: error).split(separator: "\n") { Terminal.note(String(line)) }
            exit(status.rawValue)
        }
    }

    /// Parses the arguments. A subcommand that is named first is tried alone: reflecting on all of them takes longer than
    /// inspecting a checkpoint. Whatever is not plainly its own (a mistake, a cry for help) is the root's.
    private static func command() throws -> any ParsableCommand {
        let arguments = Arguments.texts
        if let type = Assay.configuration.subcommands.first(where: { $0.configuration.commandName == arguments.first }),
            let command = try? type.parseAsRoot(Array(arguments.dropFirst()))
        {
            return command
        }
        return try Assay.parseAsRoot(arguments)
    }

    private static func fail(_ sentence: String, _ status: Int32) -> Never {
        writeJSON(sentence, status)
        Terminal.note("error: " + sentence)
        exit(status)
    }

    /// With `--json` there is one document on standard output, whatever happens; what was shown before stays the only one.
    private static func writeJSON(_ sentence: String, _ status: Int32) {
        guard Arguments.texts.contains("--json"), !Terminal.hasOutput else { return }
        let value: JSONValue = ["error": .string(sentence), "exitCode": JSONValue(Int(status))]
        try? Terminal.write(value.prettyText + "\n")
    }

    /// From here on an interrupted run removes what it has not finished, and ends with 128 and the signal's number.
    static func removeTemporariesWhenInterrupted() {
        for number in [SIGINT, SIGTERM, SIGHUP] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                Temporaries.removeAll()
                _exit(128 + number)
            }
            source.resume()
            // Kept for the life of the process.
            _ = Unmanaged.passRetained(source as AnyObject)
        }
    }
}

import ArgumentParser
import AssayCheckpoints
import AssayReporting
import AssayTensors

#if canImport(Glibc)
    import Glibc
#endif

/// The way into the program: runs a command, and turns what it throws into one sentence and an exit code.
@main
enum Main {
    static func main() {
        SystemCall.occupyStandardDescriptors()
        SystemCall.allowManyDescriptors()
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        do {
            var command = try Self.command()
            _ = try DispatchLevel.requested()
            try command.run()
            leave(0)
        } catch let error as any AssayError {
            fail(error.description, error.exitStatus.rawValue)
        } catch let error as DispatchLevel.UnavailableLevel {
            fail(error.description, ExitStatus.usage.rawValue)
        } catch {
            show(error)
        }
    }

    /// Parses the arguments. A subcommand that is named first is tried alone: reflecting on all of them takes longer than
    /// inspecting a checkpoint. Whatever is not plainly its own (a mistake, a cry for help) is the root's.
    private static func command() throws -> any ParsableCommand {
        let arguments = Arguments.texts
        try Arguments.requireTwoDashes(arguments)
        try Arguments.requireOnce(arguments)
        if let type = Assay.configuration.subcommands.first(where: { $0.configuration.commandName == arguments.first }),
            let command = try? type.parseAsRoot(Array(arguments.dropFirst()))
        {
            return command
        }
        let asked = arguments.first == "help" ? arguments.dropFirst().first { !$0.hasPrefix("-") } : arguments.first
        let commands = Assay.configuration.subcommands.map { $0.configuration }
        if let asked, !asked.hasPrefix("-"), asked != "help", !commands.contains(where: { $0.commandName == asked }) {
            let shown = commands.filter(\.shouldDisplay).compactMap(\.commandName)
            throw ValidationError("there is no subcommand '\(asked)': choose one of \(shown.joined(separator: ", "))")
        }
        return try Assay.parseAsRoot(arguments)
    }

    /// Ends the process, unless an interruption is about to.
    private static func leave(_ status: Int32) -> Never { Temporaries.removeAll { exit(status) } }

    private static func fail(_ sentence: String, _ status: Int32) -> Never {
        writeJSON(sentence, status)
        Temporaries.removeAll {
            Terminal.note("error: " + sentence)
            exit(status)
        }
    }

    /// With `--json` there is one document on standard output, whatever happens; what was shown before stays the only one.
    private static func writeJSON(_ sentence: String, _ status: Int32) {
        guard Arguments.texts.prefix(while: { $0 != "--" }).contains("--json"), !Terminal.hasOutput else { return }
        let value: JSONValue = ["error": .string(sentence), "exitCode": JSONValue(Int(status))]
        try? Terminal.write(value.prettyText + "\n")
    }

    /// Prints what the parser of arguments has to say: a mistake on standard error, help or a version on standard output.
    private static func show(_ message: any Error) -> Never {
        let (text, status) = (Assay.fullMessage(for: message), Assay.exitCode(for: message))
        guard status == .success else {
            if status == .validationFailure { writeJSON(Assay.message(for: message), status.rawValue) }
            for line in text.split(separator: "\n") { Terminal.note(String(line)) }
            leave(status.rawValue)
        }
        do {
            try Terminal.write(text + "\n")
        } catch {
            fail("\(error)", ExitStatus.systemFailed.rawValue)
        }
        leave(0)
    }

    /// From here on an interrupted run removes what it has not finished, and ends with 128 and the signal's number. Signals
    /// that the caller ignores (nohup) are ignored.
    ///
    /// They are blocked in all threads but one, which waits for them: none is lost meanwhile, whatever the others do. To be
    /// called before there are others.
    static func removeTemporariesWhenInterrupted() {
        var signals = endingSignals
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        var thread = pthread_t()
        let status = pthread_create(
            &thread, nil,
            { _ in
                var (signals, number) = (Main.endingSignals, CInt(0))
                while sigwait(&signals, &number) != 0 {}
                Temporaries.removeAll { _exit(128 + number) }
            }, nil)
        // Where no thread can wait for them, they end the process as they do any.
        if status != 0 { pthread_sigmask(SIG_UNBLOCK, &signals, nil) }
    }

    private static var endingSignals: sigset_t {
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in [SIGINT, SIGTERM, SIGHUP] where !isIgnored(number) { sigaddset(&signals, number) }
        return signals
    }

    private static func isIgnored(_ number: CInt) -> Bool {
        var action = sigaction()
        sigaction(number, nil, &action)
        return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
            == unsafeBitCast(SIG_IGN as __sighandler_t?, to: Int.self)
    }
}

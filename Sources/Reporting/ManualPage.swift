import AssayCheckpoints

/// The manual page `assay(1)`, made of what the command line says of itself: the help of every command in JSON, as
/// swift-argument-parser dumps it. What `--help` hides, it hides.
public struct ManualPage {
    private let root: JSONObject
    private let version: String
    private var lines: [String] = []

    /// - Parameter help: the dump, `{"command": {...}}`.
    /// - Returns: nil where it is none.
    public init?(_ help: JSONValue, version: String) {
        guard let root = help.object?["command"]?.object else { return nil }
        self.root = root
        self.version = version
    }

    /// The page in the macros of man(7).
    public var text: String {
        var page = self
        page.write()
        return page.lines.joined(separator: "\n") + "\n"
    }

    private var name: String { root["commandName"]?.string ?? "" }

    private mutating func write() {
        lines = [".TH \(name.uppercased()) 1 \"\" \"\(name) \(version)\" \"User Commands\""]
        section("NAME")
        lines.append("\(Self.escaped(name)) \\- \(Self.escaped(root["abstract"]?.string ?? ""))")
        section("SYNOPSIS")
        for (index, command) in commands.enumerated() {
            if index > 0 { lines.append(".br") }
            lines.append(synopsis(of: command))
        }
        section("DESCRIPTION")
        paragraphs(root["discussion"]?.string ?? "")
        section("COMMANDS")
        for command in commands { write(command) }
        section("OPTIONS")
        for option in Self.shown(root) { write(option: option) }
        for (title, entries) in Self.more {
            section(title)
            for (term, words) in entries {
                lines += [".TP", "\\fB\(Self.escaped(term))\\fR", Self.escaped(words)]
            }
        }
    }

    /// What is not in the help.
    private static let more: [(title: String, entries: [(term: String, words: String)])] = [
        (
            "ENVIRONMENT",
            [
                (
                    "COLUMNS",
                    "The width that text is fitted to: else that of the terminal; output to a file has none, but that of verify 80."
                ),
                ("NO_COLOR", "Honoured by being needless: nothing is ever coloured."),
                ("ASSAY_CPU", "scalar, avx2, avx512 or neon: the instructions to use, which change no bit."),
            ]
        ),
        (
            "SIGNALS",
            [
                (
                    "SIGHUP, SIGINT, SIGTERM",
                    "End it within a moment with 129, 130, 143; what was unfinished is removed."
                ),
                ("SIGPIPE", "Where nobody reads standard output any more, it ends with 141."),
            ]
        ),
        (
            "FILES",
            [
                ("NAME.certificate.json, certificate.json", "The certificate, beside a file and in a folder."),
                ("NAME.assay-partial", "What an interrupted run with --resume keeps for the next."),
            ]
        ),
    ]

    // MARK: Commands

    private var commands: [JSONObject] {
        (root["subcommands"]?.array ?? []).compactMap(\.object)
            .filter { $0["shouldDisplay"]?.bool ?? true && $0["commandName"]?.string != "help" }
    }

    private static func shown(_ command: JSONObject) -> [JSONObject] {
        (command["arguments"]?.array ?? []).compactMap(\.object).filter { $0["shouldDisplay"]?.bool ?? true }
    }

    private static func isPositional(_ argument: JSONObject) -> Bool { argument["kind"]?.string == "positional" }

    private func synopsis(of command: JSONObject) -> String {
        let places = Self.shown(command).filter(Self.isPositional).map { argument in
            let word = "\\fI\(Self.escaped(argument["valueName"]?.string ?? ""))\\fR"
            return argument["isOptional"]?.bool == true ? "[\(word)]" : word
        }
        let required = Self.shown(command).filter { !Self.isPositional($0) && $0["isOptional"]?.bool == false }.map {
            "\(Self.names(of: $0)) \\fI\(Self.escaped($0["valueName"]?.string ?? ""))\\fR"
        }
        let name = "\\fB\(Self.escaped(name)) \(Self.escaped(command["commandName"]?.string ?? ""))\\fR"
        return ([name] + places + required + ["[\\fIoptions\\fR]"]).joined(separator: " ")
    }

    private mutating func write(_ command: JSONObject) {
        lines.append(".SS \(Self.escaped(command["commandName"]?.string ?? ""))")
        lines.append(synopsis(of: command))
        lines.append(".PP")
        paragraphs(command["abstract"]?.string ?? "")
        // The version is the program's: the dump has it with every command, their help has not.
        for argument in Self.shown(command) where argument["valueName"]?.string != "version" { write(option: argument) }
        if let discussion = command["discussion"]?.string {
            lines.append(".PP")
            paragraphs(discussion)
        }
    }

    /// "-h, --help"
    private static func names(of option: JSONObject) -> String {
        (option["names"]?.array ?? []).compactMap(\.object).map { name in
            let dashes = name["kind"]?.string == "long" ? "--" : "-"
            return "\\fB\(escaped(dashes + (name["name"]?.string ?? "")))\\fR"
        }.joined(separator: ", ")
    }

    private mutating func write(option: JSONObject) {
        let value = option["valueName"]?.string.map { "\\fI\(Self.escaped($0))\\fR" } ?? ""
        lines.append(".TP")
        if Self.isPositional(option) {
            lines.append(value)
        } else {
            lines.append(Self.names(of: option) + (option["kind"]?.string == "option" ? " \(value)" : ""))
        }
        var words = option["abstract"]?.string ?? ""
        if let value = option["defaultValue"]?.string { words += " (default: \(value))" }
        lines.append(Self.escaped(words))
    }

    // MARK: Text

    private mutating func section(_ title: String) { lines.append(".SH \(title)") }

    /// Paragraphs of a help text; indented lines stay as they are.
    private mutating func paragraphs(_ text: String) {
        var isExample = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            let isIndented = line.hasPrefix("  ")
            if isIndented != isExample { lines.append(isIndented ? ".nf" : ".fi") }
            isExample = isIndented
            lines.append(line.isEmpty ? ".PP" : Self.escaped(String(line)))
        }
        if isExample { lines.append(".fi") }
    }

    /// Text that roff shows as it is: no line of it is a request, and a hyphen can be copied as one.
    private static func escaped(_ text: String) -> String {
        let shown = text.escaped.replacing("\\", with: "\\e").replacing("-", with: "\\-")
        return shown.hasPrefix(".") || shown.hasPrefix("'") ? "\\&" + shown : shown
    }
}

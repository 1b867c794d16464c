import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

/// What the tool writes where a person sees it, and where a program reads it.
@Suite struct Terminals {
    /// Names that would take over a terminal: a colour, the clipboard, a bell, a carriage return, a line of its own, NUL,
    /// a right-to-left mark.
    private static let hostile = [
        #"a\u001b[31m"#, #"b\u001b]52;c;aGk=\u0007"#, #"c\rd"#, #"e\nerror: f"#, #"g\u0000h"#, "i\\u202ej",
        #"k\u009b2J"#,
    ]

    private func model(in folder: TemporaryFolder, named name: String = "x.safetensors") throws -> FilePath {
        let entries = Self.hostile.enumerated().map { index, name in
            "\"\(name)\":{\"dtype\":\"F32\",\"shape\":[2,32],\"data_offsets\":[\(index * 256),\((index + 1) * 256)]}"
        }
        let header = "{\"__metadata__\":{\"m\\u001b[1m\":\"v\\u0007\\n\"},\(entries.joined(separator: ","))}"
        let values = (0..<Self.hostile.count * 64).map { Float($0 % 7) - 3 }
        return try folder.write(name, SafetensorsBytes.file(header, data: values.withUnsafeBytes { Array($0) }))
    }

    /// Requires that a text has no control characters but line ends.
    private func requirePlain(_ text: String, _ about: String) {
        let control = text.unicodeScalars.first {
            $0.value < 0x20 && $0 != "\n" || (0x7F...0x9F).contains($0.value) || (0x202A...0x202E).contains($0.value)
        }
        #expect(control == nil, "\(about): \(text.debugDescription)")
    }

    private static let commands = [
        ["inspect", "X", "--stats", "--digest"], ["inspect", "X", "--json"], ["inspect", "X", "nothing*"],
        ["convert", "X", "out.zplanes"], ["convert", "X", "out.zplanes", "--json"],
        ["convert", "X", "out.gguf", "--dry-run"],
        ["convert", "X", "out.h5"], ["convert", "X", "out.npy"], ["convert", "X", "out.npz", "--exclude", "a*"],
        ["convert", "X", "out.safetensors", "--dtype", "f4"], ["verify", "X", "--against", "X"],
        ["convert", "X", "out.safetensors", "--set-metadata", "m\u{1B}[1m=\u{7}"],
        ["quantize", "X", "q.safetensors", "--scheme", "int4-g32", "--include", "*"],
        ["quantize", "X", "q.gguf", "--scheme", "q4_0", "--include", "*", "--json"],
        ["diff", "X", "X", "--weights"], ["diff", "X", "X", "--json"], ["run", "X", "--tokens", "X"],
        ["inspect", "no\u{1B}[31m\nsuch"], ["convert", "X", "no\u{1B}[31m\nsuch/x.h5"],
        ["inspect", "X", "--\u{1B}[31m"],
        ["convert", "X", "o\u{1B}[31m.xyz"], ["convert", "X", "out.h5", "--to", "\u{1B}[31m"],
    ]

    @Test(arguments: commands, [false, true])
    func namesAreEscaped(_ command: [String], _ isOnTerminal: Bool) throws {
        let folder = try TemporaryFolder()
        let path = try model(in: folder, named: "x\u{1B}[31m\r\n.safetensors").string
        let arguments = command.map {
            $0 == "X"
                ? path
                : $0.contains("out.") || $0.hasPrefix("q.") || $0.hasPrefix("o\u{1B}")
                    ? folder.path.appending($0).string : $0
        }
        if isOnTerminal {
            let shown = try AssayTool.runOnTerminal(arguments, width: 60)
            requirePlain(shown.errors.replacing("\r\n", with: "\n"), "\(command)")
        } else {
            let outcome = try AssayTool.run(arguments)
            requirePlain(outcome.output, "\(command)")
            requirePlain(outcome.errors, "\(command)")
            if command.contains("--json") { _ = try JSONValue(parsing: Array(outcome.output.utf8)) }
        }
        try Trials(
            "Output", "names that would take over a terminal, through every command, on a terminal and into a pipe"
        ).record(1)
    }

    @Test(arguments: [30, 60, 100]) func sentencesFitTheTerminal(_ width: Int) throws {
        let model = try TestModel()
        for arguments in [
            ["inspect", model.path, "*.h.9.*"], ["convert", model.path, model.path + "/x.xyz"],
            ["convert", model.path],
        ] {
            let shown = try AssayTool.runOnTerminal(arguments, width: width)
            let lines = shown.errors.split(whereSeparator: \.isNewline)
            // A path or a name is not broken.
            for line in lines where line.count > width { #expect(line.split(separator: " ").count <= 2, "\(line)") }
            #expect(lines.count > 1 || width == 100, "\(shown.errors)")
            let words = try AssayTool.run(arguments).errors.split(whereSeparator: \.isWhitespace)
            #expect(shown.errors.split(whereSeparator: \.isWhitespace) == words)
        }
    }

    @Test func tablesAreAsWideAsAskedAndPipesHaveNoWidth() throws {
        let model = try TestModel()
        let narrow = try AssayTool.run(["inspect", model.path], environment: ["COLUMNS": "60"])
        for line in narrow.output.split(separator: "\n") { #expect(line.count <= 60, "\(line)") }
        #expect(narrow.errors.isEmpty)
    }

    /// Longer than the moment after which a progress line appears, on a terminal only. The weight is a hole in its file.
    @Test func progressIsShownOnATerminalOnly() throws {
        let folder = try TemporaryFolder()
        let byteCount = 196_608 * 1024 * 4
        let header = SafetensorsBytes.file(
            #"{"a.weight":{"dtype":"F32","shape":[196608,1024],"data_offsets":[0,\#(byteCount)]}}"#, data: [])
        let file = try folder.write("a.safetensors", header)
        try OutputFile(changing: file).setLength(header.count + byteCount)
        let command = [
            "quantize", file.string, folder.path.appending("q.safetensors").string, "--scheme", "int4-g32", "--include",
            "*",
            "--overwrite", "--threads", "1",
        ]
        let shown = try AssayTool.runOnTerminal(command, width: 80)
        #expect(shown.exitCode == 0 && shown.errors.contains("quantizing ["), "\(shown.errors)")
        #expect(try AssayTool.runOnTerminal(command + ["--quiet"], width: 80).errors.isEmpty)
        #expect(try AssayTool.run(command).errors.isEmpty)
    }

    @Test func nothingIsColoured() throws {
        let model = try TestModel()
        for environment in [["NO_COLOR": "1"], ["NO_COLOR": ""], ["CLICOLOR_FORCE": "1"]] {
            let outcome = try AssayTool.run(["inspect", model.path], environment: environment)
            #expect(outcome.exitCode == 0 && !outcome.output.contains("\u{1B}"))
        }
    }
}

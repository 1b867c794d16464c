import AssayCheckpoints
import AssayTestSupport
import SystemPackage
import Testing

/// What is installed beside the binary: the manual page and the completions.
@Suite struct InstalledFiles {
    private static let commands = ["inspect", "convert", "quantize", "run", "diff", "verify"]

    /// "--shard-size" and the like, wherever they stand in a text.
    private func options(in text: String) -> Set<String> {
        Set(text.matches(of: #/--[a-z][a-z0-9-]*/#).map { String($0.output) })
    }

    @Test func theManualHasEveryOptionOfTheHelpAndNoOther() throws {
        let manual = try AssayTool.run(["manual"])
        #expect(manual.exitCode == 0)
        // What roff would show.
        let page = manual.output.replacing("\\-", with: "-")
        let sections = page.split(separator: "\n.SS ").dropFirst()
        #expect(sections.map { String($0.prefix { $0 != "\n" }) } == Self.commands)
        for (command, section) in zip(Self.commands, sections) {
            let help = try AssayTool.run([command, "--help"]).output
            let inHelp = Set(
                help.split(separator: "\n").filter { $0.hasPrefix("  -") }
                    .flatMap { options(in: String($0.prefix(28))) })
            let own = section.prefix(upTo: section.firstRange(of: "\n.SH ")?.lowerBound ?? section.endIndex)
            let inPage = Set(
                own.split(separator: "\n").filter { $0.hasPrefix("\\fB-") }.flatMap { options(in: String($0)) })
            #expect(inHelp.count > 3)
            #expect(inPage == inHelp, "\(command)")
        }
        for words in [".TH ASSAY 1", ".SH NAME", ".SH SYNOPSIS", ".SH ENVIRONMENT", "Exit codes: 0 done"] {
            #expect(page.contains(words), "\(words)")
        }
        #expect(!page.contains("hdf5-listing") && !page.contains("manual\\fR"))
    }

    /// No line of text is taken for a request by roff, and no backslash for an escape.
    @Test func theManualIsRoff() throws {
        for line in try AssayTool.run(["manual"]).output.split(separator: "\n") {
            if line.hasPrefix(".") {
                #expect(
                    [".TH", ".SH", ".SS", ".TP", ".PP", ".br", ".nf", ".fi"].contains(line.prefix { $0 != " " }),
                    "\(line)")
            }
            #expect(!line.hasPrefix("'"), "\(line)")
            for (index, character) in line.enumerated() where character == "\\" {
                let next = line.dropFirst(index + 1).first
                #expect(next.map { "f-e&".contains($0) } ?? false, "\(line)")
            }
        }
    }

    @Test(arguments: ["bash", "zsh", "fish"]) func completionsParse(_ shell: String) throws {
        let script = try AssayTool.run(["--generate-completion-script", shell])
        #expect(script.exitCode == 0 && script.output.count > 1000)
        #expect(script.output.contains("shard-size") && script.output.contains("int4-g32"))
        let folder = try TemporaryFolder()
        let file = try folder.write("script", Array(script.output.utf8))
        let outcome = try AssayTool.shell("command -v \(shell) >/dev/null || exit 0; \(shell) -n '\(file.string)'")
        #expect(outcome.exitCode == 0 && outcome.errors.isEmpty, "\(outcome.errors)")
    }

    /// What bash offers for a command line whose last word is to be completed.
    private func completions(of line: String, in folder: TemporaryFolder) throws -> [String] {
        let script = try AssayTool.run(["--generate-completion-script", "bash"]).output
        try folder.write(".completions", Array(script.utf8))
        let words = line.split(separator: " ", omittingEmptySubsequences: false)
        let quoted = words.map { "'\($0)'" }.joined(separator: " ")
        let outcome = try AssayTool.shell(
            """
            cd '\(folder.path.string)' || exit 1
            exec bash -c '. ./.completions
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
            _assay assay "${@: -1}" "${@: -2:1}" 2>/dev/null
            printf "%s\\n" "${COMPREPLY[@]}"' bash \(quoted)
            """)
        return outcome.output.split(separator: "\n").map { $0.trimmingPrefix(" ") }.map(String.init)
    }

    @Test func bashCompletes() throws {
        let folder = try TemporaryFolder()
        try folder.write("model.safetensors", [1])
        try folder.write("other.h5", [1])
        #expect(try completions(of: "assay qu", in: folder) == ["quantize"])
        #expect(try completions(of: "assay convert mo", in: folder) == ["model.safetensors"])
        #expect(
            try completions(of: "assay convert model.safetensors --to z", in: folder).sorted() == [
                "zplanes", "ztensor",
            ])
        #expect(try completions(of: "assay quantize a b --scheme q4", in: folder) == ["q4_0", "q4_1"])
        #expect(try completions(of: "assay convert a b --dtype bf", in: folder) == ["bf16"])
        #expect(try completions(of: "assay convert a b --shard", in: folder) == ["--shard-size"])
        #expect(try completions(of: "assay verify oth", in: folder) == ["other.h5"])
        #expect(try completions(of: "assay run m --profile ref", in: folder).sorted() == ["ref32", "ref64"])
    }
}

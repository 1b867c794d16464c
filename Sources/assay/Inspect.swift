import ArgumentParser
import AssayCheckpoints
import AssayFormats
import AssayReporting
import AssayVerification
import SystemPackage

struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect", _superCommandName: "assay",
        abstract: "Say what a checkpoint is, what is in it, and what is wrong with it; reads the header only.",
        usage: "assay inspect <path> [<pattern>] [<options>]",
        discussion: """
            Examples:
              assay inspect model.safetensors
              assay inspect gpt2/ '*.attn.*'
              assay inspect model.h5 --stats
              assay inspect gpt2/ --explain
              assay inspect gpt2/ --digest --json
            """)

    @Argument(help: "A checkpoint file, an index file or a model folder.", completion: .file())
    var path: String

    @Argument(help: "Only tensors whose name matches this pattern ('*' and '?').")
    var pattern: String?

    @Flag(
        name: .long, help: "Read the data too: minimum, maximum, mean, standard deviation, zeros, NaN and infinities.")
    var stats = false

    @Flag(name: .long, help: "Compute the content digest where the file does not store it.")
    var digest = false

    @Flag(name: .long, help: "Say what a block computes, as equations with this model's numbers.")
    var explain = false

    @OptionGroup var common: CommonOptions

    func run() throws {
        var reading = common.reading
        reading.showsInvalid = true
        let checkpoint = try Checkpoint.open(FilePath(argument: path), reading)
        let inspection = try checkpoint.whileUnchanged {
            try Inspection(
                of: checkpoint, pattern: pattern.map { NamePattern($0) }, computesDigest: digest,
                computesStatistics: stats, explains: explain, threads: common.threadCount)
        }
        try Terminal.write(common.json ? inspection.json : inspection.text(width: Terminal.outputWidth))
        if let fault = checkpoint.contents.fault { throw fault }
        if inspection.exitStatus != .done { throw ExitCode(inspection.exitStatus.rawValue) }
    }
}

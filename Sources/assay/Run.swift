import ArgumentParser
import AssayCheckpoints
import AssayConversion
import AssayFormats
import AssayModels
import AssayReporting
import SystemPackage

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", _superCommandName: "assay",
        abstract: "Run a reference forward pass and show or capture activations.",
        usage: "assay run <model> (--tokens <file> | --text <file>) [<options>]",
        discussion: """
            A tokens file is JSON: a list of lists of token ids, or an object with input_ids and, where the model takes \
            them, attention_mask, token_type_ids, position_ids. A file of tensors (safetensors, npz, ...) may hold the \
            same under the same names, and must where a model reads images or sound: pixel_values [batch, channels, \
            height, width], input_features [batch, mel bins, frames].

            Examples:
              assay run gpt2/ --tokens tokens.json
              assay run gpt2/ --tokens tokens.json --capture t.safetensors --profile ref64
              assay run bert/ --tokens tokens.json --taps 'layers.0.*' --capture t.h5
              assay run vit/ --tokens pixels.safetensors
            """)

    @Argument(help: "A model folder.", completion: .file())
    var model: String

    @OptionGroup var input: InputOptions

    @Option(
        name: .long, help: "Write the taps to this file: \(Capture.formatNames), by its extension.",
        completion: .file())
    var capture: String?

    @Option(name: .long, help: "Which taps: 'layers.*.out,logits'; all unless given, and it may be given again.")
    var taps: [String] = []

    @Flag(name: .long, help: "Replace the captured file if it exists.")
    var overwrite = false

    @OptionGroup var common: CommonOptions

    func validate() throws {
        if overwrite, capture == nil { throw ValidationError("--overwrite: says nothing without --capture FILE") }
    }

    func run() throws {
        Main.removeTemporariesWhenInterrupted()
        let opened = try common.openModel(model)
        if let capture {
            _ = try Capture.format(for: FilePath(argument: capture))
            try opened.checkpoint.refuse(sideOutput: FilePath(argument: capture))
            try input.refuse(output: capture)
        }
        let pattern = try TapPattern(joining: taps) ?? .everything
        try pattern.requireMatches(among: opened.model.tapNames)
        guard let tokens = try input.batch(for: opened.model, tokenizerIn: opened.folder, common.reading) else {
            throw UsageError("give the input with --tokens FILE or --text FILE")
        }
        let runner = try BlockRunner(
            opened.model, tokens: tokens,
            settings: RunSettings(profile: input.chosenProfile, threads: common.threadCount))
        // Input that suits the model at all.
        if let note = tokens.noteOfLength(for: opened.model.spec) { common.note("note: \(note)") }
        for note in opened.model.notes { common.note("note: \(note)") }
        let summary = RunSummary(runner)
        let bar = Progress("running", steps: opened.model.spec.steps.count, quiet: common.quiet)
        let advance = { bar.advance(1) }
        try bar.whileShown {
            if let capture {
                try Capture.run(
                    runner, taps: pattern, to: FilePath(argument: capture), overwrite: overwrite,
                    source: opened.checkpoint, progress: advance, observe: summary.observe)
            } else {
                try opened.checkpoint.whileUnchanged {
                    try ForwardPass.run(runner, taps: pattern, progress: advance, summary.observe)
                }
            }
        }
        let captured = capture.map { FilePath(argument: $0).string }
        try Terminal.write(common.json ? summary.json(captured) : summary.text(captured, width: Terminal.outputWidth))
    }
}

extension CommonOptions {
    struct OpenedModel {
        var checkpoint: Checkpoint
        var model: Model
        var folder: FilePath
    }

    /// Opens a model folder and checks its tensors against its configuration.
    func openModel(_ path: String) throws -> OpenedModel {
        let checkpoint = try open(path)
        guard let folder = checkpoint.folder, let configuration = try ModelConfiguration.read(in: folder) else {
            throw try needsConfiguration(checkpoint)
        }
        let model = try Model(
            checkpoint.reader, configuration: configuration,
            configurationFile: folder.appending("config.json").forDisplay, name: checkpoint.path.forDisplay)
        return OpenedModel(checkpoint: checkpoint, model: model, folder: folder)
    }

    /// Why weights alone are not run, and what to name instead.
    private func needsConfiguration(_ checkpoint: Checkpoint) throws -> UsageError {
        let folder = checkpoint.folder ?? checkpoint.path.removingLastComponent()
        let remedy =
            try ModelConfiguration.read(in: folder) != nil
            ? "name the folder \(folder.isEmpty ? "." : folder.forDisplay), whose config.json is then used"
            : "put the model's config.json beside the weights and name the folder"
        return UsageError("\(checkpoint.path.forDisplay): weights alone tell no forward pass; \(remedy)")
    }
}

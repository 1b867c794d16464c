import ArgumentParser
import AssayCheckpoints
import AssayConversion
import AssayFormats
import AssayModels
import AssayReporting
import SystemPackage

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run a reference forward pass and show or capture activations.",
        usage: "assay run <model> (--tokens <file> | --text <file>) [<options>]",
        discussion: """
            A tokens file is JSON: a list of lists of token ids, or an object with input_ids and, where the model takes \
            them, attention_mask, token_type_ids, position_ids.

            Examples:
              assay run gpt2/ --tokens tokens.json
              assay run gpt2/ --tokens tokens.json --capture t.safetensors --profile ref64
              assay run bert/ --tokens tokens.json --taps 'layers.0.*' --capture t.h5
            """)

    @Argument(help: "A model folder.")
    var model: String

    @OptionGroup var input: InputOptions

    @Option(name: .long, help: "Write the taps to this file: \(Capture.formatNames), by its extension.")
    var capture: String?

    @Option(name: .long, help: "Which taps: 'layers.*.out', 'logits'; all unless given.")
    var taps = "*"

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
            _ = try Capture.format(for: FilePath(capture))
            try opened.checkpoint.refuse(output: FilePath(capture))
        }
        let pattern = try TapPattern(taps)
        try pattern.requireMatches(among: opened.model.tapNames)
        let runner = try input.runner(opened, common)
        let summary = RunSummary(runner)
        if let capture {
            try Capture.run(
                runner, taps: pattern, to: FilePath(capture), overwrite: overwrite, observe: summary.observe)
        } else {
            try ForwardPass.run(runner, taps: pattern, summary.observe)
        }
        try Terminal.write(common.json ? summary.json(capture) : summary.text(capture, width: Terminal.outputWidth))
    }
}

/// What a forward pass is run on.
struct InputOptions: ParsableArguments {
    @Option(name: .long, help: "A tokens file.")
    var tokens: String?

    @Option(name: .long, help: "A text file, cut into tokens by the model's own tokenizer.")
    var text: String?

    @Option(name: .long, help: "fast32, ref32 or ref64: how exactly to compute.")
    var profile: Profile = .fast32

    func validate() throws {
        if tokens == nil, text == nil { throw ValidationError("give the input with --tokens FILE or --text FILE") }
        if tokens != nil, text != nil { throw ValidationError("--tokens and --text exclude each other") }
    }

    func runner(_ model: CommonOptions.OpenedModel, _ common: CommonOptions) throws -> BlockRunner {
        try BlockRunner(
            model.model, tokens: try batch(for: model),
            settings: RunSettings(profile: profile, threads: common.threadCount))
    }

    /// The tokens, or the text cut by the tokenizer in the model's folder.
    func batch(for model: CommonOptions.OpenedModel) throws -> TokenBatch {
        if let tokens { return try TokensFile.read(FilePath(tokens)) }
        return try TextInput.batch(FilePath(text!), for: model.model.spec, tokenizerIn: model.folder)
    }
}

extension Profile: ExpressibleByArgument {}

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
    private func needsConfiguration(_ checkpoint: Checkpoint) throws -> StructureError {
        let folder = checkpoint.folder ?? checkpoint.path.removingLastComponent()
        let remedy =
            try ModelConfiguration.read(in: folder) != nil
            ? "name the folder \(folder.isEmpty ? "." : folder.forDisplay), whose config.json is then used"
            : "put the model's config.json beside the weights and name the folder"
        return StructureError("\(checkpoint.path.forDisplay): weights alone tell no forward pass; \(remedy)")
    }
}

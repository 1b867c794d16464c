import ArgumentParser
import AssayCheckpoints
import AssayConversion
import AssayFormats
import AssayReporting
import AssayTensors
import AssayVerification
import SystemPackage

struct Convert: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert", _superCommandName: "assay",
        abstract: "Convert a checkpoint to another format or precision, streaming, with a certificate.",
        discussion: """
            A destination with a format's extension is a file; a model folder converted to a name without one becomes a \
            folder with the configuration and the tokenizer.

            Examples:
              assay convert model.safetensors model.zplanes
              assay convert gpt2/ gpt2-bf16 --dtype bf16
              assay convert gpt2/ gpt2-shards --shard-size 500MB --to safetensors
              assay convert model.h5 model.safetensors --dry-run
            """)

    @Argument(help: "A checkpoint file, an index file or a model folder.")
    var source: String

    @Argument(help: "The file or folder to make.")
    var destination: String

    @Option(
        name: .customLong("to"), help: "The format: \(FormatRegistry.names()). The extension tells it otherwise.")
    var format: String?

    @Option(name: .long, help: "Round floating-point tensors to this type: \(Self.elementTypeNames).")
    var dtype: String?

    @Option(
        name: .long,
        help: "\(FormatRegistry.names { $0.capabilities.deflates }) only: chunks deflated at this level (1 to 12).")
    var deflate: Int?

    @Option(name: .long, help: "Only tensors whose name matches this pattern ('*' and '?'); may be repeated.")
    var include: [String] = []

    @Option(name: .long, help: "No tensors whose name matches this pattern; may be repeated.")
    var exclude: [String] = []

    @OptionGroup var output: OutputOptions
    @OptionGroup var common: CommonOptions

    func validate() throws {
        if let deflate, !(1...12).contains(deflate) { throw ValidationError("--deflate: a level from 1 to 12") }
        if let dtype, ElementType(spelling: dtype)?.isBlock ?? true {
            let lack =
                ElementType(spelling: dtype) == nil ? "no type that is known" : "a block type, which is not made so"
            throw ValidationError("--dtype: '\(dtype)' is \(lack); choose one of \(Self.elementTypeNames)")
        }
    }

    /// The types that floating-point tensors can be rounded to.
    private static let elementTypeNames = ElementType.scalars
        .filter { ElementConversion.refusal(from: .f32, to: $0) == nil }
        .map { $0.name.lowercased() }.joined(separator: ", ")

    func run() throws {
        Main.removeTemporariesWhenInterrupted()
        let checkpoint = try common.open(source)
        var options = output.conversionOptions(
            destination, to: format, include: include, exclude: exclude, common)
        options.writing.deflateLevel = deflate
        let configuration = try ModelConfiguration.read(of: checkpoint)
        let plan = try ConversionPlan.convert(
            checkpoint, options, to: dtype.flatMap { ElementType(spelling: $0) }, configuration: configuration)
        try ConversionSession(plan: plan, operation: "convert", output: output, common: common).run()
    }
}

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
              assay convert gpt2/ renamed.safetensors --map names.json
              assay convert a.gguf b.gguf --set-metadata general.name=Mine
              assay convert a.gguf --in-place --remove-metadata general.url
            """)

    @Argument(help: "A checkpoint file, an index file or a model folder.", completion: .file())
    var source: String

    @Argument(help: "The file or folder to make; none with --in-place.", completion: .file())
    var destination: String?

    @Option(
        name: .customLong("to"), help: "The format: \(FormatRegistry.names()). The extension tells it otherwise.",
        completion: .list(FormatRegistry.all.map { $0.name }))
    var format: String?

    @Option(
        name: .long,
        help: "Round floating-point tensors to this type: \(Self.elementTypeNames.joined(separator: ", ")).",
        completion: .list(Self.elementTypeNames))
    var dtype: String?

    @OptionGroup var map: MapOption

    @Option(
        name: .long, parsing: .unconditional,
        help: "\(FormatRegistry.names { $0.capabilities.deflates }) only: chunks deflated at this level (1 to 12).")
    var deflate: Int?

    @Option(name: .long, help: "Only tensors whose name matches this pattern ('*' and '?'); may be repeated.")
    var include: [String] = []

    @Option(name: .long, help: "No tensors whose name matches this pattern; may be repeated.")
    var exclude: [String] = []

    @Option(
        name: .long,
        help: """
            Set an entry of the metadata: KEY=VALUE; may be repeated. In gguf it keeps its type, and a new one that is \
            not text is KEY:TYPE=VALUE, as in general.file_type:u32=7.
            """,
        transform: MetadataEdit.setting)
    var setMetadata: [MetadataEdit] = []

    @Option(
        name: .long, help: "Take an entry out of the metadata; may be repeated.",
        transform: { MetadataEdit(key: $0, value: nil) })
    var removeMetadata: [MetadataEdit] = []

    @Flag(
        name: .long,
        help: """
            Write the changed metadata into SRC itself, which otherwise nothing does; its data stays where it is. The \
            header must have room: few have more than some bytes, unless something is taken away. Safetensors and \
            gguf only; a certificate that speaks of SRC is renewed.
            """)
    var inPlace = false

    @OptionGroup var output: OutputOptions
    @OptionGroup var common: CommonOptions

    private var metadataEdits: [MetadataEdit] { removeMetadata + setMetadata }

    func validate() throws {
        guard inPlace != (destination != nil) else {
            throw ValidationError(
                inPlace ? "--in-place: changes SRC itself; give no destination" : "name the file or folder to make")
        }
        if inPlace { try validateInPlace() }
        if let deflate, !(1...12).contains(deflate) {
            throw ValidationError("--deflate: a level from 1 to 12, not \(deflate)")
        }
        if let dtype, ElementType(spelling: dtype)?.isBlock ?? true {
            let lack =
                ElementType(spelling: dtype) == nil ? "no type that is known" : "a block type, which is not made so"
            throw ValidationError(
                "--dtype: '\(dtype)' is \(lack); choose one of \(Self.elementTypeNames.joined(separator: ", "))")
        }
    }

    private func validateInPlace() throws {
        guard !metadataEdits.isEmpty else {
            throw ValidationError("--in-place: changes metadata; use --set-metadata or --remove-metadata")
        }
        let others: [(name: String, isGiven: Bool)] = [
            ("--to", format != nil), ("--dtype", dtype != nil), ("--map", map.path != nil),
            ("--deflate", deflate != nil),
            ("--include", !include.isEmpty), ("--exclude", !exclude.isEmpty),
        ]
        if let name = (others + output.given).first(where: \.isGiven)?.name {
            throw ValidationError("\(name): has no effect with --in-place, which changes metadata only")
        }
    }

    /// The types that floating-point tensors can be rounded to.
    private static let elementTypeNames = ElementType.scalars
        .filter { ElementConversion.refusal(from: .f32, to: $0) == nil }
        .map { $0.name.lowercased() }

    func run() throws {
        Main.removeTemporariesWhenInterrupted()
        let reading = common.streaming
        let checkpoint = try common.open(source, reading)
        guard let destination else { return try changeInPlace(checkpoint) }
        try InputOptions.refuse([map.path], output: destination)
        var options = output.conversionOptions(
            destination, to: format, include: include, exclude: exclude, common, reading)
        options.writing.deflateLevel = deflate
        options.metadataEdits = metadataEdits
        let configuration = try ModelConfiguration.read(of: checkpoint)
        let plan = try ConversionPlan.convert(
            checkpoint, options, to: dtype.flatMap { ElementType(spelling: $0) }, configuration: configuration,
            map: map.read())
        try ConversionSession(plan: plan, operation: "convert", output: output, common: common).run()
    }

    private func changeInPlace(_ checkpoint: Checkpoint) throws {
        let edit = try HeaderEdit(checkpoint, metadataEdits, common.reading)
        var renewed: [FilePath] = []
        if !output.dryRun {
            renewed = try CertificateFile.carryOut(edit)
        }
        try Terminal.write(
            common.json
                ? ConversionReport.json(of: edit, wasDone: !output.dryRun, renewed)
                : ConversionReport.text(of: edit, wasDone: !output.dryRun, renewed, width: Terminal.outputWidth))
    }
}

extension MetadataEdit {
    /// "general.name=Mine": the key ends at the first '='.
    static func setting(_ text: String) throws -> MetadataEdit {
        guard let equals = text.utf8.firstIndex(of: UInt8(ascii: "=")), equals > text.startIndex else {
            throw ValidationError("expected KEY=VALUE")
        }
        guard Arguments.isText(text) else { throw ValidationError("expected text in UTF-8") }
        return MetadataEdit(key: String(text[..<equals]), value: String(text[text.utf8.index(after: equals)...]))
    }
}

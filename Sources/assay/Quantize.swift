import ArgumentParser
import AssayCheckpoints
import AssayConversion
import AssayQuantization
import AssayReporting
import AssayTensors

struct Quantize: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize", _superCommandName: "assay",
        abstract: "Quantize a model's linear weights: int8, int4 (compressed-tensors), or blocks of GGUF.",
        discussion: """
            Embeddings, norms, biases and heads stay as they are; what a scheme does not fit is listed. With --map, the \
            configuration, --keep, --include and --exclude speak of the tensors that come of it.

            The schemes q4_0 to q8_0 are blocks of ggml, written as gguf.

            Examples:
              assay quantize gpt2/ gpt2-int8 --scheme int8
              assay quantize gpt2/ gpt2-int4 --scheme int4-g32 --keep '*.mlp.*'
              assay quantize gpt2/ gpt2-q4_0.gguf --scheme q4_0
              assay quantize a.h5 b.safetensors --scheme int8 --include '*_proj.weight'
              assay quantize foreign/ gpt2-int8 --scheme int8 --map names.json
            """)

    @Argument(help: "A model folder, or a checkpoint file with --include.", completion: .file())
    var source: String

    @Argument(help: "The folder or file to make.", completion: .file())
    var destination: String

    @Option(
        name: .long, help: "How to round: \(SchemeRegistry.names.joined(separator: ", ")).",
        completion: .list(SchemeRegistry.names))
    var scheme: String

    @Option(
        name: .long, help: "The type of the scales: f32, bf16, f16. It follows the weights unless given.",
        completion: .list(["f32", "bf16", "f16"]))
    var scaleType: String?

    @OptionGroup var map: MapOption

    @Option(name: .long, help: "Weights to leave as they are ('*' and '?'); may be repeated.")
    var keep: [String] = []

    @Option(
        name: .long,
        help: """
            Quantize only weights whose name matches this pattern; the others come along as they are. May be repeated.
            """)
    var include: [String] = []

    @Option(
        name: .long,
        help: """
            Do not quantize weights whose name matches this pattern: they come along as they are, as with --keep; \
            nothing is left out. May be repeated.
            """)
    var exclude: [String] = []

    @Flag(name: .customLong("no-clipping"), help: "Keep every group's whole range instead of searching the best one.")
    var keepsRange = false

    @Flag(name: .long, help: "Turn NaN into 0 and infinities into the largest magnitude, instead of refusing them.")
    var allowNonFinite = false

    @OptionGroup var output: OutputOptions
    @OptionGroup var common: CommonOptions

    func validate() throws {
        guard let known = SchemeRegistry.any(named: scheme) else {
            throw ValidationError(
                "--scheme: '\(scheme)' is none; choose one of \(SchemeRegistry.names.joined(separator: ", "))")
        }
        if case .blocks(let type) = known { try validate(type) }
        if let scaleType {
            let type = ElementType(spelling: scaleType)
            guard type == .f32 || type == .bf16 || type == .f16 else {
                throw ValidationError("--scale-type: '\(scaleType)' is no type of scales; choose f32, bf16 or f16")
            }
        }
    }

    /// Blocks leave nothing to choose.
    private func validate(_ type: ElementType) throws {
        let options = [
            ("--scale-type", scaleType != nil), ("--no-clipping", keepsRange), ("--allow-non-finite", allowNonFinite),
        ]
        if let (name, _) = options.first(where: \.1) {
            throw ValidationError("\(name): has no effect with --scheme \(type.name), which fixes how it rounds")
        }
    }

    func run() throws {
        Main.removeTemporariesWhenInterrupted()
        let reading = common.streaming
        let checkpoint = try common.open(source, reading)
        try InputOptions.refuse([map.path], output: destination)
        let configuration = try ModelConfiguration.read(of: checkpoint)
        let scheme = SchemeRegistry.any(named: scheme)!
        let isInteger = if case .integers = scheme { true } else { false }
        // Weights are quantized one after the other, each on all threads: a whole one lies in memory.
        let options = output.conversionOptions(
            destination, to: isInteger ? "safetensors" : nil, include: include, exclude: exclude, common,
            reading)
        let quantization = try ModelQuantization(
            checkpoint, configuration: configuration, scheme, options,
            quantization: QuantizationOptions(
                scaleType: scaleType.flatMap { ElementType(spelling: $0) }, searchesClipping: !keepsRange,
                allowsNonFinite: allowNonFinite, threads: 1),
            exceptions: NamePatterns(keep.map { NamePattern($0) }),
            map: map.read())
        try ConversionSession(plan: quantization.plan, operation: "quantize", output: output, common: common).run()
    }
}

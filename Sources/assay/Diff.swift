import ArgumentParser
import AssayCheckpoints
import AssayComparison
import AssayConversion
import AssayFormats
import AssayModels
import AssayReporting
import AssayVerification
import SystemPackage

struct Diff: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", _superCommandName: "assay",
        abstract:
            "Compare two checkpoints: structure, weights, activations at every layer, predictions. A is the reference.",
        discussion: """
            Examples:
              assay diff gpt2 gpt2-int4 --tokens tokens.json
              assay diff gpt2 gpt2-bf16 --tokens tokens.json --report diff.html
              assay diff gpt2 gpt2-bf16 --tokens tokens.json --certify
              assay diff a.safetensors b.safetensors
              assay diff gpt2 taps.safetensors --profile ref32
              assay diff gpt2 debug-dump/ --tokens tokens.json
              assay diff gpt2 keras.npz --map-b taps.json --tokens tokens.json

            Activations are compared block by block: on the test's own states (accumulated) and on the reference's \
            (isolated). The verdict goes by the isolated error, and by every weight: identical, arithmetic, explained \
            by storage, or unexplained. Exit code 1 for the last, or where --tolerance is exceeded; 2 where the structure \
            differs.
            """)

    @Argument(help: "The reference: a model folder, a checkpoint file, or captured activations.", completion: .file())
    var a: String

    @Argument(help: "What is compared with it.", completion: .file())
    var b: String

    @OptionGroup var input: InputOptions

    @Flag(name: .long, help: "Show every weight that differs (without tokens they are shown anyway).")
    var weights = false

    @Option(
        name: .long, parsing: .unconditional,
        help: "Sequences to walk together; as many as fit unless given. Changes no figure.")
    var batch: Int?

    @Option(
        name: .long, parsing: .unconditional,
        help: "Relative L2 that no tap (without tokens, no weight) may exceed, whatever explains it.")
    var tolerance: Double?

    @Option(
        name: .customLong("map-a"),
        help: "A map in JSON (formats/map.md) from the names in A, captured elsewhere, to taps.", completion: .file())
    var mapA: String?

    @Option(
        name: .customLong("map-b"),
        help: "The same for B.", completion: .file())
    var mapB: String?

    @Option(name: .long, help: "Only taps that match: 'layers.*.out,logits'; may be given again.")
    var taps: [String] = []

    @Option(name: .long, help: "Write a report as one HTML file.", completion: .file())
    var report: String?

    @Flag(
        name: .long,
        help: "Put what was found into B's certificate; 'assay verify B --against A --tokens FILE' does it again.")
    var certify = false

    @Flag(name: .long, help: "Replace the report if it exists.")
    var overwrite = false

    @OptionGroup var common: CommonOptions

    func validate() throws {
        if let batch, batch < 1 { throw ValidationError("--batch: a number from 1 on, not \(batch)") }
        if overwrite, report == nil { throw ValidationError("--overwrite: says nothing without --report FILE") }
        if certify, !taps.isEmpty { throw ValidationError("--certify: takes all taps; leave --taps out") }
        if let tolerance, !(tolerance >= 0) {
            throw ValidationError("--tolerance: a number from 0 on, not \(tolerance)")
        }
    }

    func run() throws {
        Main.removeTemporariesWhenInterrupted()
        let checkpoints = try [a, b].map { try common.open($0) }
        if let report {
            for checkpoint in checkpoints { try checkpoint.refuse(sideOutput: FilePath(argument: report)) }
            try input.refuse(output: report)
            try InputOptions.refuse([mapA, mapB], output: report)
        }
        let destination = try report.map {
            if overwrite { try HTMLReport.requireReplaceable(FilePath(argument: $0)) }
            return try StagedOutput(FilePath(argument: $0), isFolder: false, overwrite: overwrite)
        }
        var options = ComparisonOptions(threads: common.threadCount)
        options.showsWeights = weights
        options.profile = input.chosenProfile
        options.batchCount = batch
        options.limit = tolerance
        options.taps = try TapPattern(joining: taps) ?? .everything
        let maps = [("--map-a", mapA), ("--map-b", mapB)]
        let sides = try zip(checkpoints, maps).map { checkpoint, map in
            try ComparisonSide(
                checkpoint, map.1.map { try TensorMap(reading: FilePath(existing: $0, of: map.0)) })
        }
        let (reference, test) = try ComparisonSide.pair(sides[0], sides[1])
        options.tokens = try input.batch(
            for: reference.model, tokenizerIn: FilePath(argument: a), common.reading)
        try checkActivationOptions(options, reference, test)
        let certifying = try certify ? certifying(checkpoints, isCapture: reference.isCapture || test.isCapture) : nil
        let total = Comparison(reference, test, options).byteCount
        let bar = Progress("comparing", total: total, quiet: common.quiet)
        let result = try bar.whileShown {
            try checkpoints[0].whileUnchanged {
                try checkpoints[1].whileUnchanged {
                    try Comparison(reference, test, options) { bar.advance($0) }.run()
                }
            }
        }
        let finished = DiffReport(result)
        if let destination { try HTMLReport(finished).write(to: destination) }
        if let certifying {
            let path = try certifying.certify(result, tool: Assay.tool, conversionOptions)
            common.note("note: \(path.forDisplay) says so now")
        }
        try Terminal.write(common.json ? finished.json : finished.text(width: Terminal.outputWidth))
        if result.exitStatus != .done { throw ExitCode(result.exitStatus.rawValue) }
    }

    /// Refuses what selects activations where none are compared, and patterns that select none.
    private func checkActivationOptions(
        _ options: ComparisonOptions, _ reference: ComparisonSide, _ test: ComparisonSide
    ) throws(UsageError) {
        let computing = [("--batch", batch != nil), ("--profile", input.profile != nil)]
        if options.tokens == nil, !reference.isCapture, !test.isCapture {
            for (name, isGiven) in [("--taps", !taps.isEmpty)] + computing where isGiven {
                throw UsageError("\(name): activations are compared only with --tokens, --text or a capture")
            }
        }
        for (name, isGiven) in computing where isGiven && reference.isCapture && test.isCapture {
            throw UsageError("\(name): nothing is computed where both sides are captures")
        }
        if weights, reference.isCapture || test.isCapture {
            throw UsageError("--weights: a capture holds none; compare two checkpoints")
        }
        if !taps.isEmpty { try options.taps.requireMatches(among: reference.tapNames(with: test)) }
    }

    private var conversionOptions: ConversionOptions {
        var options = ConversionOptions(destination: "")
        options.threads = common.threadCount
        options.reading = common.reading
        return options
    }

    private func certifying(_ checkpoints: [Checkpoint], isCapture: Bool) throws -> ComparisonCertifying {
        guard !isCapture else { throw UsageError("--certify: compares two checkpoints, not captured activations") }
        return try ComparisonCertifying(checkpoints[0], checkpoints[1], conversionOptions)
    }
}

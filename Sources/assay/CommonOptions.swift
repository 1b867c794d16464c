import ArgumentParser
import AssayCheckpoints
import AssayConversion
import AssayFormats
import AssayReporting
import AssayTensors
import SystemPackage

/// Options that every subcommand has.
struct CommonOptions: ParsableArguments {
    @Option(name: .long, parsing: .unconditional, help: "Threads to use; as many as there are processors unless given.")
    var threads: Int?

    @Flag(name: .long, help: "No progress and no notes on standard error.")
    var quiet = false

    @Flag(name: .long, help: "One JSON document on standard output instead of text.")
    var json = false

    func validate() throws {
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads: a number from 1 to 1024, not \(threads)")
        }
    }

    var threadCount: Int { threads ?? Parallel.availableThreads }

    var reading: ReadingOptions {
        ReadingOptions(hdf5Helper: "/proc/self/exe", threads: threadCount)
    }

    /// The same for what is read once, front to back.
    var streaming: ReadingOptions {
        var options = reading
        options.cache = CacheAllowance()
        return options
    }

    /// Says something on standard error, unless it is to be quiet.
    func note(_ line: String) {
        if !quiet { Terminal.note(line) }
    }

    /// Opens a checkpoint and passes on what was seen and tolerated.
    func open(_ path: String, _ options: ReadingOptions? = nil) throws -> Checkpoint {
        let checkpoint = try Checkpoint.open(FilePath(argument: path), options ?? reading)
        for warning in checkpoint.warnings { note("note: \(checkpoint.path.forDisplay): \(warning)") }
        return checkpoint
    }
}

/// The map of the subcommands whose source may have other names and shapes.
struct MapOption: ParsableArguments {
    @Option(
        name: .customLong("map"),
        help: """
            Rename, join, cut and turn the tensors of SRC by the rules of this JSON file, before anything else is done or \
            compared.
            """,
        completion: .file())
    var path: String?

    func read() throws -> TensorMap? { try path.map { try TensorMap(reading: FilePath(existing: $0, of: "--map")) } }
}

/// Options of the subcommands that write a checkpoint.
struct OutputOptions: ParsableArguments {
    @Option(
        name: .long,
        help: """
            Cut into files with at most this size of tensor data each: 5GB, 500MB. Headers come on top, and a larger \
            tensor (or quantized weight with its scales) has a file to itself. The destination is then a folder.
            """,
        transform: ByteCount.parse)
    var shardSize: ByteCount?

    @Option(name: .long, help: "Memory for buffers: 400MB unless given.", transform: ByteCount.parse)
    var memory: ByteCount?

    @Flag(name: .long, help: "Replace the destination if it exists.")
    var overwrite = false

    @Flag(
        name: .long,
        help: """
            Go on where an interrupted run of the same command stopped, and keep what is finished for the case that this \
            one is interrupted. What is kept are whole files, in DST.assay-partial: use --shard-size to have several.
            """)
    var resume = false

    @Flag(name: .long, help: "Print what would be done, and do nothing.")
    var dryRun = false

    @Flag(
        name: .customLong("no-verify"),
        help: "Do not read the output again before publishing it; the certificate says so.")
    var skipsVerification = false

    @Option(name: .long, help: "Where to write the certificate, or 'none'.", completion: .file())
    var certificate: String?

    @Flag(name: .long, help: "Put SHA-256 of whole files into the certificate too.")
    var fileDigest = false

    func validate() throws {
        if fileDigest, certificate == "none" {
            throw ValidationError("--file-digest: says nothing with --certificate none")
        }
        if resume, dryRun { throw ValidationError("--resume: says nothing with --dry-run") }
    }

    /// The options that say how and where a checkpoint is written, but for --dry-run, and whether each was given.
    var given: [(name: String, isGiven: Bool)] {
        [
            ("--shard-size", shardSize != nil), ("--memory", memory != nil), ("--overwrite", overwrite),
            ("--resume", resume),
            ("--no-verify", skipsVerification), ("--certificate", certificate != nil), ("--file-digest", fileDigest),
        ]
    }

    func conversionOptions(
        _ destination: String, to format: String?, include: [String], exclude: [String], _ common: CommonOptions,
        _ reading: ReadingOptions
    ) -> ConversionOptions {
        var options = ConversionOptions(destination: FilePath(argument: destination))
        options.namesFolder = destination.hasSuffix("/")
        options.formatName = format
        options.include = NamePatterns(include.map { NamePattern($0) })
        options.exclude = NamePatterns(exclude.map { NamePattern($0) })
        options.shardByteCount = shardSize?.value
        options.reading = reading
        options.overwrite = overwrite
        options.keepsProgress = resume
        options.threads = common.threadCount
        if let memory { options.memoryByteCount = memory.value }
        options.verifies = !skipsVerification
        options.takesDigests = certificate != "none"
        return options
    }
}

/// A number of bytes as people write it: 5GB, 500MB, 64KiB, 1048576.
struct ByteCount {
    var value: Int

    private static let units: [(suffix: String, factor: Int)] = [
        ("kib", 1 << 10), ("mib", 1 << 20), ("gib", 1 << 30), ("tib", 1 << 40), ("kb", 1000), ("mb", 1_000_000),
        ("gb", 1_000_000_000), ("tb", 1_000_000_000_000), ("b", 1), ("", 1),
    ]

    init?(_ text: String) {
        let text = text.lowercased()
        // Hexadecimal numbers are no sizes, though Swift reads them.
        guard !text.contains("x"), let unit = Self.units.first(where: { text.hasSuffix($0.suffix) }),
            let number = Double(text.dropLast(unit.suffix.count)), number > 0,
            number * Double(unit.factor) < 9e18
        else { return nil }
        value = max(1, Int(number * Double(unit.factor)))
    }

    static func parse(_ text: String) throws -> ByteCount {
        guard let count = ByteCount(text) else {
            throw ValidationError("expected a number with B, kB, MB, GB, TB or KiB, MiB, GiB, TiB, as in 500MB")
        }
        return count
    }
}

import ArgumentParser
import AssayCheckpoints
import AssayConversion
import AssayFormats
import AssayModels
import AssayReporting
import AssayVerification
import SystemPackage

struct Verify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", _superCommandName: "assay",
        abstract: "Check a checkpoint against its certificate, its container's digests, and its source.",
        usage: "assay verify <path> [--against <source>] [<options>]",
        discussion: """
            Examples:
              assay verify model.zplanes
              assay verify gpt2-bf16 --against gpt2
              assay verify copy.h5 --against original.safetensors --certificate none
              assay verify renamed.safetensors --against original.safetensors --map names.json
              assay verify gpt2-int4 --against gpt2 --tokens tokens.json
              assay verify gpt2-bf16 --manifest to-sign.json
            """)

    @Argument(help: "A checkpoint file, an index file or a model folder.", completion: .file())
    var path: String

    @Option(
        name: .long, help: "What it was made from: the recorded transforms are done again and compared.",
        completion: .file())
    var against: String?

    @OptionGroup var map: MapOption

    @Option(
        name: .long,
        help: "The certificate, where it lies neither beside the checkpoint nor in its folder; 'none' to do without.",
        completion: .file())
    var certificate: String?

    @Option(
        name: .long,
        help: """
            A signature of OpenSSF model signing, where it is not model.sig in the folder; 'none' to do without. The \
            files are held against what was signed; who signed it is not checked.
            """, completion: .file())
    var signature: String?

    @Option(
        name: .long,
        help: "With --against: the tokens file of a comparison that the certificate records, which is then done again.",
        completion: .file())
    var tokens: String?

    @Option(
        name: .long,
        help: "Write the digests of all files as OpenSSF model signing signs them, if everything holds.",
        completion: .file())
    var manifest: String?

    @Flag(name: .long, help: "Replace the manifest if it exists.")
    var overwrite = false

    @OptionGroup var common: CommonOptions

    func validate() throws {
        if tokens != nil, against == nil { throw ValidationError("--tokens: says nothing without --against SRC") }
        if overwrite, manifest == nil { throw ValidationError("--overwrite: says nothing without --manifest FILE") }
        if map.path != nil, against == nil { throw ValidationError("--map: says nothing without --against SRC") }
    }

    func run() throws {
        Main.removeTemporariesWhenInterrupted()
        let checkpoint = try common.open(path)
        let evidence = try evidence(of: checkpoint)
        if let manifest {
            try InputOptions.refuse([tokens, map.path, certificate, signature], output: manifest)
            try evidence.source?.refuse(sideOutput: FilePath(argument: manifest))
            try FileManifest.check(FilePath(argument: manifest), of: checkpoint, overwrite: overwrite)
        }
        let (report, signed) = try check(checkpoint, evidence)
        try Terminal.write(
            common.json
                ? VerificationText.json(report, checkpoint)
                : VerificationText.text(report, checkpoint, width: Terminal.outputWidth ?? 80))
        if report.exitStatus != .done { throw ExitCode(report.exitStatus.rawValue) }
        if let manifest, let signed { try signed.write(to: FilePath(argument: manifest), overwrite: overwrite) }
    }

    /// What is signed is what was verified: it must not change before both are done.
    private func check(
        _ checkpoint: Checkpoint, _ evidence: Verifier.Evidence
    ) throws -> (VerificationReport, FileManifest?) {
        var options = ConversionOptions(destination: "")
        options.threads = common.threadCount
        options.reading = common.reading
        let tensors = checkpoint.contents.tensors + (evidence.source?.contents.tensors ?? [])
        let bar = Progress("verifying", total: tensors.reduce(0) { $0 + $1.byteCount }, quiet: common.quiet)
        func verify() throws -> (VerificationReport, FileManifest?) {
            let report = try Verifier(checkpoint, options) { bar.advance($0) }.verify(evidence)
            guard manifest != nil, report.exitStatus == .done else { return (report, nil) }
            return (report, try FileManifest(of: checkpoint, threads: common.threadCount))
        }
        return try bar.whileShown {
            try FileManifest.whileUnchanged(manifest == nil ? nil : checkpoint) {
                try checkpoint.whileUnchanged { try (evidence.source ?? checkpoint).whileUnchanged(verify) }
            }
        }
    }

    private func evidence(of checkpoint: Checkpoint) throws -> Verifier.Evidence {
        var evidence = Verifier.Evidence(certificate: try findCertificate(of: checkpoint))
        evidence.source = try against.map { try common.open($0) }
        evidence.map = try map.read()
        evidence.tokens = try tokens.map {
            try InputReading.read(FilePath(existing: $0, of: "--tokens"), common.reading)
        }
        evidence.signature =
            switch signature {
            case "none": nil
            case let path?: try SignatureOnHand(reading: FilePath(existing: path, of: "--signature"))
            case nil: try SignatureOnHand.find(for: checkpoint)
            }
        return evidence
    }

    private func findCertificate(of checkpoint: Checkpoint) throws -> CertificateOnHand? {
        switch certificate {
        case "none": nil
        case let path?:
            try CertificateOnHand(
                reading: FilePath(existing: path, of: "--certificate"), of: checkpoint)
        case nil: try CertificateOnHand.find(for: checkpoint)
        }
    }
}

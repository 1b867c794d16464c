import ArgumentParser
import AssayCheckpoints
import AssayConversion
import AssayFormats
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
            """)

    @Argument(help: "A checkpoint file, an index file or a model folder.", completion: .file())
    var path: String

    @Option(
        name: .long, help: "What it was made from: the recorded transforms are done again and compared.",
        completion: .file())
    var against: String?

    @Option(
        name: .long,
        help: "The certificate, where it lies neither beside the checkpoint nor in its folder; 'none' to do without.",
        completion: .file())
    var certificate: String?

    @OptionGroup var common: CommonOptions

    func run() throws {
        let checkpoint = try common.open(path)
        let source = try against.map { try common.open($0) }
        let certificate = try findCertificate(of: checkpoint)
        var options = ConversionOptions(destination: "")
        options.threads = common.threadCount
        options.reading = common.reading
        let bytes = (checkpoint.contents.tensors + (source?.contents.tensors ?? [])).reduce(0) { $0 + $1.byteCount }
        let bar = Progress("verifying", total: bytes, quiet: common.quiet)
        let report = try Verifier(checkpoint, options) { bar.advance($0) }
            .verify(certificate: certificate, against: source)
        bar.finish()
        try Terminal.write(
            common.json
                ? VerificationText.json(report, checkpoint)
                : VerificationText.text(report, checkpoint, width: Terminal.outputWidth ?? 80))
        if report.exitStatus != .done { throw ExitCode(report.exitStatus.rawValue) }
    }

    private func findCertificate(of checkpoint: Checkpoint) throws -> CertificateOnHand? {
        switch certificate {
        case "none": nil
        case let path?: try CertificateOnHand(reading: FilePath(argument: path), of: checkpoint)
        case nil: try CertificateOnHand.find(for: checkpoint)
        }
    }
}

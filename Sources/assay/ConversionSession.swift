import AssayCheckpoints
import AssayConversion
import AssayReporting
import AssayVerification
import SystemPackage

/// A plan carried out in front of a user: shown, or run with progress, certified, published and summed up.
struct ConversionSession {
    let plan: ConversionPlan
    let operation: String
    let output: OutputOptions
    let common: CommonOptions

    func run() throws {
        // Before the work, not after it.
        if output.certificate != "none" {
            try CertificateFile.check(output.certificate.map { FilePath(argument: $0) }, for: plan)
        }
        try plan.checkDestination()
        if output.dryRun {
            return try Terminal.write(
                common.json
                    ? ConversionReport.json(of: plan)
                    : ConversionReport.text(of: plan, width: Terminal.outputWidth))
        }
        for line in plan.notes { common.note("note: \(line)") }
        if !plan.isFolder, plan.source.folder != nil {
            common.note(
                "note: only the weights are converted into a file; name a folder to take the configuration along")
        }
        let begin = Progress.now()
        let bar = Progress(
            operation == "quantize" ? "quantizing" : "converting", total: plan.sourceByteCount, quiet: common.quiet)
        let check = Progress("verifying", total: plan.destinationByteCount, quiet: common.quiet)
        let finished = try plan.run { phase, bytes in
            switch phase {
            case .converting: bar.advance(bytes)
            case .verifying:
                bar.finish()
                check.advance(bytes)
            }
        }
        bar.finish()
        check.finish()
        let certificate = try makeCertificate(finished)
        let path = try CertificateFile.publish(
            finished, certificate,
            at: output.certificate.flatMap { $0 == "none" ? nil : FilePath(argument: $0) })
        let seconds = Progress.now() - begin
        try Terminal.write(
            common.json
                ? ConversionReport.json(of: finished, certificate: path)
                : ConversionReport.text(of: finished, certificate: path, seconds: seconds, width: Terminal.outputWidth))
    }

    private func makeCertificate(_ finished: FinishedConversion) throws -> Certificate? {
        guard output.certificate != "none" else { return nil }
        return try Certificate(
            of: finished, operation: operation, tool: "assay \(Assay.version)", digestsWholeFiles: output.fileDigest)
    }
}

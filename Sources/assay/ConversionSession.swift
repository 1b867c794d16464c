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
        let identity = try output.resume ? PartialRunIdentity(of: plan, tool: Assay.tool, command: command) : nil
        let found = try identity.flatMap { try PartialRun.found(for: plan, $0) }
        // Before the work, not after it.
        if !(found?.isPublished ?? false) { try checkPlaces() }
        if output.dryRun {
            return try Terminal.write(
                common.json
                    ? ConversionReport.json(of: plan)
                    : ConversionReport.text(of: plan, width: Terminal.outputWidth))
        }
        let partial = try found ?? identity.map { _ in try PartialRun.begun(for: plan) }
        if let identity, let partial, !partial.isPublished { try partial.begin(identity) }
        for line in plan.notes + (partial.map { notes(on: $0) } ?? []) { common.note("note: \(line)") }
        if !plan.isFolder, plan.source.folder != nil {
            common.note(
                "note: only the weights are converted into a file; name a folder to take the configuration along")
        }
        let begin = Progress.now()
        let bar = Progress(
            operation == "quantize" ? "quantizing" : "converting", total: plan.sourceByteCount, quiet: common.quiet)
        let check = Progress("verifying", total: plan.destinationByteCount, quiet: common.quiet)
        let finished = Result {
            try plan.run(keepingIn: partial) { phase, bytes in
                switch phase {
                case .converting: bar.advance(bytes)
                case .verifying:
                    bar.finish()
                    check.advance(bytes)
                }
            }
        }
        bar.finish()
        check.finish()
        if case .failure = finished, let partial, !partial.keptNames.isEmpty {
            common.note(note(onProgressIn: partial))
        }
        let conversion = try finished.get()
        let certificate = try makeCertificate(conversion)
        let path = try CertificateFile.publish(
            conversion, certificate,
            at: output.certificate.flatMap { $0 == "none" ? nil : FilePath(argument: $0) })
        let seconds = Progress.now() - begin
        try Terminal.write(
            common.json
                ? ConversionReport.json(of: conversion, certificate: path)
                : ConversionReport.text(
                    of: conversion, certificate: path, seconds: seconds, width: Terminal.outputWidth))
    }

    private func checkPlaces() throws {
        try plan.checkDestination()
        let path = output.certificate.flatMap { $0 == "none" ? nil : FilePath(argument: $0) }
        try CertificateFile.check(path, for: plan, isWritten: output.certificate != "none")
    }

    /// What is kept of an earlier run, in words.
    private func notes(on partial: PartialRun) -> [String] {
        if partial.isPublished {
            return [
                "\(plan.destination.forDisplay) was made by the run that was interrupted; it is checked once more"
            ]
        }
        let kept = partial.keptNames.count
        return (kept > 0 ? ["\(kept) of \(plan.files.count) files are kept from the interrupted run"] : [])
            + partial.damaged.map { "\($0.escapedForDisplay) was damaged or lost since, and is made again" }
            + (plan.files.count > 1
                ? [] : ["this makes one file, and only whole files are kept; --shard-size cuts it"])
    }

    /// What becomes of the finished files of a run that failed.
    private func note(onProgressIn partial: PartialRun) -> String {
        let folder = partial.folder.forDisplay
        guard (try? plan.source.whileUnchanged {}) != nil else {
            return "note: what is kept in \(folder) was made of the source as it was; remove that folder to begin anew"
        }
        return "note: what is finished is kept in \(folder); the same command goes on with it"
    }

    /// The command line, as people read it.
    private var command: String { (["assay"] + CommandLine.arguments.dropFirst()).joined(separator: " ") }

    private func makeCertificate(_ finished: FinishedConversion) throws -> Certificate? {
        guard output.certificate != "none" else { return nil }
        return try Certificate(
            of: finished, operation: operation, tool: Assay.tool, digestsWholeFiles: output.fileDigest)
    }
}

import AssayCheckpoints
import AssayConversion
import AssayFormats
import SystemPackage

/// Where a certificate lies, and in which order it is published with what it speaks of.
public enum CertificateFile {
    private static let folderName = CompanionFiles.certificateName
    private static let fileSuffix = CompanionFiles.certificateSuffix

    /// `certificate.json` in a folder, `NAME.certificate.json` beside a file.
    public static func path(for subject: FilePath, isFolder: Bool) -> FilePath {
        let subject = subject.settled()
        return isFolder ? subject.appending(folderName) : subject.beside(fileSuffix)
    }

    /// Where a certificate lies that may speak of a checkpoint, by the names alone: it is not read.
    ///
    /// - Returns: nil where there is none.
    public static func lying(by checkpoint: Checkpoint) throws -> FilePath? {
        let isFolder = checkpoint.folder != nil
        let own = path(for: checkpoint.folder ?? checkpoint.path, isFolder: isFolder)
        let around = path(for: checkpoint.path.settled().removingLastComponent(), isFolder: true)
        return try (isFolder ? [own] : [own, around]).first { try SystemCall.status($0)?.kind == .file }
    }

    /// Publishes a conversion and its certificate, both or neither: an old certificate goes first, the new one comes last,
    /// so that none ever lies beside data it does not speak of.
    ///
    /// - Parameter path: another place for the certificate; nil for the usual one.
    /// - Returns: where it was written; nil where there is none.
    @discardableResult
    public static func publish(
        _ finished: FinishedConversion, _ certificate: Certificate?, at path: FilePath? = nil
    ) throws -> FilePath? {
        let written = try publishBoth(finished, certificate, at: path)
        finished.forgetProgress()
        return written
    }

    private static func publishBoth(
        _ finished: FinishedConversion, _ certificate: Certificate?, at path: FilePath?
    ) throws -> FilePath? {
        let plan = finished.plan
        let usual = Self.path(for: plan.destination, isFolder: plan.isFolder)
        if let folder = finished.stagingFolder, path == nil {
            return try publish(finished, certificate, madeIn: folder, at: usual)
        }
        let target = path ?? usual
        if certificate != nil { try check(target, replacing: plan.options.overwrite || finished.isPublished) }
        let old = try superseded(by: plan, certificate == nil ? nil : target)
        let staged = try certificate.map { try stage($0, at: target) }
        try Publication.run(in: plan.destination.folder) { publication in
            for (path, status) in old {
                guard try SystemCall.status(path, followingLinks: false) == status else {
                    throw UsageError(
                        "\(path.forDisplay): was changed by somebody else meanwhile; nothing of it was touched")
                }
                try publication.setAside(path)
            }
            try finished.publish(in: publication)
            if let staged { try publication.publish(staged) }
        }
        return staged?.destination
    }

    /// Publishes a folder with its certificate in it.
    private static func publish(
        _ finished: FinishedConversion, _ certificate: Certificate?, madeIn folder: FilePath, at usual: FilePath
    ) throws -> FilePath? {
        if finished.isPublished {
            // By an earlier run, and its certificate with it.
            if try isCertificate(usual) { return usual }
            let staged = try certificate.map { try stage($0, at: usual) }
            try staged?.publish()
            return staged?.destination
        }
        if let certificate {
            try write(certificate, to: folder.appending(usual.lastComponent!.string))
        }
        try finished.publish()
        return certificate == nil ? nil : usual
    }

    /// What lies where a new certificate is to lie, and the certificate in the usual place, which speaks of the old data.
    private static func superseded(
        by plan: ConversionPlan, _ target: FilePath?
    ) throws -> [(path: FilePath, status: SystemCall.Status)] {
        let usual = path(for: plan.destination, isFolder: plan.isFolder)
        let atTarget = try target.flatMap { try SystemCall.status($0, followingLinks: false) }
        let old = atTarget.map { [(target!, $0)] } ?? []
        guard !plan.isFolder, try isCertificate(usual), let other = try SystemCall.status(usual),
            !(atTarget?.isSameFile(as: other) ?? false)
        else { return old }
        return old + [(usual, other)]
    }

    private static func isCertificate(_ path: FilePath) throws -> Bool {
        guard try SystemCall.status(path, followingLinks: false)?.kind == .file else { return false }
        return try readIfIntact(path) != nil
    }

    /// Checks, before the work is done, that a plan's certificate can lie where it is to.
    ///
    /// - Parameters:
    ///   - path: another place than the usual one; nil for that.
    ///   - isWritten: whether there is to be one; where not, the old one has to go nevertheless.
    /// - Throws: `UsageError` where it would lie on or in what is written or in the source's folder, or where something
    ///   else is in the way.
    public static func check(_ path: FilePath?, for plan: ConversionPlan, isWritten: Bool = true) throws {
        let usual = Self.path(for: plan.destination, isFolder: plan.isFolder)
        if isWritten, path == nil { try StagedOutput.requireName(usual, of: "the name of the certificate") }
        if let path {
            let place = try SystemCall.resolvedAsFarAsItExists(path)
            let destination = try SystemCall.resolvedAsFarAsItExists(plan.destination)
            guard place != destination, !plan.isFolder || !place.starts(with: destination) else {
                throw UsageError(
                    "\(path.forDisplay): lies on or in what is written (\(plan.destination.forDisplay)); name another"
                        + " place for the certificate, or leave --certificate out for \(usual.forDisplay)")
            }
            if let folder = plan.source.folder, try place.starts(with: SystemCall.resolved(folder)) {
                throw UsageError(
                    "\(path.forDisplay): lies in the source's folder (\(folder.forDisplay)); a source is never written"
                        + " to: name another place for the certificate")
            }
        }
        // A folder's own certificate is replaced with the folder.
        if isWritten, path != nil || !plan.isFolder { try check(path ?? usual, replacing: plan.options.overwrite) }
        guard path != nil || !isWritten, !plan.isFolder, try isCertificate(usual) else { return }
        try check(usual, replacing: plan.options.overwrite)
    }

    /// A certificate may take the place of a certificate, and of nothing else.
    ///
    /// - Throws: `UsageError` where something else stands there, or a certificate that was not to be replaced.
    private static func check(_ path: FilePath, replacing: Bool) throws {
        guard let status = try SystemCall.status(path, followingLinks: false) else {
            return try StagedOutput.check(path, isFolder: false, overwrite: replacing, replaceable: NameSet())
        }
        guard status.kind == .file, try readIfIntact(path) != nil else {
            throw UsageError(
                "\(path.forDisplay): is in the way of the certificate and is none itself; name another place")
        }
        guard replacing else {
            throw UsageError("\(path.forDisplay): is a certificate already; use --overwrite to replace it")
        }
    }

    /// The certificate in a file; nil where something else is in it.
    ///
    /// - Throws: `SystemError` where that cannot be told.
    static func readIfIntact(_ path: FilePath) throws -> Certificate? {
        do { return try Certificate(reading: path) } catch is CheckpointError { return nil }
    }

    /// Writes a certificate beside the place that it is to take.
    static func stage(_ certificate: Certificate, at path: FilePath) throws -> StagedOutput {
        let staged = try StagedOutput(path, isFolder: false, overwrite: true)
        try write(certificate, to: staged.staging)
        return staged
    }

    /// Writes a certificate into a new file, flushes it, and reads it again.
    private static func write(_ certificate: Certificate, to path: FilePath) throws {
        let output = try OutputFile(creating: path)
        try certificate.write(to: output)
        try output.synchronize()
        let file = try InputFile(path)
        guard try file.bytes(0..<file.byteCount) == certificate.fileBytes else {
            throw SystemError(
                "read the certificate back as it was written", path, .ioError,
                advice: "the disk or the memory may be faulty")
        }
    }

    /// Whether a file's name is that of a certificate.
    static func isName(_ name: String) -> Bool { name == folderName || name.hasSuffix(fileSuffix) }
}

import AssayCheckpoints
import AssayFormats
import SystemPackage

extension ConversionPlan {
    /// Checks, before any work, that the destination can be made or replaced.
    ///
    /// - Throws: `UsageError` where something is in the way.
    public func checkDestination() throws {
        try source.refuse(conversion: destination, isFolder: isFolder)
        try StagedOutput.check(
            destination, isFolder: isFolder, overwrite: options.overwrite, replaceable: replaceable())
    }

    /// What may go with a folder that this conversion replaces, by names relative to it: what the new one has too, and what
    /// its certificate says a conversion put there; without a certificate weights with the usual names.
    func replaceable() throws -> NameSet {
        guard isFolder, options.overwrite, try SystemCall.status(destination)?.kind == .folder else { return NameSet() }
        var names = NameSet(files.map(\.name) + companions.copied + [CompanionFiles.certificateName])
        if let certified = try certifiedNames() {
            names.formUnion(certified)
        } else {
            names.formUnion(try SystemCall.names(in: destination).filter(Self.isUsualWeight))
        }
        return names
    }

    /// The files that the certificate in the destination names; nil where there is none, or something else.
    private func certifiedNames() throws -> [String]? {
        let path = destination.appending(CompanionFiles.certificateName)
        guard try SystemCall.status(path)?.kind == .file else { return nil }
        do {
            let text = try JSONValue(reading: InputFile(path), "a certificate", atMost: 1 << 30)
            let destination = text.object?["predicate"]?.object?["destination"]?.object
            return destination?["files"]?.array?.compactMap { $0.object?["name"]?.string }
        } catch is CheckpointError {
            return nil
        }
    }

    private static func isUsualWeight(_ name: String) -> Bool {
        CompanionFiles.isWeight(name)
            && (FormatRegistry.all.map { $0.stem(of: $0.weightsFileName) } + Destination.keptStems)
                .contains { name.hasPrefix($0) }
    }
}

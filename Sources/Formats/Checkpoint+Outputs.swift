import AssayCheckpoints
import SystemPackage

// Which outputs a source allows.

extension Checkpoint {
    /// Refuses an output that is, under whatever name, a file or the folder of this checkpoint, or a folder around it:
    /// to replace that would take the source away.
    ///
    /// - Throws: `UsageError`.
    public func refuse(output: FilePath) throws {
        guard let target = try SystemCall.status(output) else { return }
        for path in files + [folder, index].compactMap({ $0 }) {
            guard try SystemCall.status(path)?.isSameFile(as: target) == true else { continue }
            throw UsageError(
                "\(output.forDisplay): is the source itself (\(path.forDisplay)); a source is never written to")
        }
        if target.kind == .file, let folder, let status = try SystemCall.status(folder) {
            // Reports may be made again where they were.
            guard try !Self.isInside(output, status) || output.extension?.lowercased() == "html" else {
                throw UsageError(
                    "\(output.forDisplay): exists already in the source's folder (\(folder.forDisplay)), where nothing is replaced"
                )
            }
        }
        guard target.kind == .folder else { return }
        // A file may be a link: neither the link nor what it leads to may be inside.
        for file in files {
            for place in [file, file.removingLastComponent()] {
                guard try Self.isInside(place, target) else { continue }
                throw UsageError(
                    "\(output.forDisplay): holds the source (\(file.forDisplay)); a source is never written to")
            }
        }
    }

    /// Refuses the same of a conversion's output, and what would change what the source's folder is: a file in it that would be
    /// read as its weights, and anything in it where a certificate speaks of all that is there.
    ///
    /// - Throws: `UsageError`.
    public func refuse(conversion output: FilePath, isFolder: Bool) throws {
        try refuse(output: output)
        guard let folder, let place = try placeInside(folder, output) else { return }
        let certificateName = StagedOutput.certificateName
        guard try SystemCall.status(folder.appending(certificateName)) == nil else {
            throw UsageError(
                "\(output.forDisplay): lies in the source's folder (\(folder.forDisplay)), which would be no longer what its"
                    + " \(certificateName) says; name another place")
        }
        guard try !isFolder && changesEntrance(to: folder, place) else { return }
        throw Self.taken(output, folder)
    }

    /// Refuses the same of what is no model: in a model folder it must not be taken for one of its files. A capture may lie
    /// there under a name that changes nothing of what is read, a report as `.html`.
    ///
    /// - Throws: `UsageError`.
    public func refuse(sideOutput output: FilePath) throws {
        try refuse(output: output)
        guard let folder, output.extension?.lowercased() != "html", let place = try placeInside(folder, output) else {
            return
        }
        let isCheckpoint = FormatRegistry.format(forFileName: place.lastComponent?.string ?? "") != nil
        guard try !isCheckpoint || changesEntrance(to: folder, place) else { return }
        throw Self.taken(output, folder)
    }

    private static func taken(_ output: FilePath, _ folder: FilePath) -> UsageError {
        UsageError(
            "\(output.forDisplay): lies in the source's folder (\(folder.forDisplay)) and would be taken for one of its files;"
                + " name another place")
    }

    /// Where an output would lie; nil where that is not inside a folder.
    private func placeInside(_ folder: FilePath, _ output: FilePath) throws -> FilePath? {
        let place = try SystemCall.resolvedAsFarAsItExists(output)
        return try place.starts(with: SystemCall.resolved(folder)) ? place : nil
    }

    /// Whether a folder would be opened by another file, or by none, where a new one lies in it.
    private func changesEntrance(to folder: FilePath, _ place: FilePath) throws -> Bool {
        guard let name = place.lastComponent?.string, try place.folder == SystemCall.resolved(folder) else {
            return false
        }
        let names = try SystemCall.names(in: folder)
        guard let before = try? Self.entrance(to: folder, names),
            let after = try? Self.entrance(to: folder, names + [name])
        else { return true }
        return before.entrance != after.entrance
    }

    /// Whether a path, links followed, is a folder or lies somewhere in it.
    private static func isInside(_ path: FilePath, _ folder: SystemCall.Status) throws -> Bool {
        var place = try SystemCall.resolved(path.isEmpty ? "." : path)
        repeat {
            if try SystemCall.status(place)?.isSameFile(as: folder) == true { return true }
        } while place.removeLastComponent() && !place.isEmpty
        return false
    }
}

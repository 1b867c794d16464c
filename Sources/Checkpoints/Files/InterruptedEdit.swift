import SystemPackage

/// A change of a file where it lies, that goes on or was interrupted: the old beginning of the file is kept beside it until
/// the new one is complete. Meanwhile the file may be neither, and is not read.
package enum InterruptedEdit {
    /// Where the old header of a file is kept: beside the file itself, by whatever link it is named.
    package static func backup(of path: FilePath) -> FilePath {
        let isLink = (try? SystemCall.status(path, followingLinks: false))?.kind == .link
        return (isLink ? (try? SystemCall.resolved(path)) ?? path : path).beside(".old-header")
    }

    /// - Throws: `CheckpointError` where the old header lies there.
    package static func refuse(_ path: FilePath) throws {
        let backup = backup(of: path)
        guard try SystemCall.status(backup, followingLinks: false) != nil else { return }
        throw CheckpointError(
            path, .file, expected: "a file that nobody is changing",
            found:
                "\(backup.forDisplay), its header from before a change that goes on or was interrupted; where nothing goes"
                + " on, put it back with 'dd if=\(backup.forDisplay) of=\(path.forDisplay) conv=notrunc', then remove it;"
                + " remove it alone where the file was made anew since"
        )
    }
}

import SystemPackage

/// A change of a file where it lies, that goes on or was interrupted: the old beginning of the file is kept beside it until
/// the new one is complete. Meanwhile the file may be neither, and is not read.
package enum InterruptedEdit {
    /// Where the old header of a file is kept: beside the file itself, by whatever link it is named.
    package static func backup(of path: FilePath) -> FilePath {
        ((try? SystemCall.followed(path)) ?? path).beside(".old-header")
    }

    /// The old header of a file, where one is left.
    static func left(of path: FilePath) throws(SystemError) -> FilePath? {
        let backup = backup(of: path)
        return try SystemCall.status(backup, followingLinks: false) == nil ? nil : backup
    }

    /// - Throws: `CheckpointError` where the old header lies there.
    package static func refuse(_ path: FilePath) throws {
        guard let backup = try left(of: path) else { return }
        throw CheckpointError(
            path, .file, expected: "a file that nobody is changing",
            found:
                "\(backup.forDisplay), its header from before a change that goes on or was interrupted; where nothing goes"
                + " on, put it back with 'dd if=\(backup.forDisplay) of=\(path.forDisplay) conv=notrunc', then remove it;"
                + " remove it alone where the file was made anew since"
        )
    }
}
